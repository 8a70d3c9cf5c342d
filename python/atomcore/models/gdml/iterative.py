"""Conjugate gradients for covariances that do not fit into memory.

The matrix is never stored: products with it cost as much as predictions. The preconditioner is a Nystroem
approximation from columns drawn by their leverage scores (Bluecher, Mueller and Chmiela, J. Chem. Theory Comput. 19,
4619 (2023)).
"""

import logging
import os
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore._arrays import whole_number
from atomcore._core import AtomcoreError
from atomcore._files import replacing
from atomcore._memory import free_memory, require_memory
from atomcore._progress import Progress

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_log = logging.getLogger("atomcore")
_PROBES = 10  # structures' worth of random columns from which leverage scores are estimated
_SHARE = 0.25  # of the free memory that a preconditioner takes by default
_OF_ALL = 0.2  # of the unknowns: more columns save fewer iterations than they cost
_MOST_COLUMNS = 8000  # the cost of making a preconditioner grows with the square of their number
_PART = 2048  # rows that are worked on at a time
_JITTERS = 10.0 ** np.arange(-14, -3)  # of the mean diagonal, tried in turn


@dataclass(frozen=True, kw_only=True)
class Iterative:
    """Settings of the iterative solver.

    Parameters
    ----------
    tolerance : float
        Of the residual, relative to the labels.
    max_iterations : int, optional
        Default: as many as there are unknowns.
    columns : int, optional
        Of the preconditioner, which takes ``8 * columns`` bytes an unknown; by default a fifth of the unknowns, what a
        quarter of the free memory holds, or 8000, whatever is least.
    checkpoint : path, optional
        File (``.npz``) that the state is written to every `checkpoint_seconds`; when it is there already, made by the
        same data and settings, the solution goes on from it, to the bit. It is deleted once the solution has converged.
    checkpoint_seconds : float
    """

    tolerance: float = 1e-4
    max_iterations: int | None = None
    columns: int | None = None
    checkpoint: str | os.PathLike | None = None
    checkpoint_seconds: float = 120.0

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance is {self.tolerance!r}; accepted: numbers between 0 and 1")
        for name in ("max_iterations", "columns"):
            if getattr(self, name) is not None:
                whole_number(name, getattr(self, name), 1)
        if self.checkpoint is not None and Path(self.checkpoint).suffix != ".npz":
            raise ValueError(f"checkpoint is {str(self.checkpoint)!r}; accepted: names that end with .npz")
        if not self.checkpoint_seconds > 0:
            raise ValueError(f"checkpoint_seconds is {self.checkpoint_seconds!r}; accepted: numbers above 0")


@dataclass(frozen=True)
class System:
    """Linear equations ``(C + lam) x = y`` whose matrix is never stored.

    Attributes
    ----------
    product : callable
        ``C v`` of a vector.
    rows : callable
        The rows of C [k, n] with ascending indices [k].
    y : ndarray [n]
    lam : float
    unit : int
        Unknowns of a structure.
    key : str
        What the equations are made of: a checkpoint of others is refused.
    """

    product: Callable[[Float64], Float64]
    rows: Callable[[Int64], Float64]
    y: Float64
    lam: float
    unit: int
    key: str


@dataclass(frozen=True)
class Convergence:
    """How a solution came about.

    Attributes
    ----------
    converged : bool
    iterations : int
    residual : float
        |y - (C + lam) x| / |y|, computed anew from the solution.
    columns : int
        Of the preconditioner.
    jitter : float
        What was added to the diagonals of the preconditioner's small matrices, never to that of the equations.
    """

    converged: bool
    iterations: int
    residual: float
    columns: int
    jitter: float

    def describe(self) -> str:
        """Return the outcome in words."""
        state = "converged" if self.converged else "NOT converged"
        return (
            f"conjugate gradients {state} after {self.iterations} iterations: residual {self.residual:.1e} of the "
            f"labels, {self.columns} columns in the preconditioner (jitter {self.jitter:.0e})"
        )


