"""Searches over sigma and lambda, their losses, sampling, error clusters and active training."""

import csv
import json

import numpy as np
import pytest

from atomcore.models import GDML
from atomcore.models.gdml import Iterative, stratified_sample
from atomcore.train import Acquisition, active_train, bayesian_search, find_problematic, grid_search
from atomcore.train.kernel_losses import as_loss, energy_and_forces_mse, mae, mse, rmse, sse
from gdml_data import AMMONIA, as_dataset, molecules
from gdml_oracle import Oracle
from helpers import run_python, shared_data
from tolerances import EXACT, SOLVED, Tolerance, assert_close

KCAL = 23.060548  # kcal/mol in an eV
PLAIN = {"symmetries": False}


# Sampling


def test_samples_have_the_histogram_of_all():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, 9000), rng.normal(8, 0.3, 1000)])
    chosen = stratified_sample(values, 500, seed=1)
    assert len(np.unique(chosen)) == 500
    assert (np.diff(chosen) > 0).all()
    share = np.mean(values[chosen] > 5)
    assert share == pytest.approx(0.1, abs=0.01)
    assert np.array_equal(chosen, stratified_sample(values, 500, seed=1))
    assert not np.array_equal(chosen, stratified_sample(values, 500, seed=2))


@pytest.mark.parametrize("n", [0, 1, 2, 7, 40, 80])
@pytest.mark.parametrize("kind", ["spread", "equal", "outlier"])
def test_samples_are_exactly_as_large_as_asked_for(n, kind):
    values = {"spread": np.arange(100.0), "equal": np.ones(100), "outlier": np.append(np.zeros(99), 1e6)}[kind]
    excluded = np.arange(20)
    chosen = stratified_sample(values, n, exclude=excluded, seed=3)
    assert len(np.unique(chosen)) == n
    assert not np.isin(chosen, excluded).any()


def test_samples_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="n is 5; accepted: 0 to 4, which are left of 6"):
        stratified_sample(np.arange(6.0), 5, exclude=[0, 1])
    with pytest.raises(ValueError, match="values has nan"):
        stratified_sample([1.0, np.nan], 1)
    with pytest.raises(ValueError, match="exclude has indices that are outside; accepted: 0 to 1"):
        stratified_sample([1.0, 2.0], 1, exclude=[2])


# Losses


def test_losses_are_the_formulas():
    energy, forces = np.array([1.0, -3.0]), np.arange(12.0).reshape(2, 2, 3)
    assert (mae(energy), mse(energy), sse(energy)) == (2.0, 5.0, 10.0)
    assert rmse(energy) == np.sqrt(5.0)
    squares = float(np.sum(forces**2))
    assert as_loss("forces_rmse")(energy, forces) == np.sqrt(squares / 12)
    assert as_loss("forces_mse")(energy, forces) == squares / 12
    # rho/n sum dE^2 + 1/(N n) sum |dF|^2, and rho mean(dE^2) + mean(dF^2) / N
    documented, computed = energy_and_forces_mse(0.1), energy_and_forces_mse(0.1, convention="mbgdml")
    assert documented(energy, forces) == pytest.approx(0.1 / 2 * 10 + squares / (2 * 2), rel=1e-14)
    assert computed(energy, forces) == pytest.approx(0.1 * 5 + squares / 12 / 2, rel=1e-14)
    forces_only = energy_and_forces_mse(0.0)(energy, forces)
    assert forces_only == pytest.approx(
        3 * 2 * energy_and_forces_mse(0.0, convention="mbgdml")(energy, forces), rel=1e-14
    )
    with pytest.raises(ValueError, match="loss is 'rmse'; accepted: 'forces_rmse'"):
        as_loss("rmse")
    with pytest.raises(ValueError, match="rho is -1"):
        energy_and_forces_mse(-1)


# Searches


@pytest.mark.parametrize("energies", ["offset", "constraints"])
def test_leaving_one_out_is_training_without_it(energies):
    data = molecules(8, amplitude=0.2)
    result = grid_search(GDML(energies=energies, **PLAIN), data, sigmas=[3.0], lams=[1e-5], progress=False)
    constraints = energies == "constraints"
    positions, gradients = data.positions.reshape(8, 4, 3), -data.forces.reshape(8, 4, 3)
    oracle = Oracle(positions, gradients, 3.0, 1e-5, [range(4)], data.energy if constraints else None)
    missed = np.empty((8, 12 + constraints))
    for s in range(8):
        own = [*range(12 * s, 12 * s + 12), *([96 + s] if constraints else [])]
        rest = np.delete(np.arange(len(oracle.y)), own)
        K = oracle.K[np.ix_(rest, rest)] + 1e-5 * np.eye(len(rest))
        missed[s] = oracle.K[np.ix_(own, rest)] @ np.linalg.solve(K, oracle.y[rest]) - oracle.y[own]
    assert_close(result.best.forces_rmse, rmse(missed[:, :12]), SOLVED)
    assert_close(result.best.forces_mae, mae(missed[:, :12]), SOLVED)
    if constraints:
        assert_close(result.best.energy_rmse, rmse(missed[:, 12]), SOLVED)
    else:
        assert result.best.energy_rmse is None


