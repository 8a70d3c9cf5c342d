"""Bad and unusual input again, for crystals: what is accepted is read to the bit, the rest is refused by name."""

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

import atomcore
from atomcore.data import Dataset, from_atoms, load, reference_energies, sample
from data_helpers import assert_same, saved
from helpers import shared_data
from model_builder import random_model
from tolerances import EXACT, FLOAT32_ENERGY, PRINTED, Tolerance, assert_close

UNITS = "eV, Angstrom"
NEEDLE = np.array([[20.0, 0, 0], [20 * np.cos(np.radians(10)), 20 * np.sin(np.radians(10)), 0], [0, 0, 0.5]])
SKEW = np.array([[3.0, 0, 0], [40.0, 3.0, 0], [-30.0, 25.0, 3.0]])


def crystal(**changes) -> dict[str, np.ndarray]:
    """Return arrays of the npz format: five structures of two atoms with energy, forces and stress."""
    rng = np.random.default_rng(51)
    arrays = {
        "Z": np.array([29, 29]),
        "R": rng.normal(size=(5, 2, 3)),
        "E": rng.normal(size=5),
        "F": rng.normal(size=(5, 2, 3)),
        "stress": rng.normal(0.0, 0.01, (5, 6)),
        "cell": np.diag([3.6, 3.7, 3.8]) + rng.normal(0.0, 0.1, (5, 3, 3)),
        "pbc": np.array([True, True, True]),
    }
    return {key: value for key, value in (arrays | changes).items() if value is not None}


def structures(n: int = 4) -> list[Atoms]:
    return list(load(sample("copper")).subset(np.arange(60, 60 + n)))


@pytest.mark.parametrize("suffix", ["npz", "extxyz"])
@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        (np.diag([0.5, 30.0, 30.0]), [True] * 3),  # far smaller than any cutoff
        (NEEDLE, [True] * 3),
        (SKEW, [True] * 3),
        (np.diag([-3.6, 3.6, 3.6]), [True] * 3),  # left-handed
        (SKEW, [True, False, True]),
        (np.diag([3.6, 3.6, 0.0]), [True, True, False]),
        (np.diag([0.0, 0.0, 3.6]), [False, False, True]),
        (np.array([[3.6, 0, 0], [0, 3.6, 0], [1.0, 2.0, 20.0]]), [True, True, False]),  # tilted where it is open
        (np.eye(3), [False] * 3),
    ],
)
def test_unusual_cells_are_kept(tmp_path, suffix, cell, pbc):
    arrays = crystal(cell=cell, pbc=np.array(pbc), stress=None)
    dataset = load(saved(tmp_path, arrays), units=UNITS)
    dataset.save(tmp_path / f"again.{suffix}")
    again = load(tmp_path / f"again.{suffix}")
    assert_same(again, dataset, EXACT if suffix == "npz" else PRINTED)
    assert_close(again.cells, np.broadcast_to(cell, (5, 3, 3)), EXACT if suffix == "npz" else PRINTED)
    assert again.pbc.tolist() == [pbc] * 5


def test_atoms_outside_the_cell_stay_there(tmp_path):
    for far in (50 * 3.6, -1e-17, 1e6):
        arrays = crystal()
        arrays["R"][:, 0] += far
        assert_close(load(saved(tmp_path, arrays), units=UNITS).positions.reshape(5, 2, 3), arrays["R"], EXACT)


@pytest.mark.parametrize("suffix", ["npz", "extxyz"])
@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        (np.zeros((3, 3)), [True] * 3),
        (np.diag([3.6, 3.6, 0.0]), [True] * 3),
        (np.array([[1.0, 2, 3], [2, 4, 6], [0, 0, 1]]), [True, True, False]),
        (np.array([[1.0, 2, 3], [4, 5, 6], [5, 7, 9]]), [True] * 3),
        (np.diag([3.6, 0.0, 3.6]), [False, True, False]),
    ],
)
def test_singular_cells(tmp_path, suffix, cell, pbc):
    good = crystal(stress=None)
    cells = good["cell"].copy()
    cells[3] = cell
    if suffix == "npz":
        flags = np.array([[True] * 3] * 3 + [pbc] + [[True] * 3])
        file = saved(tmp_path, good | {"cell": cells, "pbc": flags})
    else:
        images = structures(5)
        images[3].set_cell(cell)
        images[3].pbc = pbc
        write(file := tmp_path / "data.extxyz", images)
    with pytest.raises(ValueError, match="cell of structure 3 is singular"):
        load(file, units=UNITS, stress_key="none")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", ["npz", "extxyz"])
