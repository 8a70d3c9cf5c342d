"""Symmetry functions from a few numbers: grids over distances that need no choice by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from atomcore._arrays import whole_number
from atomcore.features.cutoffs import as_number
from atomcore.features.symmetry_functions import SymmetryFunctions


def uniform(
    elements: Sequence[str],
    *,
    cutoff: float = 6.0,
    n_radial: int = 12,
    n_angular: int = 3,
    first: float = 0.8,
    zetas: Sequence[float] = (1.0, 4.0, 16.0),
    angular: str = "narrow",
    **options: Any,
) -> SymmetryFunctions:
    """Return functions on an even grid of distances (Gastegger et al., J. Chem. Phys. 148, 241709 (2018)).

    Radial functions stand at ``n_radial`` shifts s from ``first`` to the cutoff less one step, as wide as the step d:
    eta = 1 / (2 d^2). Angular functions are centred on the atom and end at ``n_angular`` distances r evenly from
    ``first`` to the cutoff (not included): eta = 1 / (2 r^2), with every zeta and lambda = 1, -1.

    Parameters
    ----------
    elements
        Chemical symbols.
    cutoff, first
        In A.
    n_radial, n_angular
        Numbers of shifts and widths, at least 1 and 0.
    zetas
        Exponents of the angular functions.
    angular
        Their type, "narrow" or "wide".
    **options
        As of `SymmetryFunctions`, e.g. ``cutoff_function`` or ``weights``.

    Returns
    -------
    SymmetryFunctions

    Raises
    ------
    ValueError
        A number out of range; the message names it.
    """
    n_radial, n_angular = whole_number("n_radial", n_radial, 1), whole_number("n_angular", n_angular, 0)
    radial = even_shells(first, cutoff, n_radial)
    ends = np.linspace(first, cutoff, n_angular, endpoint=False)
    return SymmetryFunctions(
        elements, radial=radial, angular=_angular(0.5 / ends**2, zetas, angular), cutoff=cutoff, **options
    )


def imbalzano(
    elements: Sequence[str],
    *,
    cutoff: float = 6.0,
    n: int = 8,
    zetas: Sequence[float] = (1.0, 4.0, 16.0),
    angular: str = "narrow",
    **options: Any,
) -> SymmetryFunctions:
    """Return the functions of Imbalzano et al., J. Chem. Phys. 148, 241730 (2018): dense near the atom, wider far away.

    Radial functions centred on the atom have eta_m = (n^(m/n) / cutoff)^2, m = 0 ... n; shifted ones stand at
    s_m = cutoff / n^(m/n), m = 1 ... n, each as wide as its distance to the next one further out:
    eta = 1 / (s_(m-1) - s_m)^2. Angular functions have the etas of the centred ones, every zeta, and lambda = 1, -1.
    The set is meant to be large: keep the best of it with `select`.

    Parameters
    ----------
    elements
        Chemical symbols.
    cutoff
        In A.
    n
        Number of intervals, at least 2.
    zetas
        Exponents of the angular functions.
    angular
        Their type, "narrow" or "wide".
    **options
        As of `SymmetryFunctions`, e.g. ``cutoff_function`` or ``weights``.

    Returns
    -------
    SymmetryFunctions

    Raises
    ------
    ValueError
        A number out of range; the message names it.
    """
    n, cutoff = whole_number("n", n, 2), _length("cutoff", cutoff)
    growth = n ** (np.arange(n + 1) / n)
    etas, shifts = (growth / cutoff) ** 2, cutoff / growth
    widths = shifts[:-1] - shifts[1:]
    radial = [{"eta": eta} for eta in etas]
    radial += [{"eta": 1 / width**2, "shift": shift} for width, shift in zip(widths[::-1], shifts[:0:-1], strict=True)]
    return SymmetryFunctions(elements, radial=radial, angular=_angular(etas, zetas, angular), cutoff=cutoff, **options)


def even_shells(first: float, cutoff: float, n: int) -> list[Mapping[str, float]]:
    """Return ``n`` radial functions at even distances from ``first`` to the cutoff less one step, as wide as a step."""
    first, cutoff = as_number("first", first), _length("cutoff", cutoff)
    if not 0 < first < cutoff:
        raise ValueError(f"features: first is {first}; accepted: a length between 0 and the cutoff, {cutoff} A")
    shifts, step = np.linspace(first, cutoff, n, endpoint=False, retstep=True)
    return [{"eta": 0.5 / step**2, "shift": shift} for shift in shifts]


def _length(what: str, value: Any) -> float:
    length = as_number(what, value)
    if not 0 < length < np.inf:
        raise ValueError(f"features: {what} is {length}; accepted: a finite length > 0 in A")
    return length


def _angular(etas: np.ndarray, zetas: Sequence[float], kind: str) -> list[Mapping[str, Any]]:
    if kind not in ("narrow", "wide"):
        raise ValueError(f"angular is {kind!r}; accepted: 'narrow' (Behler's G4), 'wide' (Behler's G5)")
    return [
        {"type": kind, "eta": eta, "zeta": zeta, "lambda": sign}
        for eta in etas
        for zeta in zetas
        for sign in (1.0, -1.0)
    ]
