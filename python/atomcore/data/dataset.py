"""Structures with energies and forces as flat arrays."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomcore._arrays import as_booleans, as_float64, as_integers
from atomcore._files import replacing
from atomcore.data._validate import check_cells, check_finite, check_numbers

if TYPE_CHECKING:
    from ase import Atoms

    from atomcore.data.split import Split


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Dataset:
    """Structures one after the other: atoms of structure ``s`` are the rows ``structure_ptr[s]:structure_ptr[s+1]``.

    The arrays are checked, copied and made read-only.

    Parameters
    ----------
    numbers : array_like of int, shape (n_atoms,)
        Atomic numbers.
    positions : array_like, shape (n_atoms, 3)
        In Angstrom.
    cells : array_like, shape (n_structures, 3, 3)
        Lattice vectors in rows, in Angstrom; rows of directions without periodicity do not matter.
    pbc : array_like of bool, shape (n_structures, 3)
        Periodicity along each lattice vector.
    structure_ptr : array_like of int, shape (n_structures + 1,)
        Where each structure begins.
    energy : array_like, shape (n_structures,), optional
        In eV.
    forces : array_like, shape (n_atoms, 3), optional
        Minus the gradient of the energy, in eV/Angstrom.
    source : str
        Name of the file that the structures come from, without its folder.
    n_duplicates : int
        How many repeated structures were dropped while reading.

    Raises
    ------
    TypeError, ValueError
        When a shape or type does not fit, a number is not finite, an atomic number is not between 1 and 118, a
        structure has no atoms, or the periodic lattice vectors are linearly dependent. The message names the array and
        the structure.
    """

    numbers: np.ndarray
    positions: np.ndarray
    cells: np.ndarray
    pbc: np.ndarray
    structure_ptr: np.ndarray
    energy: np.ndarray | None = None
    forces: np.ndarray | None = None
    source: str = ""
    n_duplicates: int = 0

    def __post_init__(self) -> None:
        ptr = as_integers("structure_ptr", self.structure_ptr, ("n_structures + 1",))
        if ptr.size == 0 or ptr[0] != 0:
            raise ValueError(f"structure_ptr must begin with 0, not with {ptr[:1].tolist()}")
        empty = np.flatnonzero(np.diff(ptr) < 1)
        if empty.size:
            raise ValueError(f"structure {empty[0]} has no atoms")
        n_structures, n_atoms = len(ptr) - 1, int(ptr[-1])
        self._set("structure_ptr", ptr)
        self._set("numbers", as_integers("numbers", self.numbers, (n_atoms,), np.int32))
        self._set("positions", as_float64("positions", self.positions, (n_atoms, 3)))
        self._set("cells", as_float64("cells", self.cells, (n_structures, 3, 3)))
        self._set("pbc", as_booleans("pbc", self.pbc, (n_structures, 3)))
        check_numbers(self.numbers, ptr)
        check_finite("positions", self.positions, ptr)
        check_finite("cells", self.cells)
        check_cells(self.cells, self.pbc)
        if self.energy is not None:
            self._set("energy", as_float64("energy", self.energy, (n_structures,)))
            check_finite("energy", self.energy)
        if self.forces is not None:
            self._set("forces", as_float64("forces", self.forces, (n_atoms, 3)))
            check_finite("forces", self.forces, ptr)

    def _set(self, name: str, array: np.ndarray) -> None:
        array = array + 0.0 if array.dtype.kind == "f" else array.copy()  # a copy without -0.0
        array.flags.writeable = False
        object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.structure_ptr) - 1

    def __repr__(self) -> str:
        labels = [name for name in ("energy", "forces") if getattr(self, name) is not None]
        return (
            f"<Dataset {self.source or 'in memory'}: {len(self)} structures, {len(self.numbers)} atoms, "
            f"elements {' '.join(self.elements)}, {' and '.join(labels) or 'no labels'}>"
        )

    def __getitem__(self, index: int) -> "Atoms":
        """Return structure ``index`` as new ASE Atoms with the labels in a SinglePointCalculator."""
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator

        if not -len(self) <= index < len(self):
            raise IndexError(f"structure {index} of a dataset of {len(self)}")
        where = range(len(self))[index]
        rows = slice(self.structure_ptr[where], self.structure_ptr[where + 1])
        atoms = Atoms(self.numbers[rows], self.positions[rows], cell=self.cells[where], pbc=self.pbc[where])
        labels: dict[str, Any] = {}
        if self.energy is not None:
            labels["energy"] = float(self.energy[where])
        if self.forces is not None:
            labels["forces"] = self.forces[rows].copy()
        if labels:
            atoms.calc = SinglePointCalculator(atoms, **labels)
        return atoms

    def __iter__(self) -> Iterator["Atoms"]:
        return (self[index] for index in range(len(self)))

    @cached_property
    def n_atoms(self) -> np.ndarray:
        """Number of atoms of each structure, shape (n_structures,)."""
        return np.diff(self.structure_ptr)

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """Symbols of the elements that occur, by atomic number."""
        from ase.data import chemical_symbols

        return tuple(chemical_symbols[number] for number in np.unique(self.numbers))

    @cached_property
    def relevant_cells(self) -> np.ndarray:
        """Cells with the rows of directions without periodicity set to zero, shape (n_structures, 3, 3)."""
        return np.where(self.pbc[:, :, None], self.cells, 0.0)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of everything that describes the structures and their labels, the same on every machine."""
        digest = hashlib.sha256(b"atomcore dataset 1")
        for array, dtype in (
            (self.structure_ptr, "<i8"),
            (self.numbers, "<i4"),
            (self.positions, "<f8"),
            (self.relevant_cells, "<f8"),
            (self.pbc, "u1"),
            (self.energy, "<f8"),
            (self.forces, "<f8"),
        ):
            digest.update(b"absent" if array is None else array.astype(dtype).tobytes())
        return digest.hexdigest()

    def subset(self, indices: Any) -> "Dataset":
        """Return the structures with these indices, in this order.

        Parameters
        ----------
        indices : array_like of int, shape (n,)
            Between 0 and ``len(self) - 1``.

        Raises
        ------
        TypeError, IndexError
            When the indices are no integers or out of range.
        """
        chosen = as_integers("indices", indices, ("n",))
        outside = np.flatnonzero((chosen < 0) | (chosen >= len(self)))
        if outside.size:
            raise IndexError(f"indices has {chosen[outside[0]]}; accepted: 0 to {len(self) - 1}")
        sizes = self.n_atoms[chosen]
        ptr = np.concatenate([[0], np.cumsum(sizes)])
        rows = np.arange(ptr[-1]) + np.repeat(self.structure_ptr[chosen] - ptr[:-1], sizes)
        return replace(
            self,
            numbers=self.numbers[rows],
            positions=self.positions[rows],
            cells=self.cells[chosen],
            pbc=self.pbc[chosen],
            structure_ptr=ptr,
            energy=None if self.energy is None else self.energy[chosen],
            forces=None if self.forces is None else self.forces[rows],
            n_duplicates=0,
        )

    def split(self, **settings: Any) -> "Split":
        """Divide the structures into training, validation and test sets: see :meth:`atomcore.data.Split.make`."""
        from atomcore.data.split import Split

        return Split.make(self, **settings)

    def save(self, path: str | os.PathLike) -> None:
        """Write the structures to a file, whole or not at all.

        Parameters
        ----------
        path : path
            ``.npz`` keeps every bit (keys ``Z, R, E, F, N, cell, pbc`` and ``units``, rows padded with zeros);
            ``.extxyz`` is ASE's text format with eight decimals of positions and forces.

        Raises
        ------
        ValueError
            For another suffix.
        """
        target = Path(path)
        if target.suffix not in (".npz", ".extxyz"):
            raise ValueError(f"path is {target.name!r}; accepted suffixes: .npz, .extxyz")
        with replacing(target) as temporary:
            if target.suffix == ".npz":
                np.savez_compressed(temporary, **self._padded_arrays())  # type: ignore[arg-type]
            else:
                from ase.io import write

                write(temporary, list(self), format="extxyz")

    def _padded_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the npz format, one row a structure."""
        sizes = self.n_atoms
        used = np.arange(sizes.max(initial=0)) < sizes[:, None]

        def padded(values: np.ndarray) -> np.ndarray:
            rows = np.zeros(used.shape + values.shape[1:], values.dtype)
            rows[used] = values
            return rows

        arrays = {
            "Z": padded(self.numbers),
            "R": padded(self.positions),
            "N": sizes,
            "cell": self.cells,
            "pbc": self.pbc,
            "units": np.array("eV, Angstrom"),
        }
        if self.energy is not None:
            arrays["E"] = self.energy
        if self.forces is not None:
            arrays["F"] = padded(self.forces)
        return arrays
