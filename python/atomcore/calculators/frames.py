"""What the adaptors to other programs share: reliability, and keeping the structure that a limit has refused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atomcore.calculators.ase import ExtrapolationError
from atomcore.md.watch import STOPPED, keep_frames

# What a model may say of how far each atom can be trusted.
RELIABILITY = ("extrapolation", "extrapolation_excess", "extrapolation_grade", "forces_spread")


@contextmanager
def keeping_refused(structure: Callable[[], Any], place: str = "") -> Iterator[None]:
    """Write the structure to `STOPPED` in the current folder when a limit is passed within the block, and say so.

    Parameters
    ----------
    structure
        Gives the ``ase.Atoms`` with their calculator; called after a limit has been passed only.
    place
        What the message begins with.

    Raises
    ------
    ExtrapolationError
        As raised within; the message also names the file.
    """
    try:
        yield
    except ExtrapolationError as error:
        keep_frames(structure(), None, Path())
        error.args = (f"{place}{error}; {STOPPED} has the structure",)
        raise
