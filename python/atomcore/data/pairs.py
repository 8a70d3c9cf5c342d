"""Pairs of similar structures: how the energy changes between them, and what forces and stress say of it."""

from typing import NamedTuple

import numpy as np

from atomcore._voigt import VOIGT
from atomcore.data.dataset import Dataset

MIN_PAIRS = 10  # fewer tell nothing
_MAX_PAIRS = 200
# Between structures this close (Angstrom, root mean square over atoms after alignment) the work of the mean force is
# the energy difference to a few per cent.
_CLOSE = 0.25
_CLOSE_WITHOUT_FORCES = 0.01  # Angstrom; further the energy changes by more than the cell explains
_CLOSE_CELLS = 0.1  # strain
# Energy differences below this (eV) are lost in the rounding of large total energies.
_SMALLEST_CHANGE = 1e-3
_GROUPS, _MEMBERS, _ANCHORS = 100, 500, 8  # limits of the search for pairs
# The mean force gives the work within a tenth, or so, of how much it changes with the forces. Where that change is more
# than this times what is left for the strain, the rest does not measure it.
_MOST_DOUBT = 2.0
_UPRIGHT = 0.1  # largest element by which a rotation differs from none for stress to be compared by components
_STRAINED_MEMBERS, _STRAINED_ATOMS = 200, 2_000_000  # limits, of structures and of atoms in pairs of them


class Pairs(NamedTuple):
    """Distance (Angstrom), energy difference and work of the mean force (eV) of pairs of structures."""

    distance: np.ndarray
    energy: np.ndarray
    work: np.ndarray


class StrainedPairs(NamedTuple):
    """Pairs of structures with different cells.

    ``energy`` [m] is the difference of the energies without the work of the forces, in eV; ``doubt`` [m] by how much of
    it that work changes with the forces; ``stress`` [m, 6] the mean of volume times stress, as given; ``strain`` [m, 6]
    the strain from one to the other in ASE's order, shears twice; ``volume`` [m] in Angstrom^3.
    """

    energy: np.ndarray
    doubt: np.ndarray
    stress: np.ndarray
    strain: np.ndarray
    volume: np.ndarray


