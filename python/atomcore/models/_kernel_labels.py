"""Labels as kernel machines take them in, checked."""

import math
from collections.abc import Iterator
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from atomcore._arrays import as_float64


class Batch(NamedTuple):
    """Labels that came together: of one call of `fit` or `add`."""

    taken: Any  # rows of numbers, or a Dataset
    energies: np.ndarray | None  # [n, outputs], as they are
    slopes: np.ndarray | None  # [sum of derivatives, outputs]
    with_energies: bool  # whether energies are trained on, and do not set the mean function alone

    @property
    def outputs(self) -> int:
        """Number of values a point."""
        some = self.energies if self.slopes is None else self.slopes
        assert some is not None
        return some.shape[1]

    @property
    def kinds(self) -> tuple[bool, bool]:
        """Whether energies and slopes are trained on."""
        return self.with_energies, self.slopes is not None

    def part(self, inputs: Any, chosen: np.ndarray) -> "Batch":
        """Return some of the points or structures."""
        ptr = np.concatenate([[0], np.cumsum(inputs.n_derivatives(self.taken))])
        slopes = None
        if self.slopes is not None:
            slopes = self.slopes[np.concatenate([np.arange(ptr[s], ptr[s + 1]) for s in chosen])]
        energies = None if self.energies is None else self.energies[chosen]
        return Batch(inputs.part(self.taken, chosen), energies, slopes, self.with_energies)


def in_words(kinds: tuple[bool, bool]) -> str:
    """Name the kinds of labels that there are."""
    return " and ".join(name for name, there in zip(("values", "derivatives"), kinds, strict=True) if there)


def chunks(sizes: np.ndarray, limit: int) -> Iterator[np.ndarray]:
    """Yield indices of consecutive structures that have at most ``limit`` rows together, or one alone."""
    start, total = 0, 0
    for i, size in enumerate(sizes):
        if i > start and total + size > limit:
            yield np.arange(start, i)
            start, total = i, 0
        total += size
    yield np.arange(start, len(sizes))


def columns(name: str, values: Any, n: int) -> np.ndarray:
    """Return labels as columns [n, T]."""
    one = np.ndim(values) == 1
    array = as_float64(name, values, (n,) if one else (n, "T"))
    return _finite(name, array.reshape(n, -1))


def flat_gradients(values: Any, n: int, width: int) -> np.ndarray:
    """Return gradients [n, D] or [n, D, T] with a column an output."""
    array = as_float64("gradients", values, (n, width) if np.ndim(values) == 2 else (n, width, "T"))
    return _finite("gradients", array.reshape(n * width, -1))


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        first = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise ValueError(f"{name} has a value that is not finite, the first in row {first}")
    return array


def positive(name: str, value: Any) -> float:
    """Return a number above zero, or raise."""
    if isinstance(value, bool) or not isinstance(value, Real) or not (0 < float(value) < math.inf):
        raise ValueError(f"{name} is {value!r}; accepted: a positive number")
    return float(value)


def non_negative(name: str, value: Any) -> float:
    """Return a number from zero, or raise."""
    if isinstance(value, bool) or not isinstance(value, Real) or not (0 <= float(value) < math.inf):
        raise ValueError(f"{name} is {value!r}; accepted: a number from zero")
    return float(value)
