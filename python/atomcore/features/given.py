"""What users write down of functions, checked and brought to rows of a feature table."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from atomcore.features.cutoffs import as_length, as_number, cutoff_keys
from atomcore.features.table import ALL, ANGULAR_TYPES, KEYS, RADIAL_TYPES, Row, check_weights, make_row

_DEFAULTED = {  # what a function given by its numbers may leave out, besides its cutoff
    "radial": {"shift"},
    "radial_cosine": set(),
    "compact_radial": {"low"},
    "narrow": {"shift", "lambda"},
    "wide": {"shift", "lambda"},
    "ani": {"cos_scale"},
    "compact_narrow": {"low"},
    "compact_wide": {"low"},
}
_DEFAULTS = {"shift": 0.0, "lambda": 1.0, "cos_scale": 0.95}  # and minus the cutoff for low
_CUTOFF_KEYS = ("cutoff_function", "gamma", "inner")


def check_symbols(elements: Sequence[str]) -> tuple[str, ...]:
    """Return chemical symbols as a tuple, or raise."""
    from ase.data import atomic_numbers

    if isinstance(elements, str):
        raise TypeError(f"elements is the string {elements!r}; accepted: a sequence of symbols such as ['H', 'O']")
    names = tuple(elements)
    unknown = [name for name in names if atomic_numbers.get(name, 0) < 1]
    if not names or unknown or len(set(names)) != len(names):
        raise ValueError(f"elements is {list(names)}; accepted: distinct chemical symbols, at least one")
    return names


class Channels:
    """Which neighbours functions tell apart: the ``elements`` (and ``weights``) of the rows that one function makes.

    Parameters
    ----------
    elements
        Chemical symbols.
    resolve_elements
        Whether there is a row for each element (pair), or one for all of them.
    weights
        ``"Z"``, the atomic numbers, or a number for each element: one row for all of them.
    """

    def __init__(
        self, elements: Sequence[str], resolve_elements: bool, weights: Mapping[str, float] | str | None
    ) -> None:
        if not isinstance(resolve_elements, bool | np.bool_):
            raise TypeError(f"resolve_elements is {resolve_elements!r}; accepted: True or False")
        self.single: list[Row] = [{"elements": [a]} for a in elements]
        self.pair: list[Row] = [{"elements": [a, b]} for i, a in enumerate(elements) for b in elements[i:]]
        if weights is not None or not resolve_elements:
            self.single = self.pair = [{"elements": ALL, "weights": _weights(elements, weights)}]


def _weights(elements: Sequence[str], weights: Mapping[str, float] | str | None) -> dict[str, float]:
    from ase.data import atomic_numbers

    if weights is None:
        return dict.fromkeys(elements, 1.0)
    if isinstance(weights, str) and weights == "Z":
        return {symbol: float(atomic_numbers[symbol]) for symbol in elements}
    if isinstance(weights, str):
        raise ValueError(f"features: weights is {weights!r}; accepted: 'Z', or a number for each of {list(elements)}")
    check_weights("weights", weights, elements)
    return {symbol: float(weights[symbol]) for symbol in elements}


def even_shells(first: float, cutoff: float, n: int) -> list[Mapping[str, Any]]:
    """Return ``n`` radial functions at even distances from ``first`` to the cutoff less one step, as wide as a step."""
    first, cutoff = as_number("first", first), as_length("cutoff", cutoff)
    if not 0 < first < cutoff:
        raise ValueError(f"features: first is {first}; accepted: a length between 0 and the cutoff, {cutoff} A")
    shifts, step = np.linspace(first, cutoff, n, endpoint=False, retstep=True)
    return [{"eta": 0.5 / step**2, "shift": shift} for shift in shifts]


def behler_angles(kind: str, etas: Iterable[float], zetas: Sequence[float]) -> list[Mapping[str, Any]]:
    """Return angular functions of every eta (1/A^2) and zeta with lambda = 1, -1; ``kind`` is "narrow" or "wide"."""
    if kind not in ("narrow", "wide"):
        raise ValueError(f"angular is {kind!r}; accepted: 'narrow' (Behler's G4), 'wide' (Behler's G5)")
    return [
        {"type": kind, "eta": eta, "zeta": zeta, "lambda": sign}
        for eta in etas
        for zeta in zetas
        for sign in (1.0, -1.0)
    ]


def radial_rows(
    functions: Sequence[Mapping[str, Any]], channels: Channels, cutoff: float, normalized: bool, ending: Row
) -> list[Row]:
    """Return the rows of radial functions; ``ending`` is the cutoff function of those that name none."""
    table = []
    for number, function in enumerate(_sequence("radial", functions)):
        what = f"radial[{number}]"
        kind, own = _split_type(what, {"type": "radial", **_mapping(what, function)}, RADIAL_TYPES)
        numbers, end = _row_numbers(what, kind, own, cutoff, normalized, ending)
        table += [make_row(kind, channel, **numbers) | end for channel in channels.single]
    return table


def angular_rows(
    functions: Sequence[Mapping[str, Any]],
    channels: Channels,
    cutoff: float,
    normalized: bool,
    ending: Row,
    prefactor: float,
) -> list[Row]:
    """Return the rows of angular functions."""
    table = []
    for number, function in enumerate(_sequence("angular", functions)):
        kind, own = _split_type(f"angular[{number}]", function, ANGULAR_TYPES)
        numbers, end = _row_numbers(f"angular[{number}] ({kind})", kind, own, cutoff, normalized, ending)
        table += [make_row(kind, channel, prefactor=prefactor, **numbers) | end for channel in channels.pair]
    return table


def _sequence(name: str, functions: Any) -> Sequence[Any]:
    if not isinstance(functions, Sequence) or isinstance(functions, str):
        raise TypeError(f"features: {name} is {functions!r}; accepted: a sequence of mappings, one a function")
    return functions


def _mapping(what: str, function: Any) -> Mapping[str, Any]:
    if not isinstance(function, Mapping):
        raise TypeError(f"features: {what} is {function!r}; accepted: a mapping such as {{'eta': 4.0}}")
    return function


def _split_type(what: str, function: Mapping[str, Any], accepted: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the type of a function and its other entries."""
    own = dict(_mapping(what, function))
    kind = own.pop("type", None)
    if kind not in accepted:
        raise ValueError(f"features: {what} has type {kind!r}; accepted: {', '.join(accepted)}")
    return kind, own


