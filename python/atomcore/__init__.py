"""Interatomic potentials from quantum-mechanical data: train them, judge them, run molecular dynamics with them.

Lengths are in Angstrom, energies in eV and everything else follows from these two. Submodules and the names below are
imported when first used: ``import atomcore`` loads neither torch nor ASE.
"""

import importlib
from typing import TYPE_CHECKING, Any

from atomcore._core import AtomcoreError

__version__ = "0.1.0"

_SUBMODULES = (
    "calculators",
    "cuda",
    "data",
    "evaluation",
    "export",
    "features",
    "interop",
    "kernels",
    "md",
    "models",
    "neighbors",
    "plot",
    "train",
    "units",
)
_NAMES = {
    "Calculator": "atomcore.calculators",
    "ExtrapolationError": "atomcore.calculators",
    "NeighborList": "atomcore.neighbors",
    "Potential": "atomcore.potential",
    "neighbor_list": "atomcore.neighbors",
}
__all__ = [
    "AtomcoreError",
    "Calculator",
    "ExtrapolationError",
    "NeighborList",
    "Potential",
    "__version__",
    "calculators",
    "cuda",
    "data",
    "evaluation",
    "export",
    "features",
    "interop",
    "kernels",
    "md",
    "models",
    "neighbor_list",
    "neighbors",
    "plot",
    "train",
    "units",
]

if TYPE_CHECKING:
    from atomcore import (
        calculators,
        cuda,
        data,
        evaluation,
        export,
        features,
        interop,
        kernels,
        md,
        models,
        neighbors,
        plot,
        train,
        units,
    )
    from atomcore.calculators import Calculator, ExtrapolationError
    from atomcore.neighbors import NeighborList, neighbor_list
    from atomcore.potential import Potential


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"atomcore.{name}")
    else:
        raise AttributeError(f"module 'atomcore' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
