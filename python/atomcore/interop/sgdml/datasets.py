"""Data sets of sGDML and mbGDML with what they say beside structures and labels."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._arrays import as_integers
from atomcore._core import AtomcoreError
from atomcore._files import replacing
from atomcore.data.dataset import Dataset
from atomcore.data.readers import from_atoms
from atomcore.data.readers.atoms import read_images
from atomcore.data.readers.labels import Keys, Request
from atomcore.data.readers.npz import read_npz
from atomcore.data.readers.sgdml import fingerprints, text
from atomcore.interop.sgdml._arrays import (
    check_dialect,
    needed,
    optional,
    read_arrays,
    texts,
    units_to_write,
    write_arrays,
)
from atomcore.units import Units

_XYZ_KEY = "mbgdml"  # of the information of a frame that holds what a data set says beside structures
_XYZ_ENTITIES, _XYZ_ORIGIN = "entity_ids", "r_prov_specs"


@dataclass(frozen=True, kw_only=True, eq=False)
class DatasetFile:
    """A data set of one molecule, or cluster, in many geometries, and what its file says about it.

    Parameters
    ----------
    dataset : Dataset
        In eV and Angstrom. All structures have the same atoms in the same order.
    name, theory : str
        Of the data set and of the level of theory of its labels.
    permutations : ndarray of int, shape (P, N), optional
        Symmetries of the molecule.
    entity_ids : ndarray of int, shape (N,), optional
        Which molecule of a cluster each atom belongs to, from 0.
    comp_ids : tuple of str
        What each entity is, such as ``("h2o", "h2o")``; empty where the file does not say.
    order : int, optional
        n of n-body labels, from which those of all lower orders were removed (``mb``).
    lower_datasets, lower_models : tuple of str
        Fingerprints of the data sets or models that were removed (``mb_dsets_md5``, ``mb_models_md5``).
    origins : dict of int to str, optional
        Fingerprints of the data sets that the structures were cut from, by number (``r_prov_ids``).
    origin_of : ndarray of int, shape (n, 2 + entities), optional
        For each structure the number of its origin, its index there, and its entities there (``r_prov_specs``).
    centered : bool, optional
        Whether the centre of mass of each structure is at the origin.
    """

    dataset: Dataset
    name: str = ""
    theory: str = ""
    permutations: np.ndarray | None = None
    entity_ids: np.ndarray | None = None
    comp_ids: tuple[str, ...] = ()
    order: int | None = None
    lower_datasets: tuple[str, ...] = ()
    lower_models: tuple[str, ...] = ()
    origins: dict[int, str] | None = None
    origin_of: np.ndarray | None = None
    centered: bool | None = None

    def __post_init__(self) -> None:
        n, n_atoms = len(self.dataset), _common_atoms(self.dataset)
        if self.permutations is not None:
            p = as_integers("permutations", self.permutations, ("P", n_atoms))
            if (np.sort(p, axis=1) != np.arange(n_atoms)).any():
                raise ValueError(f"permutations must have each of 0 to {n_atoms - 1} once in every row")
        if self.entity_ids is not None:
            ids = as_integers("entity_ids", self.entity_ids, (n_atoms,))
            if self.comp_ids and sorted(set(ids.tolist())) != list(range(len(self.comp_ids))):
                raise ValueError(
                    f"entity_ids are {sorted(set(ids.tolist()))}, but comp_ids has {len(self.comp_ids)} names; "
                    "accepted: one name for each of 0, 1, ..."
                )
        if self.origin_of is not None:
            as_integers("origin_of", self.origin_of, (n, "2 + entities"))


def read_dataset(path: str | os.PathLike, *, units: str | None = None) -> DatasetFile:
    """Read a data set of sGDML or mbGDML.

    :func:`atomcore.data.load` reads the structures and labels of the same files; this also keeps the rest.

    Parameters
    ----------
    path : path
        An npz file with ``type`` "d".
    units : str, optional
        ``"ENERGY, LENGTH"``, needed where the file does not declare both under ``e_unit`` and ``r_unit``.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    AtomcoreError
        When it is damaged or no data set of these programs, or holds objects other than plain values.
    ValueError
        When units are missing or contradict those of the file, or arrays do not fit together.
    """
    arrays = read_arrays(path, "d")
    needed(path, arrays, "R")
    dataset = read_npz(Path(path), Request(units, Keys(), slice(None)))
    return DatasetFile(dataset=dataset, **about(arrays))


def about(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the arrays of a file say beside structures and labels, as `DatasetFile` takes it."""
    as_ids = np.asarray
    return {
        "name": optional(arrays, "name", text) or "",
        "theory": optional(arrays, "theory", text) or "",
        "permutations": optional(arrays, "perms", as_ids),
        "entity_ids": optional(arrays, "entity_ids", as_ids),
        "comp_ids": optional(arrays, "comp_ids", texts) or (),
        "order": optional(arrays, "mb", int),
        "lower_datasets": optional(arrays, "mb_dsets_md5", texts) or (),
        "lower_models": optional(arrays, "mb_models_md5", texts) or (),
        "origins": optional(arrays, "r_prov_ids", _origins),
        "origin_of": optional(arrays, "r_prov_specs", as_ids),
        "centered": optional(arrays, "centered", bool),
    }


