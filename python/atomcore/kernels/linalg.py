"""Cholesky factors of covariance matrices: large ones in place, full or packed, and many small ones at a time.

A packed matrix is one array of n (n + 1) / 2 numbers, half the memory of a full one at the same speed: LAPACK's
rectangular full packed format with TRANSR = "N" and UPLO = "U" (Gustavson et al., ACM Trans. Math. Softw. 37, 18
(2010)), in which the compiled assemblers write. Large matrices go to the LAPACK that SciPy brings.
"""

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore import _core
from atomcore._arrays import as_float64
from atomcore._progress import Progress
from atomcore._threads import resolve_threads

Float = npt.NDArray[np.float64]

LARGEST_SMALL = 64  # rows of a matrix in a batch


class NotPositiveDefinite(np.linalg.LinAlgError):
    """A matrix that has no Cholesky factor.

    Attributes
    ----------
    pivot : int
        Index of the first row whose pivot is not positive: it is, to rounding, a combination of the rows before.
    """

    def __init__(self, message: str, pivot: int) -> None:
        super().__init__(message, pivot)
        self.pivot = pivot

    def __str__(self) -> str:
        return str(self.args[0])


def packed_size(n: int) -> int:
    """Return how many numbers the packed form of an [n, n] matrix has."""
    return n * (n + 1) // 2


def add_to_diagonal(A: Float, amount: float | Float) -> None:
    """Add a number, or one for each row [n], to the diagonal of A, [n, n] or packed, in place."""
    n = _rows(A)
    if A.ndim == 2:
        A[np.diag_indices(n)] += amount
        return
    rows, split = np.arange(n), n // 2
    A[rows * ((n | 1) + 1) + np.where(rows < split, split + 1, -split * (n | 1))] += amount


def cholesky(
    A: npt.ArrayLike,
    *,
    jitter: float | None = None,
    overwrite: bool = True,
    packed: bool = False,
    progress: bool = False,
) -> "Factor":
    """Factorise a symmetric positive definite matrix, A + jitter I = L L^T.

    Parameters
    ----------
    A
        Float64 [n, n], of which the lower triangle is read (the upper one of a Fortran-ordered array, which is the same
        memory), or packed [n (n + 1) / 2].
    jitter
        What to add to the diagonal, in the units of A; nothing by default.
    overwrite
        Let the factor take the place of A. Otherwise, or when A is no contiguous float64 array, it is a copy.
    packed
        Pack the factor of a full A.
    progress
        Show a bar when it takes long.

    Returns
    -------
    Factor

    Raises
    ------
    NotPositiveDefinite
        A is not positive definite to working precision, with the index of the pivot that fails. Nothing is added to
        the diagonal to avoid this unless ``jitter`` says so. A has then been overwritten, where that was allowed.
    ValueError
        A has another shape, holds a number that is not finite (named), or ``jitter`` is negative.
    """
    jitter = _checked_jitter(jitter)
    matrix = _as_lower(A, overwrite=overwrite, packed=packed)
    n = _rows(matrix)
    row, column = _core.cholesky_not_finite(matrix, n)
    if row >= 0:
        raise ValueError(f"A is not finite at [{row}, {column}]; accepted: finite numbers")
    if jitter:
        add_to_diagonal(matrix, jitter)
    _use_scipy()
    bar = Progress(1000, "solving", enabled=progress)
    pivot = _core.cholesky_factor(matrix, n, (lambda done: bar.update(1000 * done)) if progress else None)
    bar.close(1000)
    if pivot >= 0:
        raise _not_positive(pivot, n)
    return Factor(matrix, n, jitter)


