"""Predictions of many-body expansions that mbGDML has stored."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atomcore._arrays import as_float64
from atomcore._core import AtomcoreError
from atomcore.data.readers.sgdml import text
from atomcore.interop.sgdml._arrays import factors, needed, numbers_of, optional, read_arrays, texts


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictionFile:
    """Energies and forces of n structures of N atoms, in parts by the number of molecules in them.

    Parameters
    ----------
    numbers : ndarray of int, shape (N,)
        Atomic numbers.
    positions : ndarray, shape (n, N, 3)
        In Angstrom.
    energy_label, forces_label : ndarray, shapes (n,) and (n, N, 3), optional
        What was to be predicted, in eV and eV/Angstrom.
    entity_ids : ndarray of int, shape (N,)
        Which molecule each atom belongs to.
    comp_ids : tuple of str
        What each molecule is.
    energies, forces : dict of int to ndarray
        By order: of every combination of molecules its energy in eV and the forces on its atoms in eV/Angstrom. NaN
        where a criterion left the combination out.
    combinations : dict of int to ndarray of int, shape (combinations, 1 + order)
        The structure and the molecules of each combination.
    models : tuple of str
        Fingerprints of the models.
    name, theory : str
        Of the data set and of its level of theory.
    """

    numbers: np.ndarray
    positions: np.ndarray
    energy_label: np.ndarray | None
    forces_label: np.ndarray | None
    entity_ids: np.ndarray
    comp_ids: tuple[str, ...]
    energies: dict[int, np.ndarray]
    forces: dict[int, np.ndarray]
    combinations: dict[int, np.ndarray]
    models: tuple[str, ...]
    name: str
    theory: str

    def total(self, orders: tuple[int, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums over combinations of these orders, by default all.

        Returns
        -------
        energies : ndarray, shape (n,)
            In eV; combinations that were left out do not count.
        forces : ndarray, shape (n, N, 3)
            In eV/Angstrom.
        """
        energies, forces = np.zeros(len(self.positions)), np.zeros_like(self.positions)
        for order in self.energies if orders is None else orders:
            if order not in self.energies:
                raise ValueError(f"orders has {order}; accepted: {', '.join(map(str, self.energies))}")
            for row, energy, force in zip(
                self.combinations[order], self.energies[order], self.forces[order], strict=True
            ):
                if np.isfinite(energy):
                    atoms = np.concatenate([np.flatnonzero(self.entity_ids == entity) for entity in row[1:]])
                    energies[row[0]] += energy
                    forces[row[0], atoms] += force[: len(atoms)]
        return energies, forces


def read_predictions(path: str | os.PathLike, *, units: str | None = None) -> PredictionFile:
    """Read predictions of mbGDML (``type`` "p"); arguments and errors are those of `read_model_file`."""
    arrays = read_arrays(path, "p")
    needed(path, arrays, "R", "entity_ids", "comp_ids", "nbody_orders")
    unit, numbers = factors(path, arrays, units), numbers_of(path, arrays)
    try:
        orders = [int(order) for order in np.atleast_1d(arrays["nbody_orders"])]
        for order in orders:
            needed(path, arrays, f"E_{order}", f"F_{order}", f"entity_combs_{order}")
        positions = as_float64("R", arrays["R"], ("n", len(numbers), 3)) * unit.length
        n, n_atoms = positions.shape[:2]
        energy, forces = (
            optional(arrays, key, lambda value, f=factor, s=shape: np.asarray(value, np.float64).reshape(s) * f)
            for key, factor, shape in (("E_true", unit.energy, (n,)), ("F_true", unit.force, (n, n_atoms, 3)))
        )
        return PredictionFile(
            numbers=numbers,
            positions=positions,
            energy_label=energy,
            forces_label=forces,
            entity_ids=np.asarray(arrays["entity_ids"]),
            comp_ids=texts(arrays["comp_ids"]),
            energies={k: np.asarray(arrays[f"E_{k}"], np.float64) * unit.energy for k in orders},
            forces={k: np.asarray(arrays[f"F_{k}"], np.float64) * unit.force for k in orders},
            combinations={k: np.asarray(arrays[f"entity_combs_{k}"]).astype(np.int64) for k in orders},
            models=optional(arrays, "models_md5", texts) or (),
            name=optional(arrays, "name", text) or "",
            theory=optional(arrays, "theory", text) or "",
        )
    except (TypeError, ValueError) as error:
        raise AtomcoreError(f"{Path(path).name} is damaged or no predictions of mbGDML: {error}") from error
