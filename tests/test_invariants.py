"""What physics demands of every model in the engine, for every kind of structure, in both precisions."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from atomcore import Calculator, _core
from atomcore._arrays import as_structure
from atomcore.md import energy_drift
from atomcore.potential import EXTRAPOLATION, PROPERTIES, Potential
from helpers import slope
from model_builder import random_model
from structures import EVERY_CLASS, small_crystal
from tolerances import BY_PRECISION, EXACT, FORCES_FD, REVERSED, STRAIN_FD, assert_close

ENSEMBLE = {"members": 3, "requires": ("ensemble",)}
MODELS = {
    "single": {},
    "ensemble": ENSEMBLE,
    "normalized inputs": {"requires": ("normalized_inputs",)},
    "tanh3": {"cutoff_function": "tanh3", "activation": "tanh"},
    "polynomial": {"cutoff_function": "polynomial", **ENSEMBLE},
    "charges": {"target": "charges"},
}
ENERGY_MODELS = [name for name, choices in MODELS.items() if choices.get("target") != "charges"]
PRECISIONS = ("float64", "float32")
PERIODIC = [name for name, make in EVERY_CLASS.items() if make().pbc.any()]
CRYSTALS = [name for name, make in EVERY_CLASS.items() if make().pbc.all()]
OPEN = [name for name in EVERY_CLASS if name not in PERIODIC]


@pytest.fixture(scope="module")
def potentials(tmp_path_factory):
    """Return every model in both precisions. Without reference energies, which would hide small differences."""
    folder = tmp_path_factory.mktemp("models")
    loaded = {}
    for name, choices in MODELS.items():
        model = random_model(reference=(0.0, 0.0, 0.0), **choices)
        for maximum in (array for tensor, array in model.tensors.items() if tensor.endswith("maximum")):
            maximum[:] = 0.3  # so that some atoms of some structures lie outside
        path = model.write(folder / f"{name}.atomcore")
        loaded |= {(name, precision): Potential.load(path, precision=precision, threads=1) for precision in PRECISIONS}
    return loaded


@pytest.fixture(params=[(model, precision) for model in MODELS for precision in PRECISIONS], ids=" ".join)
def potential(request, potentials):
    return potentials[request.param]


@pytest.fixture(params=[(model, precision) for model in ENERGY_MODELS for precision in PRECISIONS], ids=" ".join)
def energetic(request, potentials):
    return potentials[request.param]


@pytest.fixture(params=ENERGY_MODELS)
def double(request, potentials):
    """Models of the energy in double precision, for differences."""
    return potentials[request.param, "float64"]


def tolerance(potential, invariant):
    return BY_PRECISION[invariant][potential._precision]


def everything(potential, atoms):
    """Compute all that a model can say about a structure."""
    names = ["charges"] if potential.target == "charges" else [*PROPERTIES]
    if not atoms.pbc.all() and "stress" in names:
        names.remove("stress")
    names += [f"{name}_spread" for name in names] if potential.members > 1 else []
    return potential.compute(atoms, [*names, *EXTRAPOLATION])


def turned(name, values, rotation):
    """Return a result in a frame turned by ``x @ rotation``; of spreads, their length, which alone does not turn."""
    if name == "forces":
        return values @ rotation
    if name == "forces_spread":
        return np.linalg.norm(values, axis=1)
    if name.startswith("stress"):
        tensor = values[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
        return np.linalg.norm(tensor) if name == "stress_spread" else rotation.T @ tensor @ rotation
    return values


def assert_same(potential, atoms, other, invariant, *, rotation=None, order=None):
    """Fail unless ``other``, whose atoms are ``atoms[order]``, has the results of ``atoms`` in a turned frame.

    Where ``order`` names each atom several times, whatever grows with the size of the structure does so.
    """
    limit = tolerance(potential, invariant)
    found = everything(potential, other)
    copies = len(other) // len(atoms)
    for name, expected in everything(potential, atoms).items():
        if name in ("energy", "energy_spread"):
            expected = copies * expected
        elif order is not None and not name.startswith("stress"):
            expected = expected[order]
        values = np.asarray(found[name])
        if rotation is not None:
            values = turned(name, values, np.eye(3))
            expected = turned(name, expected, rotation)
        size = np.abs(expected).max(initial=1.0)
        assert_close(values, expected, EXACT if values.dtype.kind == "i" else limit, scale=size)


# Symmetries


@pytest.mark.parametrize("name", EVERY_CLASS)
def test_translation(potential, name):
    atoms = EVERY_CLASS[name]()
    moved = atoms.copy()
    moved.translate((3.7, -11.3, 0.123))
    assert_same(potential, atoms, moved, "translation")
    atoms.positions = np.round(atoms.positions * 2**20) / 2**20  # so that the next sum is exact
    moved.positions = atoms.positions + 2**20
    assert_same(potential, atoms, moved, "translation")


@pytest.mark.parametrize("name", EVERY_CLASS)
def test_no_net_force(energetic, name):
    forces = energetic.energy_forces(EVERY_CLASS[name]())[1]
    size = np.abs(forces).max(initial=1.0)
    assert_close(forces.sum(axis=0), np.zeros(3), tolerance(energetic, "net force"), scale=size)


@pytest.mark.parametrize("name", EVERY_CLASS)
def test_rotation_and_reflection(potential, name):
    atoms = EVERY_CLASS[name]()
    q = np.linalg.qr(np.random.default_rng(11).normal(size=(3, 3)))[0]  # a rotation or a reflection, whichever comes
    for rotation in (q, -q):
        other = atoms.copy()
        other.set_cell(atoms.cell.array @ rotation)
        other.positions = atoms.positions @ rotation
        assert_same(potential, atoms, other, "rotation", rotation=rotation)


@pytest.mark.parametrize("name", OPEN)
def test_no_torque(energetic, name):
    atoms = EVERY_CLASS[name]()
    torque = np.cross(atoms.positions, energetic.energy_forces(atoms)[1]).sum(axis=0)
    assert_close(torque, np.zeros(3), tolerance(energetic, "torque"))


@pytest.mark.parametrize("name", EVERY_CLASS)
def test_input_order(potential, name):
    atoms = EVERY_CLASS[name]()
    order = np.random.default_rng(12).permutation(len(atoms))
    assert_same(potential, atoms, atoms[order], "permutation", order=order)


@pytest.mark.parametrize("name", PERIODIC)
def test_images_and_faces(potential, name):
    """Atoms 50 cells away, wrapped into the cell, and on a face, a hair to either side of it."""
    atoms = EVERY_CLASS[name]()
    moved = atoms.copy()
    shifts = np.random.default_rng(13).integers(-50, 51, (len(atoms), 3)) * atoms.pbc
    moved.positions += shifts @ atoms.cell.array
    assert_same(potential, atoms, moved, "image")
    moved.wrap()
    assert_same(potential, atoms, moved, "image")
    on_face = atoms.copy()
    on_face.positions -= atoms.positions[0]
    for hair in (0.0, 1e-17, -1e-17):
        on_face.positions[0] = hair
        assert_same(potential, atoms, on_face, "image")


def lattice_changes(pbc):
    """Return whole-number matrices of determinant one: other vectors of the same lattice, some of them very skew."""
    skew = np.array([[1, 0, 0], [1, 1, 0], [-1, 2, 1]]) @ np.array([[1, 3, -4], [0, 1, 2], [0, 0, 1]])
    for matrix in (np.eye(3) + np.outer([1, 0, 0], [0, 1, 0]), np.eye(3) + np.outer([1, 0, 0], [0, -4, 0]), skew):
        if pbc.all() or (pbc[:2].all() and matrix[2, 2] == 1):
            yield matrix
    yield np.diag([1, 1, -1]) if pbc[2] else np.diag([-1, -1, 1])


@pytest.mark.parametrize("name", PERIODIC)
def test_choice_of_cell(potential, name):
    atoms = EVERY_CLASS[name]()
    random = np.random.default_rng(14)
    for matrix in lattice_changes(atoms.pbc):
        cell = matrix @ atoms.cell.array
        cell[~atoms.pbc] = random.normal(size=(3, 3))[~atoms.pbc]  # whatever stands along open directions
        other = atoms.copy()
        other.set_cell(cell)
        assert_same(potential, atoms, other, "image")


@pytest.mark.parametrize("name", OPEN)
def test_a_cell_without_periodicity_does_not_matter(potential, name):
    atoms = EVERY_CLASS[name]()
    boxed = atoms.copy()
    boxed.set_cell([[0.1, 0, 0], [0.1, 0, 0], [0, 0, 2.0]])
    assert_same(potential, atoms, boxed, "image")


@pytest.mark.parametrize("name", PERIODIC)
def test_supercell(potential, name):
    atoms = EVERY_CLASS[name]()
    for repeats in ((2, 1, 1), (1, 3, 2)):
        larger = atoms * np.where(atoms.pbc, repeats, 1)
        order = np.arange(len(larger)) % len(atoms)
        assert_same(potential, atoms, larger, "supercell", order=order)


def test_extensivity(potential):
    both = EVERY_CLASS["fragments"]()
    together = everything(potential, both)
    parts = [everything(potential, both[:9]), everything(potential, both[9:])]
    for name in together:
        if name != "energy_spread":
            values = [part[name] for part in parts]
            expected = sum(values) if name == "energy" else np.concatenate(values)
            assert_close(together[name], expected, tolerance(potential, "extensivity"))


# Derivatives


@pytest.mark.parametrize("name", EVERY_CLASS)
def test_forces_are_the_derivative_of_the_energy(double, name):
    atoms = EVERY_CLASS[name]()

    def energy(positions):
        moved = atoms.copy()
        moved.positions = positions
        return double.compute(moved, ["energy"])["energy"]

    forces = double.energy_forces(atoms)[1]
    for i in range(len(atoms)):
        for k in range(3):
            unit = np.zeros_like(forces)
            unit[i, k] = 1.0
            assert_close(-slope(energy, atoms.positions, unit), forces[i, k], FORCES_FD)


@pytest.mark.parametrize("name", CRYSTALS)
def test_stress_is_the_derivative_in_strain_and_symmetric(double, name):
    atoms = EVERY_CLASS[name]()
    atoms.set_cell(1.001 * atoms.cell.array, scale_atoms=True)  # no image exactly at a cutoff, where curvatures jump

    def energy(strain):
        moved = atoms.copy()
        moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        return double.compute(moved, ["energy"])["energy"]

    stress = double.compute(atoms, ["stress"])["stress"]
    for a in range(3):
        for b in range(3):
            unit = np.zeros((3, 3))
            unit[a, b] = 1.0
            voigt = a if a == b else 6 - a - b
            assert_close(slope(energy, np.zeros((3, 3)), unit, 1e-5) / atoms.get_volume(), stress[voigt], STRAIN_FD)


@pytest.mark.parametrize("name", EVERY_CLASS)
def test_the_virial_is_symmetric_before_it_is_made_so(energetic, name):
    structure = as_structure(EVERY_CLASS[name]())
    arrays = structure.positions, structure.cell, structure.pbc, structure.numbers
    virial = energetic._core.compute(*arrays, _core.Request(True, False, False, False), 1)[0][3]
    size = np.abs(virial).max(initial=1.0)
    assert_close(virial, virial.T, tolerance(energetic, "virial asymmetry"), scale=size)


@pytest.mark.parametrize("name", EVERY_CLASS)
def test_atomic_energies_sum_to_the_energy(energetic, name):
    found = energetic.compute(EVERY_CLASS[name](), ["energy", "energies"])
    size = np.abs(found["energies"]).sum()
    assert_close(found["energies"].sum(), found["energy"], tolerance(energetic, "sum"), scale=size)


# Smoothness

# Where atoms cross a cutoff at distance r: the radial one, and the angular one of both kinds of distance.
CROSSINGS = {
    "radial": (4.0, lambda r: Atoms("OH", [[0, 0, 0], [r, 0, 0]])),
    "angular": (3.2, lambda r: Atoms("OCH", [[0, 0, 0], [0.3, 1.1, 0], [r, 0, 0]])),
    "neighbour to neighbour": (3.2, lambda r: Atoms("OCH", [[0, 0.4, 0], [-0.5 * r, 0, 0], [0.5 * r, 0, 0]])),
}


@pytest.mark.parametrize("name", CROSSINGS)
def test_no_step_and_no_kink_at_a_cutoff(potential, name):
    """What is left on either side of the cutoff, extrapolated to it from 1e-6 and 2e-6 A, is the same."""
    cutoff, make = CROSSINGS[name]
    sides = [[everything(potential, make(cutoff + s * h)) for h in (1e-6, 2e-6)] for s in (-1, 1)]
    for quantity in sides[0][0]:
        if quantity not in EXTRAPOLATION:
            left, right = (2 * near[quantity] - far[quantity] for near, far in sides)
            what = "forces at a cutoff" if quantity.startswith("forces") else "energy at a cutoff"
            assert_close(left, right, tolerance(potential, what))


@pytest.mark.parametrize("name", CROSSINGS)
def test_an_atom_at_the_cutoff_is_beyond_it(potential, name):
    cutoff, make = CROSSINGS[name]
    at, before, after = (everything(potential, make(r)) for r in (cutoff, np.nextafter(cutoff, 0), cutoff + 1e-6))
    quantity = "charges" if potential.target == "charges" else "energies"
    assert_close(before[quantity], at[quantity], tolerance(potential, "neighbour at a cutoff"))
    if name == "radial":  # nothing else changes with r
        alone = [everything(potential, Atoms(symbol))[quantity][0] for symbol in "OH"]
        assert_close(after[quantity], at[quantity], EXACT)
        assert_close(at[quantity], np.array(alone), tolerance(potential, "extensivity"))


# Dynamics


def total_energies(atoms, dt, steps):
    """Return the total energy (meV/atom) after each step of velocity Verlet; dt in fs. The atoms move on."""
    run = VelocityVerlet(atoms, dt * units.fs)
    energies = []
    for _ in range(steps):
        run.run(1)
        energies.append(1000 * atoms.get_total_energy() / len(atoms))
    return np.array(energies)


def rms_about_a_line(energies):
    x = np.arange(len(energies))
    return np.std(energies - np.polyval(np.polyfit(x, energies, 1), x))


MOVED = [("single", "float64"), ("single", "float32"), ("tanh3", "float64"), ("polynomial", "float64")]


@pytest.fixture(params=MOVED, ids=" ".join)
def warm(request, potentials):
    """Return a crystal in a minimum of each potential, with the momenta of 100 K."""
    atoms = small_crystal()
    atoms.calc = Calculator(potentials[request.param])
    BFGS(atoms, logfile=None).run(fmax=1e-3, steps=300)
    momenta = np.random.default_rng(1).normal(size=(len(atoms), 3))
    momenta *= np.sqrt(atoms.get_masses() * units.kB * 100)[:, None]
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    return atoms


@pytest.mark.filterwarnings("ignore:.*outside what the model was trained on")
def test_dynamics_conserve_energy_and_can_be_reversed(warm):
    fluctuations = []
    for dt in (1.0, 0.5):
        atoms = warm.copy()
        atoms.calc = warm.calc
        energies = total_energies(atoms, dt, round(400 / dt))
        drift = energy_drift(0.001 * dt * np.arange(len(energies)), energies)
        assert abs(drift.slope) < 4 * drift.standard_error + 1e-3  # meV/atom/ps
        fluctuations.append(rms_about_a_line(energies))
    assert 3.6 < fluctuations[0] / fluctuations[1] < 4.4  # as the square of the step
    start = warm.get_positions()
    atoms.set_momenta(-atoms.get_momenta())
    total_energies(atoms, dt, 800)
    assert_close(atoms.positions, start, REVERSED)
