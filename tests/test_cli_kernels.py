"""Kernel machines from the command line: runs, searches, many-body terms, active training; without torch."""

import json

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

import atomcore
from atomcore.cli.main import main
from atomcore.data import from_atoms, load
from helpers import run_python
from sgdml_files import surface

pytest.importorskip("hydra", reason="atomcore train needs the extra atomcore[train]")


@pytest.fixture
def water(tmp_path, monkeypatch):
    """A folder with forty geometries of water in water.npz, which is the current one."""
    monkeypatch.chdir(tmp_path)
    surface(40).save("water.npz")
    return tmp_path


def run(*arguments):
    assert main([*arguments]) == 0


def gdml(*arguments):
    run("train", "model=gdml", "data.path=water.npz", "split.train=15", "split.valid=5", "split.test=null",
        "model.sigma=2.5", *arguments)  # fmt: skip


def test_a_run_of_gdml_leaves_what_runs_of_networks_leave(water, capsys):
    gdml()
    printed = capsys.readouterr().out
    assert "symmetry: 2 permutations" in printed
    files = {path.name for path in (water / "run").iterdir()}
    assert {"model.atomcore", "metrics.json", "split.json", "config.yaml"} <= files
    metrics = json.loads((water / "run/metrics.json").read_text())
    assert metrics["n_structures"] == {"train": 15, "valid": 5, "test": 20}
    assert metrics["test"]["forces_rmse"] < 0.2 * load("water.npz").forces.std()
    config = (water / "run/config.yaml").read_text()
    assert "sigma: 2.5" in config
    assert "optimizer" not in config  # means nothing here
    potential = atomcore.Potential.load("run/model.atomcore")
    assert potential.info["provenance"]["n_structures"]["train"] == 15
    run("evaluate", "run/model.atomcore", "water.npz")
    run("info", "run/model.atomcore")
    assert "gdml" in capsys.readouterr().out


