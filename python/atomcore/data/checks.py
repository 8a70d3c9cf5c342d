"""Do energies and forces belong together? Signs and units are the usual mistakes, and training never shows them."""

import itertools
from typing import NamedTuple

import numpy as np

from atomcore.data.dataset import Dataset
from atomcore.units import energy_factors, length_factors

# Between structures this close (Angstrom, root mean square over atoms after alignment) the work of the mean force is
# the energy difference to a few per cent.
_CLOSE = 0.25
_MAX_PAIRS = 200
_MIN_PAIRS = 10
# Energy differences below this (eV) are lost in the rounding of large total energies.
_SMALLEST_CHANGE = 1e-3
# Share of the energy differences that the forces must explain, up to a factor, before that factor is believed. Clean
# sets reach 0.8 and more, unrelated numbers about 0.
_STRONG = 0.6
_SLOPES = (0.75, 1.35)  # a slope in between is taken for 1
_GROUPS, _MEMBERS, _ANCHORS = 100, 500, 8  # limits of the search for pairs
# No electronic-structure method gives a total energy this many times the all-electron one; kcal/mol taken for eV does.
_TOO_LOW = 3.0
_TYPICAL_FORCE_LIMIT = 15.0  # eV/Angstrom; the median over atoms is 1 to 2 for molecules and solids, even when hot


class _Pairs(NamedTuple):
    """Distance (Angstrom), energy difference and work of the mean force (eV) of pairs of structures."""

    distance: np.ndarray
    energy: np.ndarray
    work: np.ndarray


def check_consistency(dataset: Dataset) -> list[str]:
    """Look for energies and forces of opposite sign or in different units, and for labels that cannot be in eV.

    Pairs of similar structures (same atoms, same cell) are sought; between them the energy changes by minus the mean
    force times the displacement. A warning is given only when the forces explain the energy differences well but with
    a wrong factor. Too few similar pairs, or none, give no warning.

    Parameters
    ----------
    dataset : Dataset
        Sets without energies or forces are checked as far as that goes.

    Returns
    -------
    list of str
        Warnings in words; empty when nothing is suspicious.
    """
    found = []
    if dataset.energy is not None and dataset.forces is not None:
        found.append(_slope_warning(_similar_pairs(dataset)))
    if dataset.energy is not None:
        found.append(_low_energy_warning(dataset, dataset.energy))
    if dataset.forces is not None:
        found.append(_large_forces_warning(dataset.forces))
    return [warning for warning in found if warning]


def _slope_warning(pairs: _Pairs) -> str:
    count = len(pairs.energy)
    if count < _MIN_PAIRS or not pairs.work.any() or not pairs.energy.any():
        return ""
    slope = _robust_slope(pairs.work, pairs.energy)
    explained = 1.0 - np.abs(pairs.energy - slope * pairs.work).sum() / np.abs(pairs.energy).sum()
    if explained < _STRONG or _SLOPES[0] < slope < _SLOPES[1]:
        return ""
    said = []
    if slope < 0:
        said.append("the forces have the wrong sign (they are gradients, or the energies are negated)")
    if not _SLOPES[0] < abs(slope) < _SLOPES[1]:
        said.append(f"the units do not belong together ({_likely_units(abs(slope))})")
    return (
        f"energies and forces contradict each other: {' and '.join(said)}. Between {count} pairs of similar structures "
        f"the energy changes by {slope:.3g} times -F.dR, which explains {explained:.0%} of the differences; "
        "the factor should be 1"
    )


