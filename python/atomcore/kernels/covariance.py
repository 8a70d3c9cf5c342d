"""Covariances of energies and gradients of structures: what kernel machines solve with."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from atomcore.kernels.points import Points

if TYPE_CHECKING:
    from atomcore.kernels.functions import Kernel

Float64 = npt.NDArray[np.float64]
Choice = bool | tuple[bool, bool]


def covariance(
    kernel: "Kernel",
    A: Points,
    B: Points | None = None,
    *,
    energies: Choice = True,
    forces: Choice = False,
    out: Float64 | None = None,
    threads: int | None = None,
) -> Float64:
    """Return the covariances of the energies and gradients of structures."""
    in_rows = _observed(0, energies, forces)
    in_columns = _observed(1, energies, forces)
    first, second = A, A if B is None else B
    pieces = [
        [_piece(kernel, first, second, row, column) for column, wanted in enumerate(in_columns) if wanted]
        for row, chosen in enumerate(in_rows)
        if chosen
    ]
    result = np.block(pieces)
    if out is None:
        return result
    out[...] = result
    return out


def _observed(side: int, energies: Choice, forces: Choice) -> tuple[bool, bool]:
    e, f = ((choice[side] if isinstance(choice, tuple) else choice) for choice in (energies, forces))
    return bool(e), bool(f)


def _piece(kernel: "Kernel", A: Points, B: Points, row: int, column: int) -> Float64:
    scales = kernel.scales(A.n_features)
    X, Y = A.X / scales, B.X / scales
    d = X[:, None] - Y[None]
    n, m, K = d.shape
    mask = np.ones((n, m)) if A.elements is None else np.equal(A.elements[:, None], B.elements[None]).astype(float)
    mask *= kernel.variance
    if kernel.kind == "polynomial":
        f, d1, d2 = _jet(kernel, X @ Y.T)
        in_first, in_second = d1[..., None] * Y[None], d1[..., None] * X[:, None]
        second = d1[..., None, None] * np.eye(K) + d2[..., None, None] * Y[None, :, :, None] * X[:, None, None, :]
    elif kernel.kind == "laplacian":
        f, d1, d2 = _jet(kernel, np.abs(d).sum(-1))
        in_first = d1[..., None] * np.sign(d)
        in_second, second = -in_first, None
    else:
        f, d1, d2 = _jet(kernel, (d**2).sum(-1))
        in_first = 2 * d1[..., None] * d
        in_second = -in_first
        second = -2 * d1[..., None, None] * np.eye(K) - 4 * d2[..., None, None] * d[..., None] * d[..., None, :]
    left = _gather(A, scales, row)
    right = _gather(B, scales, column)
    values = {(0, 0): f, (0, 1): in_second, (1, 0): in_first, (1, 1): second}[row, column]
    if values is None or (row and column and kernel.smoothness < 2):
        raise ValueError(f"{type(kernel).__name__} has no second derivatives where two points are one")
    if row and column:
        values = (mask[..., None, None] * values).transpose(0, 2, 1, 3).reshape(n * K, m * K)
    elif column:
        values = (mask[..., None] * values).reshape(n, m * K)
    elif row:
        values = (mask[..., None] * values).transpose(0, 2, 1).reshape(n * K, m)
    else:
        values = mask * values
    return left.T @ values @ right


def _gather(points: Points, scales: Float64, gradients: int) -> Float64:
    if not gradients:
        counts = np.diff(points.structure_ptr)
        return np.repeat(np.eye(points.n_structures), counts, axis=0)
    K = points.n_features
    pointer = points.gradient_ptr
    J = np.zeros((len(points.X) * K, pointer[-1]))
    for s in range(points.n_structures):
        rows = slice(points.structure_ptr[s] * K, points.structure_ptr[s + 1] * K)
        block = points.jacobian_of(s) / scales[:, None]
        J[rows, pointer[s] : pointer[s + 1]] = block.reshape(-1, block.shape[2])
    return J


def _jet(kernel: "Kernel", q: Float64) -> tuple[Float64, Float64, Float64]:
    a, b = kernel.parameters
    r = np.sqrt(np.maximum(q, 0))
    safe = np.where(r > 0, r, 1.0)
    zero = r > 0
    match kernel.kind:
        case "rbf":
            f = np.exp(-q / 2)
            return f, -f / 2, f / 4
        case "matern12":
            f = np.exp(-r)
            return f, -f / (2 * safe) * zero, f / 4 * (1 / safe**2 + 1 / safe**3) * zero
        case "matern32":
            s = np.sqrt(3) * r
            e = np.exp(-s)
            return (1 + s) * e, -1.5 * e, 2.25 * e / (np.sqrt(3) * safe) * zero
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
    base = q + a
    return base**b, b * base ** (b - 1), b * (b - 1) * base ** max(b - 2, 0)
