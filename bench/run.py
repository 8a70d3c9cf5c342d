"""Run benchmarks: `python bench/run.py` for all, `python bench/run.py NAME ...` for some."""

import importlib
import sys

NAMES = ("epoch", "claisen", "silicon", "water")


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise SystemExit(f"unknown benchmark {unknown[0]!r}; accepted: {', '.join(NAMES)}")
    for name in names or NAMES:
        importlib.import_module(name).main()


if __name__ == "__main__":
    main(sys.argv[1:])
