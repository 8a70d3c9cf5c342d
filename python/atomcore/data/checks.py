"""Do energies, forces and stress belong together? Signs and units are the usual mistakes; training never shows them."""

import itertools

import numpy as np

from atomcore._voigt import VASP_ORDER
from atomcore.data.dataset import Dataset
from atomcore.data.pairs import MIN_PAIRS, Pairs, StrainedPairs, robust_slope, similar_pairs, strained_pairs
from atomcore.units import energy_factors, length_factors, stress_factors

# Share of the energy differences that the forces must explain, up to a factor, before that factor is believed. Clean
# sets reach 0.8 and more, unrelated numbers about 0.
_STRONG = 0.6
SLOPES = (0.75, 1.35)  # a slope in between is taken for 1
_STRESS_SLOPES = (0.5, 2.0)  # no confusion of units is nearer to 1, and what the forces leave is less certain
# No electronic-structure method gives a total energy this many times the all-electron one; kcal/mol taken for eV does.
_TOO_LOW = 3.0
_TYPICAL_FORCE_LIMIT = 15.0  # eV/Angstrom; the median over atoms is 1 to 2 for molecules and solids, even when hot
_TYPICAL_STRESS_LIMIT = 1.0  # eV/Angstrom^3, 160 GPa; the median over structures is 0.1 even for sets under pressure


def check_consistency(dataset: Dataset) -> list[str]:
    """Look for energies, forces and stress of opposite sign or in different units, and for labels that cannot be in eV.

    Pairs of similar structures (same atoms, same cell) are sought; between them the energy changes by minus the mean
    force times the displacement. Between structures whose cells differ, the volume times stress times strain is added.
    A warning is given only when the forces, or the stress, explain the energy differences well but with a wrong factor
    or in VASP's order. Too few similar pairs, or none, give no warning.

    Parameters
    ----------
    dataset : Dataset
        Sets without energies, forces or stress are checked as far as that goes.

    Returns
    -------
    list of str
        Warnings in words; empty when nothing is suspicious.
    """
    found = []
    if dataset.energy is not None and dataset.forces is not None:
        found.append(_slope_warning(similar_pairs(dataset)))
    if dataset.energy is not None and dataset.stress is not None:
        found.append(_stress_warning(strained_pairs(dataset)))
    if dataset.energy is not None:
        found.append(_low_energy_warning(dataset, dataset.energy))
    if dataset.forces is not None:
        found.append(_large_forces_warning(dataset.forces))
    if dataset.stress is not None:
        found.append(_large_stress_warning(dataset.stress))
    return [warning for warning in found if warning]


def _slope_warning(pairs: Pairs) -> str:
    count = len(pairs.energy)
    if count < MIN_PAIRS or not pairs.work.any() or not pairs.energy.any():
        return ""
    slope = robust_slope(pairs.work, pairs.energy)
    explained = _explained(pairs.energy, slope * pairs.work)
    if explained < _STRONG or SLOPES[0] < slope < SLOPES[1]:
        return ""
    said = []
    if slope < 0:
        said.append("the forces have the wrong sign (they are gradients, or the energies are negated)")
    if not SLOPES[0] < abs(slope) < SLOPES[1]:
        said.append(f"the units do not belong together ({_likely_units(abs(slope))})")
    return (
        f"energies and forces contradict each other: {' and '.join(said)}. Between {count} pairs of similar structures "
        f"the energy changes by {slope:.3g} times -F.dR, which explains {explained:.0%} of the differences; "
        "the factor should be 1"
    )


def _explained(energy: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of the energy differences that is predicted: 1 for all, 0 for no better than nothing."""
    return float(1.0 - np.abs(energy - predicted).sum() / np.abs(energy).sum())


def _stress_warning(pairs: StrainedPairs) -> str:
    # Structures of two cells make many pairs that all tell the same.
    if len(np.unique(np.round(pairs.strain, 6), axis=0)) < MIN_PAIRS:
        return ""
    said = []
    in_vasp_order = _is_in_vasp_order(pairs)
    stress = pairs.stress[:, VASP_ORDER] if in_vasp_order else pairs.stress
    work = (stress * pairs.strain).sum(axis=1)
    if not work.any():
        return ""
    slope = robust_slope(work, pairs.energy)
    if _explained(pairs.energy, slope * work) < _STRONG:
        return ""
    if slope < 0:
        said.append("the sign is not ASE's, in which tension is positive and compression negative")
    if not _STRESS_SLOPES[0] < abs(slope) < _STRESS_SLOPES[1]:
        said.append(f"the unit is not eV/Angstrom^3 ({_likely_stress(abs(slope), pairs.volume)})")
    if in_vasp_order:
        said.append("the shear components are in VASP's order (xx, yy, zz, xy, yz, xz)")
    if not said:
        return ""
    return (
        f"energies and stress contradict each other: {' and '.join(said)}. Between {len(work)} pairs of structures "
        f"with similar cells the energy changes by {slope:.3g} times V*stress*strain; the factor should be 1 "
        "(numbers copied from VASP's output need stress_convention='vasp')"
    )


def _is_in_vasp_order(pairs: StrainedPairs) -> bool:
    """Whether shear explains the energies only when its components are taken in VASP's order."""
    works = [(stress * pairs.strain).sum(axis=1) for stress in (pairs.stress, pairs.stress[:, VASP_ORDER])]
    # Only pairs in which the order makes a difference can tell.
    sheared = np.abs(works[0] - works[1]) > 0.5 * np.maximum(np.abs(works[0]), np.abs(works[1]))
    energy = pairs.energy[sheared]
    if len(energy) < MIN_PAIRS or not energy.any():
        return False
    as_given, as_vasp = (
        _explained(energy, robust_slope(work[sheared], energy) * work[sheared]) if work[sheared].any() else 0.0
        for work in works
    )
    return as_given < 0.5 * _STRONG and as_vasp > _STRONG


def _likely_stress(slope: float, volume: np.ndarray) -> str:
    """Say which mix-up gives the slope."""
    causes = {f"as if it were in {name}": size for name, size in stress_factors().items()}
    causes["as if it were a virial in eV, stress times volume"] = float(1.0 / np.median(volume))
    nearest = min(causes, key=lambda cause: abs(np.log(slope / causes[cause])))
    return nearest if abs(np.log(slope / causes[nearest])) < 0.25 else "no known unit has this ratio"


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


def _large_stress_warning(stress: np.ndarray) -> str:
    typical = float(np.median(np.abs(stress).max(axis=1))) if len(stress) else 0.0
    if typical < _TYPICAL_STRESS_LIMIT:
        return ""
    sizes = ", ".join(f"{typical * stress_factors()[name]:.2g} eV/Angstrom^3 if in {name}" for name in ("GPa", "kbar"))
    return (
        f"the largest component of the stress is {typical:.3g} eV/Angstrom^3 in half of the structures, where 0.1 is "
        f"much: it is likely in another unit ({sizes})"
    )