def _robust_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Return the slope through the origin with the least sum of absolute deviations: a weighted median of y/x."""
    used = x != 0
    ratio, weight = y[used] / x[used], np.abs(x[used])
    order = np.argsort(ratio)
    total = np.cumsum(weight[order])
    return float(ratio[order][np.searchsorted(total, 0.5 * total[-1])])


def _likely_units(slope: float) -> str:
    """Say which mix-up of units gives the slope; of several the one with the fewest unusual units."""
    energies, lengths = energy_factors(), length_factors()
    causes = [
        (
            abs(np.log(slope * energies[a] * lengths[length] / energies[b])),
            (a != "eV") + (b != "eV") + (length != "Angstrom"),
            f"as if energies were in {a} and forces in {b}/{length}",
        )
        for a, b, length in itertools.product(energies, energies, lengths)
        if a != b
    ]
    for name, size in lengths.items():
        causes.append((abs(np.log(slope / size)), 0, f"as if positions were in {name}"))
        causes.append((abs(np.log(slope * size)), 0, f"as if forces were per {name} and taken as per Angstrom"))
    fitting = [cause for cause in causes if cause[0] < 0.08]
    return (
        min(fitting, key=lambda cause: (cause[1], cause[0]))[2] if fitting else "no pair of known units has this ratio"
    )


def _low_energy_warning(dataset: Dataset, energy: np.ndarray) -> str:
    z = dataset.numbers.astype(np.float64)
    # Binding energy of the electrons of a neutral atom: Thomas, Fermi, Scott and Schwinger, within 8 % for hydrogen
    # and 1 % from carbon on (J. Schwinger, Phys. Rev. A 24, 2353 (1981)).
    atoms = -energy_factors()["Hartree"] * (0.768745 * z ** (7 / 3) - 0.5 * z**2 + 0.2699 * z ** (5 / 3))
    lowest = np.add.reduceat(atoms, dataset.structure_ptr[:-1]) if len(dataset) else np.zeros(0)
    wrong = np.flatnonzero(energy < _TOO_LOW * lowest)
    if wrong.size <= len(dataset) // 2:
        return ""
    ratio = float(np.median(energy / lowest))
    causes = [name for name, size in energy_factors().items() if abs(np.log(ratio * size)) < 0.1]
    return (
        f"the energies are {ratio:.3g} times what the electrons of these atoms can be bound by in eV "
        f"({wrong.size} of {len(dataset)} structures): they are likely in {' or '.join(causes) or 'another unit'}"
    )


def _large_forces_warning(forces: np.ndarray) -> str:
    typical = float(np.median(np.linalg.norm(forces, axis=1))) if len(forces) else 0.0
    if typical < _TYPICAL_FORCE_LIMIT:
        return ""
    return (
        f"the median force on an atom is {typical:.3g} eV/Angstrom, where 1 or 2 is usual: the forces are likely in "
        f"another unit (in kcal/mol/Angstrom it would be {typical * energy_factors()['kcal/mol']:.2g} eV/Angstrom)"
    )


def _similar_pairs(dataset: Dataset) -> _Pairs:
    """Return the closest pairs among the structures with the same atoms and cell."""
    groups: dict[bytes, list[int]] = {}
    for i, (start, stop) in enumerate(zip(dataset.structure_ptr[:-1], dataset.structure_ptr[1:], strict=True)):
        key = dataset.numbers[start:stop].tobytes() + dataset.relevant_cells[i].tobytes() + dataset.pbc[i].tobytes()
        groups.setdefault(key, []).append(i)
    several = [np.array(group) for group in groups.values() if len(group) > 1]
    found = [_pairs_of(dataset, group) for group in several[:: max(1, len(several) // _GROUPS)]]
    if not found:
        return _Pairs(np.zeros(0), np.zeros(0), np.zeros(0))
    pairs = _Pairs(*(np.concatenate(values) for values in zip(*found, strict=True)))
    change = np.maximum(np.abs(pairs.energy), np.abs(pairs.work))
    usable = np.flatnonzero((pairs.distance < _CLOSE) & (change > _SMALLEST_CHANGE))
    closest = usable[np.argsort(pairs.distance[usable])[:_MAX_PAIRS]]
    return _Pairs(*(values[closest] for values in pairs))


def _pairs_of(dataset: Dataset, group: np.ndarray) -> _Pairs:
    """Return candidate pairs of one group of structures with the same atoms and cell."""
    assert dataset.energy is not None
    assert dataset.forces is not None
    n_atoms = int(dataset.n_atoms[group[0]])
    # Evenly spaced structures and their successors, so that near frames of a trajectory stay together.
    step = max(1, len(group) // max(_MIN_PAIRS, min(_MEMBERS, 1_000_000 // n_atoms)))
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
    return _Pairs(np.sqrt((moved**2).sum(axis=(1, 2)) / n_atoms), energy[b] - energy[a], work)


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
