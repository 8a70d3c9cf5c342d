"""Model files of kernel machines: kernel ridge regression and Gaussian processes. Needs no torch."""

import itertools
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from atomcore import model_file
from atomcore._files import replacing
from atomcore.export.shared import Parts, check_parity, metadata_of, numbers_of, row_of, symbols_of
from atomcore.features import CoulombMatrix, InverseDistances
from atomcore.features.table import ALL, needs_families
from atomcore.potential import Potential

_RATTLE = 0.02  # Angstrom: at a training structure itself some kernels have a kink, where rounding decides


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
    metadata["provenance"] |= model.provenance
    with replacing(path) as temporary:
        model_file.write(temporary, tensors, metadata)
        _check_kernel_machine(model, Potential.load(temporary), record, with_spread=kept is not None)


def _atomic(record: Any, variance: Any) -> Parts:
    if not hasattr(record.features, "table"):
        raise ValueError(f"features is {record.features!r}, which the engine has not; accepted: symmetry functions")
    if record.constant:
        raise ValueError("mean is 'constant', which is no sum over atoms; accepted in model files: 'elements', 'zero'")
    table, columns = _restricted(record.features, record.elements)
    families = ["function_families"] if needs_families(table) else []
    metadata = metadata_of(
        "atomic_kernel", "local", ["symmetry_functions", *families, "kernel_expansion"], record.elements
    )
    metadata |= {"cutoff": max(row["cutoff"] for row in table), "features": table, "kernel": _kernel(record)}
    tensors = {"energy.reference": np.asarray(record.reference, float)}
    seen = np.zeros(len(columns), bool)
    numbers = numbers_of(record.elements).tolist()
    for symbol, number in zip(record.elements, numbers, strict=True):
        own = record.sums[number]
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
        elements = np.array([numbers.index(z) for z in variance.elements], np.int64)
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


def _of_structure(record: Any, variance: Any) -> Parts:
    if record.periodic:
        raise ValueError(
            "the training structures are periodic; accepted in a model file of whole structures: molecules"
        )
    descriptor = _descriptor(record.features, record)
    molecular = record.molecule is not None
    capability = "molecular" if molecular else "global"
    metadata = metadata_of("structure_kernel", capability, ["kernel_expansion", "structure_kernel"], record.elements)
    metadata |= {"descriptor": descriptor, "kernel": _kernel(record)}
    if molecular:
        metadata["atoms"] = symbols_of(record.molecule)
    own = record.sums[0]
    used = np.flatnonzero(own.scale)
    tensors = {
        "energy.reference": np.asarray(record.reference, float),
        "energy.constant": np.array([record.constant]),
        "features.columns": used,
        "features.mean": np.zeros(len(used)),
        "features.scale": own.scale[used],
        **_sum_tensors("kernel.", own, used),
    }
    if variance is not None:
        tensors |= _variance_tensors(variance, np.zeros(len(variance.features), np.int64), used, used)
    return metadata, tensors


def _descriptor(features: Any, record: Any) -> dict[str, Any]:
    """Return what the engine needs to know of features of whole structures."""
    n_features = len(record.sums[0].scale)
    if isinstance(features, InverseDistances):
        return {"type": "inverse_distances", "n_atoms": len(record.molecule), "fixed_size": True}
    if not isinstance(features, CoulombMatrix):
        raise ValueError(
            f"features is {features!r}, which the engine has not for whole structures; accepted: InverseDistances, "
            "CoulombMatrix, or symmetry functions with atomic=True"
        )
    rows = n_features if features.kind == "eigenvalues" else (math.isqrt(8 * n_features + 1) - 1) // 2
    return {
        "type": f"coulomb_{features.kind}",
        "n_atoms": rows,
        "fixed_size": features.n_atoms_max is None,
        "exponent": features.exponent,
        "length_unit": features.length_in_angstrom,
    }


def _check_kernel_machine(model: Any, potential: Potential, record: Any, *, with_spread: bool) -> None:
    random = np.random.default_rng(0)
    for structure in itertools.islice(model._batches[0].taken, 2):
        structure.positions += random.normal(0, _RATTLE, structure.positions.shape)
        names = ["energy", "forces"]
        expected, found = model.compute(structure, names), potential.compute(structure, names)
        check_parity(row_of(found), row_of(expected), "the model", _rounding(model, structure))
        if not with_spread:
            continue
        names = [f"{name}_spread" for name in names]  # compared are variances: little of a larger number is left
        expected, found = model.compute(structure, names), potential.compute(structure, names)
        scale = max(1.0, record.variance_of_kernel * len(structure) ** 2)
        squares = [row_of(values, "_spread") ** 2 / scale for values in (found, expected)]
        check_parity(squares[0], squares[1], "the variance of the model")


def _rounding(model: Any, structure: Any) -> np.ndarray:
    """Return what rounding leaves of sums of large terms that cancel, in the order of `row_of`."""
    points = model._inputs.points(model._inputs.take(structure), jacobian=True)
    rows = model._solver.rows(points, {"energies": True, "forces": True})
    sizes = np.finfo(float).eps * (np.abs(rows) @ np.abs(model._solver.alpha[:, 0]))
    return np.roll(sizes, -1)
