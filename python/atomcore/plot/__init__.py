"""Pictures of errors, training and molecular dynamics, written as PNG without a display."""

from atomcore.plot.dynamics import md_energy, md_volume
from atomcore.plot.errors import error_by_element, parity, spread
from atomcore.plot.features import coverage, principal_components
from atomcore.plot.kernels import clusters, data_curves, landscape, variance_map
from atomcore.plot.training import learning_curve, learning_curves

__all__ = [
    "clusters",
    "coverage",
    "data_curves",
    "error_by_element",
    "landscape",
    "learning_curve",
    "learning_curves",
    "md_energy",
    "md_volume",
    "parity",
    "principal_components",
    "spread",
    "variance_map",
]
