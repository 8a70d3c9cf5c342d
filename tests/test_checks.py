"""Energies and forces that do not belong together are noticed; clean sets pass in silence."""

import logging
from dataclasses import replace

import numpy as np
import pytest

import atomcore
from atomcore.data import Dataset, check_consistency, load, sample
from atomcore.units import energy_factors, length_factors
from helpers import shared_data

KCAL = 1.0 / energy_factors()["kcal/mol"]  # kcal/mol in an eV
HARTREE, BOHR = energy_factors()["Hartree"], length_factors()["Bohr"]


@pytest.fixture(scope="module")
def glycol() -> Dataset:
    return load(sample("glycol"))


def springs(seed: int, n: int = 60, offset: float = 0.0, periodic: bool = False) -> Dataset:
    """Return five argon atoms bound by anharmonic springs, wandering by small random steps, wrapped if periodic."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    rest = 3.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], float)
    positions = rest + np.cumsum(rng.normal(0.0, 0.05, (n, 5, 3)), axis=0)
    bonds = positions[:, :, None] - positions[:, None]
    length = np.linalg.norm(bonds, axis=3) + np.eye(5)
    stretch = length - np.linalg.norm(rest[:, None] - rest, axis=2) - np.eye(5)
    energy = 0.5 * (2.0 * stretch**2 + stretch**3).sum(axis=(1, 2)) + offset
    forces = -((4.0 * stretch + 3.0 * stretch**2) / length)[..., None] * bonds
    if periodic:
        positions = positions % 20.0
    return Dataset(
        numbers=np.full(5 * n, 18),
        positions=positions.reshape(-1, 3),
        cells=np.broadcast_to(20.0 * np.eye(3) * periodic, (n, 3, 3)),
        pbc=np.full((n, 3), periodic),
        structure_ptr=5 * np.arange(n + 1),
        energy=energy,
        forces=forces.sum(axis=2).reshape(-1, 3),
    )


def test_shipped_sample_is_clean(glycol):
    assert check_consistency(glycol) == []


@pytest.mark.parametrize(
    ("energy", "forces", "positions", "words"),
    [
        (1, -1, 1, ["the forces have the wrong sign"]),
        (-1, 1, 1, ["the forces have the wrong sign"]),
        (KCAL, 1, 1, ["as if energies were in kcal/mol and forces in eV/Angstrom"]),
        (1, KCAL, 1, ["as if energies were in eV and forces in kcal/mol/Angstrom"]),
        (1 / HARTREE, BOHR / HARTREE, 1, ["as if forces were per Bohr and taken as per Angstrom"]),
        (1, BOHR / HARTREE, 1, ["as if energies were in eV and forces in Hartree/Bohr"]),
        (1, 1, 1 / BOHR, ["as if positions were in Bohr"]),
        (KCAL, -1, 1, ["wrong sign", "as if energies were in kcal/mol"]),
        (7, 1, 1, ["no pair of known units"]),
    ],
)
def test_mistakes_are_put_in_words(glycol, energy, forces, positions, words):
    wrong = replace(
        glycol, energy=energy * glycol.energy, forces=forces * glycol.forces, positions=positions * glycol.positions
    )
    (warning, *_) = check_consistency(wrong)
    assert all(text in warning for text in ["contradict each other", "pairs of similar structures", *words])


def test_order_of_the_structures_does_not_matter(glycol):
    shuffled = glycol.subset(np.random.default_rng(5).permutation(len(glycol)))
    assert check_consistency(shuffled) == []
    assert "wrong sign" in check_consistency(replace(shuffled, forces=-shuffled.forces))[0]


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clusters_and_cells(seed, periodic):
    clean = springs(seed, periodic=periodic)
    assert check_consistency(clean) == []
    (warning,) = check_consistency(replace(clean, forces=-clean.forces))
    assert "wrong sign" in warning
    # Atoms that left the cell and were put back are where they were.
    moved = (np.arange(len(clean.positions)) % 3)[:, None] * [20.0, -20.0, 40.0] * periodic
    assert check_consistency(replace(clean, forces=-clean.forces, positions=clean.positions + moved)) == [warning]


def test_outliers_do_not_hide_or_cause_a_warning(glycol):
    energy = glycol.energy.copy()
    energy[::50] += 3.0
    spoiled = replace(glycol, energy=energy)
    assert check_consistency(spoiled) == []


def test_wrong_unit_for_everything(glycol):
    (forces,) = check_consistency(replace(glycol, energy=KCAL * glycol.energy, forces=KCAL * glycol.forces))
    assert "median force" in forces
    argon = springs(0, offset=-14352.0)  # total energy of one argon atom, all electrons: -527.5 hartree
    assert check_consistency(argon) == []
    (energies,) = check_consistency(replace(springs(0, offset=5 * -14352.0 * KCAL), forces=None))
    assert "likely in kcal/mol" in energies


def test_too_little_to_tell(glycol):
    unrelated = np.random.default_rng(8).normal(size=len(glycol))
    assert check_consistency(replace(glycol, energy=unrelated)) == []
    assert check_consistency(replace(glycol, forces=0.0 * glycol.forces)) == []
    assert check_consistency(replace(glycol, energy=np.full(len(glycol), -420.0))) == []
    for few in (glycol.subset([0]), glycol.subset([0, 1]), glycol.subset([])):
        assert check_consistency(replace(few, forces=-few.forces)) == []
    assert check_consistency(replace(glycol, forces=None)) == []
    assert check_consistency(replace(glycol, energy=None)) == []


def test_one_atom_and_two():
    for n_atoms in (1, 2):
        n = 30
        x = np.linspace(1.0, 1.3, n)
        positions = np.zeros((n, n_atoms, 3))
        positions[:, -1, 0] = x
        forces = np.zeros_like(positions)
        dataset = Dataset(
            numbers=np.ones(n * n_atoms, int),
            positions=positions.reshape(-1, 3),
            cells=np.zeros((n, 3, 3)),
            pbc=np.zeros((n, 3), bool),
            structure_ptr=n_atoms * np.arange(n + 1),
            energy=x**2,
            forces=forces.reshape(-1, 3),
        )
        assert check_consistency(dataset) == []


def test_load_warns(glycol, tmp_path, caplog):
    replace(glycol.subset(np.arange(300)), forces=-glycol.forces[:3000]).save(tmp_path / "gradients.npz")
    with caplog.at_level(logging.WARNING, logger="atomcore.data"):
        load(tmp_path / "gradients.npz")
    (record,) = caplog.records
    assert record.getMessage().startswith("gradients.npz: energies and forces contradict each other: the forces have")


SHARED = [
    ("claisen/claisen.npz", "eV, Angstrom"),
    ("butane/butane.npz", "eV, Angstrom"),
    ("md17_ethanol/md17_ethanol.npz", "kcal/mol, Angstrom"),
    ("ani1_small_molecules/ani1_small.npz", "eV, Angstrom"),
    ("water_mp2/1h2o.npz", "kcal/mol, Angstrom"),
    ("si_mlearn/Si_training.extxyz", None),
    ("si_mlearn/Si_test.extxyz", None),
    ("cu_mlearn/Cu_test.extxyz", None),
    ("deepmd_water/deepmd_water.npz", "eV, Angstrom"),
    ("water_mp2/6h2o.npz", "kcal/mol, Angstrom"),
    ("water_mp2/2h2o_2body.npz", "kcal/mol, Angstrom"),
    ("qm7/qm7.npz", "kcal/mol, Angstrom"),
]


@pytest.mark.parametrize(("name", "units"), SHARED)
def test_shared_sets_are_clean(name, units):
    assert check_consistency(load(shared_data(name), units=units)) == []


@pytest.mark.parametrize(("name", "units"), SHARED[:6])  # the others hold no ten pairs of similar structures
def test_shared_sets_turned_round(name, units):
    dataset = atomcore.data.load(shared_data(name), units=units)
    assert "wrong sign" in check_consistency(replace(dataset, forces=-dataset.forces))[0]
    assert "kcal/mol" in check_consistency(replace(dataset, energy=dataset.energy * KCAL))[0]
    everything = replace(dataset, energy=dataset.energy * KCAL, forces=dataset.forces * KCAL)
    assert "another unit" in check_consistency(everything)[-1]
