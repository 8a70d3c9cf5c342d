"""A trained potential of another code in our engine, and what its numbers demand: ranges, large energies, tails."""

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, Hartree

import n2p2_folder as n2p2
from atomcore import AtomcoreError, Calculator, ExtrapolationError
from atomcore.features import SymmetryFunctions
from atomcore.potential import Potential
from engine_oracle import reference as oracle
from helpers import shared_data
from model_builder import random_model, ranged
from structures import family
from tolerances import ENGINE, FEATURES, FLOAT32_ENERGY, REFERENCE, assert_close

NOISE = 1000 * np.finfo(float).eps  # up to which n2p2 takes a value for one in the range
WITH_FEATURES = ("000", "001", "002")  # structures of which n2p2's own features are stored


@pytest.fixture(scope="module")
def model():
    return n2p2.model(shared_data("n2p2_h2o_rpbe_d3"))


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    return model.write(tmp_path_factory.mktemp("n2p2") / "water.atomcore")


@pytest.fixture(scope="module")
def potential(path):
    return Potential.load(path, threads=1)


@pytest.fixture(scope="module")
def narrow(model, stored):
    """Return the model with the ranges of two structures only."""
    copy = n2p2.RandomModel(dict(model.tensors), model.metadata)
    seen = [features_of(model, stored, key) for key in ("001", "002")]
    for x in n2p2.ELEMENTS:
        columns, both = model.tensors[f"features.{x}.columns"], np.concatenate([features[x] for features in seen])
        for end, values in (("minimum", both.min(axis=0)), ("maximum", both.max(axis=0))):
            copy.tensors[f"features.{x}.{end}"] = model.tensors[f"features.{x}.{end}"].copy()
            copy.tensors[f"features.{x}.{end}"][columns] = values
    return copy


@pytest.fixture(scope="module")
def stored():
    with np.load(shared_data("n2p2_h2o_rpbe_d3") / "n2p2_reference.npz") as arrays:
        return dict(arrays)


def features_of(model, stored, key):
    """Return n2p2's own features of one structure by element, [atoms, columns] in the order of our columns."""
    folder, table = shared_data("n2p2_h2o_rpbe_d3"), model.metadata["features"]
    features = {}
    for x, number in (("H", 1), ("O", 8)):
        order = np.argsort(n2p2.sorted_columns(folder, x, table))
        scaled = stored[f"{key}/G_scaled"][stored[f"{key}/Z"] == number][:, order]
        features[x] = scaled / model.tensors[f"features.{x}.scale"] + model.tensors[f"features.{x}.mean"]
    return features


def outside(model, stored, key):
    """Return for every atom of a structure whether n2p2's features put it outside the ranges of the model."""
    flags = np.zeros(len(stored[f"{key}/Z"]), bool)
    for (x, G), number in zip(features_of(model, stored, key).items(), (1, 8), strict=True):
        columns = model.tensors[f"features.{x}.columns"]
        low, high = (model.tensors[f"features.{x}.{end}imum"][columns] for end in ("min", "max"))
        flags[stored[f"{key}/Z"] == number] = ((low > G + NOISE) | (high < G - NOISE)).any(axis=1)
    return flags


@pytest.mark.parametrize("key", ["000", "001", "002", "005", "012"])
def test_energies_and_forces_are_those_of_n2p2(potential, stored, key):
    energy, forces = potential.energy_forces(n2p2.structure(stored, key))
    assert_close(energy, stored[f"{key}/E"] * Hartree, ENGINE)
    assert_close(forces, stored[f"{key}/F"] * Hartree / Bohr, ENGINE)


@pytest.mark.parametrize("key", WITH_FEATURES)
def test_features_are_those_of_n2p2(model, stored, key):
    functions = SymmetryFunctions.from_table(n2p2.ELEMENTS, model.metadata["features"])
    atoms = n2p2.structure(stored, key)
    G = functions.compute(atoms)
    for x, expected in features_of(model, stored, key).items():
        found = G[atoms.symbols == x][:, model.tensors[f"features.{x}.columns"]]
        assert_close(found, expected, FEATURES, scale=np.abs(expected).max())


