"""Many-body expansions from models of mbGDML."""

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from atomcore._core import AtomcoreError
from atomcore.data.clusters import Criterion
from atomcore.data.dataset import Dataset
from atomcore.data.entities import Entities
from atomcore.interop.sgdml.gdml import model_in
from atomcore.interop.sgdml.models import ModelFile, read_model_file
from atomcore.interop.sgdml.predictions import PredictionFile
from atomcore.models.many_body import ManyBody, Term

Float64 = npt.NDArray[np.float64]

# what mbGDML calls its descriptors, now and in older files
_MEASURES = {
    "com_distance_sum": "centre_distance_sum",
    "cm_distance_sum": "centre_distance_sum",
    "max_atom_pair_dist": "largest_atom_distance",
}


def read_many_body(
    paths: Sequence[str | os.PathLike],
    *,
    criteria: Sequence[Criterion | None] | None = None,
    units: str | None = None,
) -> ManyBody:
    """Read models of mbGDML as one expansion.

    Parameters
    ----------
    paths : sequence of path
        npz files with ``type`` "m" and the names of the components (``comp_ids``), among them one of each single
        molecule.
    criteria : sequence of Criterion or None, optional
        Of each model; by default what the files say, all sets where they say nothing.
    units : str, optional
        As for `read_model`.

    Raises
    ------
    AtomcoreError
        When a file is damaged, names no components, or its criterion is unknown.
    ValueError, FileNotFoundError
        As for `read_model`; when the numbers of models and criteria differ, or two models are of the same sets.
    """
    if isinstance(paths, str | os.PathLike):
        raise TypeError(f"paths is {os.fspath(paths)!r}; accepted: a sequence of paths")
    held = [read_model_file(path, units=units) for path in paths]
    if criteria is None:
        criteria = [_criterion(path, own) for path, own in zip(paths, held, strict=True)]
    if len(criteria) != len(held):
        raise ValueError(f"criteria has {len(criteria)} entries for {len(held)} models; accepted: one for each")
    terms: list[Term] = []
    for path, own, criterion in zip(paths, held, criteria, strict=True):
        if not own.comp_ids:
            raise AtomcoreError(f"{os.fspath(path)} names no components (comp_ids)")
        if any(sorted(own.comp_ids) == sorted(t.components) and criterion == t.criterion for t in terms):
            raise ValueError(f"paths has {os.fspath(path)}, a second model of {'+'.join(own.comp_ids)}; accepted: one")
        terms.append(Term(components=own.comp_ids, model=model_in(path, own), criterion=criterion))
    try:
        return ManyBody(terms)
    except ValueError as error:
        files = ", ".join(str(os.fspath(path)) for path in paths)
        raise ValueError(f"{files} make no expansion: {error}") from error


def as_predictions(model: ManyBody, dataset: Dataset, *, entities: Entities | None = None) -> PredictionFile:
    """Predict as mbGDML stores it: energies and forces of every set of molecules, by their number.

    Parameters
    ----------
    model : ManyBody
    dataset : Dataset
        Structures of the same molecules; labels that are there are taken along.
    entities : Entities, optional
        Of all of them; by default atoms of each molecule stand together.

    Returns
    -------
    PredictionFile
        Sets that a criterion leaves out are not there; forces of smaller sets than others of their order end with NaN.
        In periodic structures a set occurs once for each of its images.

    Raises
    ------
    ValueError
        When the structures have different atoms, or do not fit the model.
    """
    n_atoms = int(dataset.n_atoms[0]) if len(dataset) else 0
    numbers = dataset.numbers[:n_atoms]
    if not len(dataset) or not np.array_equal(dataset.numbers, np.tile(numbers, len(dataset))):
        raise ValueError("dataset must have structures, all of the same atoms in the same order")
    own = model.entities(dataset[0]) if entities is None else entities
    energies: dict[int, Float64] = {}
    forces: dict[int, Float64] = {}
    combinations: dict[int, npt.NDArray[np.int64]] = {}
    values = model.predict_decomposed(dataset, entities=own)
    for order in sorted({term.order for term in values}):
        terms = [term for term in values if term.order == order]
        most = max(term.positions.shape[1] for term in terms)
        widened = [np.full((len(term.energies), most, 3), np.nan) for term in terms]
        for rows, term in zip(widened, terms, strict=True):
            rows[:, : term.forces.shape[1]] = term.forces
        energies[order] = np.concatenate([term.energies for term in terms])
        forces[order] = np.concatenate(widened)
        combinations[order] = np.concatenate([np.column_stack([term.structure, term.entities]) for term in terms])
    return PredictionFile(
        numbers=numbers,
        positions=dataset.positions.reshape(-1, n_atoms, 3),
        energy_label=dataset.energy,
        forces_label=None if dataset.forces is None else dataset.forces.reshape(-1, n_atoms, 3),
        entity_ids=own.entity_ids,
        comp_ids=own.comp_ids,
        energies=energies,
        forces=forces,
        combinations=combinations,
        models=(),
        name=dataset.source,
        theory="",
    )


def _criterion(path: str | os.PathLike, held: ModelFile) -> Criterion | None:
    if held.criterion is None or held.cutoff is None:
        return None
    if held.criterion not in _MEASURES:
        raise AtomcoreError(
            f"{os.fspath(path)} has the criterion {held.criterion!r}; accepted: {', '.join(_MEASURES)}, or criteria"
        )
    try:
        return Criterion(measure=_MEASURES[held.criterion], cutoff=held.cutoff)
    except ValueError as error:
        raise AtomcoreError(f"{os.fspath(path)} has a criterion that makes no sense: {error}") from error
