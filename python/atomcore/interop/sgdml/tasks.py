"""Training tasks of sGDML and mbGDML: the data that a model is to be trained on, and how."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atomcore._core import AtomcoreError
from atomcore.data.dataset import Dataset
from atomcore.data.readers.sgdml import text
from atomcore.interop.sgdml._arrays import factors, needed, numbers_of, optional, read_arrays


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskFile:
    """What a training task says.

    Parameters
    ----------
    train : Dataset
        The training points, in eV and Angstrom.
    sigma, lam : float
        Length scale in 1/Angstrom, and what is added to the diagonal of the kernel matrix.
    permutations : ndarray of int, shape (P, N)
        The symmetry group.
    energies : {"offset", "constraints"} or None
        How energies are learned: a constant behind the forces, with them, or not at all.
    name, theory : str
        Of the data set and of the level of theory.
    train_indices, valid_indices : ndarray of int
        Of training and validation points in their data sets.
    fingerprints : dict of str to str
        Of the data sets, by "train" and "valid".
    """

    train: Dataset
    sigma: float
    lam: float
    permutations: np.ndarray
    energies: str | None
    name: str
    theory: str
    train_indices: np.ndarray
    valid_indices: np.ndarray
    fingerprints: dict[str, str]


def read_task(path: str | os.PathLike, *, units: str | None = None) -> TaskFile:
    """Read a training task of sGDML or mbGDML; arguments and errors are those of `read_model_file`."""
    arrays = read_arrays(path, "t")
    needed(path, arrays, "R_train", "F_train", "sig", "lam", "perms", "idxs_train", "idxs_valid", "use_E")
    unit, numbers = factors(path, arrays, units), numbers_of(path, arrays)
    try:
        positions = np.asarray(arrays["R_train"], np.float64) * unit.length
        n = len(positions)
        lattice = optional(arrays, "lattice", lambda value: np.asarray(value, np.float64).T * unit.length)
        energy = optional(arrays, "E_train", lambda value: np.ravel(value) * unit.energy)
        train = Dataset(
            numbers=np.tile(numbers, n),
            positions=positions.reshape(-1, 3),
            cells=np.broadcast_to(np.zeros((3, 3)) if lattice is None else lattice, (n, 3, 3)),
            pbc=np.full((n, 3), lattice is not None),
            structure_ptr=np.arange(n + 1) * len(numbers),
            energy=energy,
            forces=np.asarray(arrays["F_train"], np.float64).reshape(-1, 3) * unit.force,
            source=Path(path).name,
        )
        learned = "constraints" if arrays.get("use_E_cstr") else "offset"
        return TaskFile(
            train=train,
            sigma=float(arrays["sig"]) / unit.length,
            lam=float(arrays["lam"]) / unit.length**2,
            permutations=np.asarray(arrays["perms"]).astype(np.int64),
            energies=learned if arrays["use_E"] else None,
            name=optional(arrays, "dataset_name", text) or "",
            theory=optional(arrays, "dataset_theory", text) or "",
            train_indices=np.asarray(arrays["idxs_train"]),
            valid_indices=np.asarray(arrays["idxs_valid"]),
            fingerprints={part: text(arrays[f"md5_{part}"]) for part in ("train", "valid") if f"md5_{part}" in arrays},
        )
    except (TypeError, ValueError) as error:
        raise AtomcoreError(f"{Path(path).name} is damaged or no task of sGDML or mbGDML: {error}") from error
