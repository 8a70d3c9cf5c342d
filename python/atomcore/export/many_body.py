"""Model files of many-body expansions. Needs no torch."""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from atomcore import model_file
from atomcore._files import replacing
from atomcore.export.gdml import gdml_parts, load_gdml
from atomcore.export.shared import Parts, check_parity, metadata_of, read, row_of, symbols_of
from atomcore.potential import Potential


def save_many_body(model: Any, path: str | os.PathLike) -> None:
    """Write a `ManyBody` expansion, once the engine has given the same numbers for two molecules of each component.

    Raises
    ------
    TypeError
        When the model of a term is none that a model file holds.
    atomcore.AtomcoreError
        Engine and expansion disagree, or the core refuses the file; what was at ``path`` is then untouched.
    """
    components = [
        {"name": name, "atoms": symbols_of(numbers), "masses": masses}
        for name, numbers, masses in model.components.records()
    ]
    elements = list(dict.fromkeys(symbol for component in components for symbol in component["atoms"]))
    terms: list[dict[str, Any]] = []
    tensors: dict[str, np.ndarray] = {}
    requires = {"many_body"}
    for t, term in enumerate(model.terms):
        metadata, own = _of_term(term)
        requires |= set(metadata["requires"])
        tensors |= {f"terms.{t}.{name}": array for name, array in own.items()}
        terms.append({"components": list(term.components), **_criterion(term.criterion), "model": metadata})
    metadata = metadata_of("many_body", "global", sorted(requires), elements)
    metadata |= {"components": components, "terms": terms}
    metadata["provenance"] |= model.provenance
    with replacing(path) as temporary:
        model_file.write(temporary, tensors, metadata)
        _check_many_body(model, Potential.load(temporary))


def load_many_body(path: str | os.PathLike) -> Any:
    """Return the `ManyBody` expansion that a file holds; errors are those of `load_gdml`."""
    from atomcore.data.clusters import Criterion
    from atomcore.models.many_body import ManyBody, Term

    metadata, tensors = read(path, "many_body")
    terms = []
    with tempfile.TemporaryDirectory() as folder:
        for t, term in enumerate(metadata["terms"]):
            prefix, part = f"terms.{t}.", Path(folder) / "term.atomcore"
            own = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
            model_file.write(part, own, term["model"])
            model = load_gdml(part) if term["model"]["kind"] == "gdml" else Potential.load(part)
            criterion = Criterion(**term["criterion"]) if "criterion" in term else None
            terms.append(Term(components=term["components"], model=model, criterion=criterion))
    formulas = {component["name"]: "".join(component["atoms"]) for component in metadata["components"]}
    expansion = ManyBody(terms, formulas)
    expansion.provenance = metadata["provenance"]
    return expansion


def _of_term(term: Any) -> Parts:
    """Return metadata and tensors of the model of a term."""
    if term.record is not None:
        return gdml_parts(term.record, getattr(term.model, "lam", None))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "term.atomcore"
        if isinstance(term.model, Potential):
            path.write_bytes(term.model._content)
        elif hasattr(term.model, "save"):
            term.model.save(path)
        else:
            raise TypeError(
                f"the model of the term {'+'.join(term.components)} is {type(term.model).__name__}; accepted in a "
                "model file: a GDML model, a Potential, or a model with .save"
            )
        metadata, tensors = model_file.read(path)
    if metadata.get("target", "energy") != "energy":
        raise ValueError(
            f"the model of the term {'+'.join(term.components)} predicts {metadata['target']}; accepted: energy"
        )
    return {name: value for name, value in metadata.items() if name not in ("sha256", "format_version")}, tensors


def _criterion(criterion: Any) -> dict[str, Any]:
    """Return the entry of a term; what is infinite is left out."""
    if criterion is None:
        return {}
    bounds = {name: getattr(criterion, name) for name in ("lower", "cutoff", "width")}
    return {"criterion": {"measure": criterion.measure, **{name: x for name, x in bounds.items() if np.isfinite(x)}}}


def _check_many_body(model: Any, potential: Potential) -> None:
    """Compare for two molecules of each component, whose geometries are those of a grid."""
    from ase import Atoms

    numbers = np.concatenate([model.components.numbers_of([name]) for name in model.components for _ in range(2)])
    grid = 1.1 * np.stack(np.unravel_index(np.arange(len(numbers)), (len(numbers), 2, 2)), axis=1)
    structure = Atoms(numbers, grid + np.random.default_rng(0).uniform(-0.1, 0.1, grid.shape))
    check_parity(row_of(potential.compute(structure)), row_of(model.compute(structure)), "the expansion")
