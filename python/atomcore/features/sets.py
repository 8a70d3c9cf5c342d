"""The usual sets of symmetry functions."""

from collections.abc import Mapping, Sequence

import numpy as np

from atomcore.features.cutoffs import DEFAULT_GAMMA, cutoff_keys
from atomcore.features.given import Channels, check_symbols
from atomcore.features.grids import even_shells
from atomcore.features.symmetry_functions import SymmetryFunctions
from atomcore.features.table import make_row

_ANI1X_RADIAL_SHIFTS = tuple(0.9 + 0.26875 * i for i in range(16))
_ANI1X_ANGLES = tuple((2 * i + 1) * np.pi / 16 for i in range(8))


class Gaussian(SymmetryFunctions):
    """The default set of Amp and ML4Chem: four radial Gaussians and four angular functions for each element (pair).

    eta = 0.05, 0.232, 1.077, 5 (radial) and 0.005 (angular), zeta = 1, 4, lambda = +1, -1, the etas over cutoff^2 when
    ``normalized``.

    Parameters
    ----------
    elements
        Chemical symbols.
    cutoff
        Cutoff radius in A.
    normalized
        Read eta as eta / cutoff^2.
    angular
        "narrow" (with r_jk: Behler's G4, ML4Chem's "G3") or "wide" (without: Behler's G5, ML4Chem's "G4").
    cutoff_function, gamma, inner, resolve_elements, weights
        As in `SymmetryFunctions`.
    """

    def __init__(
        self,
        elements: Sequence[str],
        cutoff: float = 6.5,
        *,
        normalized: bool = True,
        angular: str = "narrow",
        cutoff_function: str = "cosine",
        gamma: float = DEFAULT_GAMMA,
        inner: float = 0.0,
        resolve_elements: bool = True,
        weights: Mapping[str, float] | str | None = None,
    ) -> None:
        if angular not in ("narrow", "wide"):
            raise ValueError(f"angular is {angular!r}; accepted: 'narrow' (Behler's G4), 'wide' (Behler's G5)")
        super().__init__(
            elements,
            radial=[{"eta": eta} for eta in np.logspace(np.log10(0.05), np.log10(5.0), 4)],
            angular=[
                {"type": angular, "eta": 0.005, "zeta": zeta, "lambda": sign}
                for zeta in (1.0, 4.0)
                for sign in (1.0, -1.0)
            ],
            cutoff=cutoff,
            normalized=normalized,
            cutoff_function=cutoff_function,
            gamma=gamma,
            inner=inner,
            resolve_elements=resolve_elements,
            weights=weights,
        )


class Compact(SymmetryFunctions):
    """Radial shells and broad wide functions: a set chosen for speed, which needs no triplets.

    Radial: 14 Gaussians at even distances d from 0.8 A to the cutoff, eta = 1 / (2 d^2). Angular: wide functions
    (Behler's G5) centred on the atom, eta = 0.75, 2.5, 7.5, 22.5 over cutoff^2, with zeta, lambda = 1, 1; 1, -1; 2, 1;
    4, 1; 4, -1. For n elements these are 14 n + 10 n (n + 1) columns.

    All zetas are small whole numbers, so that the core computes the angular functions from moments of the density of
    neighbours: the time grows with the number of neighbours and not with that of their pairs, and a set of narrow
    functions takes about five times as long. What is lost: no function knows how far two neighbours are from each
    other, and none is as sharp in the angle as with a large zeta. The cutoff is short, too: what acts beyond it must be
    small, or ``cutoff`` larger.

    Parameters
    ----------
    elements
        Chemical symbols.
    cutoff
        Cutoff radius in A, above 0.8. Most of the time goes with its third power.
    cutoff_function, gamma, inner, resolve_elements, weights
        As in `SymmetryFunctions`.
    """

    def __init__(
        self,
        elements: Sequence[str],
        cutoff: float = 5.0,
        *,
        cutoff_function: str = "cosine",
        gamma: float = DEFAULT_GAMMA,
        inner: float = 0.0,
        resolve_elements: bool = True,
        weights: Mapping[str, float] | str | None = None,
    ) -> None:
        radial = even_shells(0.8, cutoff, 14)
        super().__init__(
            elements,
            radial=radial,
            angular=[
                {"type": "wide", "eta": eta / cutoff**2, "zeta": zeta, "lambda": sign}
                for eta in (0.75, 2.5, 7.5, 22.5)
                for zeta, sign in ((1.0, 1.0), (1.0, -1.0), (2.0, 1.0), (4.0, 1.0), (4.0, -1.0))
            ],
            cutoff=cutoff,
            cutoff_function=cutoff_function,
            gamma=gamma,
            inner=inner,
            resolve_elements=resolve_elements,
            weights=weights,
        )


