"""Pictures of errors, training and molecular dynamics, written as PNG without a display."""

from atomcore.plot.dynamics import md_energy, md_volume
from atomcore.plot.errors import error_by_element, parity, spread
from atomcore.plot.features import coverage
from atomcore.plot.training import learning_curve, learning_curves

__all__ = [
    "coverage",
    "error_by_element",
    "learning_curve",
    "learning_curves",
    "md_energy",
    "md_volume",
    "parity",
    "spread",
]
