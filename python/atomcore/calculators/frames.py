"""What the adaptors to other programs share: reliability, and keeping the structure that a limit has refused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np
import numpy.typing as npt
from ase.symbols import Symbols

from atomcore.calculators.ase import ExtrapolationError
from atomcore.md.watch import STOPPED, keep_frames

# What a model may say of how far each atom can be trusted.
RELIABILITY = ("extrapolation", "extrapolation_excess", "extrapolation_grade", "forces_spread")


@dataclass(frozen=True)
class System:
    """A structure as the engine reads it; an ``ase.Atoms`` takes longer to make than a molecule to compute."""

    positions: npt.NDArray[np.float64]
    cell: npt.NDArray[np.float64]
    pbc: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.integer]

    @property
    def symbols(self) -> Symbols:
        """Chemical symbols of the atoms."""
        return Symbols(self.numbers)

    def atoms(self, calculator: Any) -> ase.Atoms:
        """Return the same as ``ase.Atoms`` with a calculator."""
        atoms = ase.Atoms(self.numbers, self.positions, cell=self.cell, pbc=self.pbc)
        atoms.calc = calculator
        return atoms


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
