"""From kernel models to model files, and back. Needs no torch."""

import datetime
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import atomcore
from atomcore import model_file
from atomcore._core import AtomcoreError
from atomcore._files import replacing
from atomcore.potential import Potential

_ABSOLUTE, _RELATIVE = 1e-8, 1e-10  # engine against model, both in double; eV and eV/A
_ROUNDINGS = 10.0  # times the rounding noise that a model knows of itself


def save_gdml(model: Any, path: str | os.PathLike) -> None:
    """Write a `GDML` model to ``path``, once the engine has given the same energies and forces.

    Raises
    ------
    atomcore.AtomcoreError
        When the two disagree, or the core refuses the file; what was at ``path`` is then untouched.
    """
    record = model.record
    atoms = _symbols(record.numbers)
    metadata = _metadata(
        "gdml", "molecular", ["gdml"], sorted(set(atoms), key=atoms.index), getattr(model, "provenance", {})
    )
    metadata["atoms"] = atoms
    metadata["gdml"] = {
        "sigma": record.sigma,
        "scale": record.scale,
        "constant": record.constant,
        "lam": model.lam,
        "points": len(record.descriptors),
        "permutations": len(record.permutations),
    }
    names = ("lattice", "descriptors", "derivative_coefficients", "energy_coefficients", "permutations")
    tensors = {f"gdml.{name}": getattr(record, name) for name in names if getattr(record, name) is not None}
    with replacing(path) as temporary:
        model_file.write(temporary, tensors, metadata)
        _check_gdml(model, Potential.load(temporary))


def load_gdml(path: str | os.PathLike) -> Any:
    """Return the `GDML` model that a file holds.

    Raises
    ------
    ValueError
        When the file holds a model of another kind.
    OSError, atomcore.AtomcoreError
        As for `atomcore.Potential.load`.
    """
    from ase.data import atomic_numbers

    from atomcore.models.gdml import GDML
    from atomcore.models.gdml.record import GdmlRecord

    metadata, tensors = _read(path, "gdml")
    own = {name.removeprefix("gdml."): array for name, array in tensors.items()}
    numbers = metadata["gdml"]
    record = GdmlRecord(
        numbers=[atomic_numbers[symbol] for symbol in metadata["atoms"]],
        sigma=numbers["sigma"],
        scale=numbers["scale"],
        constant=numbers["constant"],
        **own,
    )
    return GDML.from_record(record, lam=numbers.get("lam", 1e-10))


def _read(path: str | os.PathLike, *kinds: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    metadata, tensors = model_file.read(path)
    if metadata["kind"] not in kinds:
        raise ValueError(f"{os.fspath(path)!r} holds a model of kind {metadata['kind']!r}; accepted: {', '.join(kinds)}")
    return metadata, tensors


def _metadata(
    kind: str, capability: str, requires: Sequence[str], elements: Sequence[str], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "requires": list(requires),
        "kind": kind,
        "capability": capability,
        "target": "energy",
        "units": {"length": "Angstrom", "energy": "eV"},
        "elements": list(elements),
        "precision": "float64",
        "provenance": {"atomcore": atomcore.__version__, "created": created, **provenance},
    }


def _symbols(numbers: np.ndarray) -> list[str]:
    from ase.data import chemical_symbols

    return [chemical_symbols[number] for number in numbers]


def _check_gdml(model: Any, potential: Potential) -> None:
    """Compare at the first training geometry, which its distances give."""
    from ase import Atoms

    record = model.record
    positions = _embedded(1.0 / record.descriptors[0], len(record.numbers))
    cell = np.zeros((3, 3)) if record.lattice is None else record.lattice
    structure = Atoms(record.numbers, positions, cell=cell, pbc=record.lattice is not None)
    energy, forces = model.predict_positions(positions[None])
    found = np.append(*reversed(potential.energy_forces(structure)))
    _check(found, np.append(forces, energy), "the GDML model")


def _check(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    excess = np.abs(found - expected) - (_ABSOLUTE + _RELATIVE * np.abs(expected).max())
    if not (excess <= 0).all():  # true for NaN
        worst = int(np.argmax(np.nan_to_num(excess, nan=np.inf)))
        raise AtomcoreError(
            f"the model was not saved: engine and {what} disagree, {found[worst]} and {expected[worst]} (eV or eV/A)"
        )


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