def _origins(value: Any) -> dict[int, str]:
    if not isinstance(value, dict):
        raise AtomcoreError(f"r_prov_ids is a {type(value).__name__}; accepted: a dictionary of fingerprints")
    return {int(number): str(fingerprint) for number, fingerprint in value.items()}


def write_dataset(
    data: DatasetFile | Dataset,
    path: str | os.PathLike,
    *,
    dialect: str = "sgdml",
    units: str = "eV, Angstrom",
    name: str | None = None,
    theory: str | None = None,
) -> str:
    """Write a data set that sGDML or mbGDML reads, whole or not at all.

    Parameters
    ----------
    data : DatasetFile or Dataset
        With forces; all structures with the same atoms in the same order and, where they are periodic, one cell.
    path : path
        The npz file.
    dialect : {"sgdml", "mbgdml"}
        Names of keys and kind of the fingerprint.
    units : str
        ``"ENERGY, LENGTH"`` to write it in.
    name, theory : str, optional
        In place of those of ``data``; by default the name of the file, and "unknown".

    Returns
    -------
    str
        The fingerprint of the file.
    """
    held = data if isinstance(data, DatasetFile) else DatasetFile(dataset=data)
    arrays = _labels(held.dataset, units, dialect)
    made = fingerprints(arrays)[dialect]
    arrays |= {
        "type": "d",
        "name": name or held.name or Path(path).stem,
        "theory": theory or held.theory or "unknown",
        "md5": made.encode() if dialect == "sgdml" else made,
    }
    if held.permutations is not None:
        arrays["perms"] = held.permutations
    if dialect == "mbgdml":
        arrays |= _provenance(held)
    write_arrays(path, arrays)
    return made


def fingerprint(data: DatasetFile | Dataset, *, dialect: str = "sgdml", units: str = "eV, Angstrom") -> str:
    """Return the fingerprint of the file that `write_dataset` makes, whose arguments these are."""
    dataset = data.dataset if isinstance(data, DatasetFile) else data
    return fingerprints(_labels(dataset, units, dialect))[dialect]


def _labels(dataset: Dataset, units: str, dialect: str) -> dict[str, Any]:
    """Return atomic numbers, geometries, labels and their statistics in ``units``."""
    check_dialect(dialect)
    n_atoms = _common_atoms(dataset)
    if dataset.forces is None:
        raise ValueError("data has no forces; accepted: structures with forces, which sGDML learns")
    unit, energy_unit, length_unit = units_to_write(units)
    arrays: dict[str, Any] = {
        "z" if dialect == "sgdml" else "Z": dataset.numbers[:n_atoms].astype(np.int64),
        "R": dataset.positions.reshape(len(dataset), n_atoms, 3) / unit.length,
        "F": dataset.forces.reshape(len(dataset), n_atoms, 3) / unit.force,
        "r_unit": length_unit,
        "e_unit": energy_unit,
    }
    if dataset.energy is not None:
        arrays["E"] = dataset.energy / unit.energy
    for key in ("E", "F"):
        if key in arrays:
            values = arrays[key]
            statistics = {"min": values.min(), "max": values.max(), "mean": values.mean(), "var": values.var()}
            arrays |= {f"{key}_{what}": float(value) for what, value in statistics.items()}
    if dataset.pbc.any():
        arrays["lattice"] = _lattice(dataset, unit)
    return arrays


