"""What the writers of model files share."""

import datetime
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import atomcore
from atomcore import model_file
from atomcore._core import AtomcoreError

Parts = tuple[dict[str, Any], dict[str, np.ndarray]]  # metadata and tensors

_ABSOLUTE, _RELATIVE = 1e-8, 1e-10  # engine against model, both in double; eV and eV/A


def read(path: str | os.PathLike, *kinds: str) -> Parts:
    """Return metadata and tensors of a model file of one of these kinds."""
    metadata, tensors = model_file.read(path)
    if metadata["kind"] not in kinds:
        raise ValueError(
            f"{os.fspath(path)!r} holds a model of kind {metadata['kind']!r}; accepted: {', '.join(kinds)}"
        )
    return metadata, tensors


def metadata_of(kind: str, capability: str, requires: Sequence[str], elements: Sequence[str]) -> dict[str, Any]:
    """Return the metadata that all models of energies have."""
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "requires": list(requires),
        "kind": kind,
        "capability": capability,
        "target": "energy",
        "units": {"length": "Angstrom", "energy": "eV"},
        "elements": list(elements),
        "precision": "float64",
        "provenance": {"atomcore": atomcore.__version__, "created": created},
    }


def symbols_of(numbers: Any) -> list[str]:
    """Return chemical symbols."""
    from ase.data import chemical_symbols

    return [chemical_symbols[number] for number in numbers]


def numbers_of(symbols: Sequence[str]) -> np.ndarray:
    """Return atomic numbers."""
    from ase.data import atomic_numbers

    return np.array([atomic_numbers[symbol] for symbol in symbols], np.int32)


def row_of(values: Mapping[str, Any], suffix: str = "") -> np.ndarray:
    """Return forces and energy, or their spreads, as one row of numbers."""
    return np.append(values[f"forces{suffix}"], values[f"energy{suffix}"])


def check_parity(found: np.ndarray, expected: np.ndarray, what: str, rounding: np.ndarray | float = 0.0) -> None:
    """Raise an AtomcoreError unless engine and model give the same numbers, to the rounding of large terms."""
    excess = np.abs(found - expected) - (_ABSOLUTE + _RELATIVE * np.abs(expected).max() + rounding)
    if not (excess <= 0).all():  # true for NaN
        worst = int(np.argmax(np.nan_to_num(excess, nan=np.inf)))
        raise AtomcoreError(
            f"the model was not saved: engine and {what} disagree, {found[worst]} and {expected[worst]} (eV or eV/A)"
        )