def test_a_folder_with_a_run_is_kept(water, capsys):
    gdml()
    before = (water / "run/model.atomcore").read_bytes()
    assert main(["train", "model=gdml", "data.path=water.npz"]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert (water / "run/model.atomcore").read_bytes() == before
    gdml("run.overwrite=true", "model.lam=1e-6")
    assert (water / "run/model.atomcore").read_bytes() != before


def test_a_search_takes_the_best_of_all_pairs_and_shows_them(water):
    gdml("search.sigma=[0.5,2.5,10]", "search.lam=[1e-10,1e-4]", "search.loss=forces_mse")
    summary = json.loads((water / "run/search/training.json").read_text())
    losses = summary["validation"]["losses"]
    assert len(losses) == 6
    best = int(np.argmin(losses))
    assert summary["model"]["sigma"] == summary["validation"]["sigmas"][best]
    assert atomcore.Potential.load("run/model.atomcore").info["gdml"]["sigma"] == summary["model"]["sigma"]
    errors = json.loads((water / "run/metrics.json").read_text())
    assert errors["valid"]["forces_rmse"] ** 2 == pytest.approx(min(losses), rel=1e-6)
    pytest.importorskip("matplotlib")
    assert (water / "run/landscape.png").read_bytes().startswith(b"\x89PNG")
    run("plot", "landscape", "run", "-o", "again.png")
    assert (water / "again.png").read_bytes() == (water / "run/landscape.png").read_bytes()


def test_a_search_between_ranges_makes_the_trials_that_were_asked_for(water):
    gdml("search.sigma=[0.5,20]", "search.n_iter=3", "search.init_points=4")
    summary = json.loads((water / "run/search/training.json").read_text())
    sigmas, lams = (summary["validation"][name] for name in ("sigmas", "lambdas"))
    assert len(sigmas) == 7
    assert 0.5 <= min(sigmas) <= max(sigmas) <= 20
    assert set(np.round(np.log10(lams), 9)) == {-10.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model=gdml", "features=ani"), "features=ani: means nothing to a GDML"),
        (("model=gdml", "optimizer.learning_rate=1"), "optimizer.learning_rate=1: means nothing to a GDML"),
        (("model=krr", "search.sigma=[1]"), "means nothing to a KernelRidge"),
        (("search.sigma=[1]",), "search.sigma=[1]: means nothing to a BehlerParrinello"),
        (("model=gdml", "run.resume=true"), "run.resume=true: means nothing to a GDML"),
        (("model=gdml", "search.sigma=[-1]"), "search.sigma is [-1]; accepted: numbers above 0"),
        (("model=gdml", "search.n_iter=3"), "neither search.sigma nor search.lam"),
        (("model=gdml", "model.sigma=0"), "sigma is 0; accepted: numbers above 0"),
        (("model=krr", "model.kernel=cubic"), "model.kernel is 'cubic'; accepted: rbf, exponential"),
        (("model=krr", "model.kernel_options={nu: 1}"), "model.kernel_options has 'nu'; rbf accepts: length, variance"),
        (("model=krr", "model.kernel=laplacian", "model.search=null"), "model.kernel_options has no length"),
        (("model=mbgdml",), "water.npz does not say what its molecules are"),
        (("model=mbgdml", "model.components={oh: OH, h: H}"), "model.lower is missing"),
        (("model=mbgdml", "model.labels=half"), "model.labels is 'half'; accepted: total, nbody"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_words(water, capsys, arguments, message):
    assert main(["train", "data.path=water.npz", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (water / "run/model.atomcore").exists()


def test_torch_is_not_needed(water):
    code = """
import sys
sys.modules["torch"] = sys.modules["lightning"] = None
from atomcore.cli.main import main
assert main(["train", "model=gdml", "data.path=water.npz", "split.train=15", "split.test=null", "model.sigma=2.5"]) == 0
"""
    run_python(code, cwd=water)
    assert (water / "run/model.atomcore").exists()


# Active training


def test_active_training_beside_random_structures(water, capsys):
    surface(60, seed=9).save("test.npz")
    arguments = ["active", "water.npz", "--test", "test.npz", "--initial", "6", "--final", "12", "--step", "3",
                 "--sigma", "2.5", "--compare"]  # fmt: skip
    run(*arguments)
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[2:5]] == ["6", "9", "12"]
    chosen = np.load(water / "active/train_idxs.npy")
    assert len(set(chosen.tolist())) == 12
    model = atomcore.models.GDML.load("active/model.atomcore")
    forces = load("test.npz").forces
    error = np.sqrt(np.mean((model.predict(load("test.npz"))[1].reshape(-1, 3) - forces) ** 2))
    rounds = (water / "active/rounds.csv").read_text().splitlines()
    last = dict(zip(rounds[0].split(","), rounds[-1].split(","), strict=True))
    assert float(last["test_forces_rmse"]) == pytest.approx(error, rel=1e-9)
    assert (water / "active/random/rounds.csv").exists()
    assert main(arguments) == 2
    assert "which holds a run already" in capsys.readouterr().err
    pytest.importorskip("matplotlib")
    run("plot", "learning", "active", "-o", "again.png")
    assert (water / "again.png").read_bytes() == (water / "active/learning_curve.png").read_bytes()


def test_active_training_chooses_settings_and_refuses_sizes(water, capsys):
    run("active", "water.npz", "--initial", "6", "--final", "6", "--sigma", "0.3", "2.5", "--run", "a")
    assert atomcore.Potential.load("a/model.atomcore").info["gdml"]["sigma"] == 2.5
    assert main(["active", "water.npz", "--initial", "6", "--final", "60", "--run", "b"]) == 2
    assert "n_final is 60; accepted: from 6" in capsys.readouterr().err
    assert not (water / "b").exists()


def test_clusters_of_what_a_model_gets_wrong(water, capsys):
    pytest.importorskip("matplotlib")
    gdml()
    run("plot", "clusters", "run")
    assert (water / "clusters.png").read_bytes().startswith(b"\x89PNG")
    assert main(["plot", "variance", "run"]) == 2
    assert "holds no model that knows its uncertainty" in capsys.readouterr().err
    assert main(["plot", "landscape", "run"]) == 2
    assert "accepted for landscape: the folder of a run with search.sigma" in capsys.readouterr().err


# Kernels of features


@pytest.mark.parametrize("features", ["inverse_distances", "coulomb"])
def test_a_gaussian_process_tells_its_uncertainty(water, features):
    run("train", "model=gpr", "data.path=water.npz", f"features={features}", "model.kernel=matern", "split.train=15",
        "split.valid=0", "split.test=null", "model.starts=1")  # fmt: skip
    potential = atomcore.Potential.load("run/model.atomcore")
    data = load("water.npz")
    found = [potential.compute(atoms, ["energy", "energy_spread"]) for atoms in data]
    error = np.array([values["energy"] for values in found]) - data.energy
    spread = np.array([values["energy_spread"] for values in found])
    assert np.sqrt(np.mean(error**2)) < 0.2 * data.energy.std()
    assert np.mean(np.abs(error) < 3 * spread) > 0.8
    pytest.importorskip("matplotlib")
    run("plot", "variance", "run")
    assert (water / "variance.png").read_bytes().startswith(b"\x89PNG")


def test_kernel_ridge_regression_on_features_of_atoms(water):
    surface(20).save("water.npz")
    run("train", "model=krr", "data.path=water.npz", "model.kernel=laplacian", "model.kernel_options={length: 3.0}",
        "model.labels=[energy]", "model.search=null", "split.train=15", "split.valid=0", "split.test=null",
        "features.radial=[{eta: 2.0, shift: 0.9},{eta: 2.0, shift: 1.6}]", "features.angular=[]")  # fmt: skip
    metrics = json.loads((water / "run/metrics.json").read_text())
    assert metrics["train"]["energy_rmse"] < 1e-3 < metrics["test"]["energy_rmse"] < load("water.npz").energy.std()


# Many bodies


def test_terms_of_an_expansion_are_trained_one_after_the_other(water, capsys):
    rng = np.random.default_rng(11)
    dimers = []
    for _ in range(30):
        first, second = (molecule("H2O") for _ in range(2))
        second.rotate(rng.uniform(0, 360), rng.normal(size=3))
        second.positions += [0.0, 0.0, 2.9]
        dimers.append(first + second)
        dimers[-1].positions += 0.05 * rng.normal(size=(6, 3))
    monomers = [dimer[rows] for dimer in dimers for rows in (slice(0, 3), slice(3, 6))]
    for name, images in (("one", monomers), ("two", dimers)):
        for atoms in images:
            calculator = EMT()
            atoms.calc = SinglePointCalculator(
                atoms, energy=calculator.get_potential_energy(atoms), forces=calculator.get_forces(atoms)
            )
        from_atoms(images).save(f"{name}.npz")
    water_is = "model.components={h2o: OHH}"
    shared = ["train", "model=mbgdml", water_is, "model.sigma=2", "model.lam=1e-8", "split.train=24", "split.valid=0",
              "split.test=null"]  # fmt: skip
    run(*shared, "data.path=one.npz", "run.dir=1")
    run(*shared, "data.path=two.npz", "run.dir=2", "model.lower=1/model.atomcore",
        "model.criterion={measure: centre_distance_sum, cutoff: 6.0}")  # fmt: skip
    expansion = atomcore.models.ManyBody.load("2/model.atomcore")
    assert [term.order for term in expansion.terms] == [1, 2]
    split = atomcore.data.Split.load("2/split.json", load("two.npz"))
    errors = atomcore.evaluation.evaluate(atomcore.Potential.load("2/model.atomcore"), split.train).metrics()
    alone = atomcore.evaluation.evaluate(atomcore.Potential.load("1/model.atomcore"), split.train).metrics()
    assert errors["forces_rmse"] < 0.1 * alone["forces_rmse"]
    run("info", "2/model.atomcore")
    assert "term        h2o + h2o: gdml; measure centre_distance_sum, cutoff 6" in capsys.readouterr().out
