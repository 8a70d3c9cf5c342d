"""Run benchmarks: `python bench/run.py` for all, `python bench/run.py NAME ...` for some; then draw the figure.

Each runs in a process of its own, since it pins itself to a processor and malloc reads its settings at start.
"""

import os
import subprocess
import sys
from pathlib import Path

from common import ONE_THREAD
from figures import draw

TIMED = ("neighbors", "features", "potential", "md")  # beside other codes: these give the figure of ratios
KERNELS = ("kernels", "cholesky", "gdml", "many_body", "gdml_accuracy", "kernel_accuracy")
HOSTS = ("convert", "pair_style")  # the engine in other programs, other programs' models in the engine
NAMES = (*TIMED, *HOSTS, "accuracy_speed", "epoch", "claisen", "silicon", "water", "compact", *KERNELS)


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise SystemExit(f"unknown benchmark {unknown[0]!r}; accepted: {', '.join(NAMES)}")
    failed = []
    for name in names or NAMES:
        command = [sys.executable, str(Path(__file__).with_name(f"{name}.py"))]
        if subprocess.run(command, env={**os.environ, **ONE_THREAD}, check=False).returncode != 0:
            failed.append(name)
    if set(TIMED) & set(names or NAMES):
        draw(TIMED)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
