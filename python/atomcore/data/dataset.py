"""Structures with energies and forces as flat arrays."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from atomcore._arrays import as_booleans, as_float64, as_integers
from atomcore._files import replacing
from atomcore.data._validate import check_cells, check_finite, check_numbers, check_periodic, check_positive

if TYPE_CHECKING:
    import pandas
    from ase import Atoms

    from atomcore.data.split import Split


class _Label(NamedTuple):
    """One kind of label: a row a structure, or an atom, of the given shape; ``npz`` is its key in npz files."""

    npz: str
    per_atom: bool
    shape: tuple[int, ...]


LABELS = {
    "energy": _Label("E", False, ()),
    "forces": _Label("F", True, (3,)),
    "stress": _Label("stress", False, (6,)),
    "charges": _Label("charges", True, ()),
    "uncertainty": _Label("uncertainty", False, ()),
}
_COMPUTED = ("energy", "forces", "stress", "charges")  # what a calculator gives; the rest goes to atoms.info


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
    stress : array_like, shape (n_structures, 6), optional
        Derivative of the energy in the strain per volume, in eV/Angstrom^3, in ASE's sign (tension is positive) and
        order (xx, yy, zz, yz, xz, xy); every structure must be periodic in three directions.
    charges : array_like, shape (n_atoms,), optional
        Charges of the atoms in e.
    uncertainty : array_like, shape (n_structures,), optional
        Standard uncertainty of the labels of each structure, above zero; only ratios count.
    baseline : str
        Name of the energies that were subtracted, where the labels are differences to a second level of theory.
    source : str
        Name of the file that the structures come from, without its folder.
    n_duplicates : int
        How many repeated structures were dropped while reading.

    Raises
    ------
    TypeError, ValueError
        When a shape or type does not fit, a number is not finite, an atomic number is not between 1 and 118, a
        structure has no atoms, the periodic lattice vectors are linearly dependent, or there is stress but a structure
        is not periodic in three directions. The message names the array and the structure.
    """

    numbers: np.ndarray
    positions: np.ndarray
    cells: np.ndarray
    pbc: np.ndarray
    structure_ptr: np.ndarray
    energy: np.ndarray | None = None
    forces: np.ndarray | None = None
    stress: np.ndarray | None = None
    charges: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    baseline: str = ""
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
        for name, label in LABELS.items():
            values = getattr(self, name)
            if values is not None:
                rows = n_atoms if label.per_atom else n_structures
                self._set(name, as_float64(name, values, (rows, *label.shape)))
                check_finite(name, getattr(self, name), ptr if label.per_atom else None)
        if self.stress is not None:
            check_periodic("stress", self.pbc)
        if self.uncertainty is not None:
            check_positive("uncertainty", self.uncertainty)
        if not isinstance(self.baseline, str):
            raise TypeError(f"baseline is {self.baseline!r}; accepted: the name of what was subtracted, or ''")

    def _set(self, name: str, array: np.ndarray) -> None:
        array = array + 0.0 if array.dtype.kind == "f" else array.copy()  # a copy without -0.0
        array.flags.writeable = False
        object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.structure_ptr) - 1

    def __repr__(self) -> str:
        labels = " and ".join(self.labels) or "no labels"
        difference = f" less {self.baseline}" if self.baseline else ""
        return (
            f"<Dataset {self.source or 'in memory'}: {len(self)} structures, {len(self.numbers)} atoms, "
            f"elements {' '.join(self.elements)}, {labels}{difference}>"
        )

    def __getitem__(self, index: int) -> "Atoms":
        """Return structure ``index`` as new ASE Atoms.

        Energy, forces, stress and charges are in a SinglePointCalculator, uncertainty and baseline in ``atoms.info``.
        """
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator

        if not isinstance(index, int | np.integer):
            raise TypeError(f"index is {index!r}; accepted: a whole number (subset takes several)")
        if not -len(self) <= index < len(self):
            raise IndexError(f"structure {index} of a dataset of {len(self)}")
        where = range(len(self))[index]
        rows = slice(self.structure_ptr[where], self.structure_ptr[where + 1])
        atoms = Atoms(self.numbers[rows], self.positions[rows], cell=self.cells[where], pbc=self.pbc[where])
        labels: dict[str, Any] = {}
        for name in self.labels:
            value = getattr(self, name)[rows if LABELS[name].per_atom else where]
            labels[name] = value.copy() if value.ndim else float(value)
        computed = {name: labels.pop(name) for name in _COMPUTED if name in labels}
        if computed:
            atoms.calc = SinglePointCalculator(atoms, **computed)
        atoms.info |= labels | ({"baseline": self.baseline} if self.baseline else {})
        return atoms

    def __iter__(self) -> Iterator["Atoms"]:
        return (self[index] for index in range(len(self)))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that are there, of energy, forces, stress, charges and uncertainty."""
        return tuple(name for name in LABELS if getattr(self, name) is not None)

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

    @property
    def provenance(self) -> dict[str, str]:
        """What model files say about their training data: ``source``, ``data_sha256`` and, if any, ``baseline``."""
        known = {"source": self.source, "data_sha256": self.sha256}
        return known | ({"baseline": self.baseline} if self.baseline else {})

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
        # Later additions count where they are there only, so that the sums of older sets stay.
        for name in ("stress", "charges", "uncertainty"):
            if (array := getattr(self, name)) is not None:
                digest.update(name.encode() + array.astype("<f8").tobytes())
        if self.baseline:
            digest.update(b"baseline" + self.baseline.encode())
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
            n_duplicates=0,
            **{name: getattr(self, name)[rows if LABELS[name].per_atom else chosen] for name in self.labels},
        )

    def split(self, **settings: Any) -> "Split":
        """Divide the structures into training, validation and test sets: see :meth:`atomcore.data.Split.make`."""
        from atomcore.data.split import Split

        return Split.make(self, **settings)

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a table with a row a structure, for looking at a data set.

        Returns
        -------
        pandas.DataFrame
            ``formula`` (Hill's order), ``n_atoms``, ``volume`` in Angstrom^3 (of structures periodic in three
            directions) and, of the labels that are there, ``energy`` in eV, ``energy_per_atom`` in eV, ``max_force``
            (length of the largest force) in eV/Angstrom, ``pressure`` (minus a third of the trace of the stress) in
            GPa, ``charge`` (of the whole structure) in e and ``uncertainty``.

        Raises
        ------
        ModuleNotFoundError
            Without pandas, which comes with ``atomcore[data]``.
        """
        from atomcore.data.table import as_table

        return as_table(self)

    def save(self, path: str | os.PathLike) -> None:
        """Write the structures to a file, whole or not at all.

        Parameters
        ----------
        path : path
            ``.npz`` keeps every bit (keys ``Z, R, N, cell, pbc, units`` and the labels ``E, F, stress, charges,
            uncertainty, baseline`` that are there, rows padded with zeros); ``.extxyz`` is ASE's text format with eight
            decimals of positions and forces.

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
        for name in self.labels:
            values = getattr(self, name)
            arrays[LABELS[name].npz] = padded(values) if LABELS[name].per_atom else values
        if self.baseline:
            arrays["baseline"] = np.array(self.baseline)
        return arrays
