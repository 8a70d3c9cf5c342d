"""Neighbour lists in any cell.

The lists are full (both directions of every pair), sorted by centre and then by neighbour and shift, and hold
every pair with a distance strictly below the cutoff: images of other atoms, images of the atom itself, and atoms that
coincide. Cells may be smaller than the cutoff, skewed, left-handed or missing; axes without periodicity do not wrap,
whatever their lattice vectors are.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore import _core
from atomcore._arrays import Geometry, as_geometry
from atomcore._threads import resolve_threads

_Csr = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]  # row_ptr, neighbor, shift


def neighbor_list(
    quantities: str, atoms: Any, cutoff: float, *, threads: int | None = None
) -> npt.NDArray[Any] | tuple[npt.NDArray[Any], ...]:
    """Find all pairs of atoms that are closer than a cutoff.

    Parameters
    ----------
    quantities : str
        What to return, one letter each, in this order of return: ``i`` centre [P] int64, ``j`` neighbour [P] int64,
        ``S`` shift [P, 3] int32 in lattice vectors, ``D`` vector [P, 3] float64 in Angstrom from centre to neighbour,
        ``d`` distance [P] float64 in Angstrom. ``D = positions[j] - positions[i] + S @ cell``, with the positions as
        they are: nothing is wrapped.
    atoms
        An ``ase.Atoms`` or anything else with ``positions`` [N, 3], ``cell`` [3, 3] (Angstrom) and ``pbc`` [3].
    cutoff : float
        In Angstrom. Pairs at exactly this distance are left out.
    threads : int, optional
        ``OMP_NUM_THREADS``, or all processors, by default. The result does not depend on it.

    Returns
    -------
    array or tuple of arrays
        One array for one letter, otherwise a tuple; pairs sorted by (i, j, S).

    Raises
    ------
    ValueError
        An unknown letter, arrays of wrong shape, positions or cell not finite, periodic lattice vectors that do not
        span space, a cutoff that is not positive and finite.
    TypeError
        An argument of the wrong kind.
    MemoryError
        More than 2^31 - 1 pairs, or more than this machine's memory holds.

    Examples
    --------
    >>> from ase.build import molecule
    >>> i, j, d = neighbor_list("ijd", molecule("H2O"), cutoff=1.2)
    >>> list(zip(i.tolist(), j.tolist()))
    [(0, 1), (0, 2), (1, 0), (2, 0)]
    """
    _check_quantities(quantities)
    geometry, n_threads = as_geometry(atoms), resolve_threads(threads)
    csr = _search(geometry, as_cutoff("cutoff", cutoff), n_threads)
    row_ptr, neighbor, shift = csr
    found: dict[str, npt.NDArray[Any]] = {"j": neighbor, "S": shift}
    if "i" in quantities:
        found["i"] = np.repeat(np.arange(len(row_ptr) - 1), np.diff(row_ptr))
    if "D" in quantities or "d" in quantities:
        found["D"] = _edge_vectors(geometry, csr, n_threads)
    if "d" in quantities:
        found["d"] = _lengths(found["D"])
    result = tuple(found[letter] for letter in quantities)
    return result[0] if len(result) == 1 else result


class NeighborList:
    """A neighbour list that follows moving atoms.

    The search reaches ``skin`` beyond the cutoff. As long as no atom has moved further than half the skin since, and
    cell, periodicity and the number of atoms are the same, ``update`` only measures the pairs again. Either way the
    list afterwards holds exactly the pairs that a fresh search finds. Atoms that jump by a lattice vector have moved.
    The list does not depend on the atomic numbers.

    Parameters
    ----------
    cutoff : float
        In Angstrom; pairs at exactly this distance are left out.
    skin : float
        In Angstrom. 0 searches anew whenever an atom moves.
    threads : int, optional
        As for ``neighbor_list``.

    Attributes
    ----------
    row_ptr : array [N + 1], int64
        The edges of centre ``i`` are ``row_ptr[i]`` to ``row_ptr[i + 1]``.
    neighbor : array [P], int64
    shift : array [P, 3], int32
    D : array [P, 3], float64
        Edge vectors of the current positions in Angstrom, ``positions[j] - positions[i] + shift @ cell``.

    The arrays are read-only, and an update replaces them: those taken before keep their values.
    """

    row_ptr: npt.NDArray[np.int64]
    neighbor: npt.NDArray[np.int64]
    shift: npt.NDArray[np.int32]
    D: npt.NDArray[np.float64]

    def __init__(self, cutoff: float, skin: float = 0.0, *, threads: int | None = None) -> None:
        self.cutoff = as_cutoff("cutoff", cutoff)
        self.skin = as_cutoff("skin", skin, zero=True)
        self._threads = resolve_threads(threads)
        self._built: Geometry | None = None
        self._found: _Csr = np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros((0, 3), np.int32)
        self._allowance = 0.0
        self._publish(*self._found, np.zeros((0, 3)))

    def update(self, atoms: Any) -> bool:
        """Bring the list up to the present positions.

        Parameters
        ----------
        atoms
            As for ``neighbor_list``.

        Returns
        -------
        bool
            Whether the pairs were searched anew.

        Raises
        ------
        ValueError, TypeError, MemoryError
            As ``neighbor_list``; the list is then as before.
        """
        geometry = as_geometry(atoms)
        rebuild = not self._holds(geometry)
        found = _search(geometry, self.cutoff + self.skin, self._threads) if rebuild else self._found
        D = _edge_vectors(geometry, found, self._threads)
        if rebuild:
            self._built = Geometry(geometry.positions.copy(), geometry.cell.copy(), geometry.pbc.copy())
            self._found = found
            self._allowance = self.skin - self._rounding()
        row_ptr, neighbor, shift = found
        if self.skin > 0:
            near = _lengths(D) < self.cutoff
            row_ptr = np.concatenate(([0], np.cumsum(near)))[row_ptr]
            neighbor, shift, D = neighbor[near], shift[near], D[near]
        self._publish(row_ptr, neighbor, shift, D)
        return rebuild

    def _holds(self, geometry: Geometry) -> bool:
        """Whether every pair within the cutoff is among those found: two atoms approach by twice the longest move."""
        built = self._built
        if built is None or built.positions.shape != geometry.positions.shape:
            return False
        if not (np.array_equal(built.cell, geometry.cell) and np.array_equal(built.pbc, geometry.pbc)):
            return False
        moved = _lengths(geometry.positions - built.positions).max(initial=0.0)
        return bool(moved == 0.0 or 2.0 * moved <= self._allowance)  # false for NaN, which the search then reports

    def _rounding(self) -> float:
        """How much the distance of a pair may be off by rounding, so that the skin test errs on the safe side."""
        assert self._built is not None
        farthest = np.abs(self._built.positions).max(initial=0.0) + self.skin
        shifts = np.abs(self._found[2]).max(axis=0, initial=0)
        return float(64 * np.finfo(float).eps * (farthest + self.cutoff + shifts @ _lengths(self._built.cell)))

    def _publish(self, *arrays: npt.NDArray[Any]) -> None:
        for array in arrays:
            array.flags.writeable = False
        self.row_ptr, self.neighbor, self.shift, self.D = arrays


def as_cutoff(name: str, value: float, *, zero: bool = False) -> float:
    """Return a length in Angstrom as a float: positive (or zero, where allowed) and finite."""
    if isinstance(value, bool | np.bool_ | str) or np.ndim(value) != 0:
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        length = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not (0.0 < length < math.inf or (zero and length == 0.0)):
        raise ValueError(f"{name} must be {'zero or ' if zero else ''}positive and finite, got {length!r}")
    return length


def _check_quantities(quantities: str) -> None:
    if not isinstance(quantities, str):
        raise TypeError(f"quantities must be a string of the letters 'ijSDd', got {quantities!r}")
    unknown = sorted(set(quantities) - set("ijSDd"))
    if unknown or not quantities:
        what = ", ".join(repr(letter) for letter in unknown) or "an empty string"
        raise ValueError(f"quantities must be letters of 'ijSDd', got {what}")


def _search(geometry: Geometry, cutoff: float, threads: int) -> _Csr:
    pbc = geometry.pbc.view(np.uint8)[None]
    return _core.neighbor_list(geometry.positions, geometry.cell[None], pbc, _one(geometry), cutoff, threads)


def _edge_vectors(geometry: Geometry, csr: _Csr, threads: int) -> npt.NDArray[np.float64]:
    return _core.edge_vectors(geometry.positions, geometry.cell[None], _one(geometry), *csr, threads)


def _one(geometry: Geometry) -> npt.NDArray[np.int64]:
    """Return the structure_ptr of a batch of one."""
    return np.array([0, len(geometry.positions)], np.int64)


def _lengths(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return lengths with the arithmetic of the search, so that every listed distance is below the cutoff."""
    x, y, z = vectors.T
    return np.sqrt(x * x + y * y + z * z)
