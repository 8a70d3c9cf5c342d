"""The file ``scaling.data``: how features become the inputs of networks, and their ranges in training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atomcore._core import AtomcoreError
from atomcore.interop.n2p2.keywords import InputFile
from atomcore.interop.n2p2.text import Line, read_lines

FILE = "scaling.data"
_SIGMA = 5  # column of the standard deviation, which old files lack


@dataclass(frozen=True)
class Scaling:
    """Of the functions of one element, in n2p2's order: inputs are ``(G - mean) * scale``."""

    mean: np.ndarray
    scale: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray

    def of(self, functions: np.ndarray) -> "Scaling":
        """Return the scaling of some of the functions."""
        return Scaling(*(values[functions] for values in (self.mean, self.scale, self.minimum, self.maximum)))

    def row(self, function: int) -> tuple[float, ...]:
        """Return the numbers of one function."""
        return tuple(float(values[function]) for values in (self.mean, self.scale, self.minimum, self.maximum))


class Rule:
    """Which of n2p2's ways to scale a folder uses.

    Raises
    ------
    AtomcoreError
        ``scale_max_short`` is not above ``scale_min_short``.
    """

    def __init__(self, file: InputFile):
        self._by_range = file.has("scale_symmetry_functions")
        self._centred = file.has("center_symmetry_functions")
        self._by_sigma = file.has("scale_symmetry_functions_sigma") and not (self._by_range or self._centred)
        self._low = file.number("scale_min_short", 0.0)
        self._width = file.number("scale_max_short", 1.0) - self._low
        if not 0 < self._width < np.inf:
            line = file.lines("scale_min_short", "scale_max_short")[0]
            raise line.error("scale_max_short is not above scale_min_short (by default they are 1 and 0)")

    def apply(self, line: Line) -> tuple[float, float, float, float]:
        """Return mean, scale, minimum and maximum of the function of a line.

        n2p2 gives ``low + width * (G - mean) / range``; what it adds is part of the mean here.
        """
        minimum, maximum, mean = (line.float(name, i) for i, name in enumerate(("min", "max", "mean"), start=2))
        if minimum > maximum:
            raise line.error(f"min is {minimum} and max {maximum}; accepted: min at most max")
        if not (self._by_range or self._by_sigma):
            return (mean if self._centred else 0.0), 1.0, minimum, maximum
        divisor = self._sigma(line) if self._by_sigma else maximum - minimum
        with np.errstate(over="ignore", divide="ignore"):
            scale = float(np.float64(self._width) / divisor)
        mean = (mean if self._centred or self._by_sigma else minimum) - (self._low / scale if scale else np.inf)
        if not (0 < scale < np.inf and np.isfinite(mean)):
            name = "sigma" if self._by_sigma else "max - min"
            raise line.error(f"{name} is {divisor}, by which features are divided; accepted: a number > 0")
        return mean, scale, minimum, maximum

    def _sigma(self, line: Line) -> float:
        if len(line.words) <= _SIGMA:
            raise line.error("there is no sigma, which scale_symmetry_functions_sigma needs")
        return line.float("sigma", _SIGMA)


def read_scaling(folder: Path, rule: Rule, counts: list[int]) -> list[Scaling]:
    """Return the scaling of each element, which have so many functions.

    Raises
    ------
    OSError
        The file cannot be read.
    AtomcoreError
        Lines are missing, too many, in another order, or say nothing that can be used.
    """
    lines = read_lines(folder / FILE, "#")
    expected = [(element, i) for element, count in enumerate(counts, start=1) for i in range(1, count + 1)]
    if len(lines) < len(expected):
        raise AtomcoreError(f"{FILE} has {len(lines)} lines; accepted: one for each of {len(expected)} functions")
    for line in lines[len(expected) :]:
        if len(line.words) >= _SIGMA:  # RuNNer ends its files with two energies
            raise line.error(f"there are more lines than functions, of which input.nn has {len(expected)}")
    values = []
    for line, position in zip(lines, expected, strict=False):
        if len(line.words) < _SIGMA:
            raise line.error(f"there are {len(line.words)} values; accepted: element, function, min, max, mean, sigma")
        found = line.whole("the element", 0), line.whole("the function", 1)
        if found != position:
            raise line.error(f"element and function are {found}; accepted here: {position}")
        values.append(rule.apply(line))
    ends = np.cumsum(counts)[:-1]
    return [Scaling(*part.T) for part in np.split(np.array(values).reshape(-1, 4), ends)]


def scaling_text(scalings: list[Scaling]) -> str:
    """Return the file of features that are scaled by ``scale_symmetry_functions_sigma``, from 0 to 1."""
    lines = ["# element function min max mean sigma"]
    for element, scaling in enumerate(scalings, start=1):
        columns = zip(scaling.minimum, scaling.maximum, scaling.mean, 1.0 / scaling.scale, strict=True)
        lines += [
            f"{element} {i} " + " ".join(f"{value:.16e}" for value in values) for i, values in enumerate(columns, 1)
        ]
    return "\n".join(lines) + "\n"
