"""Faces of the engine for other programs. ASE is imported when the calculator is asked for."""

from typing import TYPE_CHECKING, Any

__all__ = ["Calculator"]

if TYPE_CHECKING:
    from atomcore.calculators.ase import Calculator


def __getattr__(name: str) -> Any:
    if name == "Calculator":
        from atomcore.calculators.ase import Calculator

        return Calculator
    raise AttributeError(f"module 'atomcore.calculators' has no attribute {name!r}")
