"""ANI-1 records in HDF5: groups with species, coordinates and labels of many conformers, in hartree and Angstrom."""

from pathlib import Path
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError
from atomcore.data.dataset import Dataset
from atomcore.data.readers.labels import (
    WITHOUT,
    Request,
    chosen,
    less_baselines,
    parsing,
    refuse_overlooked,
    units_of_format,
)

_WHAT = "ANI records in HDF5"
_UNITS = "hartree, Angstrom"
_ELEMENTS = ("species", "atomic_numbers")
_DEFAULTS = {"energy": "energies", "forces": "forces"}
_PER_ATOM = ("forces", "charges", "baseline_forces")


def read_ani(file: Path, request: Request) -> Dataset:
    """Read all groups, however deep, that have ``coordinates`` (m, n, 3) and ``species`` or ``atomic_numbers``.

    ``energies`` (m,) and ``forces`` (m, n, 3) are the labels, or the arrays whose keys are given: ANI-1x and its
    relatives have one for each level of theory.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f'reading {file.name} needs h5py: pip install "atomcore[data]"') from error

    keys = request.keys
    for label in ("stress", "uncertainty", "baseline_stress"):
        if keys.of(label) not in (None, WITHOUT):
            raise ValueError(f"{label}_key is {keys.of(label)!r}, but {file.name} is read as {_WHAT}, which has none")
    wanted = {label: keys.of(label) or default for label, default in _DEFAULTS.items()}
    wanted |= {name: key for name in ("charges", "baseline_energy", "baseline_forces") if (key := keys.of(name))}
    wanted = {label: key for label, key in wanted.items() if key != WITHOUT}
    with parsing(file, _WHAT), h5py.File(file, "r") as archive:
        groups: dict[str, Any] = {}
        archive.visititems(lambda name, item: groups.update({name: item}) if "coordinates" in _members(item) else None)
        if "coordinates" in archive:
            groups["/"] = archive
        names = sorted({name for group in groups.values() for name in _members(group)})
        records = [_record(group, wanted) for group in groups.values()]
    if not records:
        raise AtomcoreError(f"{file.name} holds no {_WHAT}: no group has 'coordinates'")
    found = {}
    for label, key in wanted.items():
        missing = [name for name, record in zip(groups, records, strict=True) if label not in record]
        if missing and (keys.of(label) is not None or len(missing) < len(records)):
            raise ValueError(
                f"{file.name} has no {key!r} in group {missing[0]!r} ({len(missing)} of {len(records)} have none); "
                f"the groups have {', '.join(map(repr, names))}"
            )
        if missing:
            stem = label[:4]  # as in energies, forces
            refuse_overlooked(file.name, label, [name for name in names if stem in name.lower()])
        else:
            found[label] = np.concatenate([record[label] for record in records])
    return _dataset(file, request, records, found)


def _members(item: Any) -> list[str]:
    return list(item) if hasattr(item, "keys") else []


def _record(group: Any, wanted: dict[str, str]) -> dict[str, np.ndarray]:
    """Return the arrays of a group, those of atoms flattened."""
    from ase.data import atomic_numbers

    coordinates = np.asarray(group["coordinates"], np.float64)
    m, n, _ = coordinates.shape
    element_key = next(name for name in _ELEMENTS if name in group)
    species = np.asarray(group[element_key])
    if species.dtype.kind not in "iu":
        symbols = [symbol.decode() if isinstance(symbol, bytes) else str(symbol) for symbol in species.ravel()]
        species = np.array([atomic_numbers[symbol] for symbol in symbols]).reshape(species.shape)
    record = {
        "sizes": np.full(m, n),
        "numbers": np.broadcast_to(species, (m, n)).ravel(),
        "positions": coordinates.reshape(m * n, 3),
    }
    for label, key in wanted.items():
        if key in group:
            shape = ((m * n,) if label in _PER_ATOM else (m,)) + ((3,) if label.endswith("forces") else ())
            record[label] = np.asarray(group[key], np.float64).reshape(shape)
    return record


def _dataset(file: Path, request: Request, records: list[dict[str, np.ndarray]], found: dict[str, Any]) -> Dataset:
    units = units_of_format(file, _WHAT, request.units, _UNITS)
    for label in found:
        if label != "charges":
            found[label] = found[label] * (units.force if label.endswith("forces") else units.energy)
    labels, baseline = less_baselines(file.name, found, request.keys, "")
    sizes = np.concatenate([record["sizes"] for record in records])
    dataset = Dataset(
        numbers=np.concatenate([record["numbers"] for record in records]),
        positions=np.concatenate([record["positions"] for record in records]) * units.length,
        cells=np.zeros((len(sizes), 3, 3)),
        pbc=np.zeros((len(sizes), 3), bool),
        structure_ptr=np.concatenate([[0], np.cumsum(sizes)]),
        baseline=baseline,
        source=file.name,
        **labels,
    )
    taken = chosen(file, range(len(sizes)), request.index)
    return dataset if len(taken) == len(sizes) and request.index.step is None else dataset.subset(taken)
