"""Checks of arrays that come from outside: exact conversion or an error that names the array."""

import operator
from typing import Any

import numpy as np

MAX_ATOMIC_NUMBER = 118


def float_array(name: str, value: Any, shape: tuple[int | str, ...]) -> np.ndarray:
    """Return a new float64 array with -0.0 turned into 0.0.

    Parameters
    ----------
    name : str
        What errors call the array.
    value : array_like
        Floats of at most 64 bits or integers, of any byte order and strides.
    shape : tuple
        Expected sizes; a string stands for any size and is its name in errors.

    Raises
    ------
    TypeError
        When the numbers cannot be converted exactly (objects, strings, complex or extended precision).
    ValueError
        When the shape is another one.
    """
    array = _array(name, value)
    if array.dtype.kind not in "fiu" or not np.can_cast(array.dtype, np.float64, casting="safe"):
        raise TypeError(f"{name} has dtype {array.dtype}; accepted: real floats of at most 64 bits and integers")
    _check_shape(name, array, shape)
    return array.astype(np.float64, order="C") + 0.0


def int_array(name: str, value: Any, shape: tuple[int | str, ...], dtype: type = np.int64) -> np.ndarray:
    """Return a new integer array, checked like :func:`float_array`; booleans and floats are refused."""
    array = _array(name, value)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {array.dtype}; accepted: integers")
    _check_shape(name, array, shape)
    limits = np.iinfo(dtype)
    if array.size and (int(array.min()) < limits.min or int(array.max()) > limits.max):
        raise ValueError(f"{name} has values from {array.min()} to {array.max()}, which do not fit into {limits.dtype}")
    return array.astype(dtype, order="C")


def bool_array(name: str, value: Any, shape: tuple[int | str, ...]) -> np.ndarray:
    """Return a new boolean array from booleans or from integers that are 0 or 1."""
    array = _array(name, value)
    if array.dtype.kind != "b" and not (array.dtype.kind in "iu" and np.isin(array, (0, 1)).all()):
        raise TypeError(f"{name} has dtype {array.dtype}; accepted: booleans, or integers that are 0 or 1")
    _check_shape(name, array, shape)
    return array.astype(bool, order="C")


def whole_number(name: str, value: Any, minimum: int) -> int:
    """Return ``value`` as an int that is at least ``minimum``."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < minimum:
        raise ValueError(f"{name} is {value!r}; accepted: whole numbers from {minimum}")
    return number


def check_numbers(numbers: np.ndarray, structure_ptr: np.ndarray) -> None:
    """Raise unless every atomic number belongs to an element."""
    wrong = np.flatnonzero((numbers < 1) | (numbers > MAX_ATOMIC_NUMBER))
    if wrong.size:
        where = structure_of(wrong[0], structure_ptr)
        raise ValueError(
            f"Z is {numbers[wrong[0]]} for atom {wrong[0] - structure_ptr[where]} of structure {where}; "
            f"accepted: atomic numbers from 1 to {MAX_ATOMIC_NUMBER} (0 only as padding at the end of a row)"
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


def structure_of(atom: int, structure_ptr: np.ndarray) -> int:
    """Return the index of the structure that owns the row ``atom`` of the flat arrays."""
    return int(np.searchsorted(structure_ptr, atom, side="right")) - 1


def _array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is ragged: {error}") from None


def _check_shape(name: str, array: np.ndarray, shape: tuple[int | str, ...]) -> None:
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or size == want for size, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        expected = ", ".join(str(want) for want in shape) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{name} has shape {array.shape}; expected ({expected})")
