"""What benchmarks share: the data beside the checkout, CPU time, and how results are printed and kept."""

import csv
import os
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "bench" / "results"
KCAL_PER_EV = 23.060548


def shared(*parts: str) -> Path:
    """Return a path in the shared folder beside the checkout, which benchmarks on real data need."""
    path = Path(os.environ.get("ATOMCORE_SHARED", REPOSITORY.parent / "shared")).joinpath(*parts)
    if not path.exists():
        raise SystemExit(f"this benchmark needs the shared data set {'/'.join(parts)} beside the checkout")
    return path


def children_cpu_seconds() -> float:
    """Return the CPU seconds (user and system) of all finished child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def atomcore(*arguments: str, code: int = 0) -> float:
    """Run the command line with one thread and return its CPU seconds; it must end with ``code``."""
    command = [sys.executable, "-c", "import sys; from atomcore.cli import main; sys.exit(main())", *arguments]
    before = children_cpu_seconds()
    found = subprocess.run(command, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode
    if found != code:
        raise SystemExit(f"atomcore {' '.join(arguments)} ended with {found}, where {code} was expected")
    return children_cpu_seconds() - before


def machine() -> str:
    """Name processor, core count and the versions that matter."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    packages = ", ".join(f"{name} {version(name)}" for name in ("atomcore", "torch", "lightning", "numpy"))
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}"


def spread(values: Sequence[float]) -> str:
    """Return median, minimum and maximum in words."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def report(name: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows as a table under the machine's description and write them to bench/results/NAME.csv."""
    print(f"\n{name} on {machine()}")
    columns = list(rows[0])
    widths = [max(len(str(row[column])) for row in [*rows, {column: column}]) for column in columns]
    for row in [{column: column for column in columns}, *rows]:
        print("  ".join(str(row[column]).ljust(width) for column, width in zip(columns, widths, strict=True)))
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", newline="") as file:
        file.write(f"# {machine()}\n")
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
