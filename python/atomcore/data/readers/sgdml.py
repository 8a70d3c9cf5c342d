"""Data sets of sGDML and mbGDML: npz files of a molecule in many geometries, with units and fingerprints of their own.

Keys and conventions are those of sGDML 1.0 (Chmiela et al., Comput. Phys. Commun. 240, 38 (2019)) and of mbGDML 0.1
(Maldonado et al., Digital Discovery 2, 871 (2023)).
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence

import numpy as np

from atomcore.units import parse_units

_log = logging.getLogger("atomcore")
UNKNOWN_UNIT = "n/a"
TYPES = {"d": "a data set", "t": "a training task", "m": "a model", "p": "a set of predictions"}
KEYS = ("type", "z", "r_unit", "e_unit", "lattice", "md5")
# What the fingerprints are taken of, in their order.
_SGDML_ORDER = ("z", "R", "E", "F")
_MBGDML_ORDER = ("E", "F", "R", "Z")


def type_of(arrays: Mapping[str, np.ndarray]) -> str | None:
    """Return the letter under ``type`` that says what a file of sGDML or mbGDML holds, None where there is none."""
    letter = text(arrays["type"]) if "type" in arrays else None
    return letter if letter in TYPES else None


def text(value: np.ndarray) -> str:
    """Return a stored text, which old files hold as bytes."""
    item = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return item.decode() if isinstance(item, bytes) else str(item)


def declared_units(arrays: Mapping[str, np.ndarray]) -> str | None:
    """Return the units that a file declares under ``r_unit`` and ``e_unit``, None unless it does both."""
    given = [text(arrays[key]).strip() if key in arrays else UNKNOWN_UNIT for key in ("e_unit", "r_unit")]
    return None if UNKNOWN_UNIT in given or "" in given else ", ".join(given)


def fingerprints(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return the fingerprints that sGDML and mbGDML make of a data set.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        The arrays of the file as they are stored: ``z`` or ``Z``, ``R``, ``F`` and, where it is there, ``E``.

    Returns
    -------
    dict of str to str
        By dialect, ``"sgdml"`` and ``"mbgdml"``: the MD5 of the MD5 of each array, in different orders. They depend on
        the types of the arrays.
    """
    numbers = arrays["Z"] if "Z" in arrays else arrays["z"]
    held = {**arrays, "z": numbers, "Z": numbers}
    return {
        dialect: hashlib.md5(
            b"".join(hashlib.md5(np.ascontiguousarray(held[key]).tobytes()).digest() for key in order if key in held),
            usedforsecurity=False,
        ).hexdigest()
        for dialect, order in (("sgdml", _SGDML_ORDER), ("mbgdml", _MBGDML_ORDER))
    }


def as_plain_arrays(file_name: str, arrays: dict[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the arrays of a data set of sGDML or mbGDML under the names and in the shapes of our own npz files.

    Parameters
    ----------
    file_name : str
        For messages.
    arrays : dict of str to ndarray
        Those that were read. They are changed.
    names : sequence of str
        Of all arrays of the file.

    Raises
    ------
    ValueError
        When the file is one of theirs, but no data set.
    """
    letter = type_of(arrays)
    if letter not in (None, "d"):
        raise ValueError(
            f"{file_name} is {TYPES[str(letter)]} of sGDML or mbGDML; accepted: their data sets "
            "(atomcore.interop.sgdml reads the others)"
        )
    theirs = letter == "d" or ("z" in arrays and "Z" not in arrays)
    if not theirs:
        return arrays
    if "z" in arrays and "Z" not in arrays:
        arrays["Z"] = arrays.pop("z")
    if "E" in arrays and arrays["E"].ndim == 2 and arrays["E"].shape[1] == 1:
        arrays["E"] = arrays["E"][:, 0]
    if {"Z", "R", "F", "md5"} <= arrays.keys() and ("E" in arrays or "E" not in names):
        _check_fingerprint(file_name, arrays)
    if "units" not in arrays and (units := declared_units(arrays)) is not None:
        parse_units(units)
        arrays["units"] = np.array(units)
    if "lattice" in arrays and "cell" not in arrays:
        arrays |= {"cell": np.asarray(arrays["lattice"]).T, "pbc": np.ones(3, bool)}  # they keep vectors as columns
    return arrays


def _check_fingerprint(file_name: str, arrays: Mapping[str, np.ndarray]) -> None:
    made = fingerprints(arrays)
    if text(arrays["md5"]) not in made.values():
        _log.warning(
            "%s: its fingerprint is %s, but its arrays have %s (sGDML) and %s (mbGDML): they were changed afterwards",
            file_name,
            text(arrays["md5"]),
            made["sgdml"],
            made["mbgdml"],
        )
