"""From kernel models to model files, and back. Needs no torch."""

import datetime
import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

import atomcore
from atomcore import model_file
from atomcore._core import AtomcoreError
from atomcore._files import replacing
from atomcore.features.table import ALL, needs_families
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
    metadata = _metadata("gdml", "molecular", ["gdml"], list(dict.fromkeys(atoms)))
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


def save_kernel_machine(model: Any, path: str | os.PathLike, *, variance: bool = True) -> None:
    """Write a `KernelRidge` or `GaussianProcess` of structures, once the engine has given the same numbers.

    Parameters
    ----------
    model
    path
    variance
        Store what the predictive variance needs, where the model has one: the factor, of ``4 n^2`` bytes for n labels.

    Raises
    ------
    ValueError
        The model has no model file: it is of rows of numbers, of several outputs or of features that the engine has
        not, or the energy of its atoms depends on the whole structure (``mean="constant"`` with atomic kernels).
    atomcore.AtomcoreError
        Engine and model disagree, or the core refuses the file; what was at ``path`` is then untouched.
    """
    record = model.to_record()
    kept = record.variance if variance else None
    metadata, tensors = (_atomic if record.atomic else _of_structure)(record, kept)
    if kept is not None:
        metadata["variance"] = {
            "of_kernel": record.variance_of_kernel,
            "energies": kept.energies,
            "gradients": kept.gradients,
        }
    with replacing(path) as temporary:
        model_file.write(temporary, tensors, metadata)
        _check_kernel_machine(model, Potential.load(temporary), record, with_spread=kept is not None)


def _atomic(record: Any, variance: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from ase.data import atomic_numbers

    if not hasattr(record.features, "table"):
        raise ValueError(f"features is {record.features!r}, which the engine has not; accepted: symmetry functions")
    if record.constant:
        raise ValueError("mean is 'constant', which is no sum over atoms; accepted in model files: 'elements', 'zero'")
    table, columns = _restricted(record.features, record.elements)
    families = ["function_families"] if needs_families(table) else []
    metadata = _metadata(
        "atomic_kernel", "local", ["symmetry_functions", *families, "kernel_expansion"], record.elements
    )
    metadata |= {"cutoff": max(row["cutoff"] for row in table), "features": table, "kernel": _kernel(record)}
    tensors = {"energy.reference": np.asarray(record.reference, float)}
    seen = np.zeros(len(columns), bool)
    for symbol in record.elements:
        own = record.sums[atomic_numbers[symbol]]
        used = np.flatnonzero(own.scale[columns])
        seen[used] = True
        features = {
            "columns": used,
            "mean": np.zeros(len(used)),
            "scale": own.scale[columns][used],
            "minimum": own.minimum[columns],
            "maximum": own.maximum[columns],
        }
        tensors |= {f"features.{symbol}.{name}": array for name, array in features.items()}
        tensors |= _sum_tensors(f"kernel.{symbol}.", own, columns[used])
    if variance is not None:
        index = {atomic_numbers[symbol]: s for s, symbol in enumerate(record.elements)}
        elements = np.array([index[z] for z in variance.elements], np.int64)
        tensors |= _variance_tensors(variance, elements, np.flatnonzero(seen), columns[seen])
    return metadata, tensors


def _restricted(features: Any, elements: Sequence[str]) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return the rows of a feature table that are of known elements only, and which ones these are."""
    known = [x in elements for x in features.elements]
    rows, columns = [], []
    for k, row in enumerate(features.table):
        if row["elements"] == ALL:
            weights = (
                {"weights": [w for w, there in zip(row["weights"], known, strict=True) if there]}
                if "weights" in row
                else {}
            )
            rows.append({**row, **weights})
        elif all(x in elements for x in row["elements"]):
            rows.append(dict(row))
        else:
            continue
        columns.append(k)
    return rows, np.array(columns, np.int64)


def _kernel(record: Any) -> dict[str, Any]:
    names = {"rational_quadratic": ("alpha",), "polynomial": ("offset", "degree")}.get(record.kind, ())
    return {"type": record.kind, **{name: float(x) for name, x in zip(names, record.parameters, strict=False)}}


def _sum_tensors(prefix: str, own: Any, columns: np.ndarray) -> dict[str, np.ndarray]:
    tensors = {f"{prefix}centres": own.centres[:, columns], f"{prefix}coefficients": own.coefficients}
    if own.derivative_coefficients is not None:
        tensors[f"{prefix}derivative_coefficients"] = own.derivative_coefficients[:, columns]
    return tensors


def _variance_tensors(
    variance: Any, elements: np.ndarray, columns: np.ndarray, features: np.ndarray
) -> dict[str, np.ndarray]:
    """Return what the engine needs, of ``features`` of the model, which are ``columns`` in the file."""
    tensors = {
        "columns": columns,
        "features": variance.features[:, features],
        "elements": elements,
        "structure_ptr": variance.structure_ptr.astype(np.int64),
        "batch_ptr": variance.batch_ptr.astype(np.int64),
        "factor": _lower(variance.factor),
    }
    if variance.gradients:
        tensors["variables"] = np.array([J.shape[2] for J in variance.jacobians], np.int64)
        tensors["jacobian"] = np.concatenate([J[:, features].ravel() for J in variance.jacobians])
    if variance.outer_factor is not None:
        tensors["outer_factor"] = _lower(variance.outer_factor)
    return {f"variance.{name}": array for name, array in tensors.items()}


def _lower(L: np.ndarray) -> np.ndarray:
    """Return a lower triangle row by row."""
    return L[np.tril_indices(len(L))]


def _of_structure(record: Any, variance: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    raise ValueError(
        f"features is {record.features!r}, which the engine has not; accepted: symmetry functions of atoms"
    )


def _check_kernel_machine(model: Any, potential: Potential, record: Any, *, with_spread: bool) -> None:
    for structure in itertools.islice(model._batches[0].taken, 2):
        names = ["energy", "forces"]
        expected, found = model.compute(structure, names), potential.compute(structure, names)
        _check(*(np.append(values["forces"], values["energy"]) for values in (found, expected)), "the model")
        if not with_spread:
            continue
        names = [f"{name}_spread" for name in names]  # compared are variances: little of a larger number is left
        expected, found = model.compute(structure, names), potential.compute(structure, names)
        scale = max(1.0, record.variance_of_kernel * len(structure) ** 2)
        _check(
            *(np.append(values[names[1]], values[names[0]]) ** 2 / scale for values in (found, expected)),
            "the variance of the model",
        )


def _read(path: str | os.PathLike, *kinds: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    metadata, tensors = model_file.read(path)
    if metadata["kind"] not in kinds:
        raise ValueError(
            f"{os.fspath(path)!r} holds a model of kind {metadata['kind']!r}; accepted: {', '.join(kinds)}"
        )
    return metadata, tensors


def _metadata(kind: str, capability: str, requires: Sequence[str], elements: Sequence[str]) -> dict[str, Any]:
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "requires": list(requires),
        "kind": kind,
        "capability": capability,
        "target": "energy",
        "units": {"length": "Angstrom", "energy": "eV"},
        "elements": list(elements),
        "precision": "float64",
        "provenance": {"atomcore": atomcore.__version__, "created": created},
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