class Factor:
    """A Cholesky factor, A = L L^T. Never changes: updates return a new one.

    Made by `cholesky`; n rows.

    Attributes
    ----------
    n : int
        Rows of A.
    jitter : float
        What was added to the diagonal before factorising; 0.0 unless it was asked for.
    """

    def __init__(self, matrix: Float, n: int, jitter: float) -> None:
        self._matrix, self.n, self.jitter = matrix, n, jitter

    def __repr__(self) -> str:
        return f"Factor(n={self.n}, jitter={self.jitter:g}{', packed' if self.packed else ''})"

    @property
    def packed(self) -> bool:
        """Whether half the memory of a full matrix holds it."""
        return self._matrix.ndim == 1

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._matrix.nbytes

    def lower(self) -> Float:
        """Return L as a full matrix [n, n] with zeros right of the diagonal."""
        full = np.zeros((self.n, self.n))
        _core.cholesky_copy_rows(self._matrix, self.n, full, self.n)
        return full

    @functools.cached_property
    def logdet(self) -> float:
        """Natural logarithm of the determinant of A."""
        return _core.cholesky_log_determinant(self._matrix, self.n)

    def solve(self, y: npt.ArrayLike) -> Float:
        """Return A^-1 y for y [n] or [n, m]."""
        sides = self._sides(y)
        for transposed in (False, True):
            _core.cholesky_solve(self._matrix, self.n, transposed, sides)
        return _like(y, sides)

    def half_solve(self, y: npt.ArrayLike, *, transposed: bool = False) -> Float:
        """Return L^-1 y, or L^-T y, for y [n] or [n, m]: y^T A^-1 y is the square of the columns of L^-1 y."""
        sides = self._sides(y)
        _core.cholesky_solve(self._matrix, self.n, transposed, sides)
        return _like(y, sides)

    def inverse(self) -> Float:
        """Return A^-1 as a full matrix [n, n], both triangles filled."""
        full = np.empty((self.n, self.n))
        _core.cholesky_copy_rows(self._matrix, self.n, full, self.n)
        _use_scipy()
        _core.cholesky_invert(full)
        return full

    def append(self, B: npt.ArrayLike, C: npt.ArrayLike, *, jitter: float | None = None) -> "Factor":
        """Return the factor of [[A, B^T], [B, C]] in some n^2 m instead of (n + m)^3 / 3 operations.

        Parameters
        ----------
        B
            The m new rows against the old ones, [m, n].
        C
            The new rows against each other, [m, m]; the lower triangle is read.
        jitter
            What to add to the diagonal of C; by default what was added to that of A.

        Raises
        ------
        NotPositiveDefinite
            The grown matrix is not positive definite; the pivot counts from its first row.
        """
        Z = np.array(as_float64("B", B, ("m", self.n)))
        m = len(Z)
        S = np.array(as_float64("C", C, (m, m)))
        _check_finite("B", Z)
        _check_finite("C", S[np.tri(m, dtype=bool)])
        added = self.jitter if jitter is None else _checked_jitter(jitter)
        S[np.diag_indices(m)] += added
        _use_scipy()
        _core.cholesky_solve(self._matrix, self.n, False, Z)
        S -= Z @ Z.T
        pivot = _core.cholesky_factor(S, m, None)
        if pivot >= 0:
            raise _not_positive(self.n + pivot, self.n + m)
        n = self.n + m
        grown = np.empty(packed_size(n) if self.packed else (n, n))
        _core.cholesky_copy_rows(self._matrix, self.n, grown, n)
        _core.cholesky_append_rows(grown, n, Z, S)
        return Factor(grown, n, max(self.jitter, added))

    def update(self, v: npt.ArrayLike) -> "Factor":
        """Return the factor of A + v v^T, v [n], in some n^2 operations."""
        return self._rank_one(v, add=True)

    def downdate(self, v: npt.ArrayLike) -> "Factor":
        """Return the factor of A - v v^T, v [n], in some n^2 operations.

        Raises
        ------
        NotPositiveDefinite
            A - v v^T is not positive definite.
        """
        return self._rank_one(v, add=False)

    def _rank_one(self, v: npt.ArrayLike, *, add: bool) -> "Factor":
        vector = np.array(as_float64("v", v, (self.n,)))
        _check_finite("v", vector)
        matrix = self._matrix.copy()
        _use_scipy()
        pivot = _core.cholesky_rank_one(matrix, self.n, vector, add)
        if pivot >= 0:
            raise _not_positive(pivot, self.n)
        return Factor(matrix, self.n, self.jitter)

    def _sides(self, y: npt.ArrayLike) -> Float:
        """Return the columns of y as rows [m, n] of memory of their own."""
        array = np.asarray(y)
        shape = (self.n,) if array.ndim == 1 else (self.n, "m")
        sides = np.array(np.atleast_2d(as_float64("y", array, shape).T), order="C")
        _check_finite("y", sides)
        _use_scipy()
        return sides


