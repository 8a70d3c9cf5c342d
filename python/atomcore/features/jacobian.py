"""The sparse Jacobian of a structure's features in its positions."""

from typing import TYPE_CHECKING

import numpy as np

from atomcore import _core

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class Jacobian:
    """d G[i, k] / d R[n, x] of one structure, kept as one block an edge; periodic images are folded back.

    Made by `SymmetryFunctions.compute`; N atoms, K features.
    """

    def __init__(
        self,
        plan: tuple[np.ndarray, np.ndarray],
        values: np.ndarray,
        edge_class: np.ndarray,
        row_offset: np.ndarray,
        edges: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
        threads: int,
    ) -> None:
        self._plan = plan
        self._values = values
        self._structure_ptr, self._row_ptr, self._neighbor, self._shift = edges
        self._rows = np.arange(len(self._row_ptr) - 1, dtype=np.int64)
        self._stored = (self._row_ptr, edge_class, row_offset, values, self._rows)
        self._threads = threads

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, K, N, 3)."""
        n = len(self._rows)
        return n, int(self._plan[0][1]), n, 3

    def vjp(self, W: np.ndarray) -> np.ndarray:
        """Return ``sum_ik W[i, k] dG[i, k] / dR``, float64 [N, 3], for cotangents W [N, K]."""
        n, k = self.shape[:2]
        W = _checked("W", W, (n, k))
        g_D = _core.jacobian_vjp(*self._plan, *self._stored, W, self._threads)
        edges = (self._structure_ptr, self._row_ptr, self._neighbor, self._shift)
        return _core.edge_scatter(g_D, *edges, self._threads)[0]

    def jvp(self, V: np.ndarray) -> np.ndarray:
        """Return the change of G along the displacements V [N, 3], float64 [N, K]."""
        V = _checked("V", V, (len(self._rows), 3))
        edges = (self._structure_ptr, self._row_ptr, self._neighbor, self._shift)
        v = _core.edge_vectors(V, np.zeros((1, 3, 3)), *edges, self._threads)
        return _core.jacobian_jvp(*self._plan, *self._stored, v, self._threads)

    def to_scipy(self) -> "csr_array":
        """Return the Jacobian as a sparse matrix [N*K, 3N]."""
        from scipy.sparse import coo_array

        n, k = self.shape[:2]
        centre, feature, atom, values = self._entries()
        data = np.concatenate([values, -values])
        rows = np.tile(np.repeat(centre * k + feature, 3), 2)
        columns = 3 * np.concatenate([atom, centre])[:, None] + np.arange(3)
        return coo_array((data.ravel(), (rows, columns.ravel())), shape=(n * k, 3 * n)).tocsr()

    def to_numpy(self) -> np.ndarray:
        """Return the Jacobian as a dense array, float64 [N, K, N, 3]; all atoms together move nothing."""
        n, k = self.shape[:2]
        centre, feature, atom, values = self._entries()
        place = 3 * ((centre * k + feature) * n + atom)[:, None] + np.arange(3)
        dense = np.bincount(place.ravel(), values.ravel(), n * k * n * 3).reshape(n, k, n, 3)
        each = np.arange(n)
        dense[each, :, each] -= dense.sum(axis=2)
        return dense

    def _entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return centre, feature, neighbor and slopes [entries, 3] in its position, whose negative the centre has."""
        _, edge_class, row_offset, values, _ = self._stored
        columns = _core.class_columns(self._plan[0])
        sizes = np.array([len(column) for column in columns], np.int64)
        first_column = np.cumsum(sizes) - sizes
        counts = sizes[edge_class]
        before = np.cumsum(counts) - counts  # entries of earlier edges
        centre = np.repeat(self._rows, np.diff(self._row_ptr))
        first = row_offset[centre] + before - before[self._row_ptr[:-1][centre]]
        edge = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(edge)) - before[edge]
        place = first_column[edge_class][edge] + within
        feature = np.concatenate([np.zeros(0, np.int64), *columns])[place]
        return centre[edge], feature, self._neighbor[edge], values[first[edge] + within].astype(np.float64)


def _checked(name: str, array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    array = np.ascontiguousarray(array, np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; accepted: {shape}")
    return array
