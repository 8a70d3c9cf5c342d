"""Faces of the engine for other programs. ASE is imported when the calculator is asked for."""

from typing import TYPE_CHECKING, Any

__all__ = ["Calculator", "ExtrapolationError"]

if TYPE_CHECKING:
    from atomcore.calculators.ase import Calculator, ExtrapolationError


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'atomcore.calculators' has no attribute {name!r}")
    from atomcore.calculators import ase

    return getattr(ase, name)
