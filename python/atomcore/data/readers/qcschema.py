"""QCSchema results in JSON, as MolSSI's programs write them: hartree and bohr by definition."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomcore._core import AtomcoreError
from atomcore.data.dataset import Dataset
from atomcore.data.readers.atoms import dataset_of
from atomcore.data.readers.labels import Request, chosen, parsing, units_of_format
from atomcore.units import Units

if TYPE_CHECKING:
    from ase import Atoms

_WHAT = "QCSchema"
_UNITS = "hartree, bohr"
_SCHEMAS = ("qcschema", "qc_schema")


def is_qcschema(content: Any) -> bool:
    """Whether parsed JSON looks like a result of QCSchema, or like several."""
    first = content[0] if isinstance(content, list) and content else content
    return isinstance(first, dict) and str(first.get("schema_name", "")).startswith(_SCHEMAS)


def qcschema_dataset(file: Path, request: Request, content: Any) -> Dataset:
    """Read one result, a list of results, or the trajectory of an optimization.

    The energy is ``properties.return_energy``, or what ``energy_key`` and ``baseline_energy_key`` name among the
    properties; forces are minus the gradient.
    """
    units = units_of_format(file, _WHAT, request.units, _UNITS)
    asked = [key for key in (request.keys.energy, request.keys.baseline_energy) if key is not None]
    with parsing(file, _WHAT):
        results = [frame for item in (content if isinstance(content, list) else [content]) for frame in _frames(item)]
        images = [_atoms(result, units, asked, f"result {i} of {file.name}") for i, result in enumerate(results)]
    return dataset_of(chosen(file, images, request.index), request.keys, file.name)


def _frames(item: dict[str, Any]) -> list[dict[str, Any]]:
    return item.get("trajectory") or [item]


def _atoms(result: dict[str, Any], units: Units, asked: list[str], where: str) -> "Atoms":
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    if result.get("success") is False:
        raise AtomcoreError(f"{where} is of a calculation that failed: {result.get('error')}")
    molecule = result.get("molecule", result)  # a molecule alone has no labels
    if not all(molecule.get("real") or []):
        raise AtomcoreError(f"{where} has ghost atoms, basis functions without a nucleus, which no model knows")
    positions = np.reshape(np.array(molecule["geometry"], np.float64), (-1, 3)) * units.length
    atoms = Atoms(molecule["symbols"], positions)
    driver, properties = result.get("driver"), result.get("properties") or {}
    energy, gradient = properties.get("return_energy"), properties.get("return_gradient")
    if driver == "energy":
        energy = result["return_result"]
    elif driver == "gradient":
        gradient = result["return_result"]
    computed: dict[str, Any] = {} if energy is None else {"energy": float(energy) * units.energy}
    if gradient is not None:
        computed["forces"] = -np.reshape(np.array(gradient, np.float64), (-1, 3)) * units.force
    atoms.calc = SinglePointCalculator(atoms, **computed)
    atoms.info |= {key: float(properties[key]) * units.energy for key in asked if properties.get(key) is not None}
    return atoms
