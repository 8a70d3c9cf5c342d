"""Kernel models in the engine: equal to their formulas, refused in words where they do not fit, at home everywhere."""

import pickle
import threading

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule

from atomcore import AtomcoreError, Calculator, Potential
from atomcore.models.gdml import GDML
from atomcore.models.gdml.record import GdmlRecord
from atomcore.potential import Evaluator
from helpers import run_python, shared_data
from model_builder import random_model
from tolerances import ENGINE, FORCES_FD, STRAIN_FD, assert_close

ETHANOL = molecule("CH3CH2OH")


def gdml_record(*, lattice=None, energies=False, seed=3, points=7) -> GdmlRecord:
    """Return a model of ethanol with numbers drawn at random and two permutations."""
    random = np.random.default_rng(seed)
    n, pairs = len(ETHANOL), 36
    tril = np.tril_indices(n, -1)
    geometries = ETHANOL.positions + random.normal(0, 0.1, (points, n, 3))
    distances = np.linalg.norm(geometries[:, :, None] - geometries[:, None], axis=3)
    hydrogens = np.flatnonzero(ETHANOL.numbers == 1)
    swapped = np.arange(n)
    swapped[hydrogens[-2:]] = swapped[hydrogens[-2:]][::-1]
    return GdmlRecord(
        numbers=ETHANOL.numbers, sigma=8.3, scale=1.7, constant=-12.5, lattice=lattice,
        descriptors=1.0 / distances[:, tril[0], tril[1]],
        derivative_coefficients=random.normal(0, 20, (points, pairs)),
        energy_coefficients=random.normal(0, 5, points) if energies else None,
        permutations=[np.arange(n), swapped],
    )  # fmt: skip


def formula(record: GdmlRecord, positions: np.ndarray) -> float:
    """Energy by section 7 of the specification, term by term."""
    n = len(record.numbers)
    a, b = np.tril_indices(n, -1)
    d = positions[a] - positions[b]
    if record.lattice is not None:
        d = d - np.rint(d @ np.linalg.inv(record.lattice)) @ record.lattice
    x = 1.0 / np.linalg.norm(d, axis=1)
    index = np.zeros((n, n), int)
    index[a, b] = index[b, a] = np.arange(len(a))
    energy = 0.0
    for p in record.permutations:
        pairs = index[p[a], p[b]]
        for j, z in enumerate(record.descriptors):
            delta = x - z[pairs]
            s = np.sqrt(5) * np.linalg.norm(delta) / record.sigma
            slope = 5 / (3 * record.sigma**2) * (1 + s) * np.exp(-s)
            energy += slope * delta @ record.derivative_coefficients[j][pairs]
            if record.energy_coefficients is not None:
                energy += record.energy_coefficients[j] * (1 + s + s**2 / 3) * np.exp(-s)
    return record.constant + record.scale * energy


@pytest.fixture(scope="module")
def gdml(tmp_path_factory):
    path = tmp_path_factory.mktemp("gdml") / "ethanol.atomcore"
    GDML.from_record(gdml_record()).save(path)
    return path


def rattled(seed=1, **changes) -> Atoms:
    """Return ethanol with its atoms moved a little."""
    atoms = ETHANOL.copy()
    atoms.positions += np.random.default_rng(seed).normal(0, 0.08, (len(atoms), 3))
    for name, value in changes.items():
        setattr(atoms, name, value)
    return atoms


CELL = np.array([[3.4, 0.1, 0.0], [0.3, 4.1, -0.2], [0.0, 0.2, 3.9]])


