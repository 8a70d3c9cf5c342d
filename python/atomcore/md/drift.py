"""How well a run conserves energy."""

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
    time, energy = np.asarray(time, dtype=float), np.asarray(energy, dtype=float)
    if blocks < 3 or len(time) < blocks:
        raise ValueError(
            f"a drift needs at least 3 blocks and a sample in each; got {len(time)} samples, {blocks} blocks"
        )
    length = len(time) // blocks
    skip = len(time) - blocks * length  # the oldest samples
    t = time[skip:].reshape(blocks, length).mean(axis=1)
    e = energy[skip:].reshape(blocks, length).mean(axis=1)
    t, e = t - t.mean(), e - e.mean()
    slope = (t @ e) / (t @ t)
    variance = np.sum((e - slope * t) ** 2) / (blocks - 2)
    return Drift(float(slope), float(np.sqrt(variance / (t @ t))))
