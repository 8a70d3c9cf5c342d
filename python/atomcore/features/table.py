"""Feature tables: explicit rows, one a column of G, that a model file stores and the core compiles.

A row is a dict with ``type``, ``elements``, ``prefactor``, ``cutoff``, ``cutoff_function`` and the numbers of its type:

====================================  =====================================================
``radial``                            ``eta``, ``shift``
``radial_cosine``                     ``kappa``
``compact_radial``                    ``low``
``narrow``, ``wide``                  ``eta``, ``shift``, ``zeta``, ``lambda``
``ani``                               ``eta``, ``shift``, ``zeta``, ``theta``, ``cos_scale``
``compact_narrow``, ``compact_wide``  ``low``, ``theta_low``, ``theta_high``
====================================  =====================================================

The cutoff function ``polynomial`` comes with ``gamma``; ``inner`` is there where it is not 0. ``elements`` is a list of
one symbol (radial types) or two, or the text ``"all"`` for neighbours of every element; then ``weights`` gives a number
for each element. The value is ``prefactor`` times the plain formula (`atomcore.features`); every convention of another
code (eta / Rc^2, sums over ordered pairs, TorchANI's 0.25) is folded into these numbers when the row is made.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from atomcore import _core
from atomcore._arrays import LARGEST_NUMBER, check_numbers
from atomcore.features.cutoffs import CUTOFF_FUNCTIONS, DEFAULT_GAMMA, as_number

Row = dict[str, Any]

ALL = "all"  # in place of a row's elements
RADIAL_TYPES = ("radial", "radial_cosine", "compact_radial")
ANGULAR_TYPES = ("narrow", "wide", "ani", "compact_narrow", "compact_wide")
KEYS = {  # the numbers of a row besides its cutoff; in the order of the core's FunctionType
    "radial": {"prefactor", "eta", "shift"},
    "narrow": {"prefactor", "eta", "shift", "zeta", "lambda"},
    "wide": {"prefactor", "eta", "shift", "zeta", "lambda"},
    "ani": {"prefactor", "eta", "shift", "zeta", "theta", "cos_scale"},
    "radial_cosine": {"prefactor", "kappa"},
    "compact_narrow": {"prefactor", "low", "theta_low", "theta_high"},
    "compact_wide": {"prefactor", "low", "theta_low", "theta_high"},
    "compact_radial": {"prefactor", "low"},
}
TYPES = tuple(KEYS)
_FIRST_READERS = {"radial", "narrow", "wide", "ani", "cosine", "tanh3", "polynomial"}  # of format 1.0


def make_row(kind: str, channel: Mapping[str, Any], **numbers: float) -> Row:
    """Return the row of a function.

    Parameters
    ----------
    kind
        One of `TYPES`.
    channel
        Its ``elements`` and, where these are "all", its ``weights``.
    **numbers
        The numbers of its type, and ``cutoff``; ``prefactor`` is 1 by default.
    """
    values = {"prefactor": 1.0, **numbers}
    return {"type": kind, **channel, **{key: as_number(key, value) for key, value in values.items()}}


def is_for_all(row: Mapping[str, Any]) -> bool:
    """Return whether the function of a row sees neighbours of every element."""
    return isinstance(row.get("elements"), str) and row["elements"] == ALL


def needs_families(table: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a table holds anything that readers of model files before format 1.2 do not know."""
    return any(
        not {row["type"], row["cutoff_function"]} <= _FIRST_READERS
        or is_for_all(row)
        or "inner" in row
        or row.get("zeta", 1.0) < 1
        for row in table
    )