@pytest.mark.parametrize("key", ["positions", "cells", "energy", "forces", "stress"])
def test_numbers_must_be_finite(tmp_path, suffix, key, bad):
    if suffix == "npz":
        arrays = crystal()
        name = {"positions": "R", "cells": "cell", "energy": "E", "forces": "F", "stress": "stress"}[key]
        arrays[name][(2, 1, 1)[: arrays[name].ndim]] = bad
        file = saved(tmp_path, arrays)
    else:
        images = structures()
        atoms = images[2]
        target = {"positions": atoms.positions, "cells": atoms.cell.array}.get(key)
        if target is not None:
            results = atoms.calc.results
            target[1, 1] = bad
            atoms.calc = type(atoms.calc)(atoms, **results)
        elif key == "energy":
            atoms.calc.results["energy"] = bad
        else:
            atoms.calc.results[key].flat[1] = bad
        write(file := tmp_path / "data.extxyz", images)
    with pytest.raises(ValueError, match=rf"{key} of structure 2(, atom \d)? is not finite"):
        load(file, units=UNITS)


@pytest.mark.parametrize("bad", [0, -29, 119, 2**40])
def test_atomic_numbers(tmp_path, bad):
    z = np.full((5, 2), 29)
    z[3, 0] = bad
    with pytest.raises(ValueError, match=r"Z is .* for atom 0 of structure 3; accepted|must fit into 32 bits"):
        load(saved(tmp_path, crystal(Z=z)), units=UNITS)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cell", np.ones(3), r"cell must have shape .*, got \(3,\)"),
        ("cell", np.ones((5, 3)), r"cell must have shape \(3, 3\), got \(5, 3\)"),
        ("cell", np.ones((5, 9)), r"cell must have shape \(3, 3\), got \(5, 9\)"),
        ("cell", np.ones((4, 3, 3)), r"cell must have shape \(5, 3, 3\), got \(4, 3, 3\)"),
        ("cell", np.ones((5, 3, 3), complex), r"cell must hold .*got dtype complex128"),
        ("cell", None, "array 'cell' is missing"),
        ("pbc", np.ones(2, bool), r"pbc must have shape \(3,\), got \(2,\)"),
        ("pbc", np.ones((4, 3), bool), r"pbc must have shape \(5, 3\), got \(4, 3\)"),
        ("pbc", np.full(3, 2), "pbc must hold booleans"),
        ("pbc", None, "array 'pbc' is missing"),
        ("stress", np.ones((5, 3)), r"stress must have shape \(5, 6\), got \(5, 3\)"),
        ("stress", np.ones((5, 9)), r"stress must have shape \(5, 6\), got \(5, 9\)"),
        ("stress", np.ones(6), r"stress must have shape \(5, 6\), got \(6,\)"),
        ("stress", np.ones((4, 6)), r"stress must have shape \(5, 6\), got \(4, 6\)"),
        ("stress", np.ones((4, 3, 3)), r"stress must have shape \(5, 3, 3\), got \(4, 3, 3\)"),
        ("stress", np.ones((5, 6), complex), r"stress must hold .*got dtype complex128"),
        ("R", np.zeros((5, 3, 2)), r"R must have shape \(n, n_atoms, 3\), got \(5, 3, 2\)"),
        ("R", np.zeros((10, 3)), r"R must have shape .*, got \(10, 3\)"),
        ("F", np.zeros((5, 3, 2)), r"F must have shape \(5, 2, 3\), got \(5, 3, 2\)"),
        ("E", np.zeros((5, 1)), r"E must have shape \(5,\), got \(5, 1\)"),
    ],
)
def test_wrong_arrays_are_named(tmp_path, key, value, message):
    with pytest.raises((ValueError, TypeError), match=message):
        load(saved(tmp_path, crystal(**{key: value})), units=UNITS)


@pytest.mark.parametrize("dtype", ["<f4", ">f8", ">f4", "f2", "i4", ">i2"])
def test_types_convert_exactly(tmp_path, dtype):
    arrays = crystal()
    arrays = {
        key: np.round(4 * value).astype(dtype) if value.dtype.kind == "f" else value for key, value in arrays.items()
    }
    dataset = load(saved(tmp_path, arrays), units=UNITS)
    for name, key in (("cells", "cell"), ("stress", "stress")):
        assert getattr(dataset, name).dtype == np.float64
        assert_close(getattr(dataset, name), arrays[key].astype(float), EXACT)