@pytest.mark.parametrize("energies", [False, True])
@pytest.mark.parametrize("lattice", [None, CELL], ids=["molecule", "crystal"])
def test_gdml_is_its_formula_and_forces_are_its_slope(tmp_path, lattice, energies):
    record = gdml_record(lattice=lattice, energies=energies)
    GDML.from_record(record).save(tmp_path / "model.atomcore")
    potential = Potential.load(tmp_path / "model.atomcore")
    atoms = rattled()
    if lattice is not None:
        atoms.cell, atoms.pbc = lattice, True
    energy, forces = potential.energy_forces(atoms)
    assert_close(energy, formula(record, atoms.positions), ENGINE)
    step = 1e-4
    for i, x in ((0, 0), (3, 1), (8, 2)):
        moved = np.zeros((9, 3))
        moved[i, x] = step
        slope = (formula(record, atoms.positions + moved) - formula(record, atoms.positions - moved)) / (2 * step)
        assert_close(forces[i, x], -slope, FORCES_FD)
    if lattice is None:
        return
    stress = potential.compute(atoms, ["stress"])["stress"]
    strain = np.zeros((3, 3))
    strain[0, 1] = strain[1, 0] = 0.5e-5  # eps_xy of 1e-5 in Voigt's count
    energies_of = []
    for sign in (1, -1):
        F = np.eye(3) + sign * strain
        stretched = gdml_record(lattice=lattice @ F, energies=energies)
        energies_of.append(formula(stretched, atoms.positions @ F))
    assert_close(stress[5], (energies_of[0] - energies_of[1]) / 2e-5 / atoms.get_volume(), STRAIN_FD)


def test_gdml_round_trip_and_what_the_file_says(gdml, tmp_path):
    model = GDML.load(gdml)
    expected = gdml_record()
    for name in ("numbers", "descriptors", "derivative_coefficients", "permutations"):
        np.testing.assert_array_equal(getattr(model.record, name), getattr(expected, name))
    assert (model.record.sigma, model.record.scale, model.record.constant) == (8.3, 1.7, -12.5)
    potential = Potential.load(gdml)
    assert (potential.kind, potential.capability, potential.elements) == ("gdml", "molecular", ("C", "O", "H"))
    assert potential.atoms == tuple(ETHANOL.symbols)
    assert potential.properties == ("energy", "forces", "stress")
    assert potential.cutoff == np.inf
    assert set(potential.compute(ETHANOL)) == {"energy", "forces"}
    random_model().write(tmp_path / "network.atomcore")
    with pytest.raises(ValueError, match="holds a model of kind 'behler_parrinello'; accepted: gdml"):
        GDML.load(tmp_path / "network.atomcore")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda a: a[:-1],
            r"8 atoms \(H 5, C 2, O 1\) where the model has 9; .* in this order: C C O",
        ),
        (lambda a: a[::-1], r"atom 0 is H where the model has C \(the same atoms in another order: sort them"),
        (lambda a: a.set_atomic_numbers([7, *a.numbers[1:]]), r"atom 0 is N where the model has C; the model is of"),
        (lambda a: a.set_pbc([False, False, True]), "pbc: the model is of a molecule that is not periodic"),
        (lambda a: a.positions.__setitem__((2, 1), np.nan), r"positions must be finite .* got nan at \[2, 1\]"),
        (lambda a: a.positions.__setitem__(2, a.positions[4]), "atoms 2 and 4 are 0.000000 A apart"),
    ],
)
def test_other_molecules_are_refused_in_words(gdml, change, message):
    potential = Potential.load(gdml)
    atoms = rattled(cell=[9, 9, 9])
    atoms = change(atoms) or atoms
    with pytest.raises(ValueError, match=message):
        potential.energy_forces(atoms)
    with pytest.raises(ValueError, match=f"structure 1: .*{message}"):
        potential.compute_batch([ETHANOL, atoms])


def test_another_cell_is_refused(tmp_path):
    GDML.from_record(gdml_record(lattice=CELL)).save(tmp_path / "model.atomcore")
    potential = Potential.load(tmp_path / "model.atomcore")
    atoms = rattled(cell=CELL + 1e-4, pbc=True)
    with pytest.raises(ValueError, match=r"cell: entry \[0, 0\] is 3.4001 A where the model has 3.4; .* within 1e-6 A"):
        potential.energy_forces(atoms)
    atoms.cell, atoms.pbc = CELL, [True, True, False]
    with pytest.raises(ValueError, match="accepted: pbc true in all three directions"):
        potential.energy_forces(atoms)


def test_what_a_gdml_model_cannot_say_is_refused(gdml):
    potential = Potential.load(gdml)
    with pytest.raises(ValueError, match="no variance and so no spread"):
        potential.compute(ETHANOL, ["energy_spread"])
    for name in ("energies", "extrapolation"):
        with pytest.raises(ValueError, match=f"properties must be among energy, forces, stress.* got '{name}'"):
            potential.compute(ETHANOL, [name])
    with pytest.raises(AtomcoreError, match="cannot run in single precision; accepted: float64"):
        Potential.load(gdml, precision="float32")
    with pytest.raises(ValueError, match="extrapolation_limit is for models of features"):
        Calculator(gdml, extrapolation_limit=1.0)
    with pytest.raises(ValueError, match="spread_limit is for ensembles and for models saved with their variance"):
        Calculator(gdml, spread_limit=1.0)


