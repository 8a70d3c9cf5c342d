"""Checks of the content of data sets: errors name the array, the structure and the atom."""

import numpy as np

from atomcore._arrays import LARGEST_NUMBER


def check_numbers(numbers: np.ndarray, structure_ptr: np.ndarray) -> None:
    """Raise unless every atomic number belongs to an element."""
    wrong = np.flatnonzero((numbers < 1) | (numbers > LARGEST_NUMBER))
    if wrong.size:
        where = structure_of(wrong[0], structure_ptr)
        raise ValueError(
            f"Z is {numbers[wrong[0]]} for atom {wrong[0] - structure_ptr[where]} of structure {where}; "
            f"accepted: atomic numbers from 1 to {LARGEST_NUMBER} (0 only as padding at the end of a row)"
        )


def check_finite(name: str, values: np.ndarray, structure_ptr: np.ndarray | None = None) -> None:
    """Raise when a row is not finite; rows are structures, or atoms when ``structure_ptr`` [n+1] is given."""
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if finite.all():
        return
    row = int(np.argmin(finite))
    atom, where = "", row
    if structure_ptr is not None:
        where = structure_of(row, structure_ptr)
        atom = f", atom {row - structure_ptr[where]}"
    raise ValueError(f"{name} of structure {where}{atom} is not finite: {values[row].tolist()}")


def check_cells(cells: np.ndarray, pbc: np.ndarray) -> None:
    """Raise unless the lattice vectors of the periodic directions are linearly independent in every structure."""
    periodic = np.flatnonzero(pbc.any(axis=1))
    vectors = np.where(pbc[periodic, :, None], cells[periodic], 0.0)
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    # Unit vectors, so that a needle or a thin slab is not taken for a singular cell.
    rank = np.linalg.matrix_rank(vectors / np.where(lengths > 0, lengths, 1.0), tol=1e-10)
    singular = np.flatnonzero(rank < pbc[periodic].sum(axis=1))
    if singular.size:
        where = periodic[singular[0]]
        raise ValueError(
            f"cell of structure {where} is singular: {cells[where].tolist()} with pbc {pbc[where].tolist()}; "
            "the lattice vectors of the periodic directions must be linearly independent"
        )


def check_periodic(name: str, pbc: np.ndarray) -> None:
    """Raise unless every structure is periodic in three directions, as the label ``name`` needs."""
    open_ones = np.flatnonzero(~pbc.all(axis=1))
    if open_ones.size:
        where = open_ones[0]
        raise ValueError(
            f"{name} is given, but structure {where} has pbc {pbc[where].tolist()} ({open_ones.size} of {len(pbc)} are "
            f"not periodic in three directions); do without by {name}_key='none'"
        )


def check_positive(name: str, values: np.ndarray) -> None:
    """Raise unless the value of every structure is above zero."""
    wrong = np.flatnonzero(values <= 0)
    if wrong.size:
        raise ValueError(
            f"{name} of structure {wrong[0]} is {values[wrong[0]]}; accepted: numbers above 0; do without by "
            f"{name}_key='none'"
        )


def structure_of(atom: int, structure_ptr: np.ndarray) -> int:
    """Return the index of the structure that owns the row ``atom`` of the flat arrays."""
    return int(np.searchsorted(structure_ptr, atom, side="right")) - 1
