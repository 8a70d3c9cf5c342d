"""The files ``weights.ZZZ.data`` and the networks that they and ``input.nn`` describe."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from atomcore._core import AtomcoreError
from atomcore.interop.n2p2.keywords import InputFile, check_count
from atomcore.interop.n2p2.text import Line, read_lines
from atomcore.interop.networks import Layer

ACTIVATIONS = {
    "t": "tanh",
    "l": "identity",
    "s": "sigmoid",
    "p": "softplus",
    "r": "relu",
    "g": "gaussian",
    "c": "cosine",
    "S": "sigmoid",  # of -x
    "e": "exponential",
    "h": "square",
}
_REVERSED = "S"


def file_name(number: int) -> str:
    """Return the name of the file of an atomic number."""
    return f"weights.{number:03d}.data"


@dataclass(frozen=True)
class Architecture:
    """What ``input.nn`` says of the networks of one element.

    Parameters
    ----------
    hidden : list of tuple of int
        What the sizes of the hidden layers may be.
    letters : tuple of str
        Activations of the hidden layers and of the output, keys of `ACTIVATIONS`.
    normalized : bool
        Whether sums are divided by the number of nodes that they run over.
    """

    hidden: list[tuple[int, ...]]
    letters: tuple[str, ...]
    normalized: bool

    @property
    def activations(self) -> tuple[str, ...]:
        """Activations by the names of model files."""
        return tuple(ACTIVATIONS[letter] for letter in self.letters)


class Architectures:
    """What ``input.nn`` says of all networks.

    Raises
    ------
    AtomcoreError
        Sizes or activations are missing or not supported, or those of an element contradict each other.
    """

    def __init__(self, file: InputFile, symbols: Sequence[str]):
        self._symbols = symbols
        depth = file.line("global_hidden_layers_short").whole("global_hidden_layers_short", 1)
        if depth < 1:
            raise file.line("global_hidden_layers_short").error(f"there are {depth} hidden layers; accepted: 1 or more")
        self._depth = depth
        self._nodes = _sizes(file.line("global_nodes_short", depth), 1)
        self._letters = _letters(file.line("global_activation_short", depth + 1), 1)
        self._normalized = file.has("normalize_nodes")
        self._own_nodes = self._by_element(file, "element_nodes_short")
        self._own_letters = self._by_element(file, "element_activation_short")
        for symbol, lines in self._by_element(file, "element_hidden_layers_short").items():
            check_count(lines[0], 2, 2)
            if lines[0].whole("the number of hidden layers", 2) != depth:
                raise lines[0].error(f"{symbol} has another number of hidden layers than {depth} of all elements")

    def of(self, symbol: str) -> Architecture:
        """Return what is said of the networks of an element."""
        letters = self._letters
        for line in self._own_letters.get(symbol, []):
            check_count(line, self._depth + 2, self._depth + 2)
            own = _letters(line, 2)
            if own[-1] != letters[-1]:
                warnings.warn(
                    f"{line.file}, line {line.number}: the output of {symbol} has the activation {own[-1]}, but n2p2 "
                    f"takes that of all elements, {letters[-1]}, and so does this",
                    stacklevel=3,
                )
            letters = (*own[:-1], letters[-1])
        return Architecture(self._hidden(self._own_nodes.get(symbol, [])), letters, self._normalized)

    def _hidden(self, lines: list[Line]) -> list[tuple[int, ...]]:
        """Return what the sizes may be: n2p2 keeps the last one of all elements, and older files name the layer."""
        if not lines:
            return [self._nodes]
        readings = set()
        if len(lines) == 1 and len(lines[0].words) == 2 + self._depth:
            own = _sizes(lines[0], 2)
            readings |= {own, (*own[:-1], self._nodes[-1])}
        if all(len(line.words) == 4 for line in lines):
            named = {line.whole("the layer", 2): line.whole("the number of nodes", 3) for line in lines}
            if len(named) == len(lines) and set(named) <= set(range(1, self._depth + 1)):
                readings.add(tuple(named.get(i, n) for i, n in enumerate(self._nodes, start=1)))
        if not readings:
            raise lines[0].error(f"element_nodes_short makes no sense; accepted: an element and {self._depth} sizes")
        return sorted(readings)

    def _by_element(self, file: InputFile, key: str) -> dict[str, list[Line]]:
        found: dict[str, list[Line]] = {}
        for line in file.lines(key):
            check_count(line, 2, max(3, self._depth + 2))
            if line.words[1] not in self._symbols:
                raise line.error(f"the element is {line.words[1]!r}; accepted: {', '.join(self._symbols)}")
            found.setdefault(line.words[1], []).append(line)
        return found


def _sizes(line: Line, first: int) -> tuple[int, ...]:
    sizes = tuple(line.whole("the number of nodes", i) for i in range(first, len(line.words)))
    if min(sizes) < 1:
        raise line.error("a layer has 0 nodes; accepted: 1 or more")
    return sizes


def _letters(line: Line, first: int) -> tuple[str, ...]:
    for word in line.words[first:]:
        if word not in ACTIVATIONS:
            raise line.error(f"the activation is {word!r}; accepted: {', '.join(ACTIVATIONS)}")
    return line.words[first:]


def read_layers(path: Path, architecture: Architecture, inputs: int) -> list[Layer]:
    """Return the layers of a network.

    Raises
    ------
    OSError
        The file cannot be read.
    AtomcoreError
        It does not hold as many numbers, or not in the order, that the architecture needs.
    """
    lines = read_lines(path, "#")
    kinds = "".join(line.words[1] if line.words[1:] and line.words[1] in ("a", "b") else "?" for line in lines)
    fitting = [hidden for hidden in architecture.hidden if _n_values((inputs, *hidden, 1)) == len(lines)]
    if not fitting:
        wanted = " or ".join(f"{_n_values((inputs, *hidden, 1))} ({hidden})" for hidden in architecture.hidden)
        raise AtomcoreError(
            f"{path.name} has {len(lines)} numbers; {inputs} functions and the sizes of hidden layers in input.nn "
            f"make it {wanted}"
        )
    ordered = [hidden for hidden in fitting if "?" in kinds or kinds == _kinds((inputs, *hidden, 1))]
    if len(ordered) != 1:
        raise AtomcoreError(
            f"{path.name} holds weights (a) and biases (b) in an order that {'fits' if ordered else 'does not fit'} "
            f"{' and '.join(map(str, ordered or fitting))} nodes; accepted: one that fits the hidden layers of input.nn"
        )
    values = np.array([line.float("the weight", 0) for line in lines])
    return list(_layers(values, (inputs, *ordered[0], 1), architecture))


def _n_values(widths: tuple[int, ...]) -> int:
    return sum((a + 1) * b for a, b in pairwise(widths))


def _kinds(widths: tuple[int, ...]) -> str:
    return "".join("a" * (a * b) + "b" * b for a, b in pairwise(widths))


def _layers(values: np.ndarray, widths: tuple[int, ...], architecture: Architecture) -> Iterator[Layer]:
    first = 0
    for (inputs, outputs), letter in zip(pairwise(widths), architecture.letters, strict=True):
        middle, last = first + inputs * outputs, first + (inputs + 1) * outputs
        factor = (-1.0 if letter == _REVERSED else 1.0) / (inputs if architecture.normalized else 1)
        yield factor * values[first:middle].reshape(inputs, outputs).T, factor * values[middle:last]
        first = last


def weights_text(layers: Sequence[Layer]) -> str:
    """Return the file of a network."""
    lines, number = ["# value kind index from: layer, node to: layer, node"], 0
    for i, (weight, bias) in enumerate(layers, start=1):
        for (row, column), value in np.ndenumerate(weight.T):
            number += 1
            lines.append(f"{value:.16e} a {number} {i - 1} {row + 1} {i} {column + 1}")
        for column, value in enumerate(bias, start=1):
            number += 1
            lines.append(f"{value:.16e} b {number} {i} {column}")
    return "\n".join(lines) + "\n"
