"""A term of a many-body expansion as ``atomcore train model=mbgdml`` configures it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

_LABELS = ("total", "nbody")


def prepare(section: Mapping[str, Any], split: Any, path: str) -> tuple[Any, Callable[[Any], Any]]:
    """Return the data that the term is trained on, and what makes an expansion of the trained term.

    Parameters
    ----------
    section : mapping
        ``model`` of the configuration: ``components``, ``lower``, ``labels`` and ``criterion``.
    split : Split
        Clusters of n molecules.
    path : str
        Where they come from.

    Raises
    ------
    ValueError
        When it is not said what the molecules are, or where the energies of smaller sets come from.
    """
    from atomcore.data.clusters import Criterion
    from atomcore.models import ManyBody
    from atomcore.models.many_body import Term

    if section["labels"] not in _LABELS:
        raise ValueError(f"model.labels is {section['labels']!r}; accepted: {', '.join(_LABELS)}")
    entities = _entities(section["components"], split.dataset, path)
    lower = None if section["lower"] is None else ManyBody.load(section["lower"])
    criterion = None if section["criterion"] is None else Criterion(**section["criterion"])
    order = len(entities)
    if order > 1 and lower is None:
        raise ValueError(
            f"model.lower is missing: {path} has clusters of {order} molecules, whose energies contain those of fewer; "
            "accepted: the model file with the terms of 1 to "
            f"{order - 1} molecules, as model=mbgdml trains them one after the other"
        )
    if order > 1 and section["labels"] == "total":
        split = replace(split, dataset=_less(lower, split.dataset, entities))

    def complete(model: Any) -> Any:
        term = Term(components=entities.comp_ids, model=model, criterion=criterion)
        terms, known = ([], {}) if lower is None else (list(lower.terms), dict(lower.components))
        expansion: Any = ManyBody([*terms, term], known | dict(entities.components))
        expansion.provenance = model.provenance
        return expansion

    return split, complete


def _less(lower: Any, dataset: Any, entities: Any) -> Any:
    """Return the data with what is left of energies and forces without those of smaller sets."""
    energy, forces = lower.predict(dataset, entities=entities)
    labels = dataset.forces
    return replace(
        dataset,
        energy=None if dataset.energy is None else dataset.energy - energy,
        forces=None if labels is None else labels - forces,
    )


def _entities(components: Any, dataset: Any, path: str) -> Any:
    from atomcore.data.entities import Entities

    n_atoms = int(dataset.n_atoms[0])
    numbers = dataset.numbers[:n_atoms]
    if components is not None:
        return Entities.consecutive(numbers, components)
    if Path(path).suffix == ".npz":
        ids, names = _noted(Path(path))
        if names:
            return Entities.from_ids(numbers, ids, names)
    raise ValueError(
        f"model.components is missing, and {Path(path).name} does not say what its molecules are; accepted: names with "
        "formulas in the order of the atoms, such as model.components={h2o: OHH}"
    )


def _noted(file: Path) -> tuple[np.ndarray, list[str]]:
    """Return what a data set of mbGDML says of the molecules of its clusters."""
    from atomcore.data.readers.archive import read_archive

    arrays, _ = read_archive(file, ("entity_ids", "comp_ids"))
    if len(arrays) < 2:
        return np.zeros(0, np.int64), []
    return arrays["entity_ids"], [str(name) for name in np.atleast_1d(arrays["comp_ids"])]
