"""What a model keeps about its training data: input scaling, ranges and reference energies, all in double."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch


class Statistics(NamedTuple):
    """Numbers a model takes from the training part of a data set.

    Attributes
    ----------
    mean, deviation, minimum, maximum : ndarray, float64 [n_elements, K]
        Of each feature over the atoms of each element.
    reference : ndarray, float64 [n_elements]
        Reference energies in eV.
    scale : ndarray, float64 [n_elements]
        Size of a network's output in eV.
    """

    mean: np.ndarray
    deviation: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    reference: np.ndarray
    scale: np.ndarray


class DoubleBuffers(torch.nn.Module):
    """A module whose buffers move between devices but stay in double whatever the networks are converted to."""

    def _apply(self, fn: Callable, recurse: bool = True) -> "DoubleBuffers":
        kept = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, value in kept.items():
            setattr(self, name, value.to(getattr(self, name).device))
        return self


class InputScaling(DoubleBuffers):
    """Features of one element to the inputs of its network: ``(G[:, columns] - mean) * scale``.

    Columns that never vary in training are left out. The scale is one over the geometric mean of the column's standard
    deviation and the largest one of the element. Dividing by its own alone would blow up columns that hardly vary to
    the size of the others.
    """

    columns: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    minimum: torch.Tensor
    maximum: torch.Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = n_features
        self.register_buffer("columns", torch.arange(n_features))
        self.register_buffer("mean", torch.zeros(n_features, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(n_features, dtype=torch.float64))
        self.register_buffer("minimum", torch.zeros(n_features, dtype=torch.float64))
        self.register_buffer("maximum", torch.zeros(n_features, dtype=torch.float64))

    def prepare(self, mean: np.ndarray, deviation: np.ndarray, minimum: np.ndarray, maximum: np.ndarray) -> None:
        """Take means, standard deviations and ranges [K] of one element."""
        size = np.maximum(np.abs(minimum), np.abs(maximum))
        columns = np.flatnonzero(maximum - minimum > 1e-12 * size)  # a range of rounding errors is no range
        kept = np.sqrt(deviation[columns] * deviation[columns].max(initial=0.0))
        self.columns = torch.from_numpy(columns)
        self.mean = torch.from_numpy(mean[columns])
        self.scale = torch.from_numpy(1.0 / kept)
        self.minimum = torch.from_numpy(minimum.copy())
        self.maximum = torch.from_numpy(maximum.copy())

    def forward(self, G: torch.Tensor) -> torch.Tensor:
        """Scale features [M, K] to inputs [M, n_columns]."""
        return (G.index_select(1, self.columns) - self.mean.to(G.dtype)) * self.scale.to(G.dtype)

    def chain(self, gradient: torch.Tensor) -> torch.Tensor:
        """Turn a derivative in the inputs [M, n_columns] into the one in the features [M, K]."""
        full = gradient.new_zeros((gradient.shape[0], self.n_features))
        return full.index_copy(1, self.columns, gradient * self.scale.to(gradient.dtype))


class EnergyScaling(DoubleBuffers):
    """Network outputs to energies: ``reference + scale * output`` for each element."""

    reference: torch.Tensor
    scale: torch.Tensor

    def __init__(self, n_elements: int) -> None:
        super().__init__()
        self.register_buffer("reference", torch.zeros(n_elements, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(n_elements, dtype=torch.float64))
