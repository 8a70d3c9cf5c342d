"""Sets of functions by name."""

from collections.abc import Callable, Sequence
from typing import Any

from atomcore.features.sets import ANI, Compact, Gaussian
from atomcore.features.symmetry_functions import SymmetryFunctions


def _amp_default(elements: Sequence[str]) -> SymmetryFunctions:
    return Gaussian(sorted(elements))


def _tutorial_bp(elements: Sequence[str], *, resolve_elements: bool = False) -> SymmetryFunctions:
    """Functions of Behler and Parrinello in the tutorial: each zeta has an eta of its own."""
    etas = (0.0, 0.04, 0.14, 0.32, 0.71, 1.79)
    zetas = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    return SymmetryFunctions(
        elements,
        radial=[{"eta": eta} for eta in etas],
        angular=[
            {"type": "narrow", "eta": eta, "zeta": zeta, "lambda": sign}
            for sign in (1.0, -1.0)
            for eta, zeta in zip(etas, zetas, strict=True)
        ],
        cutoff=6.0,
        resolve_elements=resolve_elements,
    )


def _tutorial_ani(
    elements: Sequence[str],
    *,
    resolve_elements: bool = False,
    exchange_grids: bool = True,
    truncate_angular: bool = False,
) -> SymmetryFunctions:
    """ANI functions in the tutorial, by default with all that distinguishes them from ANI-1x."""
    plain = ANI(elements, radial_prefactor=1.0, cos_scale=1.0)
    shifts, angles = _grids(plain)
    if exchange_grids:
        shifts, angles = angles, shifts
    f = ANI(
        elements,
        radial_prefactor=1.0,
        cos_scale=1.0,
        angular_shifts=shifts,
        angles=angles,
        resolve_elements=resolve_elements,
    )
    if truncate_angular:
        return f
    # what an uncut cosine gives beyond the end of its second wave, the Gaussians have made less than 1e-30
    uncut = {"cutoff_function": "untruncated_cosine"}
    table = [row | uncut | {"cutoff": 3 * row["cutoff"]} if row["type"] == "ani" else row for row in f.table]
    return SymmetryFunctions.from_table(f.elements, table)


def _grids(f: SymmetryFunctions) -> tuple[list[float], list[float]]:
    """Return the shifts and the angles of a set's angular functions."""
    rows = [row for row in f.table if row["type"] == "ani"]
    return list(dict.fromkeys(row["shift"] for row in rows)), list(dict.fromkeys(row["theta"] for row in rows))


_PRESETS: dict[str, Callable[..., SymmetryFunctions]] = {
    "ani1x": ANI.ani1x,
    "ani2x": ANI.ani2x,
    "amp_default": _amp_default,
    "ml4chem_default": _amp_default,  # the same set, in formulas, parameters and order
    "compact": Compact,
    "tutorial_bp": _tutorial_bp,
    "tutorial_ani": _tutorial_ani,
}
_SWITCHES = {
    "tutorial_bp": ("resolve_elements",),
    "tutorial_ani": ("resolve_elements", "exchange_grids", "truncate_angular"),
}


def preset(name: str, elements: Sequence[str], **switches: Any) -> SymmetryFunctions:
    """Return a set of functions for the given elements: a published one, or `Compact`.

    Parameters
    ----------
    name
        "ani1x", "ani2x", "amp_default", "ml4chem_default", "compact", "tutorial_bp" or "tutorial_ani"; the last two are
        those of a well-known tutorial of machine-learned potentials, as it computes them.
    elements
        Chemical symbols.
    **switches
        True or False. Of both tutorial sets: ``resolve_elements``, which the tutorial does not do. Of "tutorial_ani":
        ``exchange_grids`` (by default True, as in the tutorial: the angular functions have the angles of ANI-1x for
        shifts in A and its shifts for angles in rad) and ``truncate_angular`` (by default False, as in the tutorial:
        the cosine of the angular functions is not cut at its radius and rises again beyond).

    Raises
    ------
    ValueError
        For an unknown name, switch or element.
    """
    if name not in _PRESETS:
        raise ValueError(f"preset is {name!r}; accepted: {', '.join(_PRESETS)}")
    accepted = _SWITCHES.get(name, ())
    for switch, value in switches.items():
        if switch not in accepted or not isinstance(value, bool):
            names = ", ".join(f"{known}=True or False" for known in accepted) or "no switches"
            raise ValueError(f"preset {name!r} has {switch}={value!r}; accepted: {names}")
    return _PRESETS[name](elements, **switches)
