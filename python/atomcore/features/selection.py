"""Selection of functions by what they tell apart in data: CUR decomposition."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from atomcore._arrays import whole_number
from atomcore.features.symmetry_functions import SymmetryFunctions

_NOTHING_NEW = 1e-10  # of the variance of all columns: rounding errors are larger than what is left below this


def select(
    features: SymmetryFunctions, structures: Iterable[Any], n: int, *, threads: int | None = None
) -> SymmetryFunctions:
    """Return the functions of a set that say most about structures.

    As Imbalzano et al., J. Chem. Phys. 148, 241730 (2018): for the atoms of each element, columns of G (with
    mean 0 and standard deviation 1) are chosen one by one, always the one with the largest component in the leading
    right singular vector, upon which all others are made orthogonal to it. Kept are the functions chosen for any
    element, in the order of the set.

    Parameters
    ----------
    features
        The set to choose from, e.g. of `imbalzano`.
    structures
        ASE Atoms, or a data set: use training structures only.
    n
        Number of functions for each element; fewer are kept where all others are linear combinations of these.
    threads
        Number of threads; by default OMP_NUM_THREADS or all cores.

    Returns
    -------
    SymmetryFunctions
        The same for the same data: nothing is drawn by chance.

    Raises
    ------
    ValueError
        ``n`` is no number from 1, or no function varies over the structures.
    """
    n = whole_number("n", n, 1)
    moments = _Moments(features)
    for atoms in structures:
        G: Any = features.compute(atoms, threads=threads)
        moments.add(G, np.asarray(atoms.numbers))
    kept: set[int] = set()
    for covariance, mean in zip(moments.covariance, moments.mean, strict=True):
        kept.update(_columns(covariance, mean, n))
    if not kept:
        raise ValueError("structures: no function varies over them; accepted: two atoms of an element that differ")
    return SymmetryFunctions.from_table(features.elements, [features.table[k] for k in sorted(kept)])


class _Moments:
    """Means and covariances (times the number of atoms) of G over the atoms of each element, in one pass."""

    def __init__(self, features: SymmetryFunctions) -> None:
        elements, k = len(features.elements), features.n_features
        self.numbers = features.numbers
        self.count = np.zeros(elements)
        self.mean = np.zeros((elements, k))
        self.covariance = np.zeros((elements, k, k))

    def add(self, G: np.ndarray, numbers: np.ndarray) -> None:
        for i, number in enumerate(self.numbers):
            rows = G[numbers == number]
            if not len(rows):
                continue
            # parts are joined without cancellation (Chan et al. 1979)
            part, total = rows.mean(axis=0), self.count[i] + len(rows)
            delta = part - self.mean[i]
            centred = rows - part
            self.covariance[i] += centred.T @ centred + np.outer(delta, delta) * (self.count[i] * len(rows) / total)
            self.mean[i] += delta * (len(rows) / total)
            self.count[i] = total


def _columns(covariance: np.ndarray, mean: np.ndarray, n: int) -> list[int]:
    """Return up to ``n`` columns in the order in which CUR chooses them."""
    from scipy.linalg import eigh

    deviation = np.sqrt(np.diagonal(covariance))
    varies = np.flatnonzero(deviation > np.sqrt(_NOTHING_NEW) * np.abs(mean))
    rest = covariance[np.ix_(varies, varies)] / np.outer(deviation[varies], deviation[varies])
    chosen: list[int] = []
    while len(chosen) < n and np.trace(rest) > _NOTHING_NEW * len(varies):
        leading = eigh(rest, subset_by_index=[len(rest) - 1, len(rest) - 1])[1][:, 0]
        best = int(np.argmax(leading**2))
        chosen.append(int(varies[best]))
        rest -= np.outer(rest[:, best], rest[best] / rest[best, best])
    return chosen