@pytest.mark.filterwarnings("ignore:energies and forces belong together poorly")  # as bad settings make it seem
def test_the_grid_gives_its_true_minimum():
    train, valid = molecules(15, amplitude=0.2), molecules(40, seed=3, amplitude=0.2)
    sigmas, lams = [0.5, 2.0, 8.0, 30.0], [1e-9, 1e-6, 1e-3]
    result = grid_search(GDML(**PLAIN), train, valid, sigmas=sigmas, lams=lams, progress=False)
    assert [(t.sigma, t.lam) for t in result.trials] == [(sigma, lam) for sigma in sigmas for lam in lams]
    for trial in result.trials:
        model = GDML(trial.sigma, trial.lam, **PLAIN).fit(train, progress=False)
        forces = model.predict(valid)[1]
        assert_close(rmse(forces - valid.forces.reshape(forces.shape)), trial.loss, SOLVED, scale=100)
    assert result.best.loss == min(t.loss for t in result.trials)
    assert (result.model.sigma, result.model.lam) == (result.best.sigma, result.best.lam)
    assert result.model.report is not None
    edges = [
        n for n, v, g in (("sigma", result.best.sigma, sigmas), ("lam", result.best.lam, lams)) if v in (g[0], g[-1])
    ]
    assert list(result.at_boundary) == edges
    assert grid_search(GDML(**PLAIN), train, valid, sigmas=2.0, progress=False).at_boundary == ()


def test_settings_without_a_factor_lose():
    data = molecules(4).subset([0, 1, 2, 2])
    result = grid_search(GDML(**PLAIN), data, molecules(5, seed=1), sigmas=[3.0], lams=[1e-20, 1e-6], progress=False)
    assert np.isinf(result.trials[0].loss)
    assert result.best.lam == 1e-6
    with pytest.raises(np.linalg.LinAlgError, match="accepted: larger lams"):
        grid_search(GDML(**PLAIN), data, molecules(5, seed=1), sigmas=[3.0], lams=[1e-20], progress=False)


def test_searches_with_energies_need_a_validation_set():
    data = molecules(5)
    with pytest.raises(ValueError, match="solver is iterative, which has no closed form"):
        grid_search(GDML(solver=Iterative(columns=20), **PLAIN), data, sigmas=[3.0], progress=False)
    for loss in ("energy_and_forces_mse", lambda energy, forces: float("nan")):
        with pytest.raises(
            ValueError, match="loss is NaN; accepted: numbers, and where there are no errors of energies"
        ):
            grid_search(GDML(**PLAIN), data, sigmas=[3.0], loss=loss, progress=False)
    with pytest.raises(ValueError, match=r"sigmas is \[-1.0\]; accepted: numbers above 0"):
        grid_search(GDML(**PLAIN), data, sigmas=[-1.0], progress=False)


def test_bayesian_search_honours_its_settings():
    train, valid = molecules(10, amplitude=0.2), molecules(30, seed=3, amplitude=0.2)

    def search(**settings):
        settings = {"init_points": 5, "n_iter": 6, "sigmas": (0.3, 60.0), "lams": (1e-10, 1e-3), **settings}
        return bayesian_search(GDML(**PLAIN), train, valid, progress=False, **settings)

    result = search()
    assert len(result.trials) == 11
    assert all(0.3 <= t.sigma <= 60.0 and 1e-10 <= t.lam <= 1e-3 for t in result.trials)
    first = [t.sigma for t in result.trials[:5]]
    edges = np.geomspace(0.3, 60.0, 6)
    assert sorted(np.searchsorted(edges, first).tolist()) == [1, 2, 3, 4, 5]  # one in each fifth
    assert search().trials == result.trials
    assert search(seed=1).trials != result.trials
    assert len(search(init_points=3, n_iter=0).trials) == 3
    other = search(acquisition=Acquisition("confidence_bound", kappa=50.0))
    assert other.trials[:5] == result.trials[:5]
    assert other.trials[5:] != result.trials[5:]
    fixed = search(lams=(1e-6, 1e-6))
    assert [t.lam for t in fixed.trials] == pytest.approx([1e-6] * 11, rel=1e-12)
    grid = grid_search(GDML(**PLAIN), train, valid, sigmas=[0.3, 2.0, 15.0, 60.0], lams=[1e-10, 1e-3], progress=False)
    assert result.best.loss <= grid.best.loss * 1.05
    with pytest.raises(ValueError, match="seed is -1; accepted: whole numbers from 0"):
        search(seed=-1)
    with pytest.raises(ValueError, match="sigmas must have shape"):
        search(sigmas=3.0)
    with pytest.raises(ValueError, match="kind is 'ei'"):
        Acquisition("ei")


