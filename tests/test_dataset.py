"""Datasets in memory: duplicates, subsets, checksums, saving, reference energies."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.units import GPa

from atomcore.data import Dataset, from_atoms, load, reference_energies, sample
from data_helpers import assert_same, crystals, frames, saved, water_and_ammonia
from tolerances import EXACT, REFERENCE, assert_close

# duplicates


def test_duplicates_are_counted_and_dropped(tmp_path, caplog):
    images = frames()
    images = [*images, *images[:2]]
    file = tmp_path / "w.npz"
    from_atoms(images).save(file)
    dataset = load(file)
    assert len(dataset) == 4
    assert dataset.n_duplicates == 2
    assert dataset.energy.tolist() == [0.0, -1.0, -2.0, -3.0]
    assert "2 of 6 structures repeat an earlier one and were dropped" in caplog.text
    assert "contradict" not in caplog.text
    kept = load(file, duplicates="keep")
    assert len(kept) == 6
    assert kept.n_duplicates == 0
    with pytest.raises(ValueError, match="duplicates is 'ignore'; accepted: 'drop', 'keep'"):
        load(file, duplicates="ignore")


def test_duplicates_with_other_labels(tmp_path, caplog):
    dataset = from_atoms([*frames(), *frames()])
    energy = dataset.energy.copy()
    energy[6] += 0.25
    replace(dataset, energy=energy).save(tmp_path / "w.npz")
    assert len(load(tmp_path / "w.npz")) == 4
    assert "structures 2 and 6 are equal but differ by 0.25 eV" in caplog.text


def test_what_makes_a_duplicate(tmp_path):
    arrays = {"Z": [1, 1], "R": np.zeros((2, 2, 3)), "cell": np.array([np.eye(3), np.eye(3)]), "pbc": [True] * 3}
    arrays["R"][:, 1, 0] = 0.5

    def count(**changes):
        return len(load(saved(tmp_path, arrays | changes), units="eV, Angstrom"))

    other_cell = np.array([np.eye(3), np.diag([1.0, 1.0, 2.0])])
    assert count() == 1
    assert count(R=arrays["R"] * np.array([1, -1])[:, None, None] * [0, 1, 1]) == 1  # 0.0 and -0.0
    assert count(R=arrays["R"] + np.array([0, 1e-15])[:, None, None]) == 2
    assert count(cell=other_cell) == 2
    assert count(cell=other_cell, pbc=[True, True, False]) == 1  # no periodicity, no meaning
    assert count(pbc=[[True, True, True], [True, True, False]]) == 2
    assert count(Z=[[1, 1], [1, 2]]) == 2


# datasets in memory


def test_arrays_are_copied_and_read_only():
    images = frames()
    dataset = from_atoms(images)
    source = dataset.positions.copy()
    other = replace(dataset, positions=source)
    source[0] = 99.0
    assert_close(other.positions, dataset.positions, EXACT)
    for array in (dataset.positions, dataset.numbers, dataset.energy, dataset.forces):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    dataset[0].positions += 1.0
    assert_close(dataset.positions[:3], images[0].positions, EXACT)


def test_structures_come_back_as_atoms():
    images = frames()
    dataset = from_atoms(images)
    for atoms, image in zip(dataset, images, strict=True):
        assert atoms.get_chemical_formula() == "H2O"
        assert atoms.get_potential_energy() == image.get_potential_energy()
        assert_close(atoms.get_forces(), image.get_forces(), EXACT)
    assert dataset[-1].get_potential_energy() == -3.0
    assert replace(dataset, energy=None, forces=None)[0].calc is None
    with pytest.raises(IndexError, match="structure 4 of a dataset of 4"):
        dataset[4]
    assert "4 structures, 12 atoms, elements H O, energy and forces" in repr(dataset)


def test_subset(tmp_path):
    dataset = load(saved(tmp_path, water_and_ammonia()), units="eV, Angstrom")
    chosen = dataset.subset([5, 0, 0])
    assert_same(chosen, from_atoms([dataset[5], dataset[0], dataset[0]]))
    assert len(dataset.subset([])) == 0
    for bad in ([6], [-1]):
        with pytest.raises(IndexError, match="accepted: 0 to 5"):
            dataset.subset(bad)
    for bad in ([0.0], [True] * 6):
        with pytest.raises(TypeError, match="indices must hold integers"):
            dataset.subset(bad)


def test_pointers_are_checked():
    common = {
        "numbers": [1, 1],
        "positions": np.zeros((2, 3)),
        "cells": np.zeros((2, 3, 3)),
        "pbc": np.zeros((2, 3), int),
    }
    for ptr, message in (
        ([1, 2], "begin with 0"),
        ([0, 2, 1], "structure 1 has no atoms"),
        ([0, 1, 3], r"got \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            Dataset(structure_ptr=ptr, **common)


def test_checksum_covers_everything_that_counts():
    dataset = from_atoms(frames())
    assert replace(dataset, source="elsewhere", n_duplicates=5).sha256 == dataset.sha256
    assert replace(dataset, positions=-1.0 * (-dataset.positions)).sha256 == dataset.sha256
    changed = [
        replace(dataset, numbers=np.where(dataset.numbers == 8, 7, dataset.numbers)),
        replace(dataset, positions=dataset.positions + 1e-12),
        replace(dataset, energy=dataset.energy + 1e-12),
        replace(dataset, forces=dataset.forces + 1e-12),
        replace(dataset, forces=None),
        replace(dataset, energy=None),
        replace(dataset, cells=dataset.cells + np.eye(3), pbc=np.ones((4, 3), bool)),
        dataset.subset([1, 0, 2, 3]),
    ]
    assert len({dataset.sha256, *(other.sha256 for other in changed)}) == len(changed) + 1


# saving


def test_npz_keeps_every_bit(tmp_path):
    dataset = load(saved(tmp_path, water_and_ammonia()), units="kcal/mol, Angstrom")
    for variant in (dataset, replace(dataset, forces=None), replace(dataset, energy=None, forces=None)):
        variant.save(tmp_path / "again.npz")
        assert load(tmp_path / "again.npz").sha256 == variant.sha256
    slab = replace(dataset, cells=np.broadcast_to(7.1 * np.eye(3), (6, 3, 3)), pbc=[[True, False, True]] * 6)
    slab.save(tmp_path / "slab.npz")
    assert load(tmp_path / "slab.npz").sha256 == slab.sha256
    assert sorted(np.load(tmp_path / "slab.npz")) == ["E", "F", "N", "R", "Z", "cell", "pbc", "units"]


def test_extxyz_round_trip(tmp_path):
    dataset = from_atoms(frames())
    dataset.save(tmp_path / "again.extxyz")
    assert_same(load(tmp_path / "again.extxyz"), dataset)


def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch):
    dataset = from_atoms(frames())
    dataset.save(tmp_path / "w.npz")
    old = (tmp_path / "w.npz").read_bytes()

    def disk_full(file, **arrays):
        file.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", disk_full)
    with pytest.raises(OSError, match="no space"):
        dataset.subset([0]).save(tmp_path / "w.npz")
    with pytest.raises(ValueError, match=r"accepted suffixes: \.npz, \.extxyz"):
        dataset.save(tmp_path / "w.h5")
    assert (tmp_path / "w.npz").read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["w.npz"]


# reference energies


def test_reference_energies(tmp_path):
    dataset = load(saved(tmp_path, water_and_ammonia()), units="eV, Angstrom")
    exact = np.array([-13.6, -1488.5, -2041.8])  # H, N, O
    counts = np.array([[2, 0, 1], [3, 1, 0]] * 3, float)
    noisy = replace(dataset, energy=counts @ exact)
    # Two compositions do not determine three elements, but the rest follows from one.
    assert_close(reference_energies(noisy, {"H": -13.6, "Xe": 0.0}), exact, REFERENCE)
    fitted = reference_energies(noisy)
    assert_close(counts @ fitted, noisy.energy, REFERENCE)
    assert np.linalg.norm(fitted) < np.linalg.norm(exact)
    given = {"H": -1.0, "N": -2.0, "O": -3.0}
    assert reference_energies(replace(dataset, energy=None), given).tolist() == [-1.0, -2.0, -3.0]


def test_reference_energies_of_one_structure_and_one_composition():
    one = from_atoms(frames()).subset([3])
    assert_close(reference_energies(one), [-3.0 * 2 / 5, -3.0 / 5], REFERENCE)
    assert_close(reference_energies(from_atoms(frames())), [-1.5 * 2 / 5, -1.5 / 5], REFERENCE)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"Water": 1.0}, "key 'Water'"), ({"X": 1.0}, "key 'X'"), ({"H": float("nan")}, r"given\['H'\] is nan")],
)
def test_reference_energies_that_are_none(given, message):
    with pytest.raises(ValueError, match=message):
        reference_energies(from_atoms(frames()), given)
    with pytest.raises(ValueError, match="no energies to fit references of H, O"):
        reference_energies(replace(from_atoms(frames()), energy=None))


# tables


def test_table():
    pandas = pytest.importorskip("pandas")
    molecules = load(sample("glycol"), index="::500")
    table = molecules.to_pandas()
    assert table.formula.tolist() == ["C2H6O2", "C2H6O2"]
    assert table.volume.isna().all()
    assert list(table) == ["formula", "n_atoms", "volume", "energy", "energy_per_atom", "max_force"]
    lengths = np.linalg.norm(molecules.forces, axis=1).reshape(2, 10)
    assert_close(table.max_force, lengths.max(axis=1), EXACT)
    images = crystals()
    table = from_atoms(images).to_pandas()
    assert table.index.tolist() == [0, 1, 2, 3]
    assert table.n_atoms.tolist() == [2, 2, 2, 2]
    assert_close(table.volume, [atoms.get_volume() for atoms in images], REFERENCE)
    assert_close(table.energy_per_atom, [0.0, 0.5, 1.0, 1.5], EXACT)
    assert_close(table.pressure, [-atoms.get_stress()[:3].mean() / GPa for atoms in images], REFERENCE)
    assert_close(table.charge, [atoms.get_charges().sum() for atoms in images], REFERENCE)
    assert table.uncertainty.tolist() == [0.5, 1.5, 2.5, 3.5]
    mixed = from_atoms([Atoms("OH2"), Atoms("CH4"), Atoms("H2O", cell=np.eye(3), pbc=[1, 1, 0])]).to_pandas()
    assert mixed.formula.tolist() == ["H2O", "CH4", "H2O"]
    assert isinstance(from_atoms(images).subset([]).to_pandas(), pandas.DataFrame)
