"""Chemical JSON, as Avogadro and cclib write it, and lists of such documents as ML4Chem reads them.

Positions are in Angstrom by definition; the unit of energies is not, so it must be declared.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomcore.data.dataset import Dataset
from atomcore.data.readers.atoms import dataset_of
from atomcore.data.readers.labels import UNITS, WITHOUT, Request, chosen, parsing
from atomcore.units import ACCEPTED, parse_units

if TYPE_CHECKING:
    from ase import Atoms

_WHAT = "Chemical JSON"


def read_cjson(file: Path, request: Request) -> Dataset:
    """Read one document, or a list of documents or of their texts."""
    with parsing(file, _WHAT):
        content = json.loads(file.read_text(encoding="utf-8"))
    return cjson_dataset(file, request, content)


def is_cjson(content: Any) -> bool:
    """Whether parsed JSON looks like Chemical JSON."""
    first = content[0] if isinstance(content, list) and content else content
    if isinstance(first, str):
        return "elements" in first and "coords" in first
    return isinstance(first, dict) and bool({"chemicaljson", "cjson"} & set(_plain(first)))


def cjson_dataset(file: Path, request: Request, content: Any) -> Dataset:
    """Read Chemical JSON that has been parsed; errors are those of :func:`atomcore.data.load`."""
    with parsing(file, _WHAT):
        documents = [_document(item) for item in (content if isinstance(content, list) else [content])]
        images = [_atoms(document) for document in documents]
        energies = [_energies(document) for document in documents]
    if request.units is not None and parse_units(request.units).length != 1.0:
        raise ValueError(f"{UNITS} is {request.units!r}, but positions of {_WHAT} are in Angstrom")
    keys = request.keys
    names = [name for name in (keys.energy or "energy", keys.baseline_energy) if name not in (None, WITHOUT)]
    if request.units is None and any(name in found for found in energies for name in names):
        raise ValueError(
            f"{UNITS} is missing: {file.name} does not say the unit of its energies; accepted: {ACCEPTED}; or do "
            f"without by energy_key={WITHOUT!r}"
        )
    for atoms, found in zip(images, energies, strict=True):
        atoms.info |= {name: found[name] * parse_units(str(request.units)).energy for name in names if name in found}
    return dataset_of(chosen(file, images, request.index), keys, file.name)


def _document(item: Any) -> dict[str, Any]:
    document = json.loads(item) if isinstance(item, str) else item
    return _plain(document.get("cjson", document))


def _plain(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same with keys as all versions of the format mean them: without blanks, in lower case."""
    return {key.replace(" ", "").lower(): value for key, value in mapping.items()}


def _atoms(document: dict[str, Any]) -> "Atoms":
    from ase import Atoms
    from ase.cell import Cell

    atoms = Atoms(document["atoms"]["elements"]["number"])
    cell = document.get("unitcell")
    if cell is not None:
        vectors = cell.get("cellVectors")
        lengths_and_angles = [cell[name] for name in ("a", "b", "c", "alpha", "beta", "gamma")] if not vectors else []
        atoms.cell = np.reshape(vectors, (3, 3)) if vectors else Cell.fromcellpar(lengths_and_angles)
        atoms.pbc = True
    coordinates = _plain(document["atoms"]["coords"])
    if "3d" in coordinates:
        atoms.positions = np.reshape(coordinates["3d"], (len(atoms), 3))
    else:
        atoms.set_scaled_positions(np.reshape(coordinates["3dfractional"], (len(atoms), 3)))
    return atoms


def _energies(document: dict[str, Any]) -> dict[str, float]:
    """Return the numbers among the properties by name, and the total energy as ``energy``."""
    properties = document.get("properties") or {}
    found = {name: float(value) for name, value in properties.items() if isinstance(value, int | float)}
    nested, plain = properties.get("energy"), _plain(properties)
    total = nested.get("total") if isinstance(nested, dict) else plain.get("totalenergy")
    return found | ({"energy": float(total)} if total is not None else {})
