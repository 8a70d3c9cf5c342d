"""A Gaussian process that says where to look next for the minimum of an expensive function."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

_KINDS = ("expected_improvement", "probability_of_improvement", "confidence_bound")
_LENGTHS = np.geomspace(0.05, 2.0, 12)  # of the kernel, where the range has length 1: the likeliest is taken
_NOISE = 1e-6  # of the variance of the values
_CANDIDATES = 4000


@dataclass(frozen=True)
class Acquisition:
    """What the next point makes largest.

    Parameters
    ----------
    kind : {"expected_improvement", "probability_of_improvement", "confidence_bound"}
    kappa : float
        Standard deviations that the confidence bound lies below the mean.
    xi : float
        Improvement that counts, in standard deviations of the values seen.
    """

    kind: str = "expected_improvement"
    kappa: float = 2.0
    xi: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"kind is {self.kind!r}; accepted: {', '.join(map(repr, _KINDS))}")
        for name in ("kappa", "xi"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; accepted: numbers from 0")

    def __call__(self, mean: Float64, deviation: Float64, best: float) -> Float64:
        from scipy.special import ndtr

        if self.kind == "confidence_bound":
            return self.kappa * deviation - mean
        gain = best - self.xi - mean
        z = gain / deviation
        if self.kind == "probability_of_improvement":
            return ndtr(z)
        return gain * ndtr(z) + deviation * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


def propose(
    points: Float64, losses: Float64, bounds: Float64, acquisition: Acquisition, rng: np.random.Generator
) -> Float64:
    """Return where to try next, from points [n, d] and their losses, infinite ones counting as the worst seen.

    The process has the Matern 5/2 kernel, sees the logarithm of the losses, and its length is the likeliest of a few.
    """
    width = np.where(np.ptp(bounds, axis=1) > 0, np.ptp(bounds, axis=1), 1.0)
    X = (points - bounds[:, 0]) / width
    candidates = rng.random((_CANDIDATES, len(bounds)))
    near = X[np.argmin(losses)] + 0.05 * rng.standard_normal((_CANDIDATES // 4, len(bounds)))
    candidates = np.clip(np.concatenate([candidates, near]), 0.0, np.ptp(bounds, axis=1) / width)
    finite = np.isfinite(losses) & (losses > 0)
    if not finite.any():
        return bounds[:, 0] + candidates[0] * width
    y = np.log(np.where(finite, losses, losses[finite].max()))
    scale = y.std() or 1.0
    y = (y - y.mean()) / scale
    fits = [_posterior(X, y, length) for length in _LENGTHS]
    _, factor, alpha, length = max(fits, key=lambda fit: fit[0])
    k = _matern52(candidates, X, length)
    mean = k @ alpha
    half = np.linalg.solve(factor, k.T)
    deviation = np.sqrt(np.clip(1.0 - np.einsum("nc,nc->c", half, half), 1e-12, None))
    return bounds[:, 0] + candidates[np.argmax(acquisition(mean, deviation, float(y.min())))] * width


def _posterior(X: Float64, y: Float64, length: float) -> tuple[float, npt.NDArray[Any], npt.NDArray[Any], float]:
    K = _matern52(X, X, length)
    K[np.diag_indices(len(K))] += _NOISE
    factor = np.linalg.cholesky(K)
    alpha = np.linalg.solve(factor.T, np.linalg.solve(factor, y))
    return float(-0.5 * y @ alpha - np.log(np.diag(factor)).sum()), factor, alpha, length


def _matern52(X: Float64, Y: Float64, length: float) -> Float64:
    s = np.sqrt(5.0) * np.linalg.norm(X[:, None] - Y[None], axis=2) / length
    return (1.0 + s + s**2 / 3.0) * np.exp(-s)
