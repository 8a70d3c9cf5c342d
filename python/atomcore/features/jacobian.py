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
        rows, columns, data = [], [], []
        for centre, feature, edge, block in self._blocks():
            for atom, sign in ((int(self._neighbor[edge]), 1.0), (centre, -1.0)):
                rows.append(np.repeat(centre * k + feature, 3))
                columns.append(np.tile(3 * atom + np.arange(3), len(feature)))
                data.append(sign * block.ravel())
        if not data:
            return coo_array((n * k, 3 * n)).tocsr()
        index = (np.concatenate(rows), np.concatenate(columns))
        return coo_array((np.concatenate(data), index), shape=(n * k, 3 * n)).tocsr()

    def _blocks(self):
        """Yield centre, columns, edge and values [columns, 3] of every edge."""
        edge_class, row_offset = self._stored[1], self._stored[2]
        class_columns = _core.class_columns(self._plan[0])
        for centre in self._rows.tolist():
            first = int(row_offset[centre])
            for edge in range(int(self._row_ptr[centre]), int(self._row_ptr[centre + 1])):
                feature = class_columns[int(edge_class[edge])]
                yield centre, feature, edge, self._values[first : first + len(feature)]
                first += len(feature)


def _checked(name: str, array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    array = np.ascontiguousarray(array, np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; accepted: {shape}")
    return array
