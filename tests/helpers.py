"""Data and structures that several test files share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def shared_data(name: str) -> Path:
    """Return the path of a shared data set, or skip the test with a reason where the sets are absent."""
    root = Path(os.environ.get("ATOMCORE_SHARED", REPOSITORY.parent / "shared"))
    path = root / "data" / name
    if not path.exists():
        pytest.skip(f"shared data set {name!r} is not beside this checkout")
    return path
