"""Feature rows in words."""

from collections.abc import Mapping, Sequence
from typing import Any


def labels(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a short text for each row of a feature table (`atomcore.features.table`), unique within it.

    Numbers have six digits, or more where that does not tell rows apart.
    """
    short = [_label(row, 6) for row in table]
    return short if len(set(short)) == len(short) else [_label(row, 17) for row in table]


_SHOWN = ("eta", "kappa", "shift", "zeta", "lambda", "theta", "cos_scale", "low", "cutoff", "theta_low", "theta_high")


def _label(row: Mapping[str, Any], digits: int) -> str:
    numbers = ", ".join(f"{key}={row[key]:.{digits}g}" for key in (*_SHOWN, "gamma", "inner") if key in row)
    if row["cutoff_function"] != "cosine":
        numbers += f", {row['cutoff_function']}"
    return f"{row['type']}({_elements(row, digits)}; {numbers})"


def _elements(row: Mapping[str, Any], digits: int) -> str:
    if "weights" not in row:
        return "-".join(row["elements"])
    if set(row["weights"].values()) == {1.0}:
        return "all"
    return "all, " + " ".join(f"{symbol}={weight:.{digits}g}" for symbol, weight in row["weights"].items())
