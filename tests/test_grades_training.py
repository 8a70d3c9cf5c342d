"""Grades of extrapolation of trained models: what they are, how long they live, and what they tell of errors."""

import copy

import numpy as np
import pytest

from atomcore import Calculator, data
from atomcore.models import BehlerParrinello, Ensemble
from atomcore.potential import GRADE, Potential
from test_models import small_features
from tolerances import ENGINE, EXACT, FLOAT32, assert_close

pytest.importorskip("lightning", reason="training needs the extra atomcore[train]")
from atomcore.train import fit

ELEMENTS = ("H", "C", "O")
OPTIONS = {"max_epochs": 8, "learning_rate": 5e-3, "progress": False, "threads": 1}


def trained(split, **choices):
    """Train in double, so that the same numbers come out of every door."""
    options = OPTIONS | {"precision": "float64"} | {name: choices.pop(name) for name in OPTIONS if name in choices}
    model = BehlerParrinello(small_features(ELEMENTS), **{"hidden": (16, 12)} | choices)
    fit(model, split, **options)
    return model


@pytest.fixture(scope="module")
def split():
    return data.load(data.sample("glycol"), index="::5").split(valid=20, test=80, seed=0)


@pytest.fixture(scope="module")
def model(split):
    return trained(split)


@pytest.fixture(scope="module")
def potential(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("grades") / "model.atomcore"
    model.save(path)
    return Potential.load(path)


def graded_by_element(potential, structures):
    symbols = np.concatenate([atoms.get_chemical_symbols() for atoms in structures])
    grades = np.concatenate([found[GRADE] for found in potential.compute_batch(structures, [GRADE])])
    return {x: grades[symbols == x] for x in ELEMENTS}


def outputs_of_last_layers(model, structures):
    """Return (phi, 1) of all atoms of each element, by torch in double."""
    import torch

    found = {x: [] for x in ELEMENTS}
    for atoms in structures:
        G = torch.from_numpy(model.features.compute(atoms))
        for i, x in enumerate(atoms.get_chemical_symbols()):
            values = model.scaling[x](G[i : i + 1])
            for layer in model.networks[x].layers[:-1]:
                values = torch.nn.functional.silu(layer(values))
            found[x].append([*values[0].tolist(), 1.0])
    return {x: np.array(rows) for x, rows in found.items()}


def leverage(train, rows):
    """Return roots of the regularised leverages of rows by the singular values of the training matrix."""
    unit = np.append(np.full(train.shape[1] - 1, np.sqrt(np.mean(train[:, :-1] ** 2))), 1.0)
    _, sizes, axes = np.linalg.svd(train / unit / np.sqrt(len(train)), full_matrices=True)
    squares = np.zeros(len(axes))
    squares[: len(sizes)] = sizes**2
    return np.sqrt(((rows / unit @ axes.T) ** 2 / (squares + 1e-4)).sum(axis=1))


def test_grades_are_leverages_in_the_last_layer(model, potential, split):
    training = graded_by_element(potential, list(split.train))
    held_out = graded_by_element(potential, list(split.test))
    rows, others = (outputs_of_last_layers(model, part) for part in (split.train, split.test))
    for x in ELEMENTS:
        expected = leverage(rows[x], rows[x])
        assert_close(training[x], expected / expected.max(), ENGINE)
        assert_close(held_out[x], leverage(rows[x], others[x]) / expected.max(), ENGINE)
        assert_close(training[x].max(), 1.0, ENGINE)


def test_grades_tell_held_out_structures_from_foreign_ones(potential, split):
    held_out = np.concatenate([*graded_by_element(potential, list(split.test)).values()])
    assert np.mean(held_out < 1.0) > 0.98
    assert held_out.max() < 2.0
    random = np.random.default_rng(5)
    for change in (lambda r: 0.85 * r, lambda r: 1.25 * r, lambda r: r + random.normal(0, 0.3, r.shape)):
        foreign = [atoms.copy() for atoms in list(split.test)[:20]]
        for atoms in foreign:
            atoms.positions[:] = change(atoms.positions)
        worst = [found[GRADE].max() for found in potential.compute_batch(foreign, [GRADE])]
        assert np.median(worst) > 2.0


def test_grades_live_with_the_weights_they_belong_to(model, split, tmp_path):
    path = tmp_path / "model.atomcore"
    model.save(path)
    again = BehlerParrinello.load(path)
    for x in ELEMENTS:
        assert_close(again.grades[x], model.grades[x], EXACT)
    before = copy.deepcopy(again.grades)
    fit(again, split, transfer=True, **OPTIONS | {"max_epochs": 1})
    again.save(path)
    for x in ELEMENTS:
        assert np.abs(again.grades[x] - before[x]).max() > 1e-3
        assert_close(max(graded_by_element(Potential.load(path), list(split.train))[x]), 1.0, FLOAT32, scale=10.0)
    again.start(again.dtype)
    assert again.grades == {}
    again.save(path)
    assert GRADE not in Potential.load(path).properties


def test_who_has_no_grades(split, tmp_path):
    path = tmp_path / "model.atomcore"
    few = split.dataset.subset(range(8)).split(valid=2, test=2)
    ensemble = Ensemble(BehlerParrinello(small_features(ELEMENTS), hidden=(4,)), members=2)
    fit(ensemble, few, **OPTIONS | {"max_epochs": 1})
    for model in (ensemble, trained(few, hidden=(), max_epochs=1)):
        model.save(path)
        assert GRADE not in Potential.load(path).properties
    alone = ensemble.members[0]
    alone.grades = {"H": np.eye(5)}  # of an earlier training by itself
    ensemble.save(path)
    assert GRADE not in Potential.load(path).properties
    with pytest.raises(ValueError, match="grade_limit is for single networks whose training left grades"):
        Calculator(path, grade_limit=1.0)


@pytest.mark.parametrize("choices", [{"hidden": (64,)}, {"hidden": (40, 30), "activation": "relu"}, {"shared": True}])
def test_few_atoms_dead_neurons_and_repeated_structures(split, tmp_path, choices):
    """Fewer atoms than neurons, all of them twice, and neurons that say nothing."""
    few = split.dataset.subset(np.repeat(np.arange(4), 2)).split(valid=1, test=1)
    model = trained(few, max_epochs=2, **choices)
    model.save(tmp_path / "model.atomcore")
    training = graded_by_element(Potential.load(tmp_path / "model.atomcore"), list(few.train))
    for x in ELEMENTS:
        assert_close(training[x].max(), 1.0, ENGINE)
        assert np.isfinite(model.grades[x]).all()


def test_grades_and_errors_rise_together(tmp_path):
    """A model of crystals of copper, and the liquid that it has never seen."""
    from scipy.stats import spearmanr

    from atomcore.features import SymmetryFunctions

    full = data.load(data.sample("copper"))
    largest = np.maximum.reduceat(np.linalg.norm(full.forces, axis=1), full.structure_ptr[:-1])
    crystals = full.subset(np.flatnonzero((largest < 4.0) & (np.arange(len(full)) < 320)))
    liquid = full.subset(np.arange(320, 400, 4))
    shells = [{"eta": 3.0, "shift": s} for s in np.linspace(1.8, 5.2, 10)]
    model = BehlerParrinello(SymmetryFunctions(["Cu"], radial=shells, cutoff=5.5), hidden=(16, 16))
    split = crystals.split(valid=120, test=40, seed=0)
    fit(model, split, **OPTIONS | {"batch_size": 8, "learning_rate": 1e-2})
    model.save(tmp_path / "model.atomcore")
    potential = Potential.load(tmp_path / "model.atomcore")
    grades, errors = {}, {}
    for name, structures in (("crystal", list(split.test)), ("liquid", list(liquid))):
        found = potential.compute_batch(structures, ["forces", GRADE])
        grades[name] = np.concatenate([results[GRADE] for results in found])
        difference = [r["forces"] - atoms.get_forces() for r, atoms in zip(found, structures, strict=True)]
        errors[name] = np.linalg.norm(np.concatenate(difference), axis=1)
    assert np.quantile(grades["crystal"], 0.99) < 1.0
    assert np.median(grades["liquid"]) > 3 * np.median(grades["crystal"])
    assert spearmanr(np.concatenate([*grades.values()]), np.concatenate([*errors.values()])).statistic > 0.6
