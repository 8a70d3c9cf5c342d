"""What users hand in, as the arrays the core reads: converted exactly, or refused with the argument's name.

Whether the numbers make sense (finite positions, a cell that spans space) is checked once, by the core.
"""

import operator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from atomcore import _core

LARGEST_NUMBER = 118  # oganesson
COINCIDENT = 1e-6  # Angstrom; closer atoms are an error, as in the engine
_EXACT_INTEGER = 2**53  # up to here a float64 holds every integer


class Geometry(NamedTuple):
    """Where the atoms of a structure are. The arrays may share memory with the input: never write to them."""

    positions: npt.NDArray[np.float64]  # [N, 3], Angstrom
    cell: npt.NDArray[np.float64]  # [3, 3], Angstrom, lattice vectors as rows
    pbc: npt.NDArray[np.bool_]  # [3]


class Structure(NamedTuple):
    """A geometry and the atomic numbers. The arrays may share memory with the input: never write to them."""

    positions: npt.NDArray[np.float64]  # [N, 3], Angstrom
    cell: npt.NDArray[np.float64]  # [3, 3], Angstrom, lattice vectors as rows
    pbc: npt.NDArray[np.bool_]  # [3]
    numbers: npt.NDArray[np.int32]  # [N]


def as_geometry(atoms: Any) -> Geometry:
    """Read positions, cell and periodicity.

    Parameters
    ----------
    atoms
        An ``ase.Atoms`` or anything else with ``positions`` [N, 3], ``cell`` [3, 3] and ``pbc`` [3].

    Returns
    -------
    Geometry
        C-contiguous arrays in native byte order. Input of any other real dtype, byte order or memory layout is
        converted exactly and never changed.

    Raises
    ------
    TypeError
        An attribute is missing or does not hold real numbers.
    ValueError
        An array has the wrong shape, or values that float64 cannot hold exactly.
    """
    try:
        positions, cell, pbc = atoms.positions, atoms.cell, atoms.pbc
    except AttributeError:
        positions, cell, pbc = (_attribute(atoms, name) for name in Geometry._fields)
    cell = getattr(cell, "array", cell)  # an ase.cell.Cell takes a microsecond to become one by itself
    if _core.is_plain(positions, cell, pbc):
        return Geometry(positions, cell, pbc)
    return Geometry(
        as_float64("positions", positions, ("N", 3)),
        as_float64("cell", cell, (3, 3)),
        as_booleans("pbc", pbc, (3,)),
    )


def as_structure(atoms: Any) -> Structure:
    """Read a geometry and the atomic numbers of its atoms: ``as_geometry`` for things that also have ``numbers`` [N].

    The numbers are integers of any kind; whether they name elements is the business of ``check_numbers``.
    """
    geometry = as_geometry(atoms)
    numbers = as_integers("numbers", _attribute(atoms, "numbers"), (len(geometry.positions),), np.int32)
    return Structure(*geometry, numbers)


def check_edge_vectors(
    D: npt.NDArray[np.floating], row_ptr: npt.NDArray[np.int64], neighbor: npt.NDArray[np.int64]
) -> None:
    """Raise a ValueError for edge vectors [P, 3] that are not finite or join coincident atoms, naming the two atoms."""
    squared = np.einsum("px,px->p", D, D)
    wrong = ~((squared >= COINCIDENT**2) & np.isfinite(squared))  # a NaN is wrong, too
    if wrong.any():
        edge = int(wrong.argmax())
        centre = int(np.searchsorted(row_ptr, edge, side="right")) - 1
        pair = f"atoms {centre} and {int(neighbor[edge])}"
        if np.isfinite(squared[edge]):
            raise ValueError(f"{pair} are at the same place (less than {COINCIDENT} Angstrom apart)")
        raise ValueError(f"D must be finite, got {D[edge].tolist()} between {pair}")