def batched_cholesky(
    A: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None, threads: int | None = None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """Factorise many small matrices, A[b] = L[b] L[b]^T.

    Parameters
    ----------
    A
        [B, n, n] with n up to 64, float32 or float64, of which the lower triangles are read.
    out
        Where to write L, in the dtype of A; may be A itself.
    threads
        Number of threads; by default OMP_NUM_THREADS or all cores. The results are the same for any.

    Returns
    -------
    L [B, n, n]
        With zeros right of the diagonals.
    status : int32 [B]
        0, or 1 + the index of the first pivot that is not positive and finite. L of such a matrix is NaN; the others
        are not touched by it.
    """
    matrices = _as_batch(A)
    L = _output("out", out, matrices.shape, matrices.dtype)
    return L, _core.batched_cholesky(matrices, L, None, None, None, resolve_threads(threads))


def batched_solve(
    A: npt.ArrayLike, y: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None, threads: int | None = None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """Solve A[b] x[b] = y[b] for many small positive definite matrices without writing their factors.

    Parameters
    ----------
    A, threads
        As in `batched_cholesky`.
    y
        [B, n] or [B, n, m], in the dtype of A.
    out
        Where to write x, as large as y; may be y itself.

    Returns
    -------
    x
        As large as y.
    status : int32 [B]
        As in `batched_cholesky`.
    """
    matrices = _as_batch(A)
    sides = np.ascontiguousarray(as_float64("y", y, np.shape(y)), dtype=matrices.dtype)
    _check_finite("y", sides)
    if sides.ndim not in (2, 3) or sides.shape[:2] != matrices.shape[:2]:
        raise ValueError(f"y has shape {sides.shape}; accepted: {matrices.shape[:2]} or {(*matrices.shape[:2], 'm')}")
    x = _output("out", out, sides.shape, matrices.dtype)
    columns = (*matrices.shape[:2], -1) if sides.ndim == 2 else sides.shape
    status = _core.batched_cholesky(
        matrices, None, _shaped(sides, columns), _shaped(x, columns), None, resolve_threads(threads)
    )
    return x, status


def batched_logdet(A: npt.ArrayLike, *, threads: int | None = None) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """Return the logarithms of the determinants of many small positive definite matrices, [B], and ``status`` [B].

    Both as in `batched_cholesky`.
    """
    matrices = _as_batch(A)
    logarithms = np.empty(len(matrices), matrices.dtype)
    return logarithms, _core.batched_cholesky(matrices, None, None, None, logarithms, resolve_threads(threads))


@functools.cache
def _use_scipy() -> None:
    """Hand the BLAS and LAPACK that SciPy is linked to, to the core."""
    from scipy.linalg import cython_blas, cython_lapack

    _core.use_scipy(cython_blas.__pyx_capi__, cython_lapack.__pyx_capi__)


def _rows(A: npt.NDArray[Any]) -> int:
    """Return the number of rows of a full or packed matrix."""
    if A.ndim == 2 and A.shape[0] == A.shape[1]:
        return len(A)
    n = (math.isqrt(8 * A.size + 1) - 1) // 2
    if A.ndim != 1 or packed_size(n) != A.size:
        raise ValueError(f"A has shape {A.shape}; accepted: (n, n), or (n (n + 1) / 2,) for a packed matrix of n rows")
    return n


def _as_lower(A: npt.ArrayLike, *, overwrite: bool, packed: bool) -> Float:
    """Return A as the core reads it, in memory that may be written to."""
    given = np.asarray(A)
    n = _rows(given)
    rows = given if given.flags.c_contiguous else given.T
    matrix = as_float64("A", rows, rows.shape)
    if packed and matrix.ndim == 2:
        result = np.empty(packed_size(n))
        _core.cholesky_copy_rows(matrix, n, result, n)
        return result
    keep = not overwrite or not matrix.flags.writeable
    return matrix.copy() if keep and np.may_share_memory(matrix, given) else matrix


def _checked_jitter(jitter: float | None) -> float:
    if jitter is None:
        return 0.0
    if not (math.isfinite(jitter) and jitter >= 0):
        raise ValueError(f"jitter is {jitter}; accepted: None, or a number from 0 to add to the diagonal")
    return float(jitter)


def _not_positive(pivot: int, n: int) -> NotPositiveDefinite:
    return NotPositiveDefinite(
        f"A is not positive definite: pivot {pivot} of {n} is not positive, so row {pivot} depends on those before it "
        "(a point given twice without noise does this); accepted: a matrix with noise on its diagonal, or jitter",
        pivot,
    )


def _check_finite(name: str, array: npt.NDArray[Any]) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds numbers that are not finite; accepted: finite numbers")


def _like(y: npt.ArrayLike, sides: Float) -> Float:
    return sides[0] if np.ndim(y) == 1 else sides.T


def _as_batch(A: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(A)
    if array.dtype != np.float32:
        array = as_float64("A", array, array.shape)
    if array.ndim != 3 or array.shape[1] != array.shape[2] or not 1 <= array.shape[1] <= LARGEST_SMALL:
        raise ValueError(f"A has shape {array.shape}; accepted: (B, n, n) with n from 1 to {LARGEST_SMALL}")
    return np.ascontiguousarray(array)


def _output(name: str, out: npt.NDArray[Any] | None, shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
    if out is None:
        return _core.pooled_empty(shape, dtype == np.float32)
    if out.shape != shape or out.dtype != dtype or not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError(f"{name} is {out.dtype} {out.shape}; accepted: a writeable C-ordered {dtype} {shape}")
    return out


def _shaped(array: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    view = array.view()
    view.shape = shape  # never copies
    return view