def _lattice(dataset: Dataset, unit: Units) -> np.ndarray:
    """Return the cell that all structures share, with its vectors as columns."""
    other = np.flatnonzero((dataset.cells != dataset.cells[0]).any(axis=(1, 2)) | ~dataset.pbc.all(axis=1))
    if other.size:
        raise ValueError(
            f"structure {other[0]} has cell {dataset.cells[other[0]].tolist()} with pbc "
            f"{dataset.pbc[other[0]].tolist()}; accepted by sGDML: one cell, periodic in three directions"
        )
    return dataset.cells[0].T / unit.length


def _provenance(held: DatasetFile) -> dict[str, Any]:
    arrays = {
        "entity_ids": held.entity_ids,
        "comp_ids": np.array(held.comp_ids) if held.comp_ids else None,
        "mb": held.order,
        "mb_dsets_md5": np.array(held.lower_datasets) if held.lower_datasets else None,
        "mb_models_md5": np.array(held.lower_models) if held.lower_models else None,
        "r_prov_ids": held.origins,
        "r_prov_specs": held.origin_of,
        "centered": held.centered,
    }
    return {key: value for key, value in arrays.items() if value is not None}


def _common_atoms(dataset: Dataset) -> int:
    """Return the number of atoms of the structures; raise unless all have the same elements in the same order."""
    n_atoms = int(dataset.n_atoms[0]) if len(dataset) else 0
    if not len(dataset) or (dataset.n_atoms != n_atoms).any():
        sizes = sorted(set(dataset.n_atoms.tolist()))
        raise ValueError(f"data has structures of {sizes} atoms; accepted: at least one, and all of the same molecule")
    numbers = dataset.numbers.reshape(-1, n_atoms)
    other = np.flatnonzero((numbers != numbers[0]).any(axis=1))
    if other.size:
        raise ValueError(
            f"structure {other[0]} has atomic numbers {numbers[other[0]].tolist()} where structure 0 has "
            f"{numbers[0].tolist()}; accepted: the same atoms in the same order"
        )
    return n_atoms


def write_xyz(data: DatasetFile, path: str | os.PathLike) -> None:
    """Write a data set as extended XYZ in eV and Angstrom, by ASE, with everything that its file says.

    The entities stand in a column, the rest in the line of each frame.
    """
    from ase.io import write

    shared = {key: _plain(value) for key, value in _shared(data).items() if value is not None}
    images = []
    for index, atoms in enumerate(data.dataset):
        if data.entity_ids is not None:
            atoms.set_array(_XYZ_ENTITIES, np.asarray(data.entity_ids))
        atoms.info[_XYZ_KEY] = shared
        if data.origin_of is not None:
            atoms.info[_XYZ_ORIGIN] = np.asarray(data.origin_of)[index]
        images.append(atoms)
    with replacing(path) as temporary:
        write(temporary, images, format="extxyz")


def read_xyz(path: str | os.PathLike) -> DatasetFile:
    """Read a data set from extended XYZ, with what `write_xyz` has noted in it."""
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"path is {str(path)!r}: there is no such file")
    images = read_images(file, None, slice(None))
    first = images[0]
    noted = first.info.get(_XYZ_KEY, {})
    if not isinstance(noted, dict):
        raise AtomcoreError(f"{file.name} has {noted!r} under {_XYZ_KEY}; accepted: what write_xyz notes there")
    arrays: dict[str, Any] = dict(noted)
    if _XYZ_ENTITIES in first.arrays:
        arrays["entity_ids"] = first.arrays[_XYZ_ENTITIES]
    if _XYZ_ORIGIN in first.info:
        # ASE makes a matrix of nine numbers.
        arrays[_XYZ_ORIGIN] = np.array([np.ravel(atoms.info[_XYZ_ORIGIN], order="F") for atoms in images])
    return DatasetFile(dataset=from_atoms(images), **about(arrays))


def _shared(data: DatasetFile) -> dict[str, Any]:
    """Return what is the same for all structures, by the keys of npz files."""
    named = {"name": data.name or None, "theory": data.theory or None, "perms": data.permutations}
    held = _provenance(data)
    return named | {key: held[key] for key in held if key not in (_XYZ_ENTITIES, _XYZ_ORIGIN)}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
