"""Covariance functions and the linear algebra of kernel machines."""

from atomcore.kernels.covariance import covariance, diagonal, gradient_of_trace
from atomcore.kernels.functions import (
    RBF,
    Exponential,
    Kernel,
    Laplacian,
    Linear,
    Matern,
    Polynomial,
    RationalQuadratic,
)
from atomcore.kernels.points import Points

__all__ = [
    "RBF",
    "Exponential",
    "Kernel",
    "Laplacian",
    "Linear",
    "Matern",
    "Points",
    "Polynomial",
    "RationalQuadratic",
    "covariance",
    "diagonal",
    "gradient_of_trace",
]