def test_batches_threads_pickles_and_evaluators_give_the_same_bits(gdml):
    potential = Potential.load(gdml, threads=1)
    structures = [rattled(seed) for seed in range(70)]
    alone = [potential.compute(atoms) for atoms in structures]
    twin = pickle.loads(pickle.dumps(Potential.load(gdml, threads=3)))
    evaluator = Evaluator(potential)
    found: list = []
    thread = threading.Thread(target=lambda: found.extend(twin.compute_batch(structures)))
    thread.start()
    thread.join()
    for atoms, expected, other in zip(structures, alone, found, strict=True):
        for results in (other, evaluator.compute(atoms)):
            assert results["energy"] == expected["energy"]
            np.testing.assert_array_equal(results["forces"], expected["forces"])
    assert potential.compute_batch([]) == []


def test_commands_take_a_gdml_model(gdml, tmp_path, capsys, monkeypatch):
    from ase.io import read, write

    from atomcore.cli.main import main

    monkeypatch.chdir(tmp_path)
    potential = Potential.load(gdml)
    frames = [rattled(seed) for seed in range(3)]
    for atoms in frames:
        atoms.calc = Calculator(potential)
        atoms.get_forces()
    write("frames.extxyz", frames)
    assert main(["info", str(gdml)]) == 0
    shown = capsys.readouterr().out
    assert "gdml of energies and forces" in shown
    assert "sigma 8.3" in shown
    assert main(["predict", str(gdml), "frames.extxyz", "-o", "out.extxyz"]) == 0
    assert_close(read("out.extxyz", "1").get_forces(), frames[1].get_forces(), FORCES_FD)
    assert main(["evaluate", str(gdml), "frames.extxyz"]) == 0


def test_a_file_of_kernels_is_read_without_torch_and_scipy(gdml):
    run_python(
        "import sys, types, numpy as np\nfrom atomcore import Potential\n"
        f"numbers, positions = np.{ETHANOL.numbers!r}, np.{ETHANOL.positions!r}\n"
        "atoms = types.SimpleNamespace(numbers=numbers, positions=positions, cell=np.zeros((3, 3)), pbc=[False] * 3)\n"
        f"Potential.load({str(gdml)!r}).energy_forces(atoms)\n"
        "assert not {'torch', 'scipy', 'ase', 'sklearn'} & set(sys.modules), sys.modules.keys()"
    )


def official_model(tmp_path):
    """Save the official model of ethanol; return its path and what it predicts in 80-bit arithmetic, in eV and A."""
    folder = shared_data("sgdml_ethanol_model")
    stored = np.load(folder / "sgdml_ethanol.npz")
    factor = units.kcal / units.mol
    record = GdmlRecord(
        numbers=stored["z"], sigma=float(stored["sig"]), scale=float(stored["std"]) * factor,
        constant=float(stored["c"]) * factor, descriptors=np.ascontiguousarray(stored["R_desc"].T),
        derivative_coefficients=stored["R_d_desc_alpha"], permutations=stored["perms"],
    )  # fmt: skip
    GDML.from_record(record).save(tmp_path / "official.atomcore")
    return tmp_path / "official.atomcore", np.load(folder / "sgdml_ethanol_reference.npz"), record.numbers


def test_the_official_model_of_ethanol_is_reproduced(tmp_path):
    path, reference, numbers = official_model(tmp_path)
    potential, factor = Potential.load(path), units.kcal / units.mol
    found = potential.compute_batch([Atoms(numbers, R) for R in reference["R"].reshape(-1, 9, 3)])
    energies = np.array([results["energy"] for results in found]) / factor
    forces = np.array([results["forces"] for results in found]) / factor
    # double precision itself reproduces energies to 4e-6 kcal/mol and forces to 2e-5 kcal/mol/A
    assert np.abs(energies - reference["E_longdouble"].astype(float).ravel()).max() < 3 * 4e-6
    assert np.abs(forces - reference["F_longdouble"].astype(float).reshape(-1, 9, 3)).max() < 3 * 2e-5
