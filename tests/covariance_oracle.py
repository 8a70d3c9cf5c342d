"""Covariances of energies and gradients once more, in the plainest way: all pairs of rows, contracted afterwards."""

import numpy as np

from atomcore.kernels import Kernel, Points


def covariance(kernel: Kernel, A: Points, B: Points, rows: tuple[bool, bool], columns: tuple[bool, bool]) -> np.ndarray:
    """Return the covariances of what is observed (energies, gradients) of A and B."""
    pieces = [
        [_piece(kernel, A, B, row, column) for column in (0, 1) if columns[column]] for row in (0, 1) if rows[row]
    ]
    return np.block(pieces)


def _piece(kernel: Kernel, A: Points, B: Points, row: int, column: int) -> np.ndarray:
    scales = kernel.scales(A.n_features)
    X, Y = A.X / scales, B.X / scales
    d = X[:, None] - Y[None]
    n, m, K = d.shape
    mask = np.ones((n, m)) if A.elements is None else np.equal(A.elements[:, None], B.elements[None]).astype(float)
    mask *= kernel.variance
    if kernel.kind == "polynomial":
        f, d1, d2 = jet(kernel, X @ Y.T)
        in_first, in_second = d1[..., None] * Y[None], d1[..., None] * X[:, None]
        second = d1[..., None, None] * np.eye(K) + d2[..., None, None] * Y[None, :, :, None] * X[:, None, None, :]
    elif kernel.kind == "laplacian":
        f, d1, d2 = jet(kernel, np.abs(d).sum(-1))
        in_first = d1[..., None] * np.sign(d)
        in_second, second = -in_first, np.full((n, m, K, K), np.nan)
    else:
        f, d1, d2 = jet(kernel, (d**2).sum(-1))
        in_first = 2 * d1[..., None] * d
        in_second = -in_first
        second = -2 * d1[..., None, None] * np.eye(K) - 4 * d2[..., None, None] * d[..., None] * d[..., None, :]
    left, right = _gather(A, scales, row), _gather(B, scales, column)
    if row and column:
        values = (mask[..., None, None] * second).transpose(0, 2, 1, 3).reshape(n * K, m * K)
    elif column:
        values = (mask[..., None] * in_second).reshape(n, m * K)
    elif row:
        values = (mask[..., None] * in_first).transpose(0, 2, 1).reshape(n * K, m)
    else:
        values = mask * f
    return left.T @ values @ right


def _gather(points: Points, scales: np.ndarray, gradients: int) -> np.ndarray:
    """Return what sums rows into structures, or the derivatives of rows in the variables of all structures."""
    if not gradients:
        return np.repeat(np.eye(points.n_structures), np.diff(points.structure_ptr), axis=0)
    K, pointer = points.n_features, points.gradient_ptr
    J = np.zeros((len(points.X) * K, pointer[-1]))
    for s in range(points.n_structures):
        rows = slice(points.structure_ptr[s] * K, points.structure_ptr[s + 1] * K)
        block = points.jacobian_of(s) / scales[:, None]
        J[rows, pointer[s] : pointer[s + 1]] = block.reshape(-1, block.shape[2])
    return J


def jet(kernel: Kernel, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the kernel of unit variance and its first two derivatives in q; 0 where those diverge."""
    a, b = kernel.parameters
    r = np.sqrt(np.maximum(q, 0))
    apart = r > 0
    i = np.divide(1.0, r, out=np.zeros_like(r), where=apart)
    match kernel.kind:
        case "rbf":
            f = np.exp(-q / 2)
            return f, -f / 2, f / 4
        case "matern12":
            f = np.exp(-r)
            return f, -f * i / 2, f / 4 * (i**2 + i**3)
        case "matern32":
            e = np.exp(-np.sqrt(3) * r)
            return (1 + np.sqrt(3) * r) * e, -1.5 * e, 2.25 / np.sqrt(3) * e * i
        case "matern52":
            s = np.sqrt(5) * r
            e = np.exp(-s)
            return (1 + s + s**2 / 3) * e, -5 / 6 * (1 + s) * e, 25 / 12 * e
        case "rational_quadratic":
            base = 1 + q / (2 * a)
            return base**-a, -0.5 * base ** (-a - 1), 0.25 * (1 + 1 / a) * base ** (-a - 2)
        case "laplacian":
            f = np.exp(-q)
            return f, -f, f
        case "polynomial":
            base = q + a
            return base**b, b * base ** (b - 1), b * (b - 1) * base ** max(b - 2, 0)
    raise ValueError(kernel.kind)
