"""What several test files share: data sets, processes of their own, a hostile pickle, finite differences."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
NEEDS_SOURCES = pytest.mark.skipif(
    not (REPOSITORY / "CMakeLists.txt").exists(), reason="is about the sources, and only the tests are here"
)


def shared_data(name: str) -> Path:
    """Return the path of a shared data set, or skip the test with a reason where the sets are absent."""
    root = Path(os.environ.get("ATOMCORE_SHARED", REPOSITORY.parent / "shared"))
    path = root / "data" / name
    if not path.exists():
        pytest.skip(f"shared data set {name!r} is not beside this checkout")
    return path


def skip_without_training(arguments: Sequence[str]) -> None:
    """Skip the test where these arguments of the command line would train and the extra for that is not installed."""
    if tuple(arguments[:1]) in [("train",), ("demo",)] and "--help" not in arguments:
        pytest.importorskip("lightning", reason="training needs the extra atomcore[train]")


def run_command(command: list[str], *, cwd: Path | None = None, timeout: float = 300, **environment: str) -> str:
    """Run a command with additional environment variables; return what it printed, or fail with what it complained."""
    variables = {**os.environ, **environment}
    result = subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert result.returncode == 0, f"{command} ended with {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout


def run_python(code: str, *, cwd: Path | None = None) -> str:
    """Run a program in an interpreter of its own, so that a crash or what it imports shows; return what it printed."""
    return run_command([sys.executable, "-c", code], cwd=cwd, OMP_NUM_THREADS="1")


class Payload:
    """Unpickled, this makes the folder ``marker``."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def slope(function: Callable[[Any], Any], x: Any, direction: Any, step: float = 1e-4) -> Any:
    """Return the derivative of ``function`` at ``x`` along ``direction`` by the five-point formula."""
    near = function(x + step * direction) - function(x - step * direction)
    far = function(x + 2 * step * direction) - function(x - 2 * step * direction)
    return (8 * near - far) / (12 * step)
