"""What the benchmarks have written, for the page on speed: tables from bench/results and pictures beside the pages."""

import csv
from pathlib import Path

from IPython.display import Image, Markdown

DOCS = Path(__file__).resolve().parent.parent
RESULTS = DOCS.parent / "bench" / "results"


def table(name: str) -> Markdown:
    """Return the table of a benchmark under the machine that it was measured on."""
    path = RESULTS / f"{name}.csv"
    if not path.exists():
        return Markdown(f"*Not measured yet: `python bench/run.py {name}`.*")
    lines = path.read_text().splitlines()
    head, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    cells = [head, ["---"] * len(head), *rows]
    machine = [f"{line.lstrip('# ')}\n\n" for line in lines if line.startswith("#")]
    return Markdown("".join(machine) + "\n".join(f"| {' | '.join(row)} |" for row in cells))


def picture(name: str) -> Image | Markdown:
    """Return a picture that a benchmark has drawn."""
    path = DOCS / f"{name}.png"
    return Image(filename=path) if path.exists() else Markdown("*Not drawn yet: `make bench`.*")