# Ranges


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_no_structure_of_its_training_lies_outside(path, model, stored, precision):
    potential = Potential.load(path, precision=precision)
    for key in WITH_FEATURES:
        assert not outside(model, stored, key).any()
        assert not potential.compute(n2p2.structure(stored, key), ["extrapolation"])["extrapolation"].any()


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_atoms_outside_are_those_that_n2p2_puts_outside(model, narrow, stored, tmp_path, precision):
    potential = Potential.load(narrow.write(tmp_path / "narrow.atomcore"), precision=precision)
    for key in WITH_FEATURES:
        found = potential.compute(n2p2.structure(stored, key), ["extrapolation"])["extrapolation"] > 0
        expected = outside(narrow, stored, key)
        assert expected.any() == (key == "000")
        np.testing.assert_array_equal(found, expected)


def test_compressed_water_is_told_and_refused(potential, narrow, stored, tmp_path):
    few = Potential.load(narrow.write(tmp_path / "narrow.atomcore"))
    for loaded, volume in ((potential, 0.8**3), (few, 0.8)):  # n2p2's training had compressed water, too
        atoms = n2p2.structure(stored, "001")
        atoms.calc = Calculator(loaded, extrapolation_limit=0.0)
        atoms.get_potential_energy()
        atoms.set_cell(volume ** (1 / 3) * atoms.cell.array, scale_atoms=True)
        assert loaded.compute(atoms, ["extrapolation"])["extrapolation"].any()
        with pytest.raises(ExtrapolationError):
            atoms.get_potential_energy()


# Large energies in single precision


def test_single_precision_keeps_the_differences_of_large_energies(model, tmp_path):
    """The potential with the total energies of another water: -30000 eV, of which single precision holds 0.002 eV."""
    with np.load(shared_data("deepmd_water/deepmd_water.npz")) as water:
        frames = [Atoms(water["Z"], water["R"][i], cell=water["cell"][i], pbc=True) for i in (0, 80, 160)]
        mean = float(water["E"].mean(dtype=float)) / len(frames[0])
    shifted = n2p2.RandomModel(model.tensors | {"energy.reference": np.full(2, mean)}, model.metadata)
    path = shifted.write(tmp_path / "shifted.atomcore")
    double, single = (
        np.array([Potential.load(path, precision=precision).compute(atoms, ["energy"])["energy"] for atoms in frames])
        for precision in ("float64", "float32")
    )
    assert np.abs(double).min() > 29000
    assert_close((single - single[0]) / len(frames[0]), (double - double[0]) / len(frames[0]), FLOAT32_ENERGY)


# Tiny ranges


def narrow_tails(eta):
    """Return a model with functions of which only the tails occur, and structures that make its ranges."""
    model = random_model(reference=(0.0, 0.0, 0.0))
    for row in model.metadata["features"]:
        if row["type"] == "radial" and row["shift"] == 1.5:
            row["eta"], row["shift"] = eta, 0.0
    ranged(model, family())
    for x in model.metadata["elements"]:
        columns = model.tensors[f"features.{x}.columns"]
        low, high = (model.tensors[f"features.{x}.{end}imum"][columns] for end in ("min", "max"))
        span = high - low
        model.tensors[f"features.{x}.mean"] = low
        model.tensors[f"features.{x}.scale"] = np.divide(1.0, span, out=np.zeros_like(span), where=span > 0)
    return model


def test_ranges_of_next_to_nothing_are_exact_in_double(tmp_path):
    model = narrow_tails(220.0)
    assert max(model.tensors[f"features.{x}.scale"].max() for x in "HCO") > 1e245
    potential = Potential.load(model.write(tmp_path / "tails.atomcore"))
    for atoms in family(3):
        energies, forces = oracle(model, atoms)
        found = potential.compute(atoms, ["energies", "forces", "extrapolation"])
        assert_close(found["energies"], energies, REFERENCE)
        assert_close(found["forces"], forces, REFERENCE)
        assert not found["extrapolation"].any()


def test_single_precision_refuses_what_it_cannot_hold(tmp_path):
    path = narrow_tails(220.0).write(tmp_path / "tails.atomcore")
    with pytest.raises(AtomcoreError, match=r"cannot run in single precision: feature \d+ of H is multiplied by"):
        Potential.load(path, precision="float32")
