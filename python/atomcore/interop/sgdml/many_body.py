"""Many-body expansions from models of mbGDML."""

import os
from collections.abc import Sequence

from atomcore._core import AtomcoreError
from atomcore.data.clusters import Criterion
from atomcore.interop.sgdml.gdml import as_gdml
from atomcore.interop.sgdml.models import ModelFile, read_model_file
from atomcore.models.many_body import ManyBody, Term

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
        As for `read_model`; when the numbers of models and criteria differ.
    """
    held = [read_model_file(path, units=units) for path in paths]
    if criteria is None:
        criteria = [_criterion(path, own) for path, own in zip(paths, held, strict=True)]
    if len(criteria) != len(held):
        raise ValueError(f"criteria has {len(criteria)} entries for {len(held)} models; accepted: one for each")
    terms = []
    for path, own, criterion in zip(paths, held, criteria, strict=True):
        if not own.comp_ids:
            raise AtomcoreError(f"{os.fspath(path)} names no components (comp_ids)")
        terms.append(Term(components=own.comp_ids, model=as_gdml(own), criterion=criterion))
    return ManyBody(terms)


def _criterion(path: str | os.PathLike, held: ModelFile) -> Criterion | None:
    if held.criterion is None or held.cutoff is None:
        return None
    if held.criterion not in _MEASURES:
        raise AtomcoreError(
            f"{os.fspath(path)} has the criterion {held.criterion!r}; accepted: {', '.join(_MEASURES)}, or criteria"
        )
    return Criterion(measure=_MEASURES[held.criterion], cutoff=held.cutoff)
