"""Scaling and reference energies from the training part of a data set."""

from typing import Any

import numpy as np

from atomcore.models.scaling import Statistics
from atomcore.train.batches import CHUNK, Graph, chunks
from atomcore.train.cache import FeaturePlan


def statistics(
    features: Any, graph: Graph, train: np.ndarray, reference: np.ndarray, scale: float, *, partial: bool = False
) -> Statistics:
    """Means, deviations and ranges of the features over the training atoms of each element, in double.

    Parameters
    ----------
    features : feature object
    graph : Graph
        Of the whole data set.
    train : ndarray of int
        Training structures.
    reference : ndarray, float64 [n_elements]
        Reference energies in eV.
    scale : float
        Size of the networks' outputs in eV.
    partial : bool
        Accept elements without training atoms; the ranges of their features are empty, from infinity to minus infinity.

    Raises
    ------
    ValueError
        When an element of the features does not occur in training: its network would stay untrained.
    """
    shape = (graph.n_elements, features.n_features)
    count = np.zeros((graph.n_elements, 1))
    mean, square = np.zeros(shape), np.zeros(shape)
    minimum, maximum = np.full(shape, np.inf), np.full(shape, -np.inf)
    plan = FeaturePlan(features)
    for structures in chunks(train, CHUNK):
        batch = graph.batch(structures)
        G = plan.features(batch, graph.D[batch.edges])
        for i, group in enumerate(G.split(batch.counts)):
            if not len(group):
                continue
            values = group.numpy()
            # Means and sums of squares of parts joined (Chan et al. 1979): no cancellation, one pass.
            n, part = len(values), values.mean(axis=0)
            delta = part - mean[i]
            total = count[i] + n
            square[i] += ((values - part) ** 2).sum(axis=0) + delta**2 * count[i] * n / total
            mean[i] += delta * n / total
            count[i] = total
            minimum[i] = np.minimum(minimum[i], values.min(axis=0))
            maximum[i] = np.maximum(maximum[i], values.max(axis=0))
    if not partial:
        _check_elements(features.elements, count[:, 0], graph)
    deviation = np.sqrt(square / np.maximum(count, 1))
    return Statistics(mean, deviation, minimum, maximum, reference, np.full(graph.n_elements, scale), count[:, 0])


def _check_elements(elements: Any, count: np.ndarray, graph: Graph) -> None:
    """Raise when the training part has no atom of one of ``elements``; say whether data or split are to blame."""
    missing = [i for i, n in enumerate(count) if n == 0]
    if not missing:
        return
    names = ", ".join(elements[i] for i in missing)
    if np.isin(missing, graph.species).any():
        advice = "other parts of the split have some; take another seed or larger training part of the split"
    else:
        advice = "make the features for the elements of the data"
    raise ValueError(f"features know {names}, of which the training part has no atom; {advice}")


def output_scale(residual: np.ndarray, n_atoms: np.ndarray, forces: np.ndarray | None) -> float:
    """Size of a network's output in eV: the RMS force over 1 Angstrom, or the spread of the energies per atom.

    Parameters
    ----------
    residual : ndarray [S]
        Energies minus reference energies of the training structures in eV.
    n_atoms : ndarray [S]
    forces : ndarray [N, 3] or None
        In eV/A.
    """
    spread = float(np.sqrt(np.mean(forces**2))) if forces is not None else float(np.std(residual / n_atoms))
    return spread if spread > 1e-6 else 1.0  # labels without any spread give no size
