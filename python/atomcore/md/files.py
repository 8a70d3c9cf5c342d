"""Files that grow with a run, and that can be cut back to what a checkpoint knows of."""

import os
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError

_BUFFER = 1 << 20  # bytes
_COLUMNS = {  # of the file, for attributes of `Trajectory` and the sum of two of them
    "time": "time_ps",
    "potential": "potential_eV",
    "kinetic": "kinetic_eV",
    "total": "total_eV",
    "temperature": "temperature_K",
    "volume": "volume_A3",
    "pressure": "pressure_GPa",
    "forces_spread": "forces_spread_max_eV_per_A",
    "extrapolation_excess": "extrapolation_excess_max",
    "extrapolation_grade": "extrapolation_grade_max",
}


class GrowingFile:
    """A text file that is written piece by piece.

    Parameters
    ----------
    path : Path
    size : int
        How much of the file that is there to keep, in bytes.

    Attributes
    ----------
    size : int
        In bytes, with what has not been handed to the system yet.

    Raises
    ------
    AtomcoreError
        When the file is shorter than ``size``.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        there = path.stat().st_size if path.exists() else 0
        if there < size:
            raise AtomcoreError(f"{path.name} has {there} bytes, but had {size} when the checkpoint was written")
        self.path, self.size = path, there
        self._file = path.open("ab", buffering=_BUFFER)
        self.cut(size)

    def write(self, text: str) -> None:
        """Add to the end."""
        content = text.encode()
        self.size += len(content)  # first: an interrupt between the two must not hide what has been written
        self._file.write(content)

    def flush(self, *, to_disk: bool = False) -> None:
        """Hand what has been written to the system, or to the disk."""
        self._file.flush()
        if to_disk:
            os.fsync(self._file.fileno())

    def cut(self, size: int) -> None:
        """Drop what follows the first ``size`` bytes."""
        if size != self.size:
            self._file.flush()
            os.ftruncate(self._file.fileno(), size)
            self.size = size

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FrameFile(GrowingFile):
    """Frames in extended XYZ, as ASE's `ase.io.extxyz.write_extxyz` writes them, in a fifth of its time."""

    def add(self, atoms: Any) -> None:
        """Add a frame with all arrays of ``atoms`` and all of their ``info``."""
        from ase.io.extxyz import output_column_format

        arrays = {"symbols": np.array(atoms.get_chemical_symbols()), "positions": atoms.positions}
        arrays |= {name: array for name, array in atoms.arrays.items() if name not in ("numbers", "positions")}
        comment, _, _, row = output_column_format(atoms, list(arrays), arrays)
        columns = [column for array in arrays.values() for column in np.atleast_2d(array.T).tolist()]
        lines = [row % values for values in zip(*columns, strict=True)]
        self.write(f"{len(atoms)}\n{comment}\n" + "".join(lines))


class EnergyTable(GrowingFile):
    """The rows of ``energies.csv``: on disk as they come, and in memory."""

    def __init__(self, path: Path, size: int = 0) -> None:
        super().__init__(path, size)
        self._names: list[str] = []
        self._numbers = array("d")  # row by row, in little memory
        if size:
            self._read()

    def add(self, row: dict[str, float]) -> None:
        """Add a row; the keys are attributes of `Trajectory`, the same for each row."""
        row["total"] = row["potential"] + row["kinetic"]
        if not self._names:
            self._names = [name for name in _COLUMNS if name in row]
            self.write(",".join(_COLUMNS[name] for name in self._names) + "\n")
        values = [float(row[name]) for name in self._names]
        self._numbers.extend(values)
        self.write(",".join(map(repr, values)) + "\n")

    def columns(self) -> dict[str, np.ndarray]:
        """Return what has been added, as `Trajectory` takes it."""
        rows = np.array(self._numbers).reshape(-1, len(self._names))
        columns = dict(zip(self._names, rows.T, strict=True))
        columns.pop("total", None)
        return columns

    def _read(self) -> None:
        header, *lines = self.path.read_text(encoding="utf-8").splitlines()
        names = {text: name for name, text in _COLUMNS.items()}
        self._names = [names[text] for text in header.split(",")]
        for line in lines:
            self._numbers.extend(float(x) for x in line.split(","))
