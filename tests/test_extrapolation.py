"""Structures outside what a model was trained on are counted, told and, where wanted, refused."""

import warnings

import numpy as np
import pytest

from atomcore import Calculator, ExtrapolationError
from atomcore.features import SymmetryFunctions
from atomcore.potential import Potential
from model_builder import random_model, ranged
from structures import STRUCTURES, family, molecule_rattled, small_crystal
from tolerances import ENGINE, EXACT, assert_close

NAMES = ["extrapolation", "extrapolation_excess", "extrapolation_feature"]


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture(scope="module")
def potential(model, tmp_path_factory):
    ranged(model, family())
    return Potential.load(model.write(tmp_path_factory.mktemp("ranges") / "model.atomcore"))


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_training_structures_do_not_extrapolate(potential, model, tmp_path, precision):
    loaded = Potential.load(model.write(tmp_path / "model.atomcore"), precision=precision)
    for atoms in family():
        shuffled = atoms[np.random.default_rng(1).permutation(len(atoms))]  # rounding errors are another
        for structure in (atoms, shuffled):
            found = loaded.compute(structure, NAMES)
            assert not found["extrapolation"].any()
            assert_close(found["extrapolation_excess"], np.zeros(len(atoms)), EXACT)
            assert (found["extrapolation_feature"] == -1).all()


def test_counts_and_excess_follow_from_the_ranges(potential, model):
    features = SymmetryFunctions.from_table(model.metadata["elements"], model.metadata["features"])
    atoms = molecule_rattled()
    atoms.rattle(0.2, seed=77)
    G, found = features.compute(atoms), potential.compute(atoms, NAMES)
    for i, x in enumerate(atoms.get_chemical_symbols()):
        low, high = (model.tensors[f"features.{x}.{end}imum"] for end in ("min", "max"))
        beyond = np.maximum(low - G[i], G[i] - high)
        unit = np.maximum(high - low, 0.01 * (high - low).max())
        outside = beyond > 1e-6 * np.where(unit > 0, unit, 1.0)  # less is not counted
        assert found["extrapolation"][i] == outside.sum()
        if outside.any():
            excess = np.where(outside, beyond / np.where(unit > 0, unit, 1.0), -np.inf)
            assert found["extrapolation_feature"][i] == excess.argmax()
            assert_close(found["extrapolation_excess"][i], excess.max(), ENGINE)
    assert found["extrapolation"].sum() > 0
    worst = found["extrapolation_excess"].argmax()
    assert potential.feature_labels[found["extrapolation_feature"][worst]] in features.labels


def test_a_neighbour_of_an_unseen_kind_is_seen(potential):
    """A pair of elements that never met in training: the features of that pair were zero throughout."""
    atoms = molecule_rattled()
    atoms.numbers[3] = 8  # a hydrogen becomes oxygen
    assert potential.compute(atoms, ["extrapolation"])["extrapolation"].any()


def test_the_calculator_warns_once_in_words(potential):
    atoms = family()[0]
    atoms.calc = Calculator(potential)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        atoms.get_potential_energy()
    atoms.rattle(0.2, seed=3)
    with pytest.warns(UserWarning, match=r"of 9 atoms lie outside what the model was trained on, most of all atom \d"):
        atoms.get_potential_energy()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        atoms.rattle(0.2, seed=4)
        atoms.get_potential_energy()
    assert atoms.calc.results["extrapolation"].any()


def test_the_calculator_refuses_beyond_a_limit(potential):
    atoms = family()[0]
    atoms.calc = Calculator(potential, extrapolation_limit=0.0)
    atoms.get_potential_energy()  # within the ranges
    atoms.rattle(0.2, seed=3)
    found = potential.compute(atoms, NAMES)
    with pytest.raises(ExtrapolationError, match="extrapolation_limit is 0") as caught:
        atoms.get_forces()
    assert caught.value.atom == found["extrapolation_excess"].argmax()
    assert caught.value.excess == found["extrapolation_excess"].max()
    calculator = Calculator(potential, extrapolation_limit=0.0)
    calculator.get_potential_energy(family()[0])
    for call in (calculator.calculate, calculator.get_potential_energy):
        with pytest.raises(ExtrapolationError):  # and never the energy of the structure before
            call(atoms)
    atoms.calc = Calculator(potential, extrapolation_limit=1.001 * found["extrapolation_excess"].max())
    with pytest.warns(UserWarning, match="outside"):
        atoms.get_forces()


@pytest.mark.parametrize("limit", [-0.1, float("nan"), float("inf"), "0.3", True])
@pytest.mark.parametrize("name", ["extrapolation_limit", "spread_limit"])
def test_limits_that_are_none_are_named(potential, name, limit):
    with pytest.raises(ValueError, match=f"{name} is .*; accepted: a finite number of at least 0"):
        Calculator(potential, **{name: limit})


@pytest.mark.parametrize("name", STRUCTURES)
def test_extrapolation_does_not_change_results(potential, name):
    atoms = STRUCTURES[name]()
    alone = potential.compute(atoms, ["energy", "forces"])
    beside = potential.compute(atoms, ["energy", "forces", *NAMES])
    assert_close(beside["forces"], alone["forces"], EXACT)


def test_periodic_images_count_once_for_each_atom(model, tmp_path):
    copy = random_model()
    crystal = small_crystal()
    ranged(copy, [crystal])
    loaded = Potential.load(copy.write(tmp_path / "crystal.atomcore"))
    assert not loaded.compute(crystal, NAMES)["extrapolation"].any()
    assert not loaded.compute(crystal * (2, 1, 2), NAMES)["extrapolation"].any()
    crystal.set_cell(0.93 * crystal.cell.array, scale_atoms=True)
    assert loaded.compute(crystal, NAMES)["extrapolation"].all()
