"""The errors of the runs of a sweep, side by side."""

import csv
import io
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from atomcore._files import write_text

_FOLD = "split.fold"
_SHOWN = {
    "energy_rmse_per_atom": "energy, meV/atom",
    "forces_rmse": "forces, meV/A",
    "stress_rmse": "stress, meV/A^3",
    "charges_rmse": "charges, me",
}


class Run(NamedTuple):
    """A run that has ended: its number, what was set for it, its folder and its exit code."""

    number: int
    overrides: dict[str, str]
    folder: Path
    code: int


def summarise(runs: Sequence[Run], swept: Sequence[str], folder: Path) -> str:
    """Write ``summary.csv`` into ``folder`` and return the same as a table.

    A line has the number of the run, the swept values and the errors on the test part (on the validation part when
    there is no test part): in the file all of ``metrics.json``, in its units. Folds get two more lines, mean and sample
    standard deviation over the folds that ended well, for each combination of the other values. No file is written
    when no run ended well.
    """
    rows = [
        {"run": str(run.number), **{key: run.overrides.get(key, "") for key in swept}, **_errors(run)} for run in runs
    ]
    if _FOLD in swept:
        others = [key for key in swept if key != _FOLD]
        ordered = sorted(rows, key=lambda row: [row[key] for key in others])
        for _, group in itertools.groupby(ordered, key=lambda row: [row[key] for key in others]):
            rows += _over_folds(list(group), others)
    names = list(dict.fromkeys(name for row in rows for name in row))
    if any(run.code == 0 for run in runs):
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(folder / "summary.csv", text.getvalue())
    return _table(rows, ["run", *swept])


def _errors(run: Run) -> dict[str, Any]:
    """Errors of a run with the part of the data in their names; none when it has failed."""
    if run.code:
        return {}
    metrics = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    part = next(part for part in ("test", "valid", "train") if part in metrics)
    return {f"{part}_{name}": value for name, value in metrics[part].items()}


def _over_folds(group: list[dict[str, Any]], others: Sequence[str]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(name for row in group for name, value in row.items() if isinstance(value, float)))
    complete = [row for row in group if names and all(name in row for name in names)]
    if not complete:
        return []
    values = np.array([[row[name] for name in names] for row in complete])
    common = {key: group[0][key] for key in others}
    result = [{"run": "mean", **common, **dict(zip(names, values.mean(axis=0).tolist(), strict=True))}]
    if len(complete) > 1:
        deviation = values.std(axis=0, ddof=1).tolist()
        result.append({"run": "std", **common, **dict(zip(names, deviation, strict=True))})
    return result


def _table(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> str:
    found = list(dict.fromkeys(name for row in rows for name in row if name not in keys))
    shown = [(name, text) for name in found for key, text in _SHOWN.items() if name.partition("_")[2] == key]
    parts = dict.fromkeys(name.partition("_")[0] for name, _ in shown)
    head = [*keys, *(text for _, text in shown)]
    cells = [
        [*(row.get(key, "") for key in keys), *(f"{1000 * row[name]:.4g}" if name in row else "-" for name, _ in shown)]
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    lines = ["  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in [head, *cells]]
    title = f"root mean square errors of the runs ({' or '.join(parts)} part):" if parts else "no run has ended well:"
    return "\n".join([title, *lines])
