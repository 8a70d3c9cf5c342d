"""Text files of other codes, read with a limit and with errors that name the file."""

import os
from pathlib import Path

import numpy as np

from atomcore._core import AtomcoreError

LONGEST = 1 << 20  # bytes


def read_text(path: str | os.PathLike) -> str:
    """Return the content of a short ASCII file.

    Raises
    ------
    FileNotFoundError
        There is none.
    AtomcoreError
        It is longer than any such file, or no text.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file.name!r} in {file.parent.name or '.'!r}")
    if file.stat().st_size > LONGEST:
        raise AtomcoreError(f"{file.name} has {file.stat().st_size} bytes; accepted: a text of at most {LONGEST}")
    try:
        return file.read_bytes().decode("ascii")
    except UnicodeDecodeError as error:
        raise AtomcoreError(f"{file.name} is damaged or no text: {error}") from error


def as_number(where: str, text: str) -> float:
    """Return the finite number that a text is."""
    try:
        number = float(text) if "_" not in text else np.nan
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise AtomcoreError(f"{where} is {text.strip()!r}; accepted: a number")
    return number


def as_count(where: str, text: str) -> int:
    """Return the whole number from 0 that a text is."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise AtomcoreError(f"{where} is {text!r}; accepted: a whole number")
    return int(text)