class ANI(SymmetryFunctions):
    """Atomic environment vectors (Smith et al., Chem. Sci. 8, 3192 (2017)) in TorchANI's conventions and column order.

    The defaults are those of ANI-1x. Columns: the radial functions of each element, then for each element pair
    (upper triangle in the order of ``elements``) shifts (outer) times angles.

    Parameters
    ----------
    elements
        Chemical symbols.
    radial_cutoff, angular_cutoff
        In A.
    radial_eta, angular_eta
        In 1/A^2.
    radial_shifts, angular_shifts
        In A.
    zeta
        Exponent of the angular functions.
    angles
        Angles theta_s in rad.
    radial_prefactor, cos_scale
        TorchANI's 0.25 on the radial functions and 0.95 in acos(0.95 cos); 1 and 1 give the published formulas.
    cutoff_function, gamma, inner, resolve_elements, weights
        As in `SymmetryFunctions`.
    """

    def __init__(
        self,
        elements: Sequence[str],
        *,
        radial_cutoff: float = 5.2,
        radial_eta: float = 16.0,
        radial_shifts: Sequence[float] = _ANI1X_RADIAL_SHIFTS,
        angular_cutoff: float = 3.5,
        angular_eta: float = 8.0,
        angular_shifts: Sequence[float] = (0.9, 1.55, 2.2, 2.85),
        zeta: float = 32.0,
        angles: Sequence[float] = _ANI1X_ANGLES,
        radial_prefactor: float = 0.25,
        cos_scale: float = 0.95,
        cutoff_function: str = "cosine",
        gamma: float = DEFAULT_GAMMA,
        inner: float = 0.0,
        resolve_elements: bool = True,
        weights: Mapping[str, float] | str | None = None,
    ) -> None:
        names = check_symbols(elements)
        channels = Channels(names, resolve_elements, weights)
        ending = cutoff_keys(cutoff_function, gamma, inner)
        radial = {"eta": radial_eta, "cutoff": radial_cutoff, "prefactor": radial_prefactor}
        angular = {"eta": angular_eta, "zeta": zeta, "cutoff": angular_cutoff, "cos_scale": cos_scale}
        table = [make_row("radial", a, shift=s, **radial) | ending for a in channels.single for s in radial_shifts]
        table += [
            make_row("ani", pair, shift=s, theta=t, **angular) | ending
            for pair in channels.pair
            for s in angular_shifts
            for t in angles
        ]
        self._set(names, table)

    @classmethod
    def ani1x(cls, elements: Sequence[str] = ("H", "C", "N", "O")) -> "ANI":
        """Return the functions of ANI-1x: 384 columns for H, C, N, O."""
        return cls(elements)

    @classmethod
    def ani2x(cls, elements: Sequence[str] = ("H", "C", "N", "O", "S", "F", "Cl")) -> "ANI":
        """Return the functions of ANI-2x: 1008 columns for H, C, N, O, S, F, Cl."""
        return cls(
            elements,
            radial_cutoff=5.1,
            radial_eta=19.7,
            radial_shifts=[0.8 + 0.26875 * i for i in range(16)],
            angular_eta=12.5,
            angular_shifts=[0.8 + 0.3375 * i for i in range(8)],
            zeta=14.1,
            angles=[(2 * i + 1) * np.pi / 8 for i in range(4)],
        )