class _Preconditioner:
    """(Q Q^T + lam)^-1 with Q Q^T the Nystroem approximation of C from some of its rows."""

    def __init__(self, system: System, chosen: Int64, progress: bool):
        self._lam, self.size = system.lam, len(chosen)
        n = len(system.y)
        bar = Progress(self.size + 3 * n, f"preconditioner of {self.size} columns", enabled=progress)
        rows = np.empty((self.size, n))
        for part in _parts(self.size):
            rows[part] = system.rows(chosen[part])
            bar.update(part.stop)
        self.Q, self.jitter, inner = rows.T, 0.0, np.zeros((self.size, self.size))
        self._divide(self.Q[chosen], bar, self.size)
        for part in _parts(n):
            inner += self.Q[part].T @ self.Q[part]
            bar.update(self.size + n + part.stop)
        inner[np.diag_indices(self.size)] += system.lam
        self._divide(inner, bar, self.size + 2 * n)
        bar.close(self.size + 3 * n)

    def _divide(self, A: Float64, bar: Progress, done: int) -> None:
        """Multiply Q by the inverse of the transposed Cholesky factor of A, part by part so that Ctrl-C is heard."""
        from scipy.linalg.blas import dtrsm

        factor, jitter = _jittered_cholesky(A)
        self.jitter = max(self.jitter, jitter)
        for part in _parts(len(self.Q)):
            # In Fortran's order, which BLAS solves in place.
            self.Q[part] = dtrsm(
                1.0, factor, np.asfortranarray(self.Q[part]), side=1, lower=1, trans_a=1, overwrite_b=1
            )
            bar.update(done + part.stop)

    def __call__(self, v: Float64) -> Float64:
        return (v - self.Q @ (v @ self.Q)) / self._lam

    def leverage(self) -> Float64:
        """Leverage scores of all unknowns, as far as the columns show them."""
        return np.einsum("nk,nk->n", self.Q, self.Q)


def _parts(n: int) -> list[slice]:
    return [slice(first, min(first + _PART, n)) for first in range(0, n, _PART)]


def _jittered_cholesky(A: Float64) -> tuple[Float64, float]:
    from scipy.linalg import LinAlgError, cholesky

    mean = float(np.trace(A)) / len(A)
    for jitter in (0.0, *(_JITTERS * mean)):
        shifted = A.copy()
        shifted[np.diag_indices(len(A))] += jitter
        try:
            return cholesky(shifted, lower=True, overwrite_a=True, check_finite=False), float(jitter)
        except LinAlgError:
            continue
    raise AtomcoreError("the preconditioner has no Cholesky factor: the covariance is not finite or not positive")


@dataclass
class _State:
    """Of conjugate gradients between two iterations."""

    x: Float64
    r: Float64
    p: Float64
    rho: float
    iteration: int


def solve_iteratively(
    system: System, options: Iterative, *, seed: int = 0, progress: bool = True
) -> tuple[Float64, Convergence]:
    """Solve ``(C + lam) x = y`` by preconditioned conjugate gradients.

    Returns
    -------
    x : ndarray [n]
    convergence : Convergence
        When it has not converged, a warning says so too, and x is the last iterate.

    Raises
    ------
    MemoryError
        When the preconditioner does not fit.
    AtomcoreError
        When the checkpoint is damaged, or of other equations.
    """
    n = len(system.y)
    resumed = _resume(system, options, seed)
    columns = _n_columns(options, n) if resumed is None else resumed[1]
    require_memory(8.0 * n * columns + 24.0 * columns**2, f"the preconditioner of {columns} columns", "fewer columns")
    precondition = _make_preconditioner(system, columns, np.random.default_rng(seed), progress)
    if resumed is None:
        z = precondition(system.y)
        state = _State(np.zeros(n), system.y.copy(), z, float(system.y @ z), 0)
    else:
        state = resumed[0]
    _iterate(system, options, precondition, state, (seed, columns), progress)
    residual = float(np.linalg.norm(system.y - system.product(state.x) - system.lam * state.x))
    residual /= float(np.linalg.norm(system.y))
    # What the recursion has lost to rounding shows here: twice the tolerance is still what was asked for.
    done = residual <= 2 * options.tolerance
    convergence = Convergence(done, state.iteration, residual, columns, precondition.jitter)
    if not done:
        warnings.warn(convergence.describe(), RuntimeWarning, stacklevel=2)
    elif options.checkpoint is not None:
        Path(options.checkpoint).unlink(missing_ok=True)
    return state.x, convergence


