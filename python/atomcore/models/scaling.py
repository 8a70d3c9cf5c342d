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
    n_atoms : ndarray [n_elements]
        Training atoms of each element.
    """

    mean: np.ndarray
    deviation: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    reference: np.ndarray
    scale: np.ndarray
    n_atoms: np.ndarray

    def pooled(self) -> "Statistics":
        """Return the statistics with mean and deviation of all atoms together for every element."""
        share = (self.n_atoms / self.n_atoms.sum())[:, None]
        mean = (share * self.mean).sum(axis=0)
        square = (share * (self.deviation**2 + (self.mean - mean) ** 2)).sum(axis=0)
        shape = self.mean.shape
        return self._replace(mean=np.broadcast_to(mean, shape), deviation=np.broadcast_to(np.sqrt(square), shape))


class DoubleBuffers(torch.nn.Module):
    """A module whose buffers move between devices but stay in double whatever the networks are converted to."""

    def _apply(self, fn: Callable, recurse: bool = True) -> "DoubleBuffers":
        kept = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, value in kept.items():
            setattr(self, name, value.to(getattr(self, name).device))
        return self


def _soft(mean: np.ndarray, deviation: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Dividing by the own deviation alone would blow up columns that hardly vary to the size of the others.
    return mean, 1.0 / np.sqrt(deviation * deviation.max(initial=0.0))


def _standard(
    mean: np.ndarray, deviation: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return mean, 1.0 / deviation


def _min_max(
    mean: np.ndarray, deviation: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return 0.5 * (low + high), 2.0 / (high - low)


def _unscaled(
    mean: np.ndarray, deviation: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros_like(mean), np.ones_like(mean)


_ROUNDING = 1e-12  # a range of rounding errors is no range
# Nor is one that single precision can hardly hold: tails of narrow Gaussians fall to 1e-100, and one over that is
# infinite there.
_NOTHING = 1e-30

NORMALIZER = "normalizer"
# From mean, deviation, minimum and maximum of each column to what is subtracted and multiplied.
SCALINGS = {"soft": _soft, "standard": _standard, "minmax": _min_max, NORMALIZER: _unscaled}


class InputScaling(DoubleBuffers):
    """Features of one element to the inputs of its network: ``(G[:, columns] - mean) * scale``.

    Columns that never vary in training, or by less than 1e-30, are left out. `SCALINGS` are the ways to choose mean and
    scale: ``"soft"`` has one over the geometric mean of the column's standard deviation and the largest one of the
    element, ``"standard"`` one over the standard deviation, ``"minmax"`` maps the range seen in training to -1 to 1,
    ``"normalizer"`` leaves the features as they are, for networks that divide them by their length.
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

    def prepare(
        self, kind: str, mean: np.ndarray, deviation: np.ndarray, minimum: np.ndarray, maximum: np.ndarray
    ) -> None:
        """Choose columns, mean and scale from means, standard deviations and ranges [K] over the same atoms."""
        size = np.maximum(np.abs(minimum), np.abs(maximum))
        columns = np.flatnonzero(maximum - minimum > np.maximum(_ROUNDING * size, _NOTHING))
        offset, scale = SCALINGS[kind](mean[columns], deviation[columns], minimum[columns], maximum[columns])
        self.columns = torch.from_numpy(columns)
        self.mean = torch.from_numpy(offset)
        self.scale = torch.from_numpy(scale)

    def set_range(self, minimum: np.ndarray, maximum: np.ndarray) -> None:
        """Take the range [K] of each feature over the training atoms of the element."""
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