def test_objects_are_refused(tmp_path):
    for key in ("cell", "pbc", "stress", "charges", "uncertainty", "baseline"):
        file = saved(tmp_path, crystal(**{key: np.array([None] * 5)}))
        with pytest.raises(atomcore.AtomcoreError, match=f"'{key}' of data.npz cannot be read: Object arrays"):
            load(file, units=UNITS)


def test_strides_do_not_matter_and_input_is_left_alone():
    arrays = crystal()
    common = {
        "numbers": [29] * 10,
        "pbc": np.ones((5, 3), bool),
        "structure_ptr": 2 * np.arange(6),
        "positions": arrays["R"].reshape(10, 3),
    }
    expected = Dataset(cells=arrays["cell"], stress=arrays["stress"], **common)
    for change in (
        lambda x: np.asfortranarray(x),
        lambda x: x[::-1].copy()[::-1],
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: x.tolist(),
    ):
        cells, stress = change(arrays["cell"]), change(arrays["stress"])
        before = np.array(cells), np.array(stress)
        if isinstance(cells, np.ndarray):
            cells.flags.writeable = stress.flags.writeable = False
        dataset = Dataset(cells=cells, stress=stress, **common)
        assert dataset.sha256 == expected.sha256
        assert_close(cells, before[0], EXACT)
        assert_close(stress, before[1], EXACT)


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_labels_in_only_some_frames(tmp_path, label):
    images = structures()
    del images[1].calc.results[label]
    write(tmp_path / "c.extxyz", images)
    with pytest.raises(ValueError, match=rf"{label} is missing in structure 1 \(1 of 4.*without by {label}_key='none'"):
        load(tmp_path / "c.extxyz")
    without = load(tmp_path / "c.extxyz", **{f"{label}_key": "none"})
    assert set(without.labels) == {"energy", "forces", "stress"} - {label}


def test_damaged_npz_is_noticed(tmp_path):
    good = saved(tmp_path, crystal(), "good.npz")
    content, expected = good.read_bytes(), load(good, units=UNITS)
    rng = np.random.default_rng(52)
    bad = tmp_path / "bad.npz"
    for end in np.linspace(0, len(content) - 1, 20).astype(int):
        bad.write_bytes(content[:end])
        with pytest.raises(atomcore.AtomcoreError, match=r"bad\.npz"):
            load(bad, units=UNITS)
    for bit in rng.integers(0, 8 * len(content), 200):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << (bit % 8)
        bad.write_bytes(changed)
        try:
            dataset = load(bad, units=UNITS)
        except (atomcore.AtomcoreError, ValueError):
            continue
        assert dataset.sha256 == expected.sha256, f"bit {bit}"


# large total energies in single precision


def _assert_precisions_agree(dataset: Dataset, model, tmp_path):
    file = model.write(tmp_path / "m.atomcore")
    engines = [atomcore.Potential.load(file, precision=precision) for precision in ("float32", "float64")]
    per_atom = np.array([[engine.energy_forces(atoms)[0] / len(atoms) for atoms in dataset] for engine in engines])
    assert_close(per_atom[0] - per_atom[0, 0], per_atom[1] - per_atom[1, 0], FLOAT32_ENERGY)
    return per_atom[1]


def test_large_total_energies_of_copper(tmp_path):
    few = load(sample("copper")).subset([60, 61, 110, 111, 380])
    all_electron = -44630.0  # eV, of one atom: 32 of them leave single precision a tenth of an eV
    model = random_model(("Cu",), reference=(all_electron,))
    energies = _assert_precisions_agree(few, model, tmp_path)
    assert np.abs(energies - all_electron).max() < 100


def test_large_total_energies_of_water(tmp_path):
    dataset = load(shared_data("deepmd_water/deepmd_water.npz"), units=UNITS, index="::60")
    assert dataset.energy.max() < -2.9e4
    references = reference_energies(dataset)
    assert_close(references @ [128, 64], dataset.energy.mean(), Tolerance(1e-6, 0.0))
    _assert_precisions_agree(dataset, random_model(("H", "O"), reference=tuple(references)), tmp_path)


def test_same_in_memory(tmp_path):
    images = structures()
    write(tmp_path / "c.extxyz", images)
    dataset = from_atoms(images)
    assert_same(load(tmp_path / "c.extxyz"), dataset, PRINTED)
    assert_close(load(tmp_path / "c.extxyz").stress, dataset.stress, PRINTED)
