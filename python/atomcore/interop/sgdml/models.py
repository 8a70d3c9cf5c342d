"""Models of sGDML and mbGDML as arrays in eV and Angstrom."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from atomcore import __version__
from atomcore._arrays import as_float64, as_integers, check_numbers
from atomcore._core import AtomcoreError
from atomcore.data.readers.sgdml import text
from atomcore.interop.sgdml._arrays import (
    check_dialect,
    factors,
    needed,
    numbers_of,
    optional,
    read_arrays,
    texts,
    units_to_write,
    write_arrays,
)
from atomcore.models.gdml.symmetry import check_group, pair_permutations
from atomcore.units import Units


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelFile:
    """A GDML model of N atoms, M training points and P permutations, with D = N (N - 1) / 2 inverse distances.

    Its energy is ``constant + scale * sum`` over training points and permutations, as sGDML defines it.

    Parameters
    ----------
    numbers : ndarray of int, shape (N,)
        Atomic numbers in the order that the model knows.
    sigma : float
        Length scale of the kernel, in 1/Angstrom.
    lam : float, optional
        What was added to the diagonal of the kernel matrix.
    constant, scale : float
        In eV; `scale` is the standard deviation of the labels.
    descriptors : ndarray, shape (M, D)
        Inverse distances of the training points in 1/Angstrom, of the pairs (1,0), (2,0), (2,1), ...
    derivative_coefficients : ndarray, shape (M, D)
        J alpha, of each training point its Jacobian times its coefficients (``R_d_desc_alpha``).
    energy_coefficients : ndarray, shape (M,), optional
        Of a model with energy constraints (``alphas_E``).
    coefficients : ndarray, shape (3 M N,), optional
        alpha (``alphas_F``), which only further training needs.
    permutations : ndarray of int, shape (P, N)
        The symmetry group.
    lattice : ndarray, shape (3, 3), optional
        The one cell that the model knows, vectors as rows, in Angstrom.
    predicts_energy : bool
        False when energies have no meaning, not even differences to others of the same file.
    name, theory, solver : str
        Of the data set, of the level of theory, and "analytic" or "cg".
    train_indices, valid_indices : ndarray of int
        Of training and validation points in their data sets.
    fingerprints : dict of str to str
        Of the data sets, by "train", "valid" and "test".
    n_test : int
        Number of structures that the errors are of.
    errors : dict of str to dict
        "mae" and "rmse" of "energy" in eV and of "forces" in eV/Angstrom, where the file has them.
    entity_ids, comp_ids, order, lower_models
        As in :class:`DatasetFile`, of a model for a many-body expansion.
    criterion, cutoff : str and float, optional
        Below which value of which descriptor, "cm_distance_sum" for instance, the model applies; in Angstrom.
    """

    numbers: np.ndarray
    sigma: float
    constant: float
    scale: float
    descriptors: np.ndarray
    derivative_coefficients: np.ndarray
    permutations: np.ndarray
    lam: float | None = None
    energy_coefficients: np.ndarray | None = None
    coefficients: np.ndarray | None = None
    lattice: np.ndarray | None = None
    predicts_energy: bool = True
    name: str = ""
    theory: str = ""
    solver: str = "analytic"
    train_indices: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    valid_indices: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    fingerprints: dict[str, str] = field(default_factory=dict)
    n_test: int = 0
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    entity_ids: np.ndarray | None = None
    comp_ids: tuple[str, ...] = ()
    order: int | None = None
    lower_models: tuple[str, ...] = ()
    criterion: str | None = None
    cutoff: float | None = None

    def __post_init__(self) -> None:
        check_numbers(as_integers("numbers", self.numbers, ("N",)))
        n_atoms = len(self.numbers)
        n_pairs = n_atoms * (n_atoms - 1) // 2
        x = as_float64("descriptors", self.descriptors, ("M", n_pairs))
        shape = x.shape
        arrays = {"descriptors": x}
        arrays["derivative_coefficients"] = as_float64("derivative_coefficients", self.derivative_coefficients, shape)
        if self.energy_coefficients is not None:
            arrays["energy_coefficients"] = as_float64("energy_coefficients", self.energy_coefficients, shape[:1])
        if self.coefficients is not None:
            arrays["coefficients"] = as_float64("coefficients", self.coefficients, (3 * n_atoms * len(x),))
        if self.lattice is not None:
            arrays["lattice"] = as_float64("lattice", self.lattice, (3, 3))
        arrays |= {"sigma": np.array(self.sigma), "constant": np.array(self.constant), "scale": np.array(self.scale)}
        for name, values in arrays.items():
            if not np.isfinite(values).all():
                raise ValueError(f"{name} holds values that are not finite; accepted: finite numbers")
        for name in ("sigma", "scale"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; accepted: numbers above 0")
        if self.lam is not None and not 0 <= self.lam < np.inf:
            raise ValueError(f"lam is {self.lam}; accepted: finite numbers from 0")
        if not (x > 0).all():
            raise ValueError("descriptors holds numbers that are not above 0; accepted: inverse distances")
        check_group(self.permutations, np.asarray(self.numbers), "permutations")


def read_model_file(path: str | os.PathLike, *, units: str | None = None) -> ModelFile:
    """Read a model of sGDML or mbGDML.

    Parameters
    ----------
    path : path
        An npz file with ``type`` "m".
    units : str, optional
        ``"ENERGY, LENGTH"``, needed where the file does not declare both under ``e_unit`` and ``r_unit``.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    AtomcoreError
        When it is damaged or no model of these programs, or its arrays do not fit together.
    ValueError
        When units are missing or contradict those of the file.
    """
    arrays = read_arrays(path, "m")
    needed(path, arrays, "R_desc", "R_d_desc_alpha", "sig", "c", "perms")
    unit = factors(path, arrays, units)
    try:
        model = ModelFile(
            numbers=numbers_of(path, arrays),
            **_machine(arrays, unit),
            **_history(arrays, unit),
            entity_ids=optional(arrays, "entity_ids", np.asarray),
            comp_ids=optional(arrays, "comp_ids", texts) or (),
            order=optional(arrays, "mb", int),
            lower_models=optional(arrays, "mb_models_md5", texts) or (),
            criterion=optional(arrays, "criteria", text) or None,
            cutoff=optional(arrays, "cutoff", lambda value: float(np.ravel(value)[0]) * unit.length),
        )
        _check_pair_permutations(model, arrays.get("tril_perms_lin"))
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise AtomcoreError(f"{Path(path).name} is damaged or no model of sGDML or mbGDML: {error}") from error
    return model


def _machine(arrays: Mapping[str, Any], unit: Units) -> dict[str, Any]:
    """Return what predictions are made of.

    With lengths in units of L, the kernel matrix of a file has 1/L^2 and its labels, divided by the scale, have no
    unit: coefficients have L^2, those of energies L, and the Jacobian times coefficients none.
    """

    def scaled(key: str, factor: float) -> Any:
        return optional(arrays, key, lambda value: np.asarray(value, np.float64) * factor)

    n_train = np.asarray(arrays["R_desc"]).shape[-1]
    length = unit.length
    lattice, lam = scaled("lattice", length), scaled("lam", length**-2)
    return {
        "sigma": float(arrays["sig"]) / length,
        "lam": None if lam is None else float(lam),
        "scale": float(arrays.get("std", 1.0)) * unit.energy / length,
        "constant": float(arrays["c"] if arrays["c"] is not None else 0.0) * unit.energy,
        "descriptors": np.asarray(arrays["R_desc"], np.float64).T.copy() / length,
        "derivative_coefficients": np.asarray(arrays["R_d_desc_alpha"], np.float64).reshape(n_train, -1),
        "energy_coefficients": scaled("alphas_E", length),
        "coefficients": scaled("alphas_F", length**2),
        "permutations": np.asarray(arrays["perms"]).astype(np.int64),
        "lattice": None if lattice is None else lattice.T.copy(),
        "predicts_energy": bool(arrays.get("use_E", True)) and arrays["c"] is not None,
    }


def _history(arrays: Mapping[str, Any], unit: Units) -> dict[str, Any]:
    """Return where a model comes from and how good it was."""
    indices = {part: optional(arrays, f"idxs_{part}", np.asarray) for part in ("train", "valid")}
    prints = {part: optional(arrays, f"md5_{part}", text) for part in ("train", "valid", "test")}
    errors = {}
    for label, key, factor in (("energy", "e_err", unit.energy), ("forces", "f_err", unit.force)):
        given = arrays.get(key)
        if isinstance(given, dict) and all(np.isfinite(value) for value in given.values()):
            errors[label] = {str(name): float(value) * factor for name, value in given.items()}
    return {
        "name": optional(arrays, "dataset_name", text) or "",
        "theory": optional(arrays, "dataset_theory", text) or "",
        "solver": optional(arrays, "solver_name", text) or "analytic",
        "fingerprints": {part: value for part, value in prints.items() if value},
        "n_test": optional(arrays, "n_test", int) or 0,
        "errors": errors,
        **{f"{part}_indices": values for part, values in indices.items() if values is not None},
    }


def _stored_pair_permutations(permutations: np.ndarray) -> np.ndarray:
    """Return them as ``tril_perms_lin`` holds them: element k P + p is the index of pair k plus p D."""
    pairs = pair_permutations(permutations)
    return (pairs + np.arange(len(pairs))[:, None] * pairs.shape[1]).ravel(order="F")


def _check_pair_permutations(model: ModelFile, stored: np.ndarray | None) -> None:
    expected = _stored_pair_permutations(np.asarray(model.permutations))
    if stored is not None and not np.array_equal(np.ravel(stored), expected):
        raise ValueError("tril_perms_lin does not belong to perms")


def write_model_file(
    model: ModelFile, path: str | os.PathLike, *, dialect: str = "sgdml", units: str = "kcal/mol, Angstrom"
) -> None:
    """Write a model that sGDML or mbGDML loads, whole or not at all.

    Parameters
    ----------
    model : ModelFile
        What to write.
    path : path
        The npz file.
    dialect : {"sgdml", "mbgdml"}
        Which program is to read it.
    units : str
        ``"ENERGY, LENGTH"`` to write it in.

    Notes
    -----
    sGDML's command line and its torch predictor take sigma for a whole number and cut the rest off; its predictor on
    NumPy and mbGDML take any.
    """
    check_dialect(dialect)
    unit, energy_unit, length_unit = units_to_write(units)
    arrays = {"type": "m", "code_version": f"atomcore {__version__}", "solver_name": model.solver}
    arrays |= _file_history(model, unit, dialect) | _file_machine(model, unit, dialect)
    arrays |= {"r_unit": length_unit, "e_unit": energy_unit}
    if dialect == "mbgdml":
        arrays |= _many_body(model, unit)
    write_arrays(path, arrays)


def _file_machine(model: ModelFile, unit: Units, dialect: str) -> dict[str, Any]:
    """Return what predictions are made of, in the units of the file; the inverse of `_machine`."""
    length, sigma = unit.length, model.sigma * unit.length
    n_train, n_atoms = len(model.descriptors), len(model.numbers)
    alphas = np.zeros(3 * n_train * n_atoms) if model.coefficients is None else model.coefficients / length**2
    arrays = {
        "z" if dialect == "sgdml" else "Z": np.asarray(model.numbers, np.int64),
        "R_desc": np.asfortranarray((model.descriptors * length).T),
        "R_d_desc_alpha": model.derivative_coefficients,
        "alphas_F": alphas,
        "c": model.constant / unit.energy,
        "std": model.scale * length / unit.energy,
        "sig": int(sigma) if dialect == "sgdml" and sigma == int(sigma) else sigma,
        "lam": (model.lam if model.lam is not None else 0.0) * length**2,
        "perms": np.asarray(model.permutations, np.int64),
        "tril_perms_lin": _stored_pair_permutations(np.asarray(model.permutations)),
        "use_E": model.predicts_energy,
        "use_cprsn": False,
    }
    if model.energy_coefficients is not None:
        arrays["alphas_E"] = model.energy_coefficients / length
    if model.lattice is not None:
        arrays["lattice"] = model.lattice.T / length
    return arrays


def _file_history(model: ModelFile, unit: Units, dialect: str) -> dict[str, Any]:
    n_train = len(model.descriptors)
    indices = model.train_indices if len(model.train_indices) else np.arange(n_train)
    prints = {part: model.fingerprints.get(part) for part in ("train", "valid", "test")}
    arrays: dict[str, Any] = {
        "dataset_name": model.name or "unknown",
        "dataset_theory": model.theory or "unknown",
        "idxs_train": indices,
        "idxs_valid": model.valid_indices,
        "n_test": model.n_test,
        **{
            f"md5_{part}": _fingerprint(value, dialect) if value or part != "test" else None
            for part, value in prints.items()
        },
    }
    unknown = {"mae": float("nan"), "rmse": float("nan")}
    for label, key, factor in (("energy", "e_err", unit.energy), ("forces", "f_err", unit.force)):
        if label == "forces" or model.predicts_energy:
            arrays[key] = {name: value / factor for name, value in model.errors.get(label, unknown).items()}
    return arrays


def _fingerprint(value: str | None, dialect: str) -> bytes | str:
    return (value or "").encode() if dialect == "sgdml" else value or ""


def _many_body(model: ModelFile, unit: Units) -> dict[str, Any]:
    arrays = {
        "entity_ids": model.entity_ids,
        "comp_ids": np.array(model.comp_ids) if model.comp_ids else None,
        "mb": model.order,
        "mb_models_md5": np.array(model.lower_models) if model.lower_models else None,
        "criteria": model.criterion,
        "cutoff": None if model.cutoff is None else np.array([model.cutoff / unit.length]),
    }
    return {key: value for key, value in arrays.items() if value is not None}
