"""Model files of GDML models. Needs no torch."""

import os
from typing import Any

import numpy as np

from atomcore import model_file
from atomcore._files import replacing
from atomcore.export.shared import (
    Parts,
    check_parity,
    metadata_of,
    numbers_of,
    read,
    row_of,
    symbols_of,
)
from atomcore.potential import Potential


def save_gdml(model: Any, path: str | os.PathLike) -> None:
    """Write a `GDML` model to ``path``, once the engine has given the same energies and forces.

    Raises
    ------
    atomcore.AtomcoreError
        When the two disagree, or the core refuses the file; what was at ``path`` is then untouched.
    """
    metadata, tensors = gdml_parts(model.record, model.lam)
    metadata["provenance"] |= model.provenance
    with replacing(path) as temporary:
        model_file.write(temporary, tensors, metadata)
        _check_gdml(model, Potential.load(temporary))


def gdml_parts(record: Any, lam: float | None = None) -> Parts:
    """Return metadata and tensors of the record of a GDML model, and what it was trained with if that is known."""
    atoms = symbols_of(record.numbers)
    metadata = metadata_of("gdml", "molecular", ["gdml"], list(dict.fromkeys(atoms)))
    metadata["atoms"] = atoms
    metadata["gdml"] = {
        "sigma": record.sigma,
        "scale": record.scale,
        "constant": record.constant,
        "points": len(record.descriptors),
        "permutations": len(record.permutations),
        **({} if lam is None else {"lam": lam}),
    }
    names = ("lattice", "descriptors", "derivative_coefficients", "energy_coefficients", "permutations")
    return metadata, {f"gdml.{name}": getattr(record, name) for name in names if getattr(record, name) is not None}


def load_gdml(path: str | os.PathLike) -> Any:
    """Return the `GDML` model that a file holds.

    Raises
    ------
    ValueError
        When the file holds a model of another kind.
    OSError, atomcore.AtomcoreError
        As for `atomcore.Potential.load`.
    """
    from atomcore.models.gdml import GDML
    from atomcore.models.gdml.record import GdmlRecord

    metadata, tensors = read(path, "gdml")
    own = {name.removeprefix("gdml."): array for name, array in tensors.items()}
    numbers = metadata["gdml"]
    record = GdmlRecord(
        numbers=numbers_of(metadata["atoms"]),
        sigma=numbers["sigma"],
        scale=numbers["scale"],
        constant=numbers["constant"],
        **own,
    )
    model = GDML.from_record(record, lam=numbers.get("lam", 1e-10))
    model.provenance = dict(metadata.get("provenance", {}))
    return model


def _check_gdml(model: Any, potential: Potential) -> None:
    """Compare at the first training geometry, which its distances give."""
    from ase import Atoms

    record = model.record
    with np.errstate(all="ignore"):  # distances without end: the engine refuses them
        positions = _embedded(1.0 / record.descriptors[0], len(record.numbers))
    cell = np.zeros((3, 3)) if record.lattice is None else record.lattice
    structure = Atoms(record.numbers, positions, cell=cell, pbc=record.lattice is not None)
    energy, forces = model.predict_positions(positions[None])
    expected = np.append(forces, energy)
    check_parity(row_of(potential.compute(structure)), expected, "the GDML model")


def _embedded(distances: np.ndarray, n: int) -> np.ndarray:
    """Return positions [n, 3] with these distances of the pairs (1, 0), (2, 0), ..., by multidimensional scaling."""
    square = np.zeros((n, n))
    square[np.tril_indices(n, -1)] = distances**2
    square += square.T
    centred = square - square.mean(axis=0) - square.mean(axis=1)[:, None] + square.mean()
    values, vectors = np.linalg.eigh(-0.5 * centred)
    positions = np.zeros((n, 3))
    positions[:, : min(n, 3)] = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1][:, :3]
    return positions