def test_results_are_written(tmp_path):
    result = grid_search(GDML(**PLAIN), molecules(6), molecules(5, seed=1), sigmas=[4.0, 2.0], progress=False)
    result.save(tmp_path / "run")
    content = json.loads((tmp_path / "run" / "training.json").read_text())
    assert content["model"]["sigma"] == result.best.sigma
    assert content["validation"]["sigmas"] == [2.0, 4.0]
    rows = list(csv.DictReader((tmp_path / "run" / "valid.csv").open()))
    assert [float(row["sigma"]) for row in rows] == [2.0, 4.0]
    assert float(rows[0]["f_rmse"]) == result.trials[0].forces_rmse


def test_best_settings_on_water_are_at_least_as_good_as_the_best_of_the_table():
    """Section 21 of the specification: n = 100, force MAE .0726 at best of its grid, RMSE .300 at sigma 10, 1e-10."""
    arrays = np.load(shared_data("water_mp2/1h2o.npz"))
    splits = np.load(shared_data("water_mp2/1h2o_splits.npz"))
    train, test = (
        as_dataset(arrays["Z"], arrays["R"][rows], arrays["E"][rows] / KCAL, arrays["F"][rows] / KCAL)
        for rows in (splits["train_100"], splits["test"])
    )
    result = grid_search(GDML(), train, test, sigmas=[2.0, 5.0, 10.0, 20.0], lams=[1e-12, 1e-10, 1e-8], progress=False)
    assert KCAL * result.best.loss <= 0.300 * 1.01


def test_many_trainings_have_no_checkpoint():
    """The second of them would find the file of the first one, and fail."""
    model, data = GDML(solver=Iterative(checkpoint="state.npz"), **PLAIN), molecules(8)
    with pytest.raises(ValueError, match=r"solver has the checkpoint 'state\.npz', which is of one training"):
        grid_search(model, data, data, sigmas=[1.0, 2.0], progress=False)
    with pytest.raises(ValueError, match="accepted where there are many: an Iterative without"):
        active_train(model, data, n_initial=2, n_final=4, step=1, progress=False)


# Clusters of errors


def test_structures_of_bad_clusters_are_chosen():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(c, 0.1, (200, 3)) for c in (0.0, 5.0, 10.0)])
    losses = np.concatenate([np.full(200, 1e-3), rng.uniform(1, 2, 200), np.full(200, 1e-2)])
    found = find_problematic(X, np.zeros(600), losses, 40, seed=0)
    assert len(np.unique(found.indices)) == 40
    assert ((found.indices >= 200) & (found.indices < 400)).all()
    assert np.array_equal(np.sort(np.concatenate(found.clusters)), np.arange(600))
    assert (np.diff(found.losses) <= 0).all()
    for cluster, loss in zip(found.problem_clusters, found.problem_losses, strict=True):
        assert_close(losses[cluster].mean(), loss, Tolerance(0.0, 1e-13))
    assert np.array_equal(found.indices, find_problematic(X, np.zeros(600), losses, 40, seed=0).indices)


