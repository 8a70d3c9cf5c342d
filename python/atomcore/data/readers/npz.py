"""Data sets from npz files, whose units are declared."""

from pathlib import Path

import numpy as np

from atomcore._arrays import as_booleans, as_float64, as_integers
from atomcore.data.dataset import LABELS, Dataset
from atomcore.data.readers import sgdml
from atomcore.data.readers.archive import read_archive
from atomcore.data.readers.labels import (
    BASELINES,
    UNITS,
    WITHOUT,
    Keys,
    Request,
    advising,
    as_stress,
    less_baselines,
    mention_stress,
    refuse_overlooked,
)
from atomcore.units import ACCEPTED, Units, parse_units

_KEYS = ("Z", "R", "N", "cell", "pbc", "units", "baseline")


def read_npz(file: Path, request: Request) -> Dataset:
    """Read the arrays that :func:`atomcore.data.load` describes."""
    keys = request.keys
    wanted = {label: keys.of(label) or LABELS[label].npz for label in LABELS}
    wanted |= {name: key for name in BASELINES if (key := keys.of(name)) is not None}
    arrays, names = read_archive(file, {*_KEYS, *sgdml.KEYS, *wanted.values()})
    arrays = sgdml.as_plain_arrays(file.name, arrays, names)
    for label, stem in (("energy", "energ"), ("forces", "forc")):
        if keys.of(label) is None and wanted[label] not in arrays:
            refuse_overlooked(file.name, label, [other for other in names if stem in other.lower()])
    asked = [key for name in wanted if (key := keys.of(name)) is not None and key != WITHOUT]
    for key in ("Z", "R", *asked):
        if key not in arrays:
            raise ValueError(f"{file.name} has no array {key!r}; it has {', '.join(map(repr, names)) or 'none'}")
    factors = _npz_units(file, arrays.get("units"), request.units)
    positions = as_float64("R", arrays["R"], ("n", "n_atoms", 3))
    n, width = positions.shape[:2]
    if n == 0:
        raise ValueError(f"{file.name} holds no structures: R has shape {positions.shape}")
    numbers, used = _npz_numbers(arrays["Z"], arrays.get("N"), n, width)
    cells, pbc = _npz_cells(arrays, n)
    if keys.stress is None and not pbc.all(axis=1).any():
        arrays.pop("stress", None)  # zeros that some writers put beside molecules
    if "stress" not in arrays and keys.stress is None and pbc.all():
        mention_stress(file.name, names)
    found = {
        label: _label(label, key, arrays[key], used, factors, keys) for label, key in wanted.items() if key in arrays
    }
    labels, baseline = less_baselines(file.name, found, keys, _baseline(arrays.get("baseline")))
    dataset = Dataset(
        numbers=numbers[used],
        positions=positions[used] * factors.length,
        cells=cells * factors.length,
        pbc=pbc,
        structure_ptr=np.concatenate([[0], np.cumsum(used.sum(axis=1))]),
        baseline=baseline,
        source=file.name,
        **labels,
    )
    chosen = np.arange(n)[request.index]
    if chosen.size == 0:
        raise ValueError(f"index {request.index} takes none of the {n} structures of {file.name}")
    return dataset if chosen.size == n and request.index.step is None else dataset.subset(chosen)


def _label(name: str, key: str, values: np.ndarray, used: np.ndarray, factors: Units, keys: Keys) -> np.ndarray:
    """Return a label, or a baseline of one, in the units and the order of a data set; ``used`` [n, width] are atoms."""
    kind = name.removeprefix("baseline_")
    label, factor = LABELS[kind], {"energy": factors.energy, "forces": factors.force}.get(kind, 1.0)
    with advising(kind):
        if kind == "stress":
            return as_stress(key, values, len(used), keys.stress_convention, factors.stress)
        rows = as_float64(key, values, (*used.shape[: 1 + label.per_atom], *label.shape))
    return (rows[used] if label.per_atom else rows) * factor


def _baseline(name: np.ndarray | None) -> str:
    """Return what the labels are differences to, as :meth:`Dataset.save` writes it; numbers are somebody else's."""
    return str(name) if name is not None and name.ndim == 0 and name.dtype.kind == "U" else ""


def _npz_units(file: Path, declared: np.ndarray | None, given: str | None) -> Units:
    if declared is not None:
        text = str(declared)
        if given is not None and parse_units(given) != parse_units(text):
            raise ValueError(f"{UNITS} is {given!r}, but {file.name} declares {text!r}")
        return parse_units(text)
    if given is None:
        raise ValueError(f"{UNITS} is missing: {file.name} does not say its units; accepted: {ACCEPTED}")
    return parse_units(given)


def _npz_numbers(z: np.ndarray, counts: np.ndarray | None, n: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return atomic numbers [n, width] and which of them are atoms and not padding."""
    if z.ndim == 1:
        numbers = np.broadcast_to(as_integers("Z", z, (width,)), (n, width))
        n_atoms = np.full(n, width)
    else:
        numbers = as_integers("Z", z, (n, width))
        # Padding stands at the end of a row; a zero before an atom stays an atom and is refused by Dataset.
        n_atoms = np.where(numbers.any(axis=1), width - np.argmax(numbers[:, ::-1] != 0, axis=1), 0)
    if counts is not None:
        declared = as_integers("N", counts, (n,))
        wrong = np.flatnonzero(declared != n_atoms)
        if wrong.size:
            i = wrong[0]
            raise ValueError(f"N is {declared[i]} for structure {i}, but Z has {n_atoms[i]} atoms there")
    return numbers, np.arange(width) < n_atoms[:, None]


def _npz_cells(arrays: dict[str, np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cells [n, 3, 3] and pbc [n, 3]; both keys or neither must be there."""
    if "cell" not in arrays and "pbc" not in arrays:
        return np.zeros((n, 3, 3)), np.zeros((n, 3), bool)
    for key, other in (("cell", "pbc"), ("pbc", "cell")):
        if key not in arrays:
            raise ValueError(f"array {key!r} is missing, though {other!r} is there: periodicity needs both")
    cell, pbc = arrays["cell"], arrays["pbc"]
    cells = as_float64("cell", cell, (3, 3) if cell.ndim == 2 else (n, 3, 3))
    flags = as_booleans("pbc", pbc, (3,) if pbc.ndim == 1 else (n, 3))
    return np.broadcast_to(cells, (n, 3, 3)), np.broadcast_to(flags, (n, 3))
