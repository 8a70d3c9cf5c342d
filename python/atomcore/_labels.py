"""Feature rows in words."""

from collections.abc import Mapping, Sequence
from typing import Any


def labels(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a short text for each row of a feature table (`atomcore.features.table`), unique within it.

    Numbers have six digits, or more where that does not tell rows apart.
    """
    short = [_label(row, 6) for row in table]
    return short if len(set(short)) == len(short) else [_label(row, 17) for row in table]


def _label(row: Mapping[str, Any], digits: int) -> str:
    shown = [key for key in ("eta", "shift", "zeta", "lambda", "theta", "cos_scale", "cutoff", "gamma") if key in row]
    numbers = ", ".join(f"{key}={row[key]:.{digits}g}" for key in shown)
    if row["cutoff_function"] != "cosine":
        numbers += f", {row['cutoff_function']}"
    return f"{row['type']}({'-'.join(row['elements'])}; {numbers})"