def _row_numbers(
    what: str, kind: str, own: dict[str, Any], cutoff: float, normalized: bool, ending: Row
) -> tuple[dict[str, float], Row]:
    """Return a function's numbers, eta in 1/A^2, and its cutoff function."""
    named = {key: own.pop(key) for key in _CUTOFF_KEYS if key in own}
    numbers = _checked(what, kind, own)
    end = cutoff_keys(**{**ending, **named}) if named else ending
    return _plain(kind, numbers, cutoff, normalized), end


def _checked(what: str, kind: str, function: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a function after checking that it has the keys that its kind needs, and no others."""
    accepted = KEYS[kind] - {"prefactor"} | {"cutoff"}
    offered = sorted(accepted | set(_CUTOFF_KEYS))
    for key in sorted(set(function) - accepted, key=str):
        nearest = get_close_matches(str(key), offered, n=1)
        guess = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        raise ValueError(f"features: {what} has unknown key {key!r}{guess}; accepted: {', '.join(offered)}")
    missing = sorted(accepted - _DEFAULTED[kind] - {"cutoff"} - set(function))
    if missing:
        raise ValueError(f"features: {what} misses {', '.join(missing)}; accepted: {', '.join(offered)}")
    return {key: as_number(f"{what} {key}", value) for key, value in function.items()}


def _plain(kind: str, function: dict[str, float], cutoff: float, normalized: bool) -> dict[str, float]:
    """Return all numbers of a function: its cutoff and defaults too, and eta in 1/A^2."""
    radius = function.get("cutoff", cutoff)
    defaults = {key: value for key, value in _DEFAULTS.items() if key in KEYS[kind]}  # always in the same order
    if "low" in KEYS[kind]:
        defaults["low"] = -as_number("cutoff", radius)
    own = {**defaults, **function, "cutoff": radius}
    if not normalized or "eta" not in own:
        return own
    return {**own, "eta": own["eta"] / as_length("cutoff", radius) ** 2}
