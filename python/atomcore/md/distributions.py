"""Radial distribution functions of trajectories."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore._arrays import as_integers
from atomcore.data.entities import Entities
from atomcore.neighbors import as_cutoff, neighbor_list

Float64 = npt.NDArray[np.float64]


def radial_distribution(
    frames: Iterable[Any],
    centres: str | Any,
    neighbours: str | Any,
    *,
    cutoff: float,
    width: float = 0.05,
    entities: Entities | None = None,
) -> tuple[Float64, Float64]:
    """Compute how dense neighbours are around centres, relative to their mean density.

    ``g(r) = n(r) V / (frames * pairs * 4/3 pi (r_2^3 - r_1^3))`` with the number n(r) of pairs in the shell from r_1 to
    r_2, all images counted, and V the mean volume.

    Parameters
    ----------
    frames : iterable of ase.Atoms
        Of the same atoms, each periodic in three directions.
    centres, neighbours : str or array_like of int
        The symbol of an element, or indices of atoms.
    cutoff : float
        Up to which distance, in Angstrom; it may be larger than the cell.
    width : float
        Of a shell in Angstrom; the last one ends at the cutoff or beyond.
    entities : Entities, optional
        Leaves out pairs of the same molecule.

    Returns
    -------
    r : ndarray, shape (n_shells,)
        Middles of the shells in Angstrom.
    g : ndarray, shape (n_shells,)

    Raises
    ------
    ValueError
        When there are no frames, one is not periodic in three directions or of other atoms, or there is no pair.
    """
    step = as_cutoff("width", width)
    edges = step * np.arange(int(np.ceil(as_cutoff("cutoff", cutoff) / step - 1e-9)) + 1)
    counts, volume, n_frames = np.zeros(len(edges) - 1), 0.0, 0
    numbers: npt.NDArray[Any] | None = None
    for s, atoms in enumerate(frames):
        if not np.all(atoms.pbc):
            raise ValueError(f"frame {s} has pbc {np.asarray(atoms.pbc)}; accepted: periodic in three directions")
        if numbers is None:
            numbers = np.array(atoms.numbers)
            around, what, ids, pairs = _selected(numbers, centres, neighbours, entities)
        if not np.array_equal(atoms.numbers, numbers):
            raise ValueError(f"frame {s} has other atoms than frame 0")
        i, j, d = neighbor_list("ijd", atoms, cutoff=float(edges[-1]))
        wanted = around[i] & what[j] & (ids[i] != ids[j])
        counts += np.histogram(d[wanted], edges)[0]
        volume += abs(np.linalg.det(np.asarray(atoms.cell)))
        n_frames += 1
    if n_frames == 0:
        raise ValueError("frames is empty; accepted: at least one structure")
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    return 0.5 * (edges[1:] + edges[:-1]), counts * (volume / n_frames) / (n_frames * pairs * shells)


def _selected(
    numbers: npt.NDArray[Any], centres: Any, neighbours: Any, entities: Entities | None
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.int64], int]:
    """Return masks of both kinds of atoms, what each atom belongs to, and the number of pairs."""
    around, what = _mask("centres", numbers, centres), _mask("neighbours", numbers, neighbours)
    if entities is not None and len(entities.atom) != len(numbers):
        raise ValueError(f"entities are those of {len(entities.atom)} atoms; the frames have {len(numbers)}")
    ids = np.arange(len(numbers)) if entities is None else entities.entity_ids
    size = ids.max(initial=-1) + 1
    mine, theirs = np.bincount(ids[around], minlength=size), np.bincount(ids[what], minlength=size)
    pairs = int(mine.sum() * theirs.sum() - (mine * theirs).sum())
    if pairs == 0:
        raise ValueError(f"centres {centres!r} and neighbours {neighbours!r} form no pair in the frames")
    return around, what, ids, pairs


def _mask(name: str, numbers: npt.NDArray[Any], chosen: Any) -> npt.NDArray[np.bool_]:
    if isinstance(chosen, str):
        from ase.data import atomic_numbers

        if chosen not in atomic_numbers:
            raise ValueError(f"{name} is {chosen!r}; accepted: the symbol of an element, or indices")
        return np.asarray(numbers == atomic_numbers[chosen])
    indices = as_integers(name, chosen, ("n",))
    if indices.size and not 0 <= indices.min() <= indices.max() < len(numbers):
        raise ValueError(f"{name} has {indices.min()} to {indices.max()}; accepted: 0 to {len(numbers) - 1}")
    mask = np.zeros(len(numbers), bool)
    mask[indices] = True
    return mask
