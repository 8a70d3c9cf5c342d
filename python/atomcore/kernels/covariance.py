"""Covariances of energies and gradients of structures: what kernel machines solve with."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from atomcore import _core
from atomcore._memory import check_memory
from atomcore._threads import resolve_threads
from atomcore.kernels.points import Points

if TYPE_CHECKING:
    from atomcore.kernels.functions import Kernel

Float64 = npt.NDArray[np.float64]
Choice = bool | tuple[bool, bool]
_ALWAYS_THERE = 1e8  # bytes


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
    """Return the covariances of the energies and gradients of structures.

    The energy of a structure is the sum of a function over its rows, so that the covariance of two energies is the sum
    of k over all pairs of rows of one element (``L K L^T``), and those of gradients follow by the chain rule
    (Bartok and Csanyi, Int. J. Quantum Chem. 115, 1051 (2015), equations 21 to 24).

    Parameters
    ----------
    kernel
        A covariance function of this package.
    A, B
        Structures; without B, those of A with each other, computed once for each pair, both halves filled.
    energies, forces
        What is observed: energies, and derivatives of energies in the variables of the jacobian. These are gradients
        dE/dr and not forces -dE/dr. A pair says it for rows and columns apart.
    out
        Written to and returned: float64, C-contiguous.
    threads
        How many; ``OMP_NUM_THREADS`` or the number of processors by default. The result does not depend on it.

    Returns
    -------
    ndarray
        [rows, columns]; in both, all energies come first, then all gradients, structure by structure.

    Raises
    ------
    ValueError
        Gradients without a jacobian; gradients in rows and columns for a kernel without second derivatives; numbers of
        features that differ or do not fit the kernel; another shape or type of ``out``.
    MemoryError
        The matrix does not fit; nothing has been allocated then.
    """
    rows, columns = _observed(kernel, A, B, energies, forces)
    shape = (A.n_observations(*rows), (B or A).n_observations(*columns))
    if out is None:
        size = 8.0 * shape[0] * shape[1]
        if size > _ALWAYS_THERE:
            check_memory(
                size, f"a matrix of {shape[0]} x {shape[1]} covariances",
                "fewer rows at a time, or a sparse model (inducing of GaussianProcess and KernelRidge)",
            )  # fmt: skip
        out = _core.pooled_empty(shape, False)
    _check_array("out", out, shape)
    scaled = _scaled(kernel, A.n_features)
    _core.covariance(scaled, A.core, _core.Observed(*rows), B.core if B else None, _core.Observed(*columns), out,
                     resolve_threads(threads))  # fmt: skip
    return out


def diagonal(
    kernel: "Kernel", A: Points, *, energies: bool = True, forces: bool = False, threads: int | None = None
) -> Float64:
    """Return the diagonal of `covariance`: the variance of each observation before anything is known [rows]."""
    rows, _ = _observed(kernel, A, None, energies, forces)
    scaled = _scaled(kernel, A.n_features)
    return _core.covariance_diagonal(scaled, A.core, _core.Observed(*rows), resolve_threads(threads))


def gradient_of_trace(
    kernel: "Kernel",
    W: npt.ArrayLike,
    A: Points,
    B: Points | None = None,
    *,
    energies: Choice = True,
    forces: Choice = False,
    threads: int | None = None,
) -> Float64:
    """Return the derivatives of ``sum(W * K)`` in ``kernel.theta``, where K is what `covariance` returns.

    With ``W = (K^-1 - alpha alpha^T) / 2`` that is the gradient of the negative logarithm of the marginal likelihood
    (Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), equation 5.9).

    Parameters
    ----------
    kernel, A, B, energies, forces, threads
        As for `covariance`.
    W
        Weights [rows, columns].

    Returns
    -------
    ndarray
        One derivative an entry of ``kernel.theta``: in the logarithms of variance, lengths and alpha.

    Raises
    ------
    ValueError
        As `covariance`; gradients of a `Laplacian` kernel.
    """
    rows, columns = _observed(kernel, A, B, energies, forces)
    shape = (A.n_observations(*rows), (B or A).n_observations(*columns))
    weights = np.ascontiguousarray(W, np.float64)
    _check_array("W", weights, shape)
    if kernel.smoothness < 1 and (rows[1] or columns[1]):
        raise ValueError(f"{kernel!r} has an edge where points meet; accepted with gradients: {_SMOOTH}")
    scaled, one = _scaled(kernel, A.n_features), kernel.theta_names[1] == "length"
    variance, scales, alpha = _core.gradient_of_trace(
        scaled, A.core, _core.Observed(*rows), B.core if B else None, _core.Observed(*columns), weights, one,
        resolve_threads(threads),
    )  # fmt: skip
    return kernel.gradient_in_theta(variance, scales, alpha)


_SMOOTH = "RBF, Matern with nu 1.5 or 2.5, RationalQuadratic, Polynomial, Linear"


def _scaled(kernel: "Kernel", n_features: int) -> Any:
    a, b = kernel.parameters
    return _core.ScaledKernel(_core.kernel_kinds.index(kernel.kind), a, b, kernel.variance, kernel.scales(n_features))


def _observed(
    kernel: "Kernel", A: Points, B: Points | None, energies: Choice, forces: Choice
) -> tuple[tuple[bool, bool], tuple[bool, bool]]:
    """Return what is observed (energies, gradients) in rows and in columns."""
    pairs = [choice if isinstance(choice, tuple) else (choice, choice) for choice in (energies, forces)]
    rows, columns = ((bool(pairs[0][side]), bool(pairs[1][side])) for side in (0, 1))
    if B is None and rows != columns:
        raise ValueError("energies and forces differ between rows and columns; accepted only with a second set B")
    for name, points, chosen in (("A", A, rows), ("B", B or A, columns)):
        if chosen[1] and not points.has_gradients:
            raise ValueError(f"{name} has no jacobian; accepted with forces: Points(..., jacobian=...)")
    if B is not None and A.n_features != B.n_features:
        raise ValueError(f"B has {B.n_features} features; accepted: {A.n_features}, as A has")
    if B is not None and (A.elements is None) != (B.elements is None):
        raise ValueError("elements are given for one of A and B only; accepted: for both or for neither")
    if rows[1] and columns[1] and kernel.smoothness < 2:
        raise ValueError(f"{kernel!r} has no second derivatives where points meet; accepted: {_SMOOTH}")
    return rows, columns


def _check_array(name: str, array: Any, shape: tuple[int, int]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.float64 or not array.flags.c_contiguous:
        raise ValueError(f"{name} must be a C-contiguous float64 array")
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; accepted: {shape}")
