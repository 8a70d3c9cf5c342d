"""From many-body expansions to model files, and back. Needs no torch.

The model of each term stands in the file as it would in one of its own: its metadata in the metadata of the term, its
tensors under ``terms.<number>.``.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from atomcore import model_file
from atomcore._files import replacing
from atomcore.data.clusters import Criterion
from atomcore.export.kernels import _check, _embedded, _metadata, _read, _symbols
from atomcore.potential import Potential


def save_many_body(model: Any, path: str | os.PathLike) -> None:
    """Write a `ManyBody` model to ``path``, once the engine has given the same energies and forces.

    Raises
    ------
    TypeError
        When a model of a term has no file of its own: accepted are GDML models, those with ``save``, and potentials.
    atomcore.AtomcoreError
        When the two disagree, or the core refuses the file; what was at ``path`` is then untouched.
    """
    components = [
        {"name": name, "atoms": _symbols(numbers), "masses": masses}
        for name, numbers, masses in model.components.records()
    ]
    terms: list[dict[str, Any]] = []
    tensors: dict[str, np.ndarray] = {}
    requires, elements = {"many_body"}, dict.fromkeys(symbol for own in components for symbol in own["atoms"])
    for t, term in enumerate(model.terms):
        metadata, own = _parts(term)
        requires |= set(metadata["requires"])
        tensors |= {f"terms.{t}.{name}": array for name, array in own.items()}
        terms.append({"components": list(term.components), "criterion": _criterion(term.criterion), "model": metadata})
    document = _metadata("many_body", "global", sorted(requires), list(elements))
    document["provenance"] |= model.provenance
    with replacing(path) as temporary:
        model_file.write(temporary, tensors, document | {"components": components, "terms": terms})
        _compare(model, Potential.load(temporary))


def load_many_body(path: str | os.PathLike) -> Any:
    """Return the `ManyBody` model that a file holds: GDML models as `GDML`, others as `Potential`.

    Raises
    ------
    ValueError
        When the file holds a model of another kind.
    OSError, atomcore.AtomcoreError
        As for `atomcore.Potential.load`.
    """
    from ase.data import atomic_numbers

    from atomcore.models.many_body import ManyBody, Term

    metadata, tensors = _read(path, "many_body")
    terms = []
    for t, entry in enumerate(metadata["terms"]):
        prefix = f"terms.{t}."
        own = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
        bounds = entry["criterion"]
        criterion = None if bounds is None else Criterion(**{k: v for k, v in bounds.items() if v is not None})
        terms.append(Term(components=entry["components"], model=_model(entry["model"], own), criterion=criterion))
    components = {own["name"]: [atomic_numbers[symbol] for symbol in own["atoms"]] for own in metadata["components"]}
    model = ManyBody(terms, components)
    model.provenance = metadata["provenance"]
    return model


def _criterion(criterion: Criterion | None) -> dict[str, Any] | None:
    if criterion is None:
        return None
    cutoff, lower = (x if np.isfinite(x) else None for x in (criterion.cutoff, criterion.lower))
    return {"measure": criterion.measure, "cutoff": cutoff, "lower": lower, "width": criterion.width}


def _parts(term: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return metadata and tensors of the model of a term, as in a file of its own."""
    from atomcore.models.gdml import GDML

    model = term.model
    if term.record is not None and not hasattr(model, "save"):
        model = GDML.from_record(term.record)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "term.atomcore"
        if not hasattr(model, "save"):
            raise TypeError(
                f"the model of {'+'.join(term.components)} is {type(model).__name__}, which has no file; accepted: "
                "GDML, models with save, and Potential"
            )
        model.save(path)
        metadata, tensors = model_file.read(path)
    return {key: value for key, value in metadata.items() if key != "sha256"}, tensors


def _model(metadata: dict[str, Any], tensors: dict[str, np.ndarray]) -> Any:
    from atomcore.models.gdml import GDML

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "term.atomcore"
        model_file.write(path, tensors, metadata)
        return GDML.load(path) if metadata["kind"] == "gdml" else Potential.load(path)


def _compare(model: Any, potential: Potential) -> None:
    """Compare at the first training geometry of the GDML model of most molecules, which its distances give."""
    from ase import Atoms

    known = [term.record for term in model.terms if term.record is not None and len(term.record.numbers) > 1]
    if not known:
        return
    record = max(known, key=lambda own: len(own.numbers))
    atoms = Atoms(record.numbers, _embedded(1.0 / record.descriptors[0], len(record.numbers)))
    energy, forces = model.energy_forces(atoms)
    found, own = potential.energy_forces(atoms)
    _check(np.append(own, found), np.append(forces, energy), "the many-body model")
