"""Structures drawn so that their energies are distributed as those of all."""

from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore._arrays import as_float64, as_integers, whole_number


def stratified_sample(values: Any, n: int, *, exclude: Any = (), seed: int = 0) -> npt.NDArray[np.int64]:
    """Draw indices so that the values at them have the histogram of all values.

    The bins have the width of Freedman and Diaconis for a sample of size `n`, and there are at most ``n / 2`` of them
    (the sampling of sGDML, Chmiela et al., Comput. Phys. Commun. 240, 38 (2019)).

    Parameters
    ----------
    values : array_like, shape (n_structures,)
        Energies, say.
    n : int
        How many to draw.
    exclude : array_like of int
        Indices that must not be drawn.
    seed : int

    Returns
    -------
    ndarray of int64, shape (n,)
        Ascending, each at most once.

    Raises
    ------
    ValueError
        When fewer than `n` are left, or values are not finite.
    """
    numbers = as_float64("values", values, ("n_structures",))
    size, rng = whole_number("n", n, 0), np.random.default_rng(whole_number("seed", seed, 0))
    if not np.isfinite(numbers).all():
        raise ValueError(f"values has {numbers[~np.isfinite(numbers)][0]}; accepted: finite numbers")
    without = as_integers("exclude", exclude if np.size(exclude) else np.empty(0, np.int64), ("n",))
    if ((without < 0) | (without >= len(numbers))).any():
        raise ValueError(f"exclude has indices that are outside; accepted: 0 to {len(numbers) - 1}")
    left = np.setdiff1d(np.arange(len(numbers)), without)
    if size > len(left):
        raise ValueError(f"n is {size}; accepted: 0 to {len(left)}, which are left of {len(numbers)}")
    if size in (0, len(left)):
        return left[: size or 0]
    bins = _bins(numbers, size)[left]
    counts = np.bincount(bins)
    quotas = _quotas(counts, size, rng)
    drawn = [rng.choice(left[bins == b], quotas[b], replace=False) for b in np.flatnonzero(quotas)]
    return np.sort(np.concatenate(drawn))


def _bins(values: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.int64]:
    """Return the bin of each value."""
    low, high = values.min(), values.max()
    width = 2.0 * float(np.subtract(*np.percentile(values, (75, 25)))) / n ** (1 / 3)
    most = max(n // 2, 1)
    count = int(min(np.ceil((high - low) / width), most)) if width > 0 else 1
    edges = np.linspace(low, high, max(count, 1), endpoint=False)
    return np.digitize(values, edges) - 1


def _quotas(counts: npt.NDArray[np.int64], n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return how many to draw from each bin: shares rounded up, then corrected at random in the larger bins."""
    quotas = np.minimum(np.ceil(counts * (n / counts.sum())).astype(np.int64), counts)
    while (excess := int(quotas.sum()) - n) != 0:
        step = -1 if excess > 0 else 1
        possible = quotas > 0 if excess > 0 else quotas < counts
        weights = np.where(possible, quotas - 1.0, 0.0).clip(0)
        if not weights.any():  # no bin has more than one: all are alike
            weights = possible.astype(float)
        quotas[rng.choice(len(quotas), p=weights / weights.sum())] += step
    return quotas
