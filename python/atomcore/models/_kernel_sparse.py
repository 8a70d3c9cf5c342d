"""Sparse kernel machines: a few inducing points stand for all of the training data.

The labels are projected on M points Z (deterministic training conditional; Quinonero-Candela and Rasmussen, J. Mach.
Learn. Res. 6, 1939 (2005), section 5). With K_ZZ = L L^T and V = L^-1 K_Zn noise^-1/2, whose columns are the labels,

    A = 1 + V V^T,    mean(x) = k(x, Z) L^-T A^-1 V noise^-1/2 y,
    variance(x) = k(x, x) - |L^-1 k(Z, x)|^2 + |L_A^-1 L^-1 k(Z, x)|^2,    A = L_A L_A^T.

A is gathered from chunks of structures, so that memory depends on M and not on how many labels there are, and it is as
well conditioned as the noise allows: the normal equations in K_Zn alone would square the condition number of K_ZZ.
"""

from typing import Any

import numpy as np

from atomcore._memory import require_memory
from atomcore.kernels import Points, covariance, inducing
from atomcore.kernels.linalg import cholesky
from atomcore.models._kernel_exact import between, sparse_size
from atomcore.models._kernel_search import Kinds, Labels

SELECTIONS = ("random", "cur", "farthest_point", "k_means")
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


class SparseSolver:
    """Weights of inducing points, from labels that come in chunks.

    Parameters
    ----------
    jitter : float
        Added to the diagonal of K_ZZ, as a share of its mean.
    """

    def __init__(self, kernel: Any, points: Points, noise: tuple[float, float], jitter: float, columns: int) -> None:
        M = len(points.X)
        require_memory(
            sparse_size(M),
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

    def gather(self, labels: Labels, right: np.ndarray) -> None:
        """Take in labels: ``right`` [rows, columns] are the values to be projected."""
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

    def finish(self) -> None:
        """Factor what was gathered, in its place."""
        assert self.gram is not None
        self.outer, self.gram = cholesky(self.gram), None

    def solve(self, combine: np.ndarray) -> None:
        """Set the weights for the combination ``right @ combine`` [q, outputs] of what was gathered."""
        projected = self.outer.solve(self.right @ combine)
        self.alpha = self.inner.half_solve(projected, transposed=True)

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
