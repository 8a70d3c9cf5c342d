"""Exact kernel machines: one factored matrix of all labels, kept, and grown when labels are added."""

from typing import Any

import numpy as np

from atomcore._memory import require_memory, size_in_words
from atomcore.kernels import Points, covariance
from atomcore.kernels.linalg import add_to_diagonal, cholesky
from atomcore.models._kernel_search import Kinds, Labels

CHUNK = 1024  # labels that a sparse model takes in at a time


def between(kernel: Any, rows: Points, of_rows: Kinds, columns: Points, of_columns: Kinds) -> np.ndarray:
    """Return the covariances of some kinds of labels of some points with those of others."""
    kinds: Kinds = {name: (of_rows[name], of_columns[name]) for name in ("energies", "forces")}
    return covariance(kernel, rows, columns, **kinds)


def require_matrix(n: int) -> None:
    """Announce the memory that n labels need, or refuse (MemoryError) before anything is taken."""
    fewer = min(n // 2, 3000)
    require_memory(
        8.0 * n * n,
        f"the kernel matrix of {n} labels",
        f"a sparse model, inducing={fewer}, which takes {size_in_words(sparse_size(fewer))}",
    )


def sparse_size(points: int, *, searched: bool = False) -> float:
    """Bytes that a sparse model takes: a packed and a full matrix, and a chunk of labels in the making.

    Where the noise was searched for, a copy of the full matrix takes the place of the chunk afterwards.
    """
    return 12.0 * points**2 + max(32.0 * points * CHUNK, 8.0 * points**2 if searched else 0.0)


class ExactSolver:
    """Weights ``alpha = (K + noise)^-1 y`` and the factor of that matrix.

    Raises
    ------
    NotPositiveDefinite
        With the label at which the factorization failed.
    """

    def __init__(self, kernel: Any, labels: Labels, noise: tuple[float, float]) -> None:
        self.kernel, self.noise = kernel, noise
        self.batches = [labels]
        K = covariance(kernel, labels.points, **labels.kinds)
        add_to_diagonal(K, labels.noise(*noise))
        self.factor = cholesky(K)
        self.values = labels.values
        self.alpha = self.factor.solve(self.values)

    def add(self, labels: Labels) -> None:
        """Add labels: the factor grows by their rows."""
        rows = self.rows(labels.points, labels.kinds)
        own = covariance(self.kernel, labels.points, **labels.kinds)
        add_to_diagonal(own, labels.noise(*self.noise))
        self.factor = self.factor.append(rows, own)
        self.batches.append(labels)

    def solve(self, values: np.ndarray) -> None:
        """Take other values [rows, outputs] of the labels."""
        self.values = values
        self.alpha = self.factor.solve(values)

    def rows(self, points: Points, kinds: Kinds) -> np.ndarray:
        """Return covariances with all labels, whose sum with the weights is the mean."""
        return np.concatenate(
            [between(self.kernel, points, kinds, old.points, old.kinds) for old in self.batches], axis=1
        )

    def predict(self, points: Points, kinds: Kinds, *, variance: bool) -> tuple[np.ndarray, Any]:
        """Return the mean [rows, outputs] and, if asked for, how much the labels reduce the variance [rows]."""
        rows = self.rows(points, kinds)
        mean = rows @ self.alpha
        return mean, np.sum(self.factor.half_solve(rows.T) ** 2, axis=0) if variance else None

    @property
    def row_size(self) -> int:
        """Numbers that one row of a prediction takes."""
        return len(self.values)
