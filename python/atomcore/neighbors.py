"""Neighbour lists in any cell.

The lists are full (both directions of every pair), sorted by centre and then by neighbour and shift, and hold
every pair with a distance strictly below the cutoff: images of other atoms, images of the atom itself, and atoms that
coincide. Cells may be smaller than the cutoff, skewed, left-handed or missing; axes without periodicity do not wrap,
whatever their lattice vectors are.
"""

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore import _core
from atomcore._arrays import as_geometry
from atomcore._threads import resolve_threads

_WORTH_A_THREAD = 400  # atoms; finding out how many threads there may be takes as long as searching a few


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
        An ``ase.Atoms`` or anything else with ``positions`` [N, 3], ``cell`` [3, 3] (Angstrom) and ``pbc`` [3]; or a
        list or tuple of them, which costs less than one call for each. The pairs of a batch come one structure after
        the other, and ``i`` and ``j`` count the atoms of the whole batch.
    cutoff : float
        In Angstrom. Pairs at exactly this distance are left out.
    threads : int, optional
        ``OMP_NUM_THREADS``, or all processors, by default. The result does not depend on it.

    Returns
    -------
    array or tuple of arrays
        One array for one letter, otherwise a tuple; pairs sorted by (i, j, S). Arrays of 64 KiB and more lie on memory
        that returns to a pool when they are deleted: later calls use it again, which is several times faster than fresh
        memory. The pool keeps 1 GiB at most.

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

    The pairs of a batch, structure by structure:

    >>> import numpy as np
    >>> batch = [molecule("H2O"), molecule("CO2")]
    >>> i, d = neighbor_list("id", batch, cutoff=1.2)
    >>> ends = np.searchsorted(i, np.cumsum([len(atoms) for atoms in batch]))
    >>> [len(part) for part in np.split(d, ends[:-1])]
    [4, 4]
    """
    if not isinstance(quantities, str):
        raise TypeError(f"quantities must be a string of the letters 'ijSDd', got {quantities!r}")
    length = as_cutoff("cutoff", cutoff)
    pointer = None
    if isinstance(atoms, list | tuple):
        positions, cells, pbc, pointer = _core.gather(atoms, as_geometry)
    else:
        positions, cells, pbc = as_geometry(atoms)
    few = threads is None and len(positions) < _WORTH_A_THREAD
    return _core.pairs(quantities, positions, cells, pbc, pointer, length, 1 if few else resolve_threads(threads))


class NeighborList:
    """A neighbour list that follows moving atoms.

    The search reaches ``skin`` beyond the cutoff. As long as no pair can have come within the cutoff that was not
    found, ``update`` only measures the pairs again: no atom has moved by half the skin since, against the cell, which
    may change (what it shrinks by is taken off the skin). Atoms may jump by lattice vectors at any time. Either way the
    list afterwards holds exactly the pairs that a fresh search finds. It does not depend on the atomic numbers.
    Updates in several threads wait for one another.

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
    d : array [P], float64
        Distances in Angstrom.

    The arrays are read-only, and an update replaces them: those taken before keep their values. Updates from several
    threads wait for one another.
    """

    row_ptr: npt.NDArray[np.int64]
    neighbor: npt.NDArray[np.int64]
    shift: npt.NDArray[np.int32]
    D: npt.NDArray[np.float64]
    d: npt.NDArray[np.float64]

    def __init__(self, cutoff: float, skin: float = 0.0, *, threads: int | None = None) -> None:
        self.cutoff = as_cutoff("cutoff", cutoff)
        self.skin = as_cutoff("skin", skin, zero=True)
        self._threads = resolve_threads(threads)
        self._list = _core.VerletList(self.cutoff, self.skin)
        self._lock = threading.Lock()  # the core lets go of the interpreter's, and has no other
        self._publish()

    def update(self, atoms: Any) -> bool:
        """Bring the list up to the present positions.

        Parameters
        ----------
        atoms
            One structure, as for ``neighbor_list``.

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
        with self._lock:
            rebuilt = self._list.update(*geometry, self._threads)
            self._publish()
        return rebuilt

    def _publish(self) -> None:
        row_ptr, neighbor, shift, D, d = self._list.near(self._threads)
        n = row_ptr[-1]
        self.row_ptr, self.neighbor, self.shift, self.D, self.d = row_ptr, neighbor[:n], shift[:n], D[:n], d[:n]
        for array in (self.row_ptr, self.neighbor, self.shift, self.D, self.d):
            array.flags.writeable = False


def as_cutoff(name: str, value: float, *, zero: bool = False) -> float:
    """Return a length in Angstrom as a float: positive (or zero, where allowed) and finite."""
    if type(value) is float and 0.0 < value < math.inf:
        return value
    if isinstance(value, bool | np.bool_ | str) or np.ndim(value) != 0:
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        length = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not (0.0 < length < math.inf or (zero and length == 0.0)):
        raise ValueError(f"{name} must be {'zero or ' if zero else ''}positive and finite, got {length!r}")
    return length
