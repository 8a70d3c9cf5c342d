"""Sparse kernel machines: a few inducing points stand for all of the training data.

The labels are projected on M points Z (deterministic training conditional; Quinonero-Candela and Rasmussen, J. Mach.
Learn. Res. 6, 1939 (2005), section 5). With K_ZZ = L L^T and V = L^-1 K_Zn noise^-1/2, whose columns are the labels,

    A = 1 + V V^T,    mean(x) = k(x, Z) L^-T A^-1 V noise^-1/2 y,
    variance(x) = k(x, x) - |L^-1 k(Z, x)|^2 + |L_A^-1 L^-1 k(Z, x)|^2,    A = L_A L_A^T.

A is gathered from chunks of structures, so that memory depends on M and not on how many labels there are, and it is as
well conditioned as the noise allows: the normal equations in K_Zn alone would square the condition number of K_ZZ.

Noise that an exact model was searched for with may be out of reach of M points, which then fit some labels at the cost
of all else. It is multiplied by the one factor s >= 1 that maximizes the variational bound (Titsias, Proc. Mach. Learn.
Res. 5, 567 (2009), eq. 9), in which what the points leave of the prior variance counts as noise.
"""

import logging
import math
from typing import Any

import numpy as np

from atomcore._memory import require_memory
from atomcore.kernels import Points, covariance, diagonal, inducing
from atomcore.kernels.linalg import add_to_diagonal, cholesky
from atomcore.models._kernel_exact import between, sparse_size
from atomcore.models._kernel_search import Kinds, Labels

_log = logging.getLogger("atomcore")
SELECTIONS = ("random", "cur", "farthest_point", "k_means")
_LOG_STEP = 0.05  # to which the logarithm of the factor of the noise is found
_TELLING = 10.0  # factor of the noise variance, or labels left over in units of the noise, above which it is said
_ENERGIES: Kinds = {"energies": True, "forces": False}


def choose(points: Points, count: int, selection: str, seed: int) -> Points:
    """Return ``count`` inducing points, each of them a structure of one atom.

    Their number goes with the square root of the number of atoms of an element, so that rare ones have enough.
    """
    if points.elements is None:
        return Points(_pick(points.X, min(count, len(points.X)), selection, seed))
    numbers, counts = np.unique(points.elements, return_counts=True)
    shares = np.sqrt(counts) / np.sqrt(counts).sum()
    shares = np.minimum(np.maximum(1, np.round(count * shares).astype(int)), counts)
    parts = [_pick(points.X[points.elements == z], m, selection, seed) for z, m in zip(numbers, shares, strict=True)]
    return Points(np.concatenate(parts), np.repeat(numbers, [len(part) for part in parts]))


def _pick(X: np.ndarray, count: int, selection: str, seed: int) -> np.ndarray:
    distinct = np.unique(X, axis=0)  # repeated points make K_ZZ singular
    if len(distinct) <= count:
        return distinct
    if selection == "random":
        return distinct[np.sort(np.random.default_rng(seed).permutation(len(distinct))[:count])]
    chosen = getattr(inducing, selection)(distinct, count, seed=seed)
    return chosen if selection == "k_means" else distinct[np.sort(chosen)]


def compare(predicted: np.ndarray, known: np.ndarray) -> None:
    """Say it when energies of the training, less their mean function, are predicted worse than by nothing at all."""
    error, size = (math.sqrt(float(np.mean(part**2))) for part in (predicted - known, known - known.mean(axis=0)))
    if error > size:
        _log.warning(
            "Energies of the training are off by %.3g (root mean square) where the mean function alone is by %.3g: the "
            "derivatives outweigh them; more inducing points or less noise of the energies are needed.", error, size,
        )  # fmt: skip


