"""Cutoff functions by name, and what a row of a feature table says of its own.

With ``x = (r - inner * cutoff) / (cutoff - inner * cutoff)``, and 1 where that is negative:

============================  =========================================================================================
cutoff_function               value for 0 <= x < 1
============================  =========================================================================================
``cosine``                    (1 + cos(pi x)) / 2
``tanh3``                     tanh(1 - x)^3, which is 0.44 at r = 0
``tanh3_normalized``          the same divided by its value at 0
``exponential``               exp(1 - 1 / (1 - x^2))
``poly1``                     1 + x^2 (2x - 3)
``poly2``                     1 + x^3 (x (15 - 6x) - 10)
``poly3``                     1 + x^4 (x (x (20x - 70) + 84) - 35)
``poly4``                     1 + x^5 (x (x (x (315 - 70x) - 540) + 420) - 126)
``polynomial``                1 + gamma x^(gamma+1) - (gamma+1) x^gamma (Amp's)
``hard``                      1: energies jump where an atom enters or leaves
``untruncated_cosine``        (1 + cos(3 pi x)) / 2, the cosine with a third of the cutoff, not cut but at the end of
                              its next wave
``exponential_asymmetric``,   the functions above of x (2 - x): steeper at 0 and gentler at 1
``poly1_asymmetric`` ...
``poly4_asymmetric``
============================  =========================================================================================

`inner` is 0 for those with a slope or a step at x = 0: ``tanh3``, ``tanh3_normalized``, ``hard`` and
``untruncated_cosine``.
"""

import math
from numbers import Real
from typing import Any

CUTOFF_FUNCTIONS = (  # in the order of the core's CutoffKind
    "cosine",
    "tanh3",
    "polynomial",
    "hard",
    "tanh3_normalized",
    "exponential",
    "poly1",
    "poly2",
    "poly3",
    "poly4",
    "exponential_asymmetric",
    "poly1_asymmetric",
    "poly2_asymmetric",
    "poly3_asymmetric",
    "poly4_asymmetric",
    "untruncated_cosine",
)
DEFAULT_GAMMA = 4.0


def cutoff_keys(cutoff_function: str, gamma: float = DEFAULT_GAMMA, inner: float = 0.0) -> dict[str, Any]:
    """Return what a row says of its cutoff function besides the radius.

    Parameters
    ----------
    cutoff_function
        A name in the table of `atomcore.features.cutoffs`.
    gamma
        Of ``polynomial``, at least 2.
    inner
        The part of the cutoff radius within which the function is 1, at least 0 and below 1.

    Raises
    ------
    ValueError
        For an unknown function.
    """
    if not isinstance(cutoff_function, str) or cutoff_function not in CUTOFF_FUNCTIONS:
        accepted = ", ".join(map(repr, CUTOFF_FUNCTIONS))
        raise ValueError(f"features: cutoff_function is {cutoff_function!r}; accepted: {accepted}")
    keys: dict[str, Any] = {"cutoff_function": cutoff_function}
    if cutoff_function == "polynomial":
        keys["gamma"] = as_number("gamma", gamma)
    inner = as_number("inner", inner)
    return keys if inner == 0 else {**keys, "inner": inner}


def as_number(what: str, value: Any) -> float:
    """Return a real number as a float; ``what`` names it where it is none."""
    if not isinstance(value, Real):
        raise ValueError(f"features: {what} is {value!r}; accepted: a real number")
    return float(value)


def as_length(what: str, value: Any) -> float:
    """Return a length in A as a float, finite and above zero."""
    length = as_number(what, value)
    if not 0 < length < math.inf:
        raise ValueError(f"features: {what} is {length}; accepted: a finite length > 0 in A")
    return length
