"""What benchmarks share: the data beside the checkout, timing beside other codes, how results are printed and kept."""

import contextlib
import csv
import gc
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from atomcore import _core

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "bench" / "results"
KCAL_PER_EV = 23.060548

SHORTEST = 2e-3  # seconds that a sample takes at least: shorter calls are repeated within it
FEWEST, MOST = 7, 300  # samples of each code

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# glibc then keeps what a program frees, so that a code that allocates large temporaries does not pay for page faults.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}

CPUS = sorted(os.sched_getaffinity(0))  # those that this process may use, before it is pinned

Call = Callable[[], object]


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


def machine(peers: Sequence[str] = ()) -> str:
    """Name processor, core count and the versions that matter, those of the peers included."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    packages = []
    for name in ("atomcore", "torch", "lightning", "numpy", *peers):
        with contextlib.suppress(PackageNotFoundError):
            packages.append(f"{name} {version(name)}")
    processor = f"{model}, {os.cpu_count()} cores, kernels for {_core.instruction_set()}"
    return f"{processor}; Python {platform.python_version()}, {', '.join(packages)}"


def spread(values: Sequence[float]) -> str:
    """Return median, minimum and maximum in words."""
    middle, least, most = (
        f"{x:.3g}" if x < 1000 else f"{x:.0f}" for x in (statistics.median(values), min(values), max(values))
    )
    return f"{middle} ({least} to {most})"


def pin(cpus: int = 1) -> None:
    """Keep this process on the last processors that it may use; other programs tend to fill the first ones."""
    if len(CPUS) < cpus:
        raise SystemExit(f"this benchmark needs {cpus} processors; this process may use {len(CPUS)}")
    os.sched_setaffinity(0, CPUS[-cpus:])


def _calls_per_sample(call: Call) -> int:
    """Warm up and return how many calls a sample needs."""
    call()
    start = time.perf_counter()
    call()
    return max(1, round(SHORTEST / max(time.perf_counter() - start, 1e-7)))


def _sample(call: Call, calls: int) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def interleave(codes: Mapping[str, Call], seconds: float) -> dict[str, list[float]]:
    """Time codes in turn, sample by sample, for about ``seconds`` in all; return the seconds a call of each sample."""
    calls = {name: _calls_per_sample(call) for name, call in codes.items()}
    times: dict[str, list[float]] = {name: [] for name in codes}
    gc.collect()
    gc.disable()
    try:
        end = time.perf_counter() + seconds
        for taken in range(MOST):
            if taken >= FEWEST and time.perf_counter() > end:
                break
            for name, call in codes.items():
                times[name].append(_sample(call, calls[name]))
    finally:
        gc.enable()
    return times


def compare(
    case: str, check: Call, ours: Call, peers: Mapping[str, Call], *, cpus: int = 1, seconds: float = 5.0
) -> list[dict[str, object]]:
    """Time ``ours`` beside ``peers`` on ``cpus`` processors and return one row a peer for `report`.

    ``check`` runs first and raises unless all compute the same. A row holds medians and ranges in microseconds a call
    and how many times as long as ours the peer takes: by the medians, and by the smallest times, which hardly see what
    else the machine does. Without peers there is one row with our times.
    """
    pin(cpus)
    check()
    times = {name: [1e6 * t for t in values] for name, values in interleave({"": ours, **peers}, seconds).items()}
    own = times.pop("")
    rows = []
    for name, values in (times or {"": []}).items():
        row = {"case": case, "atomcore, us": spread(own), "peer": name, "peer, us": "", "ratio": "", "of minima": ""}
        if values:
            row["peer, us"] = spread(values)
            row["ratio"] = f"{statistics.median(values) / statistics.median(own):.2f}"
            row["of minima"] = f"{min(values) / min(own):.2f}"
        rows.append(row)
    return rows


def report(name: str, rows: Sequence[Mapping[str, object]], peers: Sequence[str] = ()) -> None:
    """Print rows as a table under the machine's description and write them to bench/results/NAME.csv.

    ``peers`` names the packages whose versions are told.
    """
    print(f"\n{name} on {machine(peers)}")
    columns = list(rows[0])
    widths = [max(len(str(row[column])) for row in [*rows, {column: column}]) for column in columns]
    for row in [{column: column for column in columns}, *rows]:
        print("  ".join(str(row[column]).ljust(width) for column, width in zip(columns, widths, strict=True)))
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", newline="") as file:
        file.write(f"# {machine(peers)}\n")
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
