"""GDML models from and to files of sGDML and mbGDML."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._arrays import as_integers
from atomcore._core import AtomcoreError
from atomcore.data.dataset import Dataset
from atomcore.interop.sgdml.datasets import DatasetFile, fingerprint
from atomcore.interop.sgdml.models import ModelFile, read_model_file, write_model_file
from atomcore.models.gdml import GDML, GdmlRecord

_SHARED = (
    "numbers",
    "sigma",
    "scale",
    "constant",
    "lattice",
    "descriptors",
    "derivative_coefficients",
    "energy_coefficients",
    "permutations",
)


def read_model(path: str | os.PathLike, *, units: str | None = None) -> GDML:
    """Read a model of sGDML or mbGDML.

    Parameters
    ----------
    path : path
        An npz file with ``type`` "m".
    units : str, optional
        ``"ENERGY, LENGTH"``, needed where the file does not declare both under ``e_unit`` and ``r_unit``.

    Returns
    -------
    GDML
        In eV and Angstrom: it predicts, and saves to a ``.atomcore`` file. What else the file says, of errors,
        training indices or molecules, has `read_model_file`.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    AtomcoreError
        When it is damaged or no model of these programs, or its arrays do not fit together.
    ValueError
        When units are missing or contradict those of the file.
    """
    return model_in(path, read_model_file(path, units=units))


def model_in(path: str | os.PathLike, held: ModelFile) -> GDML:
    """Return the model that a file holds; errors name it."""
    try:
        return as_gdml(held)
    except ValueError as error:
        raise AtomcoreError(f"{Path(path).name} is damaged or no model of sGDML or mbGDML: {error}") from error


def as_gdml(held: ModelFile) -> GDML:
    """Return the model that a file holds."""
    model = GDML.from_record(GdmlRecord(**{name: getattr(held, name) for name in _SHARED}), lam=held.lam or 1e-10)
    if not held.predicts_energy:
        model.energies = None
    model.alphas = held.coefficients
    return model


def write_model(
    model: GDML,
    path: str | os.PathLike,
    *,
    dialect: str = "sgdml",
    units: str = "kcal/mol, Angstrom",
    name: str = "",
    theory: str = "",
    dataset: DatasetFile | Dataset | None = None,
    train_indices: Any = None,
) -> None:
    """Write a trained model as a file that sGDML or mbGDML loads, whole or not at all.

    Parameters
    ----------
    model : GDML
        A trained one.
    path : path
        The npz file.
    dialect : {"sgdml", "mbgdml"}
        Which program is to read it.
    units : str
        ``"ENERGY, LENGTH"`` to write it in.
    name, theory : str
        Of the data set and of the level of theory; by default those of `dataset`.
    dataset : DatasetFile or Dataset, optional
        What the model was trained on a part of, whose fingerprint the model then names: that of the file that
        `write_dataset` makes of it in the same dialect and units.
    train_indices : array_like of int, shape (M,), optional
        Which structures of `dataset` that part is.

    Notes
    -----
    sGDML's command line and its torch predictor take sigma for a whole number and cut the rest off; its predictor on
    NumPy and mbGDML take any.
    """
    if not isinstance(model, GDML):
        raise TypeError(f"model is {type(model).__name__}; accepted: a GDML model")
    record = model.record
    n_train = len(record.descriptors)
    about: dict[str, Any] = {"name": name, "theory": theory}
    if dataset is not None:
        held = dataset if isinstance(dataset, DatasetFile) else DatasetFile(dataset=dataset)
        about = {"name": name or held.name, "theory": theory or held.theory}
        about["fingerprints"] = {"train": fingerprint(held, dialect=dialect, units=units)}
        about |= {key: getattr(held, key) for key in ("entity_ids", "comp_ids", "order", "lower_models")}
    if train_indices is not None:
        about["train_indices"] = as_integers("train_indices", train_indices, (n_train,))
    solver = getattr(model.report, "convergence", None)
    write_model_file(
        ModelFile(
            **{key: getattr(record, key) for key in _SHARED},
            lam=model.lam,
            coefficients=None if model.alphas is None else np.asarray(model.alphas),
            predicts_energy=model.energies is not None,
            solver="analytic" if solver is None else "cg",
            **about,
        ),
        path,
        dialect=dialect,
        units=units,
    )