def compile_table(elements: Sequence[str], table: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Compile a table into the plan that the kernels read.

    Parameters
    ----------
    elements
        Chemical symbols; species indices are positions in this sequence.
    table
        Rows as described in `atomcore.features.table`.

    Returns
    -------
    table : int32 array
    parameters : float64 array

    Raises
    ------
    ValueError
        Names the row and the key, what was given and what is accepted.
    """
    index = {symbol: i for i, symbol in enumerate(elements)}
    ints = np.empty((len(table), 5), np.int32)
    reals = np.empty((len(table), 12))
    weights: list[list[float]] = []  # of the rows for every element
    for number, row in enumerate(table):
        kind = _check_row(number, row, index)
        cutoff_function = CUTOFF_FUNCTIONS.index(row["cutoff_function"])
        ints[number] = (
            TYPES.index(kind),
            *_species(row, index),
            cutoff_function,
            len(weights) if is_for_all(row) else -1,
        )
        if is_for_all(row):
            weights.append([float(row["weights"][symbol]) for symbol in elements])
        reals[number] = (
            row["prefactor"],
            row.get("kappa", row.get("eta", 0.0)),
            row.get("shift", 0.0),
            row.get("zeta", 0.0),
            row.get("theta", row.get("lambda", 0.0)),
            row.get("cos_scale", 1.0),
            row["cutoff"],
            row.get("gamma", DEFAULT_GAMMA),
            row.get("inner", 0.0),
            row.get("low", 0.0),
            row.get("theta_low", 0.0),
            row.get("theta_high", 0.0),
        )
    vectors = np.array(weights, np.float64).reshape(len(weights), len(elements))
    return _core.compile_features(ints, reals, vectors, len(elements))


def _species(row: Mapping[str, Any], index: Mapping[str, int]) -> tuple[int, int]:
    """Return the species of a row as the core has them."""
    if is_for_all(row):
        return -1, -1
    pair = sorted(index[symbol] for symbol in row["elements"])
    return pair[0], pair[1] if len(pair) == 2 else -1


def _check_row(number: int, row: Mapping[str, Any], index: Mapping[str, int]) -> str:
    """Return the row's type after checking its keys and elements; the core checks the numbers."""
    kind = row.get("type")
    if kind not in TYPES:
        raise ValueError(f"features: row {number} has type {kind!r}; accepted: {', '.join(TYPES)}")
    if row.get("cutoff_function") not in CUTOFF_FUNCTIONS:
        given = row.get("cutoff_function")
        raise ValueError(f"features: row {number} has cutoff_function {given!r}; accepted: {CUTOFF_FUNCTIONS}")
    numbers = KEYS[kind] | {"cutoff"} | ({"gamma"} if row["cutoff_function"] == "polynomial" else set())
    numbers |= {"inner"} & set(row)
    expected = numbers | {"type", "elements", "cutoff_function"} | ({"weights"} if is_for_all(row) else set())
    if set(row) != expected:
        missing, unknown = sorted(expected - set(row)), sorted(set(row) - expected)
        raise ValueError(f"features: row {number} ({kind}) misses {missing} and has unknown {unknown}")
    if is_for_all(row):
        check_weights(f"row {number} ({kind}) weights", row["weights"], tuple(index))
    else:
        _check_elements(f"row {number} ({kind})", row["elements"], 1 if kind in RADIAL_TYPES else 2, index)
    for key in numbers:
        as_number(f"row {number} ({kind}) {key}", row[key])
    return kind


def _check_elements(what: str, elements: Any, count: int, index: Mapping[str, int]) -> None:
    if isinstance(elements, str) or len(elements) != count or any(symbol not in index for symbol in elements):
        raise ValueError(
            f"features: {what} has elements {elements!r}; accepted: {count} of {list(index)}, or 'all' with weights"
        )


def check_weights(what: str, weights: Any, elements: Sequence[str]) -> None:
    """Raise ValueError unless ``weights`` gives a finite number for each element, and nothing else."""
    if not isinstance(weights, Mapping) or set(weights) != set(elements):
        raise ValueError(f"features: {what} is {weights!r}; accepted: a number for each of {list(elements)}")
    for symbol, weight in weights.items():
        if not np.isfinite(as_number(f"{what} of {symbol}", weight)):
            raise ValueError(f"features: {what} of {symbol} is {weight}; accepted: a finite number")


def species_index(numbers: np.ndarray, supported: np.ndarray) -> np.ndarray:
    """Return the positions of atomic numbers [N] in ``supported``, int32.

    Raises
    ------
    ValueError
        Lists the atomic numbers that are not supported, and those that are.
    """
    lookup = np.full(LARGEST_NUMBER + 1, -1, np.int32)
    lookup[supported] = np.arange(len(supported), dtype=np.int32)
    check_numbers(numbers)
    species = lookup[numbers]
    if (species < 0).any():
        unknown = np.unique(numbers[species < 0]).tolist()
        raise ValueError(f"numbers holds elements Z = {unknown}; accepted: Z = {supported.tolist()}")
    return species
