"""How well a run conserves energy, and how well it knows its means."""

from typing import NamedTuple

import numpy as np


class Drift(NamedTuple):
    """Slope of an energy over time and its standard error, in the units of energy over those of time."""

    slope: float
    standard_error: float


def energy_drift(time: np.ndarray, energy: np.ndarray, blocks: int = 20) -> Drift:
    """Fit a straight line to the means of ``blocks`` equal pieces of the run.

    The energy of a run oscillates with the vibrations, so neighbouring samples are not independent; the means of blocks
    longer than the vibrations are, and their scatter about the line gives the standard error of its slope.

    Parameters
    ----------
    time, energy : ndarray [n]
    blocks : int
        At least 3.

    Raises
    ------
    ValueError
        For fewer samples than blocks, or fewer than 3 blocks.
    """
    t, e = _block_means(time, blocks), _block_means(energy, blocks)
    t, e = t - t.mean(), e - e.mean()
    slope = (t @ e) / (t @ t)
    variance = np.sum((e - slope * t) ** 2) / (blocks - 2)
    return Drift(float(slope), float(np.sqrt(variance / (t @ t))))


def block_mean(values: np.ndarray, blocks: int = 20) -> tuple[float, float]:
    """Return the mean of ``values`` [n] along a run and its standard error, from the scatter of ``blocks`` block means.

    Raises
    ------
    ValueError
        For fewer samples than blocks, or fewer than 3 blocks.
    """
    means = _block_means(values, blocks)
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(blocks))


def _block_means(values: np.ndarray, blocks: int) -> np.ndarray:
    """Return the means of equal pieces; the oldest samples that fill none are left out."""
    values = np.asarray(values, dtype=float)
    if blocks < 3 or len(values) < blocks:
        raise ValueError(
            f"a standard error needs at least 3 blocks and a sample in each; got {len(values)} samples, {blocks} blocks"
        )
    length = len(values) // blocks
    return values[len(values) - blocks * length :].reshape(blocks, length).mean(axis=1)
