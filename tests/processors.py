"""What the processor that runs the tests has."""

from pathlib import Path

import pytest


def flags() -> set[str]:
    """Return what this processor has, by the kernel's names."""
    path = Path("/proc/cpuinfo")
    lines = [line for line in path.read_text().splitlines() if line.startswith("flags")] if path.exists() else []
    return set(lines[0].split()) if lines else set()


def has(isa: str) -> bool:
    avx2 = {"avx2", "fma", "bmi1", "bmi2"}
    needed = {"portable": set(), "avx2": avx2, "avx512": avx2 | {"avx512f", "avx512dq", "avx512bw", "avx512vl"}}
    return needed[isa] <= flags()


def skip_without(isa: str) -> None:
    if not has(isa):
        pytest.skip(f"this processor has no {isa}")