@pytest.mark.parametrize(("size", "n"), [(3, 3), (60, 25), (149, 149), (2600, 80)])
def test_clusters_of_any_number_of_structures(size, n, tmp_path):
    """Fewer than 150, more than Ward's method could take, equal losses and equal structures are all right."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((size, 2))
    X[: size // 2] = X[0]
    found = find_problematic(X, rng.standard_normal(size), np.zeros(size), n, seed=2)
    assert len(np.unique(found.indices)) == n
    found.save(tmp_path / "find_problematic_indices.json")
    content = json.loads((tmp_path / "find_problematic_indices.json").read_text())
    assert content["add_training_indices"] == found.indices.tolist()
    assert sum(content["clustering"]["population"]) == size


def test_clusters_refuse_what_they_cannot_choose():
    with pytest.raises(ValueError, match="n is 4; accepted: 1 to 3"):
        find_problematic(np.zeros((3, 1)), np.zeros(3), np.zeros(3), 4)
    with pytest.raises(ValueError, match=r"losses has -1\.0; accepted: numbers from 0"):
        find_problematic(np.zeros((3, 1)), np.zeros(3), [0, -1, 0], 1)
    for wrong, text in (
        ({"n_energy": 0}, "n_energy is 0; accepted: whole numbers from 1"),
        ({"seed": -1}, "seed is -1"),
    ):
        with pytest.raises(ValueError, match=text):
            find_problematic(np.zeros((3, 1)), np.zeros(3), np.zeros(3), 1, **wrong)
    with pytest.raises(ValueError, match="losses holds numbers that are not finite"):
        find_problematic(np.zeros((3, 1)), np.zeros(3), [0, np.nan, 0], 1)


# Active training


def active(pool, **settings):
    defaults = {"n_initial": 6, "n_final": 20, "step": 5, "progress": False}
    return active_train(GDML(3.0, 1e-8, **PLAIN), pool, **{**defaults, **settings})


@pytest.mark.parametrize("selection", ["errors", "clusters", "random"])
def test_training_sets_grow(selection, tmp_path):
    pool, test = molecules(60, amplitude=0.2), molecules(20, seed=4, amplitude=0.2)
    result = active(pool, selection=selection, test=test, folder=tmp_path / "run")
    assert [entry.n_train for entry in result.rounds] == [6, 11, 16, 20]
    assert len(np.unique(result.indices)) == 20
    assert result.rounds[-1].test_forces_rmse < result.rounds[0].test_forces_rmse
    forces = result.model.predict(test)[1]
    assert_close(rmse(forces - test.forces.reshape(forces.shape)), result.rounds[-1].test_forces_rmse, EXACT)
    again = active(pool, selection=selection, test=test)
    assert np.array_equal(again.indices, result.indices)
    assert not np.array_equal(active(pool, selection=selection, seed=1).indices, result.indices)
    assert np.array_equal(np.load(tmp_path / "run" / "train_idxs.npy"), result.indices)
    assert json.loads((tmp_path / "run" / "active.json").read_text())["rounds"][0]["n_train"] == 6
    assert len(list(csv.DictReader((tmp_path / "run" / "rounds.csv").open()))) == 4


@pytest.mark.parametrize("initial", ["stratified", "random", [3, 1, 4, 15, 9, 2]])
def test_first_training_sets(initial):
    result = active(molecules(40), initial=initial, n_final=6)
    assert len(result.indices) == 6
    assert len(result.rounds) == 1
    if not isinstance(initial, str):
        assert result.indices.tolist() == initial


def test_copies_in_a_pool_do_not_stop_it():
    pool = molecules(3).subset([0, 1, 2] * 5)
    result = active_train(GDML(3.0, 1e-6, **PLAIN), pool, n_initial=5, n_final=15, step=5, progress=False)
    assert sorted(result.indices.tolist()) == list(range(15))


def test_settings_may_be_searched_in_each_round():
    result = active(molecules(40), n_final=11, grid={"sigmas": [1.0, 4.0], "lams": [1e-8, 1e-6]})
    assert all(entry.sigma in (1.0, 4.0) for entry in result.rounds)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"n_final": 100}, "n_final is 100; accepted: from 6, the first size, to 40"),
        ({"selection": "best"}, "selection is 'best'"),
        ({"initial": "best"}, "initial is 'best'"),
        ({"initial": [1, 1]}, "initial has indices that repeat"),
        ({"step": 0}, "step is 0"),
    ],
)
def test_bad_settings_of_active_training_are_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        active(molecules(40), **settings)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_active_training_on_water_beats_random_at_every_step(seed):
    """The comparison of section 21 of the specification: 200 structures chosen are better than 1000 at random."""
    arrays = np.load(shared_data("water_mp2/1h2o.npz"))
    splits = np.load(shared_data("water_mp2/1h2o_splits.npz"))
    pool, test = (
        as_dataset(arrays["Z"], arrays["R"][rows], arrays["E"][rows] / KCAL, arrays["F"][rows] / KCAL)
        for rows in (splits["active_pool"], splits["test"])
    )
    model = GDML(5.0, 1e-10, symmetries=[[0, 1, 2], [0, 2, 1]])
    chosen = active_train(model, pool, test=test, seed=seed, progress=False)
    random = active_train(model, pool, initial="random", selection="random", test=test, seed=seed, progress=False)
    for ours, other in zip(chosen.rounds, random.rounds, strict=True):
        assert ours.test_forces_rmse < other.test_forces_rmse
    assert (
        KCAL * chosen.rounds[-1].test_forces_rmse <= 0.0180
    )  # 0.0176 is for the mean of five seeds: bench/gdml_accuracy.py


def test_searches_need_no_torch():
    code = "import sys; sys.modules['torch'] = None; from atomcore.train import active_train, grid_search"
    run_python(code + "; from atomcore.models import GDML; print(GDML().sigma)")


def test_the_molecule_of_these_tests_has_one_nitrogen():
    assert molecules(1).numbers.tolist() == list(AMMONIA[0])
