"""Grades of extrapolation: how unlike the training atoms an atom is for the last layer of its network.

With phi the outputs of that layer, the energy of an atom is linear in p = (phi, 1). The leverage of an atom in a linear
regression on the training atoms is p^T A^-1 p, where A is their second-moment matrix. Leverages and determinants of
such matrices tell what a training set spans (Podryabinkin and Shapeev, Comput. Mater. Sci. 140, 171 (2017)), and for
the last layer of a network the leverage is a variance up to a factor (Bigi, Chong, Ceriotti and Grasselli, Mach.
Learn.: Sci. Technol. 5, 045018 (2024)). The grade is its square root, divided by the largest one in training.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from atomcore._progress import Progress
from atomcore.train.batches import CHUNK, chunks
from atomcore.train.task import Material

# Of the mean square of all outputs: directions in which training atoms differ by less, 1 % of a typical output, count
# as if they differed by that. Neurons that are dead or nearly so in training then cannot blow up a grade.
_LEAST = 1e-4


def grade_matrices(model: Any, material: Material, *, progress: bool = False) -> dict[str, np.ndarray]:
    """Return for each element the matrix whose product with p = (phi, 1) has the grade of an atom as its length.

    It takes two passes over the training atoms, without derivatives, and memory of the size of a batch.

    Parameters
    ----------
    model : BehlerParrinello
        Trained.
    material : Material
        What it was trained on.
    progress : bool
        Show a bar.

    Returns
    -------
    dict
        Arrays [h + 1, h + 1], where h is the width of the last hidden layer. Empty without hidden layers, and when an
        element has no training atoms, which happens when training goes on from an earlier model.
    """
    if not model.hidden:
        return {}
    size = model.hidden[-1] + 1
    bar = Progress(2 * len(material.train), "grading training atoms, structure", enabled=progress)
    moments = np.zeros((len(model.elements), size, size))
    counts = np.zeros(len(model.elements))
    for groups in _outputs(model, material, bar, 0):
        for i, p in enumerate(groups):
            moments[i] += p.T @ p
            counts[i] += len(p)
    if not counts.all():
        bar.close(len(material.train))
        return {}
    matrices = [_inverse_factor(moment / count) for moment, count in zip(moments, counts, strict=True)]
    largest = np.zeros(len(model.elements))
    for groups in _outputs(model, material, bar, len(material.train)):
        for i, p in enumerate(groups):
            largest[i] = max(largest[i], np.linalg.norm(p @ matrices[i].T, axis=1).max(initial=0.0))
    bar.close(2 * len(material.train))
    return {x: matrices[i] / largest[i] for i, x in enumerate(model.elements)}


def _outputs(model: Any, material: Material, bar: Progress, done: int) -> Iterator[list[np.ndarray]]:
    """Yield p [M_X, h + 1] of some training atoms, an array an element, until all have been there."""
    for structures in chunks(material.train, CHUNK):
        batch = material.graph.batch(structures)
        with torch.no_grad():
            inputs = zip(model.elements, material.source.inputs(batch), strict=True)
            phi = [model.networks[x].last_hidden(values).double().numpy() for x, values in inputs]
        yield [np.pad(values, ((0, 0), (0, 1)), constant_values=1.0) for values in phi]
        done += len(structures)
        bar.update(done)


def _inverse_factor(moment: np.ndarray) -> np.ndarray:
    """Return the inverse Cholesky factor of a second-moment matrix of p, regularised."""
    from scipy.linalg import solve_triangular

    mean_square = np.diag(moment)[:-1].mean()
    # phi in units of its typical size, so that a part of one is a part of all
    unit = np.append(np.full(len(moment) - 1, np.sqrt(mean_square) if mean_square > 0 else 1.0), 1.0)
    factor = np.linalg.cholesky(moment / np.outer(unit, unit) + _LEAST * np.eye(len(moment)))
    return solve_triangular(factor, np.diag(1.0 / unit), lower=True)
