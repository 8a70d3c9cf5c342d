"""Ensembles in the engine: mean and spread over members, in one file."""

import numpy as np
import pytest
from ase import Atoms

from atomcore import Calculator, ExtrapolationError
from atomcore.potential import Potential
from engine_oracle import reference
from model_builder import random_model
from structures import STRUCTURES, molecule_rattled, small_crystal
from tolerances import ENGINE, EXACT, FLOAT32, INVARIANT, assert_close

MEMBERS = 3


@pytest.fixture(scope="module")
def model():
    return random_model(members=MEMBERS, requires=("ensemble",), reference=(0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    return model.write(tmp_path_factory.mktemp("ensemble") / "ensemble.atomcore")


@pytest.fixture(scope="module")
def potential(path):
    return Potential.load(path, threads=1)


@pytest.mark.parametrize("name", STRUCTURES)
def test_mean_and_spread_are_those_of_the_members(model, potential, name):
    atoms = STRUCTURES[name]()
    members = [reference(model.member(m), atoms) for m in range(MEMBERS)]
    energies, forces = (np.array(values) for values in zip(*members, strict=True))
    names = ["energy", "energies", "forces"]
    found = potential.compute(atoms, names + [f"{name}_spread" for name in names])
    for key, values in zip(names, (energies.sum(axis=1), energies, forces), strict=True):
        assert_close(found[key], values.mean(axis=0), ENGINE)
        assert_close(found[f"{key}_spread"], values.std(axis=0, ddof=1), ENGINE)
    assert found["energy_spread"] > 0


def test_stress_and_its_spread_are_those_of_the_members(model, potential, tmp_path):
    atoms = small_crystal()
    each = []
    for m in range(MEMBERS):
        single = Potential.load(model.member(m).write(tmp_path / f"{m}.atomcore"))
        each.append(single.compute(atoms, ["stress"])["stress"])
    found = potential.compute(atoms, ["stress", "stress_spread"])
    assert_close(found["stress"], np.mean(each, axis=0), ENGINE)
    assert_close(found["stress_spread"], np.std(each, axis=0, ddof=1), ENGINE)


def test_asking_for_the_spread_changes_no_bit_of_the_mean(potential):
    atoms = small_crystal()
    alone = potential.compute(atoms, ["energy", "energies", "forces", "stress"])
    beside = potential.compute(atoms, [*alone, "forces_spread", "stress_spread", "extrapolation"])
    for name, values in alone.items():
        assert_close(beside[name], values, EXACT)


def test_every_number_of_threads_gives_the_same_bits(path):
    atoms = small_crystal() * (2, 2, 2)
    names = ["forces", "forces_spread", "stress_spread", "energies_spread"]
    one = Potential.load(path, threads=1).compute(atoms, names)
    four = Potential.load(path, threads=4).compute(atoms, names)
    for name in names:
        assert_close(four[name], one[name], EXACT)


def test_single_precision(path, potential):
    atoms = molecule_rattled()
    expected = potential.compute(atoms, ["forces", "forces_spread"])
    found = Potential.load(path, precision="float32").compute(atoms, ["forces", "forces_spread"])
    for name, values in expected.items():
        assert_close(found[name], values, FLOAT32, scale=float(np.abs(values).max()))


def test_equal_members_have_no_spread(model, tmp_path):
    tensors = {
        name: model.tensors[f"networks.0.{name.split('.', 2)[2]}"] if name.startswith("networks.") else values
        for name, values in model.tensors.items()
    }
    same = type(model)(tensors, model.metadata).write(tmp_path / "same.atomcore")
    spread = Potential.load(same).compute(molecule_rattled(), ["energy_spread", "forces_spread"])
    assert_close(spread["energy_spread"], 0.0, INVARIANT)
    assert_close(spread["forces_spread"], np.zeros((9, 3)), INVARIANT)


@pytest.mark.parametrize("atoms", [Atoms(), Atoms("C")], ids=["no atoms", "one atom"])
def test_structures_without_pairs(potential, atoms):
    found = potential.compute(atoms, ["energies_spread", "forces_spread", "extrapolation"])
    assert found["energies_spread"].shape == found["extrapolation"].shape == (len(atoms),)
    assert_close(found["forces_spread"], np.zeros((len(atoms), 3)), EXACT)


def test_a_single_model_has_no_spread(model, tmp_path):
    single = Potential.load(model.member(0).write(tmp_path / "single.atomcore"))
    assert (single.members, single.target) == (1, "energy")
    with pytest.raises(ValueError, match="one network an element and so no spread"):
        single.compute(molecule_rattled(), ["energy_spread"])
    with pytest.raises(ValueError, match="spread_limit is for ensembles"):
        Calculator(single, spread_limit=0.1)


def test_the_calculator_gives_spreads_when_asked(potential):
    atoms = small_crystal()
    calculator = atoms.calc = Calculator(potential)
    forces = atoms.get_forces()
    assert "forces_spread" not in calculator.results
    spread = calculator.get_property("forces_spread", atoms)
    assert_close(spread, potential.compute(small_crystal(), ["forces_spread"])["forces_spread"], EXACT)
    assert_close(atoms.get_forces(), forces, EXACT)
    assert calculator.get_property("stress_spread", atoms).shape == (6,)


def test_the_calculator_refuses_where_the_members_disagree(potential):
    atoms = small_crystal()
    lengths = np.linalg.norm(potential.compute(atoms, ["forces_spread"])["forces_spread"], axis=1)
    atoms.calc = Calculator(potential, spread_limit=1.001 * lengths.max())
    atoms.get_forces()
    atoms.calc = Calculator(potential, spread_limit=0.999 * lengths.max())
    with pytest.raises(ExtrapolationError, match=r"disagree by .* eV/A on the force on atom") as caught:
        atoms.get_forces()
    assert caught.value.atom == lengths.argmax()
    assert caught.value.spread == lengths.max()
    assert atoms.calc.results == {}  # a refused structure leaves nothing to be taken for its result


def test_inputs_divided_by_their_length(tmp_path):
    model = random_model(requires=("normalized_inputs",))
    potential = Potential.load(model.write(tmp_path / "normalized.atomcore"))
    for make in STRUCTURES.values():
        found = potential.compute(make())
        energies, forces = reference(model, make())
        assert_close(found["energies"], energies, ENGINE)
        assert_close(found["forces"], forces, ENGINE)


def test_charges_are_no_energies(tmp_path):
    model = random_model(target="charges")
    energies, _ = reference(model, molecule_rattled())
    potential = Potential.load(model.write(tmp_path / "charges.atomcore"))
    assert potential.target == "charges"
    assert_close(potential.compute(molecule_rattled())["charges"], energies, ENGINE)
    with pytest.raises(ValueError, match="properties must be among charges"):
        potential.energy_forces(molecule_rattled())
    atoms = molecule_rattled()
    atoms.calc = Calculator(potential)
    assert_close(atoms.get_charges(), energies, ENGINE)


def test_a_model_of_differences_says_so(tmp_path):
    model = random_model()
    model.metadata["provenance"]["baseline"] = "E_sqm"
    potential = Potential.load(model.write(tmp_path / "difference.atomcore"))
    assert potential.baseline == "E_sqm"
    with pytest.warns(UserWarning, match="predicts differences to E_sqm, which must be added"):
        Calculator(potential)