class SparseSolver:
    """Weights of inducing points, from labels that come in chunks.

    Parameters
    ----------
    jitter : float
        Added to the diagonal of K_ZZ, as a share of its mean.
    searched : bool
        Whether `scale_noise` is going to be called.
    """

    def __init__(
        self, kernel: Any, points: Points, noise: tuple[float, float], jitter: float, columns: int, *, searched: bool
    ) -> None:
        M = len(points.X)
        require_memory(
            sparse_size(M, searched=searched),
            f"a sparse model with {M} inducing points",
            f"fewer of them, such as inducing={M // 2}, which needs a quarter",
        )
        self.kernel, self.points, self.noise = kernel, points, noise
        K = covariance(kernel, points)
        self.jitter = jitter * float(np.mean(K.diagonal()))
        self.inner = cholesky(K, jitter=self.jitter, packed=True)
        del K
        self.gram: np.ndarray | None = np.eye(M)  # A while it is gathered, of which the lower half counts
        self.right = np.zeros((M, columns))
        self.n_labels = 0
        self.squares: Any = 0.0  # [outputs], of the labels less their mean function, in units of their noise
        self.prior = 0.0  # sum of the variances k_ii, in units of the noise

    def gather(self, labels: Labels, right: np.ndarray, residuals: np.ndarray) -> None:
        """Take in labels.

        Parameters
        ----------
        labels : Labels
        right : ndarray [rows, columns]
            The values to be projected.
        residuals : ndarray [rows, outputs]
            Labels less their mean function; large energies in ``right`` would leave nothing of them but rounding.
        """
        from scipy.linalg.blas import dsyrk

        if self.gram is None:
            L = self.outer.lower()
            self.gram = L @ L.T
        rows = between(self.kernel, labels.points, labels.kinds, self.points, _ENERGIES)
        weight = 1.0 / np.sqrt(labels.noise(*self.noise))
        rows *= weight[:, None]
        V = np.ascontiguousarray(self.inner.half_solve(rows.T))
        dsyrk(1.0, V.T, beta=1.0, c=self.gram.T, trans=1, overwrite_c=1)  # in place: the upper half of the transpose
        self.right += V @ (weight[:, None] * right)
        self.n_labels += len(rows)
        self.squares = self.squares + np.sum((weight[:, None] * residuals) ** 2, axis=0)
        self.prior += float(weight**2 @ diagonal(self.kernel, labels.points, **labels.kinds))

    def solve(self, coefficients: np.ndarray) -> None:
        """Set the weights for the labels less a mean function [columns of its design, outputs]."""
        if self.gram is not None:
            self.outer, self.gram = cholesky(self.gram), None
        self.alpha = self.inner.half_solve(self.outer.solve(self._right_of(coefficients)), transposed=True)

    def _right_of(self, coefficients: np.ndarray) -> np.ndarray:
        """Return V noise^-1/2 y for labels y less a mean function."""
        outputs = coefficients.shape[1]
        return self.right[:, :outputs] - self.right[:, outputs:] @ coefficients

    def bound(self, coefficients: np.ndarray, s: float, *, amplitude: bool) -> float:
        """Variational bound of the log evidence for noise times ``s``, less what does not depend on s.

        With S = V V^T, right-hand side b and labels y in units of their noise before, it is half of
        -(|y|^2 - b^T (S + s)^-1 b) / s - log|1 + S/s| - n log s - tr(K - Q) / s.

        Parameters
        ----------
        coefficients : ndarray [columns of the design, outputs]
            Of the mean function.
        s : float
        amplitude : bool
            Whether the kernel has the amplitude of the labels; otherwise the best one of each output is taken, and n
            times the logarithm of the data term stands in its place.
        """
        assert self.gram is not None
        shifted = self.gram.copy()
        add_to_diagonal(shifted, s - 1.0)
        factor = cholesky(shifted)
        M, n, outputs = len(shifted), self.n_labels, coefficients.shape[1]
        data = (self.squares - np.sum(factor.half_solve(self._right_of(coefficients)) ** 2, axis=0)) / s
        data = np.sum(data) if amplitude else n * np.sum(np.log(np.maximum(data, np.finfo(float).tiny)))
        left = max(self.prior - (float(np.trace(self.gram)) - M), 0.0)  # rounding makes what is nothing negative
        return -0.5 * (float(data) + outputs * (factor.logdet + (n - M) * math.log(s) + left / s))

    def scale_noise(self, coefficients: np.ndarray, *, amplitude: bool) -> tuple[float, float]:
        """Multiply the noise by the factor, at least one, that maximizes `bound`, and return it."""
        from scipy.optimize import minimize_scalar

        assert self.gram is not None
        # The bound falls beyond: there the slopes in log s of all other terms are less than the n of n log s.
        widest = (self.prior + (float(np.mean(self.squares)) if amplitude else 0.0)) / self.n_labels
        if widest <= 1.0:
            return self.noise

        def loss(log_s: float) -> float:
            return -self.bound(coefficients, math.exp(log_s), amplitude=amplitude)

        found = minimize_scalar(loss, bounds=(0.0, math.log(widest)), method="bounded", options={"xatol": _LOG_STEP})
        if found.fun >= loss(0.0):
            return self.noise
        s = math.exp(found.x)
        add_to_diagonal(self.gram, s - 1.0)
        self.gram /= s
        self.right /= s
        self.squares, self.prior = self.squares / s, self.prior / s
        self.noise = (s * self.noise[0], s * self.noise[1])
        if s > _TELLING:
            _log.warning(
                "The noise variances that the search found are multiplied by %.3g: %d inducing points do not describe "
                "the labels more closely; more of them do.", s, len(self.points.X),
            )  # fmt: skip
        return self.noise

    def misfit(self, coefficients: np.ndarray) -> float:
        """Root mean square of what the mean leaves of the labels of the first training, in units of their noise."""
        right = self._right_of(coefficients)
        projected = self.outer.solve(right)
        # |y - V^T projected|^2 without the rows of V, as V V^T projected = right - projected
        squares = np.sum(self.squares - np.sum((right + projected) * projected, axis=0))
        return math.sqrt(max(float(squares), 0.0) / (self.n_labels * coefficients.shape[1]))

    def warn_of_misfit(self, coefficients: np.ndarray) -> None:
        """Say it when the noise is much less than what the inducing points leave of the labels."""
        misfit = self.misfit(coefficients)
        if misfit > _TELLING:
            _log.warning(
                "The %d inducing points leave %.3g times the noise of the labels (root mean square), so that "
                "predictions may be far off; more noise or more points are needed.", len(self.points.X), misfit,
            )  # fmt: skip

    def rows(self, points: Points, kinds: Kinds) -> np.ndarray:
        """Return covariances with the inducing points, whose sum with the weights is the mean."""
        return between(self.kernel, points, kinds, self.points, _ENERGIES)

    def predict(self, points: Points, kinds: Kinds, *, variance: bool) -> tuple[np.ndarray, Any]:
        """Return the mean [rows, outputs] and, if asked for, how much the labels reduce the variance [rows]."""
        rows = self.rows(points, kinds)
        mean = rows @ self.alpha
        if not variance:
            return mean, None
        first = self.inner.half_solve(rows.T)
        return mean, np.sum(first**2, axis=0) - np.sum(self.outer.half_solve(first) ** 2, axis=0)

    @property
    def row_size(self) -> int:
        """Numbers that one row of a prediction takes."""
        return len(self.points.X)
