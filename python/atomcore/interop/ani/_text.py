"""Numbers in the texts of NeuroChem, with errors that say where."""

from atomcore._core import AtomcoreError
from atomcore.interop.text import finite_number, whole_number

LONGEST = 1 << 20  # bytes of a text


def as_number(where: str, text: str) -> float:
    """Return the finite number that a text is."""
    number = finite_number(text.strip())
    if number is None:
        raise AtomcoreError(f"{where} is {text.strip()!r}; accepted: a finite number such as 0.5 or 1.0e-3")
    return number


def as_count(where: str, text: str) -> int:
    """Return the whole number from 0 that a text is."""
    count = whole_number(text)
    if count is None:
        raise AtomcoreError(f"{where} is {text!r}; accepted: a whole number")
    return count
