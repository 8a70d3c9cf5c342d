"""The figures of the documentation: how many times as long as atomcore peers take, and accuracy against speed."""

import csv
from collections.abc import Mapping, Sequence

import matplotlib

from common import REPOSITORY, RESULTS

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DOCS = REPOSITORY / "docs"


def compared(name: str) -> list[tuple[str, float]]:
    """Return label and ratio of the rows of a result that have a peer."""
    path = RESULTS / f"{name}.csv"
    if not path.exists():
        return []
    with path.open() as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [(f"{row['case']} | {row['peer']}", float(row["ratio"])) for row in rows if row.get("ratio")]


def draw(names: Sequence[str]) -> None:
    """Draw a bar for each comparison in these results, those of a benchmark in one colour."""
    groups = {name: rows for name in names if (rows := compared(name))}
    if not groups:
        return
    count = sum(map(len, groups.values()))
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.24 * count), layout="constrained")
    first, labels = 0, []
    for name, rows in groups.items():
        bars = axes.barh(range(first, first + len(rows)), [ratio for _, ratio in rows], label=name)
        axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=7)
        first += len(rows)
        labels += [label for label, _ in rows]
    axes.set_yticks(range(count), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("time of the peer over time of atomcore")
    axes.margins(x=0.1, y=0.01)
    figure.legend(loc="outside upper center", ncols=len(groups))
    figure.savefig(DOCS / "ratios.png", dpi=130)
    plt.close(figure)


def scatter(points: Mapping[str, tuple[float, float]]) -> None:
    """Draw models by microseconds an atom and force RMSE (eV/A); ours filled."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name, (microseconds, error) in points.items():
        own = name.startswith("atomcore")
        axes.plot(microseconds, error, "o", color="C0" if own else "C3", fillstyle="full" if own else "none")
        axes.annotate(name, (microseconds, error), xytext=(5, 4), textcoords="offset points", fontsize=8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("time for energy and forces, us/atom, one thread")
    axes.set_ylabel("force RMSE on held-out frames, eV/A")
    axes.margins(x=0.25, y=0.15)
    figure.savefig(DOCS / "accuracy_speed.png", dpi=130)
    plt.close(figure)