def _n_columns(options: Iterative, n: int) -> int:
    if options.columns is not None:
        return min(options.columns, n)
    return max(int(min(_SHARE * free_memory() / (8.0 * n), _MOST_COLUMNS, _OF_ALL * n)), min(n, 10))


def _make_preconditioner(system: System, columns: int, rng: np.random.Generator, progress: bool) -> _Preconditioner:
    n = len(system.y)
    probes = np.sort(rng.choice(n, min(n, columns, _PROBES * system.unit), replace=False))
    precondition = _Preconditioner(system, probes, progress)
    if columns > len(probes):
        scores = precondition.leverage().clip(np.finfo(float).tiny)
        chosen = rng.choice(n, columns, replace=False, p=scores / scores.sum())
        precondition = _Preconditioner(system, np.sort(chosen), progress)
    return precondition


def _iterate(
    system: System,
    options: Iterative,
    precondition: _Preconditioner,
    state: _State,
    made: tuple[int, int],
    progress: bool,
) -> None:
    """Change the state until its residual is small enough or the iterations are used up."""
    norm = float(np.linalg.norm(system.y))
    limit = len(system.y) if options.max_iterations is None else options.max_iterations
    residual = float(np.linalg.norm(state.r)) / norm
    bar = Progress(1000, "conjugate gradients", start=_share(residual, options), enabled=progress)
    saved = time.monotonic()
    while residual > options.tolerance and state.iteration < limit:
        q = system.product(state.p) + system.lam * state.p
        curvature = float(state.p @ q)
        if not curvature > 0:  # rounding has eaten the search direction, or something is not finite
            break
        step = state.rho / curvature
        state.x += step * state.p
        state.r -= step * q
        z = precondition(state.r)
        rho = float(state.r @ z)
        state.p *= rho / state.rho
        state.p += z
        state.rho = rho
        state.iteration += 1
        residual = float(np.linalg.norm(state.r)) / norm
        bar.update(_share(residual, options), f"iteration {state.iteration}, residual {residual:.1e}")
        if options.checkpoint is not None and time.monotonic() - saved >= options.checkpoint_seconds:
            _save(options.checkpoint, system, state, made)
            saved = time.monotonic()
    if options.checkpoint is not None and residual > options.tolerance:
        _save(options.checkpoint, system, state, made)
    bar.close(_share(residual, options), f"iteration {state.iteration}, residual {residual:.1e}")


def _share(residual: float, options: Iterative) -> int:
    """Return how much of the way to the tolerance is done, of 1000: residuals fall by factors."""
    return int(1000 * np.clip(np.log(max(residual, 1e-300)) / np.log(options.tolerance), 0.0, 1.0))


def _save(path: str | os.PathLike, system: System, state: _State, made: tuple[int, int]) -> None:
    arrays: dict[str, Any] = {"x": state.x, "r": state.r, "p": state.p, "rho": state.rho, "iteration": state.iteration}
    with replacing(path) as temporary:
        np.savez(temporary, key=np.array(system.key), made=np.array(made), **arrays)


def _resume(system: System, options: Iterative, seed: int) -> tuple[_State, int] | None:
    """Return the state of the checkpoint and the columns of its preconditioner, None where there is none."""
    if options.checkpoint is None or not Path(options.checkpoint).exists():
        return None
    name = Path(options.checkpoint).name
    try:
        with np.load(options.checkpoint, allow_pickle=False) as file:
            key, (old_seed, columns) = str(file["key"]), file["made"].tolist()
            state = _State(file["x"], file["r"], file["p"], float(file["rho"]), int(file["iteration"]))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise AtomcoreError(f"checkpoint {name} is damaged or none: {error}") from error
    if key != system.key or any(v.shape != system.y.shape for v in (state.x, state.r, state.p)):
        raise AtomcoreError(f"checkpoint {name} is of other data or settings; delete it, or give another name")
    if old_seed != seed or options.columns not in (None, columns):
        asked = "any number of" if options.columns is None else options.columns
        raise AtomcoreError(
            f"checkpoint {name} was made with seed {old_seed} and {columns} columns, and asked for are seed {seed} and "
            f"{asked} columns; give the same, or another name"
        )
    _log.info("Going on from iteration %d of %s.", state.iteration, name)
    return state, columns
