"""Text files of other codes, and the numbers in them, read with limits and with errors that name the file."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atomcore._core import AtomcoreError

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")  # 1.0D-3 and nan are none
_WHOLE = re.compile(r"[0-9]{1,9}")


def read_content(path: Path, longest: int) -> bytes:
    """Return the bytes of a file that is no longer than that.

    Raises
    ------
    FileNotFoundError, OSError
        There is none, or it cannot be read.
    AtomcoreError
        It is longer than any such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.name!r} in {path.absolute().parent.name!r}")
    size = path.stat().st_size
    if size > longest:
        raise AtomcoreError(f"{path.name} has {size} bytes; accepted: at most {longest}")
    return path.read_bytes()


def read_text(path: Path, longest: int) -> str:
    """Return the text of a file, without the mark that some editors begin it with; errors as of `read_content`.

    Bytes that are no UTF-8 become characters that no number, name or keyword has: they may stand in comments.
    """
    return read_content(path, longest).decode("utf-8-sig", "replace")


def finite_number(word: str) -> float | None:
    """Return the finite number that a word is, None if it is none."""
    value = float(word) if _NUMBER.fullmatch(word) else math.nan
    return value if math.isfinite(value) else None


def whole_number(word: str) -> int | None:
    """Return the whole number from 0 that a word is, None if it is none or has more than nine digits."""
    return int(word) if _WHOLE.fullmatch(word) else None


@contextmanager
def reading(folder: str) -> Iterator[None]:
    """Name a folder in errors, where several have files of the same names."""
    try:
        yield
    except (AtomcoreError, FileNotFoundError) as error:
        raise type(error)(f"{folder}: {error}") from error
