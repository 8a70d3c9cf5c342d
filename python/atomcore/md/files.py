"""Files that grow with a run, and that can be cut back to what a checkpoint knows of."""

import os
from pathlib import Path

import numpy as np

from atomcore._core import AtomcoreError

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
}


class GrowingFile:
    """A text file that is written piece by piece.

    Parameters
    ----------
    path : Path
    size : int
        How much of the file that is there to keep, in bytes.

    Raises
    ------
    AtomcoreError
        When the file is shorter than ``size``.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        there = path.stat().st_size if path.exists() else 0
        if there < size:
            raise AtomcoreError(f"{path.name} has {there} bytes, but had {size} when the checkpoint was written")
        self.path = path
        self.file = path.open("a", encoding="utf-8")
        self.cut(size)

    def size(self, *, on_disk: bool = False) -> int:
        """Hand what has been written to the system, or to the disk, and return the size in bytes."""
        self.file.flush()
        if on_disk:
            os.fsync(self.file.fileno())
        return os.fstat(self.file.fileno()).st_size

    def cut(self, size: int) -> None:
        """Drop what follows the first ``size`` bytes."""
        self.file.flush()
        os.ftruncate(self.file.fileno(), size)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class EnergyTable(GrowingFile):
    """The rows of ``energies.csv``: on disk as they come, and in memory."""

    def __init__(self, path: Path, size: int = 0) -> None:
        super().__init__(path, size)
        self._columns = _read(path) if size else {}

    def add(self, row: dict[str, float]) -> None:
        """Add a row; the keys are attributes of `Trajectory`, the same for each row."""
        values = {**row, "total": row["potential"] + row["kinetic"]}
        names = [name for name in _COLUMNS if name in values]
        if not self._columns:
            self._columns = {name: [] for name in names}
            self.file.write(",".join(_COLUMNS[name] for name in names) + "\n")
        self.file.write(",".join(repr(float(values[name])) for name in names) + "\n")
        for name in names:
            self._columns[name].append(float(values[name]))

    def columns(self) -> dict[str, np.ndarray]:
        """Return what has been added, as `Trajectory` takes it."""
        return {name: np.array(values) for name, values in self._columns.items() if name != "total"}


def _read(path: Path) -> dict[str, list[float]]:
    names = {text: name for name, text in _COLUMNS.items()}
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    rows = [[float(x) for x in line.split(",")] for line in lines]
    return {names[text]: list(column) for text, column in zip(header.split(","), zip(*rows, strict=True), strict=True)}
