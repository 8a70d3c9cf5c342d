"""The engine against an independent evaluation, and what it does with threads, layouts and bad input."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import ase
import numpy as np
import pytest

from atomcore import AtomcoreError
from atomcore.potential import PROPERTIES, Potential
from engine_oracle import reference
from helpers import slope
from model_builder import ACTIVATIONS, LAYER_ACTIVATIONS, random_model
from structures import STRUCTURES, molecule_rattled, small_crystal
from tolerances import ENGINE, EXACT, FLOAT32, FLOAT32_ENERGY, FORCES_FD, INVARIANT, assert_close


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(folder):
    return random_model().write(folder / "model.atomcore")


@pytest.fixture(scope="module")
def potential(model):
    return Potential.load(model, threads=1)


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_engine_equals_torch(folder, activation, name):
    model = random_model(activation=activation)
    atoms = STRUCTURES[name]()
    results = Potential.load(model.write(folder / "any.atomcore")).compute(atoms)
    energies, forces = reference(model, atoms)
    assert_close(results["energies"], energies, ENGINE)
    assert_close(results["energy"], energies.sum(), ENGINE)
    assert_close(results["forces"], forces, ENGINE)


@pytest.mark.parametrize("name", LAYER_ACTIVATIONS)
def test_each_layer_has_its_own_activation(folder, name):
    """The one in question is hidden in the first layer of H, in the second of C, and at the output of O."""
    layers = {"H": [name, "tanh", "identity"], "C": ["sigmoid", name, "gaussian"], "O": ["cosine", "identity", name]}
    model = random_model(activations=layers, reference=(0.0, 0.0, 0.0))
    path, atoms = model.write(folder / "any.atomcore"), STRUCTURES["molecule"]()
    energies, forces = reference(model, atoms)
    for precision, tolerance in (("float64", ENGINE), ("float32", FLOAT32)):
        potential = Potential.load(path, precision=precision)
        scale = 1.0 if precision == "float64" else np.abs(energies).max()
        assert_close(potential.compute(atoms)["energies"], energies, tolerance, scale=scale)
        assert_close(potential.compute(atoms)["forces"], forces, tolerance, scale=max(scale, np.abs(forces).max()))

    potential = Potential.load(path)

    def energy(positions):
        return potential.compute(ase.Atoms(atoms.numbers, positions), ["energy"])["energy"]

    direction = np.random.default_rng(3).normal(size=forces.shape)
    assert_close(-(forces * direction).sum(), slope(energy, atoms.positions, direction, step=1e-6), FORCES_FD)


@pytest.mark.parametrize("name", ["gaussian", "square"])
@pytest.mark.parametrize("hidden", [(), (1,), (1, 1), (5,)])
def test_activations_of_outputs_of_narrow_networks(folder, hidden, name):
    """Layers of one output in the middle; a part of the elements, so that constant inputs go into the biases."""
    model = random_model(hidden=hidden, activations=dict.fromkeys("HCO", ["tanh"] * len(hidden) + [name]), members=2)
    potential = Potential.load(model.write(folder / "any.atomcore"))
    for atoms in (STRUCTURES["molecule"](), ase.Atoms("H2", [(0, 0, 0), (0, 0, 0.8)])):
        expected = [reference(model.member(m), atoms) for m in range(2)]
        results = potential.compute(atoms, ["energies", "forces", "forces_spread"])
        for i, prop in enumerate(("energies", "forces")):
            assert_close(results[prop], np.mean([found[i] for found in expected], axis=0), ENGINE)
        assert_close(results["forces_spread"], np.std([found[1] for found in expected], axis=0, ddof=1), ENGINE)


def test_an_old_file_and_its_layer_activations_are_one_model(folder):
    old = random_model(activation="tanh", seed=4)
    new = random_model(activations={key: ["tanh", "tanh", "identity"] for key in "HCO"}, seed=4)
    atoms = molecule_rattled()
    results = [Potential.load(m.write(folder / "any.atomcore")).compute(atoms) for m in (old, new)]
    for name in results[0]:
        assert_close(results[0][name], results[1][name], EXACT)


def test_a_wild_cosine_is_an_error(folder):
    """Beyond what can be reduced by pi there is no cosine, and no energy either."""
    model = random_model(activations={key: ["cosine", "tanh", "identity"] for key in "HCO"})
    for element in "HCO":
        model.tensors[f"networks.0.{element}.0.weight"] *= 1e12
    with pytest.raises(AtomcoreError, match="not finite"):
        Potential.load(model.write(folder / "any.atomcore")).compute(molecule_rattled())


@pytest.mark.parametrize("hidden", [(), (1,), (7, 1, 3), (8,), (16, 33), (64, 65, 5)])
def test_layers_of_every_width(folder, hidden):
    """Widths below, at and above what a register and a packed panel hold."""
    model = random_model(hidden=hidden)
    atoms = molecule_rattled()
    results = Potential.load(model.write(folder / "any.atomcore")).compute(atoms)
    energies, forces = reference(model, atoms)
    assert_close(results["energies"], energies, ENGINE)
    assert_close(results["forces"], forces, ENGINE)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_saturated_activations(folder, activation):
    """Arguments of some hundreds, where a careless exp overflows."""
    model = random_model(activation=activation, reference=(0.0, 0.0, 0.0))
    for name in model.tensors:
        if name.endswith(".0.weight"):
            model.tensors[name] *= 500
    path = model.write(folder / "any.atomcore")
    atoms = molecule_rattled()
    energies, forces = reference(model, atoms)
    scale = max(1.0, np.abs(forces).max())
    for precision, tolerance in (("float64", ENGINE), ("float32", FLOAT32)):
        results = Potential.load(path, precision=precision).compute(atoms)
        size = 1.0 if precision == "float64" else 10 * scale
        assert_close(results["energies"], energies, tolerance, scale=size)
        assert_close(results["forces"], forces, tolerance, scale=size)


def test_structures_without_pairs(folder, potential):
    none = potential.compute(ase.Atoms(cell=np.eye(3), pbc=True), PROPERTIES)
    assert none["energy"] == 0.0
    assert none["energies"].shape == (0,)
    assert none["forces"].shape == (0, 3)
    assert_close(none["stress"], np.zeros(6), EXACT)
    single = ase.Atoms("C")
    results = potential.compute(single)
    assert_close(results["energies"], reference(random_model(), single)[0], ENGINE)
    assert_close(results["forces"], np.zeros((1, 3)), EXACT)
    apart = potential.compute(ase.Atoms("CC", [(0, 0, 0), (0, 0, 50)]))
    assert_close(apart["energies"], np.repeat(results["energies"], 2), EXACT)


def test_results_are_fresh_and_asked_for(potential):
    atoms = small_crystal()
    everything = potential.compute(atoms, PROPERTIES)
    assert list(everything) == list(PROPERTIES)
    assert_close(everything["energies"].sum(), everything["energy"], INVARIANT)
    for name in PROPERTIES:
        alone = potential.compute(atoms, [name])
        assert list(alone) == [name]
        assert_close(alone[name], everything[name], EXACT)
    first = everything["forces"].copy()
    everything["forces"][:] = 0
    again = potential.compute_batch([atoms, atoms], ["forces"])
    assert_close(again[0]["forces"], first, EXACT)
    assert not np.shares_memory(again[0]["forces"], again[1]["forces"])
    assert again[0]["forces"].dtype == np.float64


def test_every_number_of_threads_gives_the_same_bits(model):
    atoms = small_crystal() * (5, 5, 5)
    atoms.rattle(0.05, seed=1)
    for precision in ("float64", "float32"):
        results = [
            Potential.load(model, precision=precision, threads=n).compute(atoms, PROPERTIES) for n in (1, 2, 4, 7)
        ]
        for other in results[1:]:
            for name in PROPERTIES:
                assert_close(other[name], results[0][name], EXACT)


def test_one_potential_serves_many_python_threads(model):
    shared = Potential.load(model, threads=2)
    structures = []
    for seed in range(40):
        atoms = (molecule_rattled() if seed % 2 else small_crystal() * (2, 2, 1)).copy()
        atoms.rattle(0.05, seed=seed)
        structures.append(atoms)
    serial = [shared.energy_forces(atoms) for atoms in structures]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for (e, f), (energy, forces) in zip(pool.map(shared.energy_forces, structures), serial, strict=True):
                assert_close(e, energy, EXACT)
                assert_close(f, forces, EXACT)


@pytest.mark.parametrize("name", STRUCTURES)
def test_single_precision(model, potential, name):
    atoms = STRUCTURES[name]()
    single = Potential.load(model, precision="float32").compute(atoms)
    double = potential.compute(atoms)
    scale = max(1.0, np.abs(double["forces"]).max())
    assert_close(single["forces"], double["forces"], FLOAT32, scale=scale)
    # the reference energies are thousands of eV, and are added in double
    assert_close(single["energy"] / len(atoms), double["energy"] / len(atoms), FLOAT32_ENERGY)


def with_arrays(**changes):
    atoms = molecule_rattled()
    arrays = {name: getattr(atoms, name) for name in ("numbers", "positions", "pbc")} | {"cell": np.zeros((3, 3))}
    return SimpleNamespace(**(arrays | changes))


@pytest.mark.parametrize("number", [0, -1, 7, 119, 2**31 - 1])
def test_unknown_elements_are_named(potential, number):
    atoms = with_arrays(numbers=np.array([6, 6, 8, number, 1, 1, 1, 1, 1]))
    with pytest.raises(ValueError, match=rf"numbers: .*{number}.* it knows 1 \(H\), 6 \(C\), 8 \(O\)"):
        potential.energy_forces(atoms)


def test_coincident_atoms_are_named(potential):
    atoms = molecule_rattled()
    atoms.positions[5] = atoms.positions[2] + (0, 0, 1e-8)
    with pytest.raises(ValueError, match="positions: atoms 2 and 5"):
        potential.energy_forces(atoms)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_overflow_is_an_error(folder, precision):
    model = random_model(activation="relu")
    for name in model.tensors:
        if name.endswith(".weight"):
            model.tensors[name] = model.tensors[name].astype(float) * 1e300
    huge = Potential.load(model.write(folder / "any.atomcore"), precision=precision)
    for properties in (["energy"], ["forces"]):
        with pytest.raises(AtomcoreError, match="not finite"):
            huge.compute(molecule_rattled(), properties)


BAD_ARRAYS = {
    "positions transposed": ({"positions": np.zeros((3, 9))}, ValueError),
    "positions flat": ({"positions": np.zeros(27)}, ValueError),
    "positions ragged": ({"positions": [[0, 0, 0], [1, 2]]}, ValueError),
    "positions of objects": ({"positions": np.zeros((9, 3), object)}, TypeError),
    "positions complex": ({"positions": np.zeros((9, 3), complex)}, TypeError),
    "positions not finite": ({"positions": np.full((9, 3), np.nan)}, ValueError),
    "positions infinite": ({"positions": np.full((9, 3), np.inf)}, ValueError),
    "numbers too few": ({"numbers": np.ones(8, int)}, ValueError),
    "numbers of floats": ({"numbers": np.ones(9)}, TypeError),
    "cell of lengths": ({"cell": np.ones(3)}, ValueError),
    "cell flat": ({"cell": np.ones(9)}, ValueError),
    "cell not finite": ({"cell": np.full((3, 3), np.nan), "pbc": [True] * 3}, ValueError),
    "cell singular": ({"cell": np.ones((3, 3)), "pbc": [True] * 3}, ValueError),
    "pbc of two": ({"pbc": [True, True]}, ValueError),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays_are_named(potential, case):
    changes, error = BAD_ARRAYS[case]
    with pytest.raises(error, match=case.split()[0]):
        potential.energy_forces(with_arrays(**changes))


def test_any_layout_gives_the_same_bits_and_is_not_changed(potential):
    atoms = molecule_rattled()
    expected = potential.energy_forces(atoms)
    frozen = atoms.positions.copy()
    frozen.flags.writeable = False
    layouts = {
        "fortran": np.asfortranarray(atoms.positions),
        "reversed": atoms.positions[::-1].copy()[::-1],
        "strided": np.repeat(atoms.positions, 2, axis=0)[::2],
        "read-only": frozen,
        "list": atoms.positions.tolist(),
        "big-endian": atoms.positions.astype(">f8"),
    }
    for positions in layouts.values():
        energy, forces = potential.energy_forces(with_arrays(positions=positions, numbers=atoms.numbers.tolist()))
        assert_close(energy, expected[0], EXACT)
        assert_close(forces, expected[1], EXACT)
        np.testing.assert_array_equal(positions, atoms.positions)


def test_bad_arguments_are_named(model, potential):
    with pytest.raises(ValueError, match="precision must be one of float64, float32, got 'half'"):
        Potential.load(model, precision="half")
    with pytest.raises(ValueError, match="threads"):
        Potential.load(model, threads=0)
    with pytest.raises(ValueError, match="'dipole'"):
        potential.compute(molecule_rattled(), ["dipole"])
    with pytest.raises(TypeError, match="properties"):
        potential.compute(molecule_rattled(), "energy")
    with pytest.raises(ValueError, match="stress"):
        potential.compute(STRUCTURES["slab"](), ["stress"])
    with pytest.raises(TypeError, match="positions"):
        potential.energy_forces("ethanol.xyz")


def test_what_a_potential_says_about_itself(potential):
    assert potential.elements == ("H", "C", "O")
    assert potential.cutoff == 4.0
    potential.info["elements"].clear()  # a copy
    assert potential.info["elements"] == ["H", "C", "O"]
    assert repr(potential) == "<Potential of H, C, O, cutoff 4 A>"
