"""Inducing points: few rows that stand for many in sparse kernel machines.

All three work on feature rows X [N, K] that callers have divided by the kernel's lengths, take memory of the size of X,
and give the same points for the same seed.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from atomcore._arrays import as_float64, whole_number
from atomcore._progress import Progress

Float = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_SAME = 1e-14  # squared distances below this part of the largest squared norm are rounding


def cur(X: npt.ArrayLike, n: int, *, seed: int = 0) -> Indices:
    """Draw rows with the probabilities of their leverage scores (Mahoney and Drineas, PNAS 106, 697 (2009)).

    The score of a row is its squared norm in the basis of the left singular vectors of X, of which the first ``n`` that
    are not zero count: rows that matter for the span of X, rare ones above all, have large scores.

    Parameters
    ----------
    X
        [N, K].
    n
        How many rows to draw, up to the number of different rows; none is drawn twice.
    seed
        Seed of the random numbers.

    Returns
    -------
    int64 [n]
        Indices of rows in the order in which they were drawn.
    """
    X = _checked(X, n, seed)
    squares, vectors = np.linalg.eigh(X.T @ X)
    kept = np.flatnonzero(squares > squares.max(initial=0.0) * X.shape[1] * np.finfo(float).eps)[::-1][:n]
    scores = np.einsum("ij,ij->i", *[X @ (vectors[:, kept] / np.sqrt(squares[kept]))] * 2)
    times = np.random.default_rng(seed).exponential(size=len(X))  # the first of n clocks of these rates to ring
    with np.errstate(divide="ignore"):
        order = np.argsort(times / scores, kind="stable")
    return _first_different(X, order, n)


def farthest_point(X: npt.ArrayLike, n: int, *, seed: int = 0, progress: bool = False) -> Indices:
    """Take rows one by one, each the farthest from those taken before (Gonzalez, Theor. Comput. Sci. 38, 293 (1985)).

    The first row is drawn at random. Some N n K operations.

    Parameters
    ----------
    X
        [N, K].
    n
        How many rows to take, up to the number of different rows.
    seed
        Seed of the random numbers.
    progress
        Show a bar when it takes long.

    Returns
    -------
    int64 [n]
        Indices of rows in the order in which they were taken: the first m of them are those of ``n=m``.
    """
    X = _checked(X, n, seed)
    taken = [int(np.random.default_rng(seed).integers(len(X)))]
    for squared in _squared_distances(X, taken, n, progress):
        taken.append(int(squared.argmax()))
    return np.array(taken, np.int64)


def k_means(X: npt.ArrayLike, n: int, *, seed: int = 0, iterations: int = 20, progress: bool = False) -> Float:
    """Return the centres of ``n`` clusters of rows by Lloyd's algorithm, started by k-means++.

    Parameters
    ----------
    X
        [N, K].
    n
        How many clusters, up to the number of different rows.
    seed
        Seed of the random numbers.
    iterations
        Steps of Lloyd's algorithm.
    progress
        Show a bar when the start takes long.

    Returns
    -------
    float64 [n, K]
        Means of rows; in general none of them is a row of X.
    """
    from scipy.cluster.vq import kmeans2

    X = _checked(X, n, seed)
    random = np.random.default_rng(seed)
    taken = [int(random.integers(len(X)))]
    for squared in _squared_distances(X, taken, n, progress):
        taken.append(int(random.choice(len(X), p=squared / squared.sum())))
    steps = whole_number("iterations", iterations, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a cluster that becomes empty keeps its centre
        return kmeans2(X, X[taken], iter=steps, minit="matrix")[0]


def _squared_distances(X: Float, taken: list[int], n: int, progress: bool) -> Iterator[Float]:
    """Yield the squared distance of every row to the nearest of those in ``taken``, until the caller has taken n."""
    centred = X - X.mean(0)
    norms = np.einsum("ij,ij->i", centred, centred)
    squared = np.full(len(X), np.inf)
    bar = Progress(n, "inducing points", enabled=progress)
    while len(taken) < n:
        last = taken[-1]
        np.minimum(squared, norms + norms[last] - 2.0 * (centred @ centred[last]), out=squared)
        squared[squared < _SAME * norms.max()] = 0.0
        squared[last] = 0.0
        if not squared.any():
            raise _too_few(len(taken), n)
        yield squared
        bar.update(len(taken))
    bar.close(n)


def _first_different(X: Float, order: npt.NDArray[np.intp], n: int) -> Indices:
    """Return the first n of the rows in ``order`` that are no copies of earlier ones."""
    looked_at = n
    while True:
        first = np.unique(X[order[:looked_at]], axis=0, return_index=True)[1]
        if len(first) >= n:
            return order[np.sort(first)[:n]].astype(np.int64)
        if looked_at >= len(order):
            raise _too_few(len(first), n)
        looked_at *= 2


def _checked(X: npt.ArrayLike, n: int, seed: int) -> Float:
    whole_number("seed", seed, 0)
    rows = as_float64("X", X, ("N", "K"))
    if not np.isfinite(rows).all():
        raise ValueError("X holds numbers that are not finite; accepted: finite numbers")
    if whole_number("n", n, 1) > len(rows):
        raise ValueError(f"n is {n}; accepted: from 1 to the number of rows of X, {len(rows)}")
    return rows


def _too_few(different: int, n: int) -> ValueError:
    return ValueError(f"n is {n}; accepted: up to {different}, the number of different rows of X")
