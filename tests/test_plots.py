"""Pictures: what is drawn is what was computed, and the command finds what it needs."""

import numpy as np
import pytest

import atomcore
from atomcore import Potential, plot
from atomcore.cli.main import main
from atomcore.evaluation import ChargePredictions, Predictions, evaluate
from helpers import skip_without_training
from model_builder import random_model
from test_predict import model
from tolerances import FLOAT32, INVARIANT, assert_close
from training_sets import molecules

matplotlib = pytest.importorskip("matplotlib", reason="pictures need matplotlib")
PNG = b"\x89PNG"


@pytest.fixture
def figures(monkeypatch):
    """Keep the figures instead of writing them."""
    kept = []
    for module in ("dynamics", "errors", "features", "kernels", "training"):
        monkeypatch.setattr(f"atomcore.plot.{module}.save", lambda figure, path: kept.append(figure))
    return kept


def line(axes, label):
    """Return the data of the line with this label."""
    (found,) = (line for line in axes.lines if line.get_label() == label)
    return np.array(found.get_data())


def predictions(n=200, **more):
    generator = np.random.default_rng(0)
    label = generator.normal(0, 1, (n, 3))
    spread = generator.lognormal(-2, 1, (n, 3))
    forces = label + spread * generator.normal(0, 1, (n, 3))
    energy = generator.normal(-5, 1, 20)
    return Predictions(
        energy=energy, energy_label=energy + 0.01, n_atoms=np.full(20, n // 20), forces=forces, forces_label=label,
        forces_spread=spread, **more,
    )  # fmt: skip


def test_parity_has_a_panel_for_each_label(figures):
    stress = np.array([[1.0, 2.0, 3.0, 0.0, 0.0, 0.0]])
    found = predictions(stress=1.1 * stress, stress_label=stress)
    plot.parity({"test": found}, "")
    energy, forces, pressure = figures[0].axes
    assert energy.get_title() == "test: RMSE 1 meV/atom"
    rmse = 1000 * np.sqrt(np.mean((found.forces - found.forces_label) ** 2))
    assert forces.get_title() == f"test: RMSE {rmse:.3g} meV/Å"
    gpa = 160.21766
    assert pressure.get_title() == f"test: RMSE {0.1 * gpa * np.sqrt(14 / 6):.3g} GPa"
    assert "GPa" in pressure.get_xlabel()
    assert_close(line(pressure, "test")[0], stress[0] * gpa, FLOAT32)  # the constant has eight digits


def test_parity_of_charges(figures):
    label = np.array([-0.8, 0.4, 0.4])
    found = ChargePredictions(charges=label + 0.02, charges_label=label, n_atoms=np.array([3]))
    plot.parity({"test": found}, "")
    (axes,) = figures[0].axes
    assert axes.get_title() == "test: RMSE 20 me"


def test_errors_stand_with_their_element(figures):
    found = predictions()
    numbers = np.tile([8, 1, 1], 67)[:200]
    plot.error_by_element(found, numbers, "")
    (axes,) = figures[0].axes
    error = 1000 * np.linalg.norm(found.forces - found.forces_label, axis=1)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["H\n133 atoms", "O\n67 atoms"]
    expected = [np.sqrt(np.mean(error[numbers == z] ** 2)) for z in (1, 8)]
    assert_close(line(axes, "root mean square")[1], expected, INVARIANT)


def test_the_spread_is_drawn_against_the_error_in_equal_shares(figures):
    found = predictions(2000)
    plot.spread(found, "")
    (axes,) = figures[0].axes
    assert axes.get_title() == f"rank correlation (Spearman) {found.metrics()['forces_spread_spearman']:.2f}"
    points, binned = line(axes, "atoms"), line(axes, "root mean square of equal shares of them")
    assert points.shape == (2, 2000)
    assert binned.shape == (2, 12)
    assert (np.diff(binned[0]) > 0).all()
    mean_square = np.average(binned[1] ** 2, weights=[len(part) for part in np.array_split(np.arange(2000), 12)])
    assert_close(mean_square, np.mean(points[1] ** 2), INVARIANT)


def test_a_crystal_without_forces_has_no_spread_to_draw(figures):
    nothing = np.full((10, 3), 1e-9)
    found = Predictions(
        energy=np.zeros(1), energy_label=np.ones(1), n_atoms=np.array([10]), forces=nothing, forces_label=0 * nothing,
        forces_spread=nothing,
    )  # fmt: skip
    assert "forces_spread_spearman" not in found.metrics()
    with pytest.raises(ValueError, match="0 forces that could be wrong"):
        plot.spread(found, "")
    assert not figures


def test_principal_components_are_those_of_the_training_atoms(figures):
    generator = np.random.default_rng(1)
    hidden = generator.normal(0, [3.0, 1.0], (400, 2))
    known = np.column_stack([hidden @ generator.normal(0, 1, (2, 5)), np.full(400, 7.0)])  # the last one never varies
    new = np.vstack([known[:5], known[5] + [0, 0, 0, 0, 0, 1.0]])
    plot.coverage({"O": (known, new)}, "")
    (axes,) = figures[0].axes
    assert axes.get_title() == "O: 1 of 6 atoms outside"
    train, test, outside = (np.array(drawn.get_data()) for drawn in axes.lines[:3])
    assert_close(train[:, :5], test, INVARIANT)
    assert_close(outside[:, 0], train[:, 5], INVARIANT)  # a feature that never varied gives no direction
    assert abs(np.mean(train[0] * train[1])) < 1e-9 * train[0].std() * train[1].std()
    scaled = known[:, :5] / known[:, :5].std(axis=0)
    assert_close(train[0].var() + train[1].var(), np.var(scaled, axis=0).sum(), INVARIANT)
    shares = [train[0].var() / 5, train[1].var() / 5]
    assert f"({100 * shares[0]:.0f} % of the variance)" in axes.get_xlabel()
    assert f"({100 * shares[1]:.0f} %)" in axes.get_ylabel()
    with pytest.raises(ValueError, match="features of O: 1 atoms in training"):
        plot.coverage({"O": (known[:1], new)}, "")


def test_members_are_drawn_together(figures):
    rows = [[{"epoch": e, "train_energy_rmse_per_atom": 1.0 / (e + m + 1)} for e in range(4)] for m in range(3)]
    plot.learning_curves(rows, "")
    (axes,) = figures[0].axes
    assert len(axes.lines) == 3
    assert len(axes.get_legend().get_texts()) == 1
    assert_close(axes.lines[2].get_ydata(), 1000 / np.arange(3.0, 7.0), INVARIANT)
    with pytest.raises(ValueError, match="history has no errors"):
        plot.learning_curves([[]], "")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of the command line, its data, and an ensemble beside it."""
    folder = tmp_path_factory.mktemp("plots")
    molecules(40).save(folder / "set.npz")
    small = (
        "features.radial=[{eta: 2.0, shift: 0.9},{eta: 2.0, shift: 1.6}]", "features.angular=[]", "model.hidden=[6]",
        "training.max_epochs=3", "run.threads=1", "split.valid=5", "split.test=10",
    )  # fmt: skip
    run = ("train", f"data.path={folder / 'set.npz'}", f"run.dir={folder / 'run'}", *small)
    skip_without_training(run)
    assert main(run) == 0
    model(folder)
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ("parity", "run"),
        ("parity", "model.atomcore", "set.npz"),
        ("learning", "run"),
        ("elements", "run"),
        ("coverage", "run"),
        ("coverage", "run", "set.npz"),
        ("coverage", "model.atomcore", "set.npz", "--training", "set.npz"),
        ("spread", "model.atomcore", "set.npz"),
    ],
)
def test_the_command_draws(trained, monkeypatch, capsys, arguments, tmp_path):
    monkeypatch.chdir(trained)
    picture = tmp_path / "picture.png"
    assert main(["plot", *arguments, "-o", str(picture)]) == 0, capsys.readouterr().err
    assert picture.read_bytes()[:4] == PNG
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("spread", "run"), "SOURCE holds no model that knows the spread"),
        (("parity", "model.atomcore"), "FILE is missing: parity of a model file"),
        (("coverage", "model.atomcore", "set.npz"), "needs --training FILE"),
        (("learning", "model.atomcore"), "accepted for learning: the folder of a run"),
        (("parity", "."), "has no config.yaml"),
        (("parity", "absent"), "absent"),
    ],
)
def test_what_is_missing_is_named(trained, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(trained)
    before = sorted(trained.iterdir())
    assert main(["plot", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(trained.iterdir()) == before


def test_a_run_is_judged_by_its_test_structures(trained, monkeypatch, figures):
    monkeypatch.chdir(trained)
    assert main(["plot", "elements", "run", "-o", "unused.png"]) == 0
    split = atomcore.data.Split.load(trained / "run/split.json", atomcore.data.load(trained / "set.npz"))
    found = evaluate(Potential.load(trained / "run/model.atomcore"), split.test)
    error = 1000 * np.linalg.norm(found.forces - found.forces_label, axis=1)
    expected = [np.sqrt(np.mean(error[split.test.numbers == z] ** 2)) for z in (1, 8)]
    assert_close(line(figures[0].axes[0], "root mean square")[1], expected, INVARIANT)


def test_elements_that_were_never_trained_on_are_left_out_of_the_coverage(trained, monkeypatch, figures):
    monkeypatch.chdir(trained)
    random_model(("H", "O", "C")).write(trained / "other.atomcore")
    molecules(4).save(trained / "few.npz")
    (trained / "carbon.xyz").write_text("2\n\nC 0 0 0\nO 0 0 1.2\n")
    assert main(["plot", "coverage", "other.atomcore", "carbon.xyz", "--training", "few.npz"]) == 0
    assert [axes.get_title() for axes in figures[0].axes] == ["O: 1 of 1 atoms outside"]


def trials(sigmas=(2.0, 5.0, 20.0), lams=(1e-12, 1e-10)):
    return [{"sigma": s, "lam": lam, "loss": abs(s - 5) + 0.1 - np.log10(lam) / 100} for s in sigmas for lam in lams]


def test_a_landscape_of_all_pairs_is_a_map(figures):
    rows = trials()
    rows[-1]["loss"] = np.inf
    plot.landscape(rows[::-1], "", what="force RMSE, eV/Å")
    axes, bar = figures[0].axes
    assert axes.get_title() == "best 0.2: sigma 5, lambda 1.0e-10"
    table = axes.images[0].get_array()
    assert_close(table[:, :2].filled(np.nan), [[row["loss"] for row in rows[i:4:2]] for i in (0, 1)], INVARIANT)
    assert table.mask.tolist() == [[False] * 3, [False, False, True]]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["1e-12", "1e-10"]
    assert "failed" in [text.get_text() for text in axes.texts]
    assert bar.get_ylabel() == "force RMSE, eV/Å"
    place = line(axes, "best")
    assert place[0, 0] == 1  # the second length


def test_a_landscape_of_one_setting_is_a_curve_and_of_any_pairs_are_dots(figures, tmp_path):
    plot.landscape(trials(lams=(1e-10,)), "")
    (axes,) = figures[0].axes
    assert_close(line(axes, "best"), [[5.0], [0.2]], INVARIANT)
    rows = [*trials()[:5], {"sigma": 7.0, "lam": 1e-8, "loss": np.inf}]
    plot.landscape(rows, "")
    axes = figures[1].axes[0]
    assert len(axes.collections[0].get_offsets()) == 5
    assert_close(line(axes, "failed"), [[7.0], [1e-8]], INVARIANT)
    with pytest.raises(ValueError, match="rows has no finite loss"):
        plot.landscape(rows[-1:], tmp_path / "x.png")


def test_data_curves_have_the_mean_of_seeds(figures):
    rows = [{"n_train": n, "forces_rmse": 1e-3 * f / n, "energy_mae": 1.0} for n in (10, 20) for f in (100.0, 300.0)]
    plot.data_curves({"active": rows, "random": [{"n_train": 10, "forces_rmse": 0.5}]}, "")
    energy, forces = figures[0].axes
    assert_close(line(forces, "active, RMSE"), [[10.0, 20.0], [20.0, 10.0]], INVARIANT)
    assert_close(line(forces, "random, RMSE"), [[10.0], [500.0]], INVARIANT)
    assert [axes.get_ylabel() for axes in (energy, forces)] == ["energy error, meV", "force error, meV/Å"]
    with pytest.raises(ValueError, match="series has no errors"):
        plot.data_curves({"active": [{"n_train": 3}]}, "")


def test_clusters_stand_by_their_loss(figures):
    plot.clusters([0.1, 0.4, 0.2], [30, 10, 20], "", what="force MSE")
    upper, lower = figures[0].axes
    assert [bar.get_height() for bar in lower.patches] == [10, 20, 30]
    mean = (3 + 4 + 4) / 60
    assert_close(line(upper, "mean of all structures")[1], [mean, mean], INVARIANT)
    assert upper.get_title() == "30 of 60 structures above the mean"
    with pytest.raises(ValueError, match="accepted: one of each a cluster"):
        plot.clusters([0.1], [1, 2], "")


def test_variance_maps_are_surfaces_over_grids_and_dots_elsewhere(figures):
    grid = np.stack(np.meshgrid([0.0, 1.0, 2.0], [0.0, 1.0]), axis=-1).reshape(-1, 2)
    plot.variance_map(grid, np.arange(6.0), "", mean=-np.arange(6.0), training=grid[:2])
    assert len(figures[0].axes) == 4  # two panels with their bars
    assert_close(line(figures[0].axes[1], "2 training points"), grid[:2].T, INVARIANT)
    points = np.random.default_rng(3).normal(size=(30, 2))
    plot.variance_map(points, np.arange(30.0), "", labels=("a", "b"))
    axes = figures[1].axes[0]
    assert_close(np.asarray(axes.collections[0].get_offsets()), points, INVARIANT)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a", "b")
    plot.variance_map(points, np.where(np.arange(30) == 3, 1e3, np.arange(30.0)), "")
    colours = [figure.axes[0].collections[0].norm for figure in figures[1:]]
    assert [type(scale).__name__ for scale in colours] == ["Normalize", "LogNorm"]  # one point that stands out
    with pytest.raises(ValueError, match="points has shape"):
        plot.variance_map(points, np.arange(29.0), "")