def robust_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Return the slope through the origin with the least sum of absolute deviations: a weighted median of y/x."""
    used = x != 0
    ratio, weight = y[used] / x[used], np.abs(x[used])
    order = np.argsort(ratio)
    total = np.cumsum(weight[order])
    return float(ratio[order][np.searchsorted(total, 0.5 * total[-1])])


def similar_pairs(dataset: Dataset) -> Pairs:
    """Return the closest pairs among the structures with the same atoms and cell."""
    groups: dict[bytes, list[int]] = {}
    for i, (start, stop) in enumerate(zip(dataset.structure_ptr[:-1], dataset.structure_ptr[1:], strict=True)):
        key = dataset.numbers[start:stop].tobytes() + dataset.relevant_cells[i].tobytes() + dataset.pbc[i].tobytes()
        groups.setdefault(key, []).append(i)
    several = [np.array(group) for group in groups.values() if len(group) > 1]
    found = [_pairs_of(dataset, group) for group in several[:: max(1, len(several) // _GROUPS)]]
    if not found:
        return Pairs(np.zeros(0), np.zeros(0), np.zeros(0))
    pairs = Pairs(*(np.concatenate(values) for values in zip(*found, strict=True)))
    change = np.maximum(np.abs(pairs.energy), np.abs(pairs.work))
    usable = np.flatnonzero((pairs.distance < _CLOSE) & (change > _SMALLEST_CHANGE))
    closest = usable[np.argsort(pairs.distance[usable])[:_MAX_PAIRS]]
    return Pairs(*(values[closest] for values in pairs))


def _pairs_of(dataset: Dataset, group: np.ndarray) -> Pairs:
    """Return candidate pairs of one group of structures with the same atoms and cell."""
    assert dataset.energy is not None
    assert dataset.forces is not None
    n_atoms = int(dataset.n_atoms[group[0]])
    # Evenly spaced structures and their successors, so that near frames of a trajectory stay together.
    step = max(1, len(group) // max(MIN_PAIRS, min(_MEMBERS, 1_000_000 // n_atoms)))
    first = np.arange(0, len(group), step)
    members = group[np.union1d(first, np.minimum(first + 1, len(group) - 1))]
    rows = dataset.structure_ptr[members][:, None] + np.arange(n_atoms)
    positions, forces, energy = dataset.positions[rows], dataset.forces[rows], dataset.energy[members]
    if dataset.pbc[group[0]].any():
        a, b = np.arange(len(members) - 1), np.arange(1, len(members))
        moved, turned = _periodic_displacement(positions[b] - positions[a], dataset.relevant_cells[group[0]]), forces[b]
    else:
        positions = positions - positions.mean(axis=1, keepdims=True)
        a, b = _nearest_by_shape(positions)
        rotation = _rotation(positions[b], positions[a])
        moved, turned = positions[b] @ rotation - positions[a], forces[b] @ rotation
    work = -0.5 * ((forces[a] + turned) * moved).sum(axis=(1, 2))
    return Pairs(np.sqrt((moved**2).sum(axis=(1, 2)) / n_atoms), energy[b] - energy[a], work)


def _nearest_by_shape(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs [m] of molecules [s, n, 3] whose distances to a few of their own atoms are most alike."""
    anchors = positions[:, :: max(1, positions.shape[1] // _ANCHORS)]
    shape = np.linalg.norm(positions[:, :, None] - anchors[:, None], axis=3).reshape(len(positions), -1)
    square = (shape**2).sum(axis=1)
    a, b = np.triu_indices(len(positions), 1)
    difference = (square[:, None] + square - 2.0 * shape @ shape.T)[a, b]
    kept = min(2 * _MAX_PAIRS, len(difference))
    nearest = np.argpartition(difference, kept - 1)[:kept]
    return a[nearest], b[nearest]


def _rotation(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Return the rotations q [m, 3, 3] for which moving @ q is closest to fixed; both are centered [m, n, 3]."""
    u, _, v = np.linalg.svd(np.swapaxes(moving, 1, 2) @ fixed)
    u[:, :, 2] *= np.sign(np.linalg.det(u @ v))[:, None]
    return u @ v


def _periodic_displacement(moved: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return displacements [m, n, 3] to the nearest images, without the drift of the whole."""
    # The pseudo-inverse leaves directions without periodicity (zero rows) alone.
    moved = moved - np.round(moved @ np.linalg.pinv(cell)) @ cell
    return moved - moved.mean(axis=1, keepdims=True)


def strained_pairs(dataset: Dataset) -> StrainedPairs:
    """Return the most similar pairs among crystals of the same atoms whose cells differ in shape or size."""
    groups: dict[bytes, list[int]] = {}
    for i in np.flatnonzero(dataset.pbc.all(axis=1)).tolist():
        rows = slice(dataset.structure_ptr[i], dataset.structure_ptr[i + 1])
        groups.setdefault(dataset.numbers[rows].tobytes(), []).append(i)
    several = [np.array(group) for group in groups.values() if len(group) > 1]
    found = [_strained(dataset, group) for group in several[:: max(1, len(several) // _GROUPS)]]
    if not found:
        return StrainedPairs(np.zeros(0), np.zeros(0), np.zeros((0, 6)), np.zeros((0, 6)), np.zeros(0))
    pairs = StrainedPairs(*(np.concatenate(values) for values in zip(*found, strict=True)))
    unlike = np.hypot(pairs.doubt / _MOST_DOUBT, np.linalg.norm(pairs.strain, axis=1) / _CLOSE_CELLS)
    best = np.argsort(unlike, kind="stable")[:_MAX_PAIRS]
    return StrainedPairs(*(values[best] for values in pairs))


def _strained(dataset: Dataset, group: np.ndarray) -> StrainedPairs:
    """Return the pairs of similar crystals of one group of structures with the same atoms."""
    assert dataset.energy is not None
    assert dataset.stress is not None
    n_atoms = int(dataset.n_atoms[group[0]])
    members = group[:: max(1, len(group) // _STRAINED_MEMBERS)]
    # All pairs of the members and, as near frames of a trajectory are alike in positions, too, all neighbors.
    pairs = np.concatenate([members[np.stack(np.triu_indices(len(members), 1))], [group[:-1], group[1:]]], axis=1)
    a, b = np.unique(pairs, axis=1)
    cells, turn, size = _without_rotation(dataset.cells[a], dataset.cells[b])
    near = np.flatnonzero((size > 1e-6) & (size < _CLOSE_CELLS))
    near = near[np.argsort(size[near], kind="stable")[: max(MIN_PAIRS, _STRAINED_ATOMS // n_atoms)]]
    a, b, cells, turn = a[near], b[near], cells[near], turn[near]
    middle = 0.5 * (dataset.cells[a] + cells)
    gradient = np.linalg.solve(middle, cells - dataset.cells[a])
    strain = 0.5 * (gradient + gradient.swapaxes(1, 2))
    rows_a, rows_b = (dataset.structure_ptr[i][:, None] + np.arange(n_atoms) for i in (a, b))
    moved = _fractional(dataset, rows_b, b) - _fractional(dataset, rows_a, a)
    moved -= moved[:, :1].copy()
    moved -= np.round(moved)
    moved = (moved - moved.mean(axis=1, keepdims=True)) @ middle
    energy, limit, bent = dataset.energy[b] - dataset.energy[a], _CLOSE_WITHOUT_FORCES, np.zeros(len(a))
    if dataset.forces is not None:
        first, last = dataset.forces[rows_a], dataset.forces[rows_b] @ turn
        energy, limit = energy + (0.5 * (first + last) * moved).sum(axis=(1, 2)), _CLOSE
        bent = np.abs(0.5 * ((last - first) * moved).sum(axis=(1, 2)))
    volume_a, volume_b = (np.abs(np.linalg.det(dataset.cells[i])) for i in (a, b))
    # Components are compared as they were given, so that their order can be judged: no rotation of the stress.
    upright = np.abs(turn - np.eye(3)).max(axis=(1, 2), initial=0.0) < _UPRIGHT
    stress = 0.5 * (volume_a[:, None] * dataset.stress[a] + volume_b[:, None] * dataset.stress[b])
    six = strain[:, *VOIGT] * [1, 1, 1, 2, 2, 2]
    distance = np.sqrt((moved**2).sum(axis=(1, 2)) / n_atoms)
    doubt = bent / np.maximum(np.abs(energy), _SMALLEST_CHANGE)
    kept = upright & (distance < limit) & (np.abs(energy) > _SMALLEST_CHANGE) & (doubt < _MOST_DOUBT)
    return StrainedPairs(*(values[kept] for values in (energy, doubt, stress, six, 0.5 * (volume_a + volume_b))))


def _without_rotation(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cells b [m, 3, 3] turned so that a is only stretched, the rotations, and the sizes of the strains."""
    u, stretch, v = np.linalg.svd(np.linalg.solve(a, b))
    turn = (u @ v).swapaxes(1, 2)
    return b @ turn, turn, np.linalg.norm(stretch - 1.0, axis=1)


def _fractional(dataset: Dataset, rows: np.ndarray, structures: np.ndarray) -> np.ndarray:
    """Return positions [m, n, 3] in units of the lattice vectors."""
    return dataset.positions[rows] @ np.linalg.inv(dataset.cells[structures])
