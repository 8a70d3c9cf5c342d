"""QM7 in its MATLAB file: molecules with atomization energies, in kcal/mol, and positions in bohr."""

from pathlib import Path

import numpy as np

from atomcore.data.dataset import Dataset
from atomcore.data.readers.labels import WITHOUT, Request, chosen, less_baselines, parsing, units_of_format

_WHAT = "QM7"
_UNITS = "kcal/mol, bohr"


def read_qm7(file: Path, request: Request) -> Dataset:
    """Read ``R`` (n, max, 3), ``Z`` (n, max) padded with 0 and ``T`` (1, n), or other arrays of n energies by key."""
    from scipy.io import loadmat

    keys = request.keys
    with parsing(file, _WHAT):
        arrays = {key: value for key, value in loadmat(file).items() if not key.startswith("__")}
    for label in ("forces", "stress", "charges", "uncertainty", "baseline_forces", "baseline_stress"):
        if keys.of(label) not in (None, WITHOUT):
            raise ValueError(
                f"{label}_key is {keys.of(label)!r}, but {file.name} is read as {_WHAT}, which has energies only"
            )
    wanted = {} if keys.energy == WITHOUT else {"energy": keys.energy or "T"}
    wanted |= {"baseline_energy": keys.baseline_energy} if keys.baseline_energy else {}
    for key in ("R", "Z", *wanted.values()):
        if key not in arrays:
            raise ValueError(f"{file.name} has no array {key!r}; it has {', '.join(map(repr, arrays)) or 'none'}")
    units = units_of_format(file, _WHAT, request.units, _UNITS)
    with parsing(file, _WHAT):
        positions, given = arrays["R"].astype(np.float64), arrays["Z"].astype(np.float64)
        numbers = given.astype(np.int64)
        n = len(numbers)
        used = numbers != 0
        if not np.array_equal(numbers, given):
            raise ValueError("Z holds numbers that are not whole")
        if (used[:, 1:] & ~used[:, :-1]).any():
            raise ValueError("Z has zeros before atoms; accepted: behind them, as padding")
        found = {label: arrays[key].astype(np.float64).reshape(n) * units.energy for label, key in wanted.items()}
        flat = positions[used] * units.length
    labels, baseline = less_baselines(file.name, found, keys, "")
    dataset = Dataset(
        numbers=numbers[used],
        positions=flat,
        cells=np.zeros((n, 3, 3)),
        pbc=np.zeros((n, 3), bool),
        structure_ptr=np.concatenate([[0], np.cumsum(used.sum(axis=1))]),
        baseline=baseline,
        source=file.name,
        **labels,
    )
    return dataset.subset(chosen(file, range(n), request.index))
