"""Lines of text files, and the numbers in them."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from atomcore._core import AtomcoreError

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")  # 1.0D-3 and nan are none
_WHOLE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Line:
    """What stands in one line of a file: words without comments."""

    file: str
    number: int
    words: tuple[str, ...]

    def error(self, text: str) -> AtomcoreError:
        """Return an error that says where."""
        return AtomcoreError(f"{self.file}, line {self.number}: {text}")

    def float(self, name: str, position: int) -> float:
        """Return the word at a position as a finite number, called ``name`` where it is none."""
        word = self.words[position]
        value = float(word) if _NUMBER.fullmatch(word) else math.nan
        if not math.isfinite(value):
            raise self.error(f"{name} is {word!r}; accepted: a finite number such as 0.5 or 1.0E-3")
        return value

    def whole(self, name: str, position: int) -> int:
        """Return the word at a position as a whole number, called ``name`` where it is none."""
        word = self.words[position]
        if not _WHOLE.fullmatch(word):
            raise self.error(f"{name} is {word!r}; accepted: a whole number, at least 0")
        return int(word)


def read_lines(path: Path, comments: str) -> list[Line]:
    """Return the lines of a file that hold words; each character of ``comments`` starts a comment.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    lines, comment, name = [], re.compile(f"[{comments}]"), path.name
    for number, text in enumerate(path.read_bytes().decode("utf-8", "replace").split("\n"), start=1):
        words = tuple(comment.split(text, maxsplit=1)[0].split())
        if words:
            lines.append(Line(name, number, words))
    return lines