def check_numbers(numbers: npt.NDArray[np.integer]) -> None:
    """Raise a ValueError that lists atomic numbers outside 1 to 118 and the first atom that has one."""
    wrong = (numbers < 1) | (numbers > LARGEST_NUMBER)
    if wrong.any():
        found = ", ".join(str(z) for z in np.unique(numbers[wrong])[:10])
        raise ValueError(
            f"numbers must be atomic numbers from 1 to {LARGEST_NUMBER}, got {found} (first at index {wrong.argmax()})"
        )


def as_float64(name: str, value: Any, shape: tuple[int | str, ...]) -> npt.NDArray[np.float64]:
    """Convert real numbers to a contiguous float64 array of ``shape``, exactly or not at all.

    A string in ``shape`` stands for any length and is its name in errors.
    """
    array = _as_array(name, value, "fiu", "real numbers", shape)
    converted = np.asarray(array, dtype=np.float64, order="C")
    if array.dtype.kind in "iu":
        exact = array.size == 0 or (array.min() >= -_EXACT_INTEGER and array.max() <= _EXACT_INTEGER)
    else:  # only a type wider than float64 can lose something
        exact = array.dtype.itemsize <= 8 or np.array_equal(converted, array, equal_nan=True)
    if not exact:
        raise ValueError(f"{name} has {array.dtype} values that float64 cannot hold exactly; round them first")
    return converted


def as_integers(name: str, value: Any, shape: tuple[int | str, ...], dtype: type = np.int64) -> npt.NDArray[Any]:
    """Convert integers to a contiguous array of ``dtype`` and ``shape``, exactly or not at all."""
    array = _as_array(name, value, "iu", "integers", shape)
    limits = np.iinfo(dtype)
    if array.size and not (array.min() >= limits.min and array.max() <= limits.max):
        raise ValueError(f"{name} must fit into {limits.bits} bits, got values from {array.min()} to {array.max()}")
    return np.asarray(array, dtype=dtype, order="C")


def as_booleans(name: str, value: Any, shape: tuple[int | str, ...]) -> npt.NDArray[np.bool_]:
    """Convert flags, booleans or 0 and 1, to a contiguous boolean array of ``shape``."""
    array = _as_array(name, value, "biu", "booleans", shape)
    if array.dtype.kind != "b" and not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} must hold booleans or 0 and 1, got {array.ravel()[:10].tolist()}")
    return np.asarray(array, dtype=np.bool_, order="C")


def whole_number(name: str, value: Any, minimum: int) -> int:
    """Return ``value`` as an int that is at least ``minimum``."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < minimum:
        raise ValueError(f"{name} is {value!r}; accepted: whole numbers from {minimum}")
    return number


def as_plain(value: Any) -> Any:
    """Return a NumPy scalar as the Python number it stands for, which JSON and checkpoints can hold."""
    return value.item() if isinstance(value, np.generic) else value


def _attribute(atoms: Any, name: str) -> Any:
    try:
        return getattr(atoms, name)
    except AttributeError:
        raise TypeError(
            f"atoms must have an attribute {name!r}, as ase.Atoms has; got {type(atoms).__name__}"
        ) from None


def _as_array(name: str, value: Any, kinds: str, accepted: str, shape: tuple[int | str, ...]) -> npt.NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError as error:  # nested lists of different lengths
        raise ValueError(f"{name} must be a rectangular array of {accepted}: {error}") from None
    except (TypeError, RuntimeError) as error:  # a torch tensor on a GPU, or one that carries a gradient
        raise TypeError(f"{name} must be convertible to a numpy array of {accepted}: {error}") from None
    if array.size and array.dtype.kind not in kinds:
        raise TypeError(f"{name} must hold {accepted}, got dtype {array.dtype}")
    if array.ndim != len(shape) or any(n != m for n, m in zip(shape, array.shape, strict=True) if isinstance(n, int)):
        expected = str(shape).replace("'", "")
        raise ValueError(f"{name} must have shape {expected}, got {array.shape}")
    return array
