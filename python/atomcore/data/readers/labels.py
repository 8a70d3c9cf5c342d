"""Which labels are read, under which names, and what is done with them before they are a data set's."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from atomcore._arrays import as_float64
from atomcore._core import AtomcoreError
from atomcore._voigt import VASP_ORDER, VOIGT
from atomcore.units import Units, parse_units, stress_factors

_log = logging.getLogger("atomcore")
_T = TypeVar("_T")
UNITS = "data.units (units=... in Python, --units of commands)"
WITHOUT = "none"  # as a key: do without this label
BASELINES = ("baseline_energy", "baseline_forces", "baseline_stress")
_CONVENTIONS = ("ase", "vasp")
# Asymmetry of a stress tensor, in units of its largest component, up to which it is taken for rounding.
_ASYMMETRY = 1e-3


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Names of labels in a file, None for the usual ones: the ``..._key`` arguments of :func:`atomcore.data.load`."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    charges: str | None = None
    uncertainty: str | None = None
    baseline_energy: str | None = None
    baseline_forces: str | None = None
    baseline_stress: str | None = None
    stress_convention: str = "ase"

    def __post_init__(self) -> None:
        if self.stress_convention not in _CONVENTIONS:
            raise ValueError(f"stress_convention is {self.stress_convention!r}; accepted: 'ase', 'vasp'")

    def of(self, name: str) -> str | None:
        """Return the key that was given for a label or a baseline."""
        return getattr(self, name)


NO_LABELS = Keys(energy=WITHOUT, forces=WITHOUT, stress=WITHOUT, charges=WITHOUT, uncertainty=WITHOUT)


@dataclass(frozen=True)
class Request:
    """What a reader is asked for: units where the file does not say them, names of labels, and which structures."""

    units: str | None
    keys: Keys
    index: slice


@contextmanager
def parsing(file: Path, what: str) -> Iterator[None]:
    """Turn whatever a parser runs into on a damaged file into an AtomcoreError."""
    try:
        yield
    except (AtomcoreError, ModuleNotFoundError):
        raise
    except Exception as error:
        raise AtomcoreError(f"{file.name} is damaged or no {what}: {type(error).__name__}: {error}") from error


@contextmanager
def advising(label: str) -> Iterator[None]:
    """Add to an error about a label that one can do without it: its usual name may stand for something else."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}; do without by {label}_key={WITHOUT!r}") from None


def units_of_format(file: Path, what: str, given: str | None, fixed: str) -> Units:
    """Return the units that a format always has, and say so; raise where others were given."""
    if given is not None and parse_units(given) != parse_units(fixed):
        raise ValueError(
            f"{UNITS} is {given!r}, but {file.name} is read as {what}, in {fixed}; accepted: that, or nothing"
        )
    _log.info("%s: read as %s, converted from %s to eV, Angstrom", file.name, what, fixed)
    return parse_units(fixed)


def chosen(file: Path, rows: Sequence[_T], index: slice) -> Sequence[_T]:
    """Return the structures that are asked for, at least one."""
    taken = rows[index]
    if not taken:
        raise ValueError(f"index {index} takes none of the {len(rows)} structures of {file.name}")
    return taken


def as_stress(name: str, values: Any, n: int, convention: str, factor: float) -> np.ndarray:
    """Return stress in ASE's sign and order and in eV/Angstrom^3.

    Parameters
    ----------
    name : str
        For messages.
    values : array_like, shape (n, 6) or (n, 3, 3)
        Six components are in the order of the convention.
    n : int
        Number of structures.
    convention : {"ase", "vasp"}
        "ase": xx, yy, zz, yz, xz, xy, tension positive. "vasp": xx, yy, zz, xy, yz, xz, kbar, compression positive.
    factor : float
        Turns the numbers of convention "ase" into eV/Angstrom^3.

    Returns
    -------
    ndarray of float64, shape (n, 6)
    """
    values = np.asarray(values)
    if values.ndim == 3:
        tensors = as_float64(name, values, (n, 3, 3))
        asymmetry = np.abs(tensors - tensors.swapaxes(1, 2)).max(axis=(1, 2), initial=0.0)
        wrong = np.flatnonzero(asymmetry > _ASYMMETRY * np.abs(tensors).max(axis=(1, 2), initial=0.0))
        if wrong.size:
            raise ValueError(f"{name} of structure {wrong[0]} is not symmetric: {tensors[wrong[0]].tolist()}")
        tensors = 0.5 * (tensors + tensors.swapaxes(1, 2))
        six = tensors[:, *VOIGT]
    else:
        six = as_float64(name, values, (n, 6))
        if convention == "vasp":
            six = six[:, VASP_ORDER]
    return six * (-stress_factors()["kbar"] if convention == "vasp" else factor)


def less_baselines(
    source: str, found: Mapping[str, np.ndarray | None], keys: Keys, baseline: str
) -> tuple[dict[str, Any], str]:
    """Return the labels as differences to the baselines that were named, and the name of the baseline.

    Parameters
    ----------
    source : str
        Name that messages use.
    found : mapping
        Labels and, under ``baseline_energy`` and so on, what is subtracted from them.
    keys : Keys
        What was asked for.
    baseline : str
        What the file says its labels are differences to.

    Raises
    ------
    ValueError
        When a label would stay as it is beside others that are differences.
    """
    labels = {name: values for name, values in found.items() if values is not None and name not in BASELINES}
    if keys.stress_convention != "ase" and "stress" not in labels:
        raise ValueError(
            f"{source or 'images'}: stress_convention is {keys.stress_convention!r}, but no stress was read; name it "
            "by stress_key"
        )
    given = [name for name in BASELINES if keys.of(name) is not None]
    if not given:
        return labels, baseline
    if baseline:
        raise ValueError(f"{source or 'images'}: {given[0]}_key is given, but the labels are differences to {baseline}")
    for name in BASELINES:
        label = name.removeprefix("baseline_")
        if name in given and label not in labels:
            raise ValueError(
                f"{source or 'images'}: {name}_key is {keys.of(name)!r}, but there is no {label} to subtract from"
            )
        if name not in given and label in labels:
            raise ValueError(
                f"{source or 'images'}: {given[0]}_key is given, but {label} would stay total: name what is subtracted "
                f"by {name}_key, or do without {label} by {label}_key={WITHOUT!r}"
            )
        if name in given:
            labels[label] = labels[label] - found[name]
    return labels, str(keys.of(given[0]))


def refuse_overlooked(source: str, label: str, candidates: Iterable[str]) -> None:
    """Raise where labels seem to have another name: a model would silently be trained or judged without them."""
    there = ", ".join(map(repr, candidates))
    if there:
        raise ValueError(
            f"{source or 'images'}: no {label} found, but {there}: name it by {label}_key, or do without {label} by "
            f"{label}_key={WITHOUT!r}"
        )


def mention_stress(source: str, names: Iterable[str]) -> None:
    """Say where stress seems to have another of these names; few models are trained on it, so this is no error."""
    there = ", ".join(repr(name) for name in names if any(word in name.lower() for word in ("stress", "virial")))
    if there:
        _log.info("%s: no stress read, but there is %s: name it by stress_key to use it", source or "images", there)
