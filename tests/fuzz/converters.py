"""Damaged models of other codes: each is refused in words that name the file, or is a model with finite numbers.

    PYTHONPATH=tests python -m fuzz.converters FORMAT RUNS [SEED]

Everything else is a finding, is kept in a folder, and ends the program: other exceptions and warnings, NaN, more than
a second or a gigabyte.
"""

import resource
import shutil
import signal
import sys
import tempfile
import warnings
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from ase import Atoms

from atomcore import AtomcoreError, Potential
from atomcore.interop.convert import convert
from fuzz.foreign import FORMATS
from fuzz.mutations import Files, damaged

_MOST_SECONDS = 1.0  # of the processor
_MOST_MEMORY = 1 << 30  # beyond what the program has when it starts
OPTIONS: dict[str, dict[str, Any]] = {"n2p2": {"units": "hartree, bohr"}, "torchani": {"cutoffs": (5.1, 3.5)}}
WATER = Atoms("OHH", [[0.0, 0.0, 0.1], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])


class TooLong(BaseException):
    """A second has passed."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise TooLong(f"more than {_MOST_SECONDS} s")


def write_files(files: Files, folder: Path) -> None:
    """Write files into a folder that is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def run(files: Files, known: set[str], folder: Path, options: dict[str, Any]) -> str:
    """Convert what the files hold; return "model" or "refused". Whatever else happens is raised."""
    source, converted = folder / "source", folder / "model.atomcore"
    write_files(files, source)
    try:
        convert(source / next(iter(known)) if len(known) == 1 else source, converted, **options)
    except (ValueError, OSError, AtomcoreError) as error:
        named = isinstance(error, FileNotFoundError) or any(name in str(error) for name in {"source", *known})
        if not named:
            raise AssertionError(f"a message that names no file: {error}") from error
        return "refused"
    potential = Potential.load(converted, threads=1)
    try:
        found = potential.compute(WATER, ["energy", "forces"])
    except (ValueError, AtomcoreError):  # of other elements or another molecule, or beyond all numbers
        return "model"
    if not all(np.isfinite(values).all() for values in found.values()):
        raise AssertionError(f"numbers that are not finite: {found}")
    return "model"


def limit_resources() -> None:
    """Stop what takes too long, or too much memory."""
    signal.signal(signal.SIGPROF, _stop)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "Reading .* required additional header parsing")  # NumPy on files of Python 2


def fuzz(kind: str, runs: int, seed: int, folder: Path) -> dict[str, int]:
    """Convert a damaged model ``runs`` times; return how many were models and how many refused.

    A finding is raised, and its files stay in ``folder``.
    """
    seeds = FORMATS[kind](folder)
    known = {Path(name).name for name in seeds}
    options = OPTIONS.get(kind, {})
    counts = {"model": 0, "refused": 0}
    if run(seeds, known, folder, options) != "model":
        raise AssertionError(f"the model of {kind} that is not damaged is refused")
    limit_resources()
    for i in range(runs):
        random = np.random.default_rng([seed, i])
        files = damaged(seeds, random)
        signal.setitimer(signal.ITIMER_PROF, _MOST_SECONDS)
        try:
            counts[run(files, known, folder, options)] += 1
        except BaseException:
            print(f"{kind}, seed {seed}, damage {i}, files in {folder}", file=sys.stderr)
            raise
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return counts


def main(kind: str, runs: str, seed: str = "1") -> None:
    """Run, and say how it went."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{kind}-", dir=place))
    counts = fuzz(kind, int(runs), int(seed), folder)
    shutil.rmtree(folder)
    print(f"{kind}, seed {seed}: {counts['model']} models and {counts['refused']} refusals, no finding")


if __name__ == "__main__":
    main(*sys.argv[1:])
