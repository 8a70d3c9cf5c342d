"""Data sets as GDML sees them: one molecule, many geometries."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from atomcore._arrays import LARGEST_NUMBER
from atomcore.data import Dataset

Float64 = npt.NDArray[np.float64]

_SAME_CELL = 1e-8  # Angstrom


class Geometries(NamedTuple):
    """Geometries of one molecule."""

    numbers: npt.NDArray[np.int32]  # [N]
    positions: Float64  # [M, N, 3], Angstrom
    lattice: Float64 | None  # [3, 3], Angstrom, lattice vectors as rows


def geometries(dataset: Dataset) -> Geometries:
    """Return the structures of a data set as geometries of one molecule, or in one cell.

    Raises
    ------
    ValueError
        When there are none, or a structure has other elements, another order of them or another cell than the first.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"dataset is {type(dataset).__name__}; accepted: a Dataset (atomcore.data.from_atoms makes one)"
        )
    if not len(dataset):
        raise ValueError("dataset has no structures; accepted: at least one")
    n = int(dataset.n_atoms[0])
    numbers = dataset.numbers[:n]
    if n < 2:
        raise ValueError("dataset has structures of one atom; accepted: two atoms or more, GDML knows distances only")
    for s, size in enumerate(dataset.n_atoms):
        own = dataset.numbers[dataset.structure_ptr[s] : dataset.structure_ptr[s + 1]]
        if size != n or not np.array_equal(own, numbers):
            raise ValueError(
                f"dataset has other atoms in structure {s} than in structure 0: {other_atoms(own, numbers)}"
            )
    lattice = _lattice(dataset.pbc[0], dataset.cells[0])
    for s in range(1, len(dataset)):
        check_lattice(f"structure {s} of dataset", dataset.pbc[s], dataset.cells[s], lattice)
    return Geometries(numbers, dataset.positions.reshape(-1, n, 3), lattice)


def other_atoms(numbers: npt.NDArray[np.integer], expected: npt.NDArray[np.integer]) -> str:
    """Say in words where the atoms of a structure differ from those of the model."""
    from ase.data import chemical_symbols

    if len(numbers) != len(expected):
        return f"{len(numbers)} atoms; accepted: {len(expected)}"
    first = int(np.flatnonzero(numbers != expected)[0])
    order = ", and the same in another order" if np.array_equal(np.sort(numbers), np.sort(expected)) else ""
    found, wanted = int(numbers[first]), chemical_symbols[expected[first]]
    name = chemical_symbols[found] if 1 <= found <= LARGEST_NUMBER else f"the atomic number {found}"
    return f"atom {first} is {name}{order}; accepted: {wanted} there"


def _lattice(pbc: npt.NDArray[np.bool_], cell: Float64) -> Float64 | None:
    if not pbc.any():
        return None
    if not pbc.all():
        raise ValueError(f"pbc is {pbc.tolist()}; accepted by GDML: periodic in all directions, or in none")
    return np.array(cell)


def check_lattice(name: str, pbc: npt.NDArray[np.bool_], cell: Float64, lattice: Float64 | None) -> None:
    """Raise unless a structure is periodic exactly if the model is, and in the same cell."""
    own = _lattice(pbc, cell)
    if (own is None) != (lattice is None):
        have, need = ("no cell", "a periodic cell") if own is None else ("a periodic cell", "none")
        raise ValueError(f"{name} has {have}; accepted: {need}, as in training")
    if own is not None and lattice is not None and np.abs(own - lattice).max() > _SAME_CELL:
        raise ValueError(f"{name} has the cell {own.tolist()}; accepted: that of training, {lattice.tolist()}")


def labels(dataset: Dataset, energies: str | None) -> tuple[Float64 | None, Float64]:
    """Return energies [M], if they are wanted, and forces [M, N, 3], or raise where they are missing."""
    if dataset.forces is None:
        raise ValueError("dataset has no forces; accepted: data sets with forces, GDML is trained on them")
    if energies is not None and dataset.energy is None:
        raise ValueError(f"energies is {energies!r}, but dataset has none; accepted without them: energies=None")
    energy = None if energies is None else dataset.energy
    return energy, dataset.forces.reshape(len(dataset), -1, 3)


def as_geometries(structures: Any, numbers: npt.NDArray[np.int32], lattice: Float64 | None) -> Float64:
    """Return the positions [n, N, 3] of a data set, of ASE Atoms or of several, which must be the known molecule."""
    from atomcore._arrays import as_structure

    if isinstance(structures, Dataset):
        if not len(structures):
            return np.empty((0, len(numbers), 3))
        found = geometries(structures)
        if not np.array_equal(found.numbers, numbers):
            raise ValueError(f"structures has other atoms than the model: {other_atoms(found.numbers, numbers)}")
        check_lattice("structures", structures.pbc[0], structures.cells[0], lattice)
        return found.positions
    several = [structures] if hasattr(structures, "positions") else list(structures)
    positions = np.empty((len(several), len(numbers), 3))
    for s, atoms in enumerate(several):
        own = as_structure(atoms)
        if not np.array_equal(own.numbers, numbers):
            raise ValueError(f"structure {s} has other atoms than the model: {other_atoms(own.numbers, numbers)}")
        check_lattice(f"structure {s}", own.pbc, own.cell, lattice)
        if not np.isfinite(own.positions).all():
            raise ValueError(f"structure {s} has positions that are not finite")
        positions[s] = own.positions
    return positions
