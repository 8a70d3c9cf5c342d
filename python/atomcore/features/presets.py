"""Published sets of functions by name."""

from collections.abc import Callable, Sequence

from atomcore.features.symmetry_functions import ANI, Gaussian, SymmetryFunctions


def _amp_default(elements: Sequence[str]) -> SymmetryFunctions:
    return Gaussian(sorted(elements))


_PRESETS: dict[str, Callable[[Sequence[str]], SymmetryFunctions]] = {
    "ani1x": ANI.ani1x,
    "ani2x": ANI.ani2x,
    "amp_default": _amp_default,
    "ml4chem_default": _amp_default,  # the same set, in formulas, parameters and order
}


def preset(name: str, elements: Sequence[str]) -> SymmetryFunctions:
    """Return a published set of functions for the given elements.

    Parameters
    ----------
    name
        "ani1x", "ani2x", "amp_default" or "ml4chem_default".
    elements
        Chemical symbols.
    """
    if name not in _PRESETS:
        raise ValueError(f"preset is {name!r}; accepted: {', '.join(_PRESETS)}")
    return _PRESETS[name](elements)
