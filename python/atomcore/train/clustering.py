"""Which structures a model gets wrong: errors by clusters of structures.

After Fonseca, Poltavsky, Vassilev-Galindo and Tkatchenko, J. Chem. Phys. 154, 124102 (2021).
"""

import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore._arrays import as_float64, whole_number
from atomcore._files import write_json

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_MOST_LEAVES = 2000  # Ward's method needs the distances of all pairs: more structures are first merged to so many means
_LEAST_CANDIDATES = 150  # structures that the clusters with large losses hold together
_ABOVE_MEAN = 1.0 + 1.0 / 500.0  # times the mean loss: a cluster with this loss is a problem


@dataclass(frozen=True, eq=False)
class Problematic:
    """Structures that a model gets wrong, and how they were found.

    Attributes
    ----------
    indices : ndarray [n]
        Of the structures, those of the clusters with the largest mean losses first.
    clusters : list of ndarray
        Indices of the structures of each cluster of all structures, by falling loss.
    losses : ndarray
        Mean loss of each of these.
    problem_clusters : list of ndarray
        Clusters of the structures in those with large losses.
    problem_losses : ndarray
    """

    indices: Int64
    clusters: list[Int64]
    losses: Float64
    problem_clusters: list[Int64]
    problem_losses: Float64

    def save(self, path: str | os.PathLike) -> None:
        """Write everything as JSON (``find_problematic_indices.json`` in mbGDML)."""

        def table(clusters: list[Int64], losses: Float64) -> dict[str, Any]:
            population = [len(cluster) for cluster in clusters]
            return {"indices": [c.tolist() for c in clusters], "population": population, "losses": losses.tolist()}

        content = {
            "clustering": table(self.clusters, self.losses),
            "problematic_clustering": table(self.problem_clusters, self.problem_losses),
            "add_training_indices": self.indices.tolist(),
        }
        write_json(path, content)


def find_problematic(
    descriptors: Any,
    energy: Any,
    losses: Any,
    n: int,
    *,
    n_distance: int = 10,
    n_energy: int = 5,
    n_problem: int = 100,
    seed: int = 0,
) -> Problematic:
    """Choose structures for the training set, where a model is wrong and in as many ways as it is.

    Structures are clustered by their descriptors (Ward) and, within these clusters, by energy (k-means). Those in the
    clusters with the largest losses, at least 150, are clustered again, finely; each of these clusters gives a share of
    the structures in proportion to the sum of its losses, and its worst ones.

    Parameters
    ----------
    descriptors : array_like, shape (n_structures, K)
        All interatomic distances, say.
    energy : array_like, shape (n_structures,)
    losses : array_like, shape (n_structures,)
        Of each structure, not negative: the mean square error of its forces, say.
    n : int
        How many to choose.
    n_distance, n_energy, n_problem : int
        Largest numbers of clusters.
    seed : int

    Returns
    -------
    Problematic
        Exactly `n` different indices.

    Raises
    ------
    ValueError
        When there are fewer than `n` structures, or a number is not finite.
    """
    X = as_float64("descriptors", descriptors, ("n_structures", "K"))
    e, loss = as_float64("energy", energy, (len(X),)), as_float64("losses", losses, (len(X),))
    for name, values in (("descriptors", X), ("energy", e), ("losses", loss)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    if (loss < 0).any():
        raise ValueError(f"losses has {loss.min()}; accepted: numbers from 0")
    if whole_number("n", n, 1) > len(X):
        raise ValueError(f"n is {n}; accepted: 1 to {len(X)}, the number of structures")
    for name, most in (("n_distance", n_distance), ("n_energy", n_energy), ("n_problem", n_problem)):
        whole_number(name, most, 1)
    rng = np.random.default_rng(whole_number("seed", seed, 0))
    clusters = []
    for coarse in _ward(X, n_distance, rng):
        clusters += [coarse[part] for part in _k_means(e[coarse, None], n_energy, rng)]
    clusters, mean_losses = _by_loss(clusters, loss)
    wrong = _candidates(clusters, mean_losses, max(n, _LEAST_CANDIDATES))
    problem_clusters, problem_losses = _by_loss([wrong[part] for part in _ward(X[wrong], n_problem, rng)], loss)
    quotas = _quotas(problem_losses, np.array([len(c) for c in problem_clusters]), n)
    worst = [c[np.argsort(-loss[c], kind="stable")[:q]] for c, q in zip(problem_clusters, quotas, strict=True)]
    return Problematic(np.concatenate(worst), clusters, mean_losses, problem_clusters, problem_losses)


def _by_loss(clusters: list[Int64], loss: Float64) -> tuple[list[Int64], Float64]:
    means = np.array([loss[cluster].mean() for cluster in clusters])
    order = np.argsort(-means, kind="stable")
    return [clusters[k] for k in order], means[order]


def _candidates(clusters: list[Int64], losses: Float64, least: int) -> Int64:
    """Return the structures of the clusters above the mean loss, and of the next ones until they are enough."""
    count = int(np.sum(losses >= _ABOVE_MEAN * losses.mean()))
    population = np.cumsum([len(cluster) for cluster in clusters])
    enough = int(np.searchsorted(population, min(least, population[-1]))) + 1
    return np.sort(np.concatenate(clusters[: max(count, enough)]))


def _quotas(losses: Float64, population: Int64, n: int) -> Int64:
    """Return how many to take from each cluster, given by falling loss: by loss times population, n together."""
    weights = losses * population
    shares = weights / weights.sum() if weights.any() else population / population.sum()
    quotas = np.minimum(np.floor(shares * n).astype(np.int64), population)
    for k in np.flatnonzero(quotas == 0)[: max(n - int(quotas.sum()), 0)]:
        quotas[k] = 1
    while (missing := n - int(quotas.sum())) > 0:
        open_ones = np.flatnonzero(quotas < population)[:missing]
        quotas[open_ones] += 1
    return quotas


def _ward(X: Float64, count: int, rng: np.random.Generator) -> list[Int64]:
    """Return at most so many clusters by Ward's method; beyond 2000 structures it merges means of k-means clusters."""
    from scipy.cluster.hierarchy import fcluster, linkage

    parts = [np.array([i]) for i in range(len(X))] if len(X) <= _MOST_LEAVES else _k_means(X, _MOST_LEAVES, rng)
    if len(parts) <= 1 or count == 1:
        return [np.arange(len(X))]
    leaves = np.array([X[part].mean(axis=0) for part in parts])
    labels = fcluster(linkage(leaves, method="ward"), count, criterion="maxclust")
    return [np.sort(np.concatenate([parts[k] for k in np.flatnonzero(labels == label)])) for label in np.unique(labels)]


def _k_means(X: Float64, count: int, rng: np.random.Generator) -> list[Int64]:
    """Return at most so many clusters, none empty."""
    from scipy.cluster.vq import kmeans2

    distinct = np.unique(X, axis=0)
    if len(distinct) <= count:
        labels = np.unique(X, axis=0, return_inverse=True)[1].reshape(-1)
    else:
        centres = distinct[rng.choice(len(distinct), count, replace=False)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of clusters that become empty, which are left out below
            labels = kmeans2(X, centres, minit="matrix")[1]
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]
