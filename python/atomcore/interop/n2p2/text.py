"""Lines of text files, and the numbers in them."""

import re
from dataclasses import dataclass
from pathlib import Path

from atomcore._core import AtomcoreError
from atomcore.interop.text import finite_number, read_text, whole_number

_LONGEST = 1 << 26  # bytes, room for half a million weights


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
        value = finite_number(self.words[position])
        if value is None:
            raise self.error(f"{name} is {self.words[position]!r}; accepted: a finite number such as 0.5 or 1.0E-3")
        return value

    def whole(self, name: str, position: int) -> int:
        """Return the word at a position as a whole number, called ``name`` where it is none."""
        value = whole_number(self.words[position])
        if value is None:
            raise self.error(f"{name} is {self.words[position]!r}; accepted: a whole number, at least 0")
        return value


def read_lines(path: Path, comments: str) -> list[Line]:
    """Return the lines of a file that hold words; each character of ``comments`` starts a comment.

    Raises
    ------
    OSError, AtomcoreError
        The file cannot be read, or is longer than any such file.
    """
    lines, comment = [], re.compile(f"[{comments}]")
    for number, text in enumerate(read_text(path, _LONGEST).split("\n"), start=1):
        words = tuple(comment.split(text, maxsplit=1)[0].split())
        if words:
            lines.append(Line(path.name, number, words))
    return lines
