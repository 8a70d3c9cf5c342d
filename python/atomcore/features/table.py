"""Feature tables: explicit rows, one a column of G, that a model file stores and the core compiles.

A row is a dict with ``type``, ``elements``, ``prefactor``, ``eta``, ``shift``, ``cutoff`` and ``cutoff_function``, for
angular types also ``zeta`` and ``lambda`` (``narrow``, ``wide``) or ``zeta``, ``theta`` and ``cos_scale`` (``ani``),
and with the cutoff function ``polynomial`` also ``gamma``.
Its value is ``prefactor`` times the plain formula (`atomcore.features`); every convention of another code (eta / Rc^2,
sums over ordered pairs, TorchANI's 0.25) is folded into these numbers when the row is made.
"""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from atomcore import _core
from atomcore._arrays import LARGEST_NUMBER, check_numbers

Row = dict[str, Any]

TYPES = ("radial", "narrow", "wide", "ani")
CUTOFF_FUNCTIONS = ("cosine", "tanh3", "polynomial")
DEFAULT_GAMMA = 4.0
KEYS = {  # the numbers of a row besides its cutoff
    "radial": {"prefactor", "eta", "shift"},
    "narrow": {"prefactor", "eta", "shift", "zeta", "lambda"},
    "wide": {"prefactor", "eta", "shift", "zeta", "lambda"},
    "ani": {"prefactor", "eta", "shift", "zeta", "theta", "cos_scale"},
}
_ANGLE_KEY = {"narrow": "lambda", "wide": "lambda", "ani": "theta"}


def cutoff_keys(cutoff_function: str, gamma: float = DEFAULT_GAMMA) -> Row:
    """Return what a row says of its cutoff function besides the radius.

    Parameters
    ----------
    cutoff_function
        "cosine", ``(1 + cos(pi x)) / 2``; "tanh3", ``tanh(1 - x)^3``; or "polynomial",
        ``1 + gamma x^(gamma+1) - (gamma+1) x^gamma``; with x = r / cutoff.
    gamma
        Of the polynomial, at least 2.

    Raises
    ------
    ValueError
        For an unknown function.
    """
    if not isinstance(cutoff_function, str) or cutoff_function not in CUTOFF_FUNCTIONS:
        raise ValueError(
            f"features: cutoff_function is {cutoff_function!r}; accepted: {', '.join(map(repr, CUTOFF_FUNCTIONS))}"
        )
    keys: Row = {"cutoff_function": cutoff_function}
    return {**keys, "gamma": as_number("gamma", gamma)} if cutoff_function == "polynomial" else keys


def radial_row(element: str, *, eta: float, cutoff: float, shift: float = 0.0, prefactor: float = 1.0) -> Row:
    """Return the row of ``prefactor * sum_j exp(-eta (r - shift)^2) fc(r)``; eta in 1/A^2, lengths in A."""
    numbers = {"prefactor": prefactor, "eta": eta, "shift": shift, "cutoff": cutoff}
    return {"type": "radial", "elements": [element], **_floats(numbers), "cutoff_function": "cosine"}


def angular_row(
    kind: str,
    elements: Sequence[str],
    *,
    eta: float,
    zeta: float,
    lambda_: float,
    cutoff: float,
    shift: float = 0.0,
    prefactor: float = 1.0,
) -> Row:
    """Return the row of a Behler function: ``kind`` "narrow" has r_jk (his G4), "wide" has not (his G5)."""
    numbers = {"prefactor": prefactor, "eta": eta, "shift": shift, "zeta": zeta, "lambda": lambda_, "cutoff": cutoff}
    return {"type": kind, "elements": list(elements), **_floats(numbers), "cutoff_function": "cosine"}


def ani_row(
    elements: Sequence[str],
    *,
    eta: float,
    zeta: float,
    shift: float,
    theta: float,
    cutoff: float,
    prefactor: float = 1.0,
    cos_scale: float = 0.95,
) -> Row:
    """Return the row of an ANI angular function; theta in rad, ``cos_scale`` 1 gives the paper's form with kinks."""
    numbers = {"prefactor": prefactor, "eta": eta, "shift": shift, "zeta": zeta, "theta": theta}
    numbers |= {"cos_scale": cos_scale, "cutoff": cutoff}
    return {"type": "ani", "elements": list(elements), **_floats(numbers), "cutoff_function": "cosine"}


def _floats(numbers: Mapping[str, float]) -> dict[str, float]:
    return {key: as_number(key, value) for key, value in numbers.items()}


def as_number(what: str, value: Any) -> float:
    """Return a real number as a float; ``what`` names it where it is none."""
    if not isinstance(value, Real):
        raise ValueError(f"features: {what} is {value!r}; accepted: a real number")
    return float(value)


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
    reals = np.zeros((len(table), 12))
    for number, row in enumerate(table):
        kind = _check_row(number, row, index)
        pair = sorted(index[symbol] for symbol in row["elements"])
        cutoff_function = CUTOFF_FUNCTIONS.index(row["cutoff_function"])
        ints[number] = (TYPES.index(kind), pair[0], pair[1] if kind != "radial" else -1, cutoff_function, -1)
        angle = row[_ANGLE_KEY[kind]] if kind != "radial" else 0.0
        reals[number, :8] = (
            row["prefactor"],
            row["eta"],
            row["shift"],
            row.get("zeta", 0.0),
            angle,
            row.get("cos_scale", 1.0),
            row["cutoff"],
            row.get("gamma", DEFAULT_GAMMA),
        )
    return _core.compile_features(ints, reals, np.empty((0, len(elements))), len(elements))


def _check_row(number: int, row: Mapping[str, Any], index: Mapping[str, int]) -> str:
    """Return the row's type after checking its keys and elements; the core checks the numbers."""
    kind = row.get("type")
    if kind not in TYPES:
        raise ValueError(f"features: row {number} has type {kind!r}; accepted: {', '.join(TYPES)}")
    if row.get("cutoff_function") not in CUTOFF_FUNCTIONS:
        given = row.get("cutoff_function")
        raise ValueError(f"features: row {number} has cutoff_function {given!r}; accepted: {CUTOFF_FUNCTIONS}")
    numbers = KEYS[kind] | {"cutoff"} | ({"gamma"} if row["cutoff_function"] == "polynomial" else set())
    expected = numbers | {"type", "elements", "cutoff_function"}
    if set(row) != expected:
        missing, unknown = sorted(expected - set(row)), sorted(set(row) - expected)
        raise ValueError(f"features: row {number} ({kind}) misses {missing} and has unknown {unknown}")
    elements = row["elements"]
    count = 1 if kind == "radial" else 2
    if isinstance(elements, str) or len(elements) != count or any(symbol not in index for symbol in elements):
        raise ValueError(
            f"features: row {number} ({kind}) has elements {elements!r}; accepted: {count} of {list(index)}"
        )
    for key in numbers:
        as_number(f"row {number} ({kind}) {key}", row[key])
    return kind


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
