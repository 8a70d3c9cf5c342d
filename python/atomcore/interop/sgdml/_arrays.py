"""The npz files of sGDML and mbGDML as arrays: which kind a file is, its units, its objects, and how it is written."""

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError
from atomcore._files import replacing
from atomcore.data.readers.archive import read_archive
from atomcore.data.readers.labels import UNITS
from atomcore.data.readers.sgdml import TYPES, declared_units, text, type_of
from atomcore.interop.pickles import read_objects
from atomcore.units import ACCEPTED, Units, parse_units

DIALECTS = ("sgdml", "mbgdml")
_KINDS = "biufSUO"  # of arrays; objects are plain values


def read_arrays(path: str | os.PathLike, kind: str) -> dict[str, Any]:
    """Return all arrays of a file, 0-d objects as what they hold.

    Raises
    ------
    FileNotFoundError
        When there is none.
    AtomcoreError
        When it is damaged, or of another kind than the letter ``kind`` stands for.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"path is {str(path)!r}: there is no such file")
    arrays, names = read_archive(file, objects=read_objects)
    letter = type_of(arrays)
    if letter != kind:
        found = TYPES[letter] if letter else f"none of their files; it has {', '.join(names[:8]) or 'nothing'}"
        raise AtomcoreError(f"{file.name} is no file of sGDML or mbGDML with {TYPES[kind]}, but {found}")
    for key, array in arrays.items():
        if array.dtype.kind not in _KINDS:
            raise AtomcoreError(
                f"array {key!r} of {file.name} has type {array.dtype}; accepted: real numbers and texts"
            )
    return {key: array.item() if array.dtype == object and array.ndim == 0 else array for key, array in arrays.items()}


def needed(path: str | os.PathLike, arrays: Mapping[str, Any], *keys: str) -> None:
    """Raise AtomcoreError unless the keys are there."""
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise AtomcoreError(f"{Path(path).name} has no array {missing[0]!r}; it has {', '.join(map(repr, arrays))}")


def numbers_of(path: str | os.PathLike, arrays: Mapping[str, Any]) -> np.ndarray:
    """Return the atomic numbers [N], which the dialects call z and Z."""
    key = "Z" if "Z" in arrays else "z"
    needed(path, arrays, key)
    return np.asarray(arrays[key]).astype(np.int64)


def factors(path: str | os.PathLike, arrays: Mapping[str, Any], given: str | None) -> Units:
    """Return what turns the numbers of a file into eV and Angstrom.

    Raises
    ------
    ValueError
        When neither the file nor ``given`` says it, or they say different things.
    """
    declared = declared_units(arrays)
    name = Path(path).name
    if declared is None and given is None:
        raise ValueError(f"{UNITS} is missing: {name} does not say its units; accepted: {ACCEPTED}")
    if declared is None:
        return parse_units(str(given))
    try:
        units = parse_units(declared)
    except ValueError as error:
        raise AtomcoreError(f"{name} declares units that are not known: {error}") from error
    if given is not None and parse_units(given) != units:
        raise ValueError(f"{UNITS} is {given!r}, but {name} declares {declared!r}")
    return units


def units_to_write(units: str) -> tuple[Units, str, str]:
    """Return the factors of units, and how a file calls those of energy and length.

    Raises
    ------
    ValueError
        When the units of forces are not those of energies over lengths: a file cannot say so.
    """
    unit, (energy, length) = parse_units(units), (part.strip() for part in units.split(",")[:2])
    if not np.isclose(unit.force, unit.energy / unit.length, rtol=1e-12, atol=0.0):
        raise ValueError(f"units is {units!r}; accepted in these files: forces in {energy}/{length}")
    return unit, energy, length


def texts(values: Any) -> tuple[str, ...]:
    """Return a list of texts, however it is stored."""
    return tuple(text(value) for value in np.atleast_1d(np.asarray(values, dtype=object)))


def optional(arrays: Mapping[str, Any], key: str, convert: Any) -> Any:
    """Return the converted value of a key, None where it is missing or holds nothing."""
    value = arrays.get(key)
    return None if value is None or np.size(value) == 0 else convert(value)


def check_dialect(dialect: str) -> None:
    """Raise ValueError unless ``dialect`` is known."""
    if dialect not in DIALECTS:
        raise ValueError(f"dialect is {dialect!r}; accepted: {', '.join(map(repr, DIALECTS))}")


def write_arrays(path: str | os.PathLike, arrays: Mapping[str, Any]) -> None:
    """Write an npz file, whole or not at all; None and dictionaries become arrays of objects."""
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for key, value in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                if value is None or isinstance(value, dict):
                    header = {"descr": "|O", "fortran_order": False, "shape": ()}
                    np.lib.format.write_array_header_1_0(member, header)
                    member.write(_pickled(value))
                else:
                    np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)


def _pickled(value: Any) -> bytes:
    """Return a 0-d array of an object as every NumPy reads it: NumPy 2 names a module that older ones do not have."""
    holder = np.empty((), object)
    holder[()] = value
    return pickle.dumps(holder, protocol=3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
