"""A data set as a table with a row a structure."""

from typing import TYPE_CHECKING

import numpy as np

from atomcore.data.dataset import Dataset
from atomcore.data.references import compositions
from atomcore.units import stress_factors

if TYPE_CHECKING:
    import pandas


def as_table(dataset: Dataset) -> "pandas.DataFrame":
    """Return the table that :meth:`Dataset.to_pandas` describes."""
    import pandas

    periodic = dataset.pbc.all(axis=1)
    columns: dict[str, np.ndarray] = {
        "formula": _formulas(dataset),
        "n_atoms": dataset.n_atoms,
        "volume": np.where(periodic, np.abs(np.linalg.det(dataset.cells)), np.nan),
    }
    if dataset.energy is not None:
        columns |= {"energy": dataset.energy, "energy_per_atom": dataset.energy / dataset.n_atoms}
    starts = dataset.structure_ptr[:-1]
    if dataset.forces is not None:
        lengths = np.linalg.norm(dataset.forces, axis=1)
        columns["max_force"] = np.maximum.reduceat(lengths, starts) if len(dataset) else lengths
    if dataset.stress is not None:
        columns["pressure"] = -dataset.stress[:, :3].mean(axis=1) / stress_factors()["GPa"]
    if dataset.charges is not None:
        columns["charge"] = np.add.reduceat(dataset.charges, starts) if len(dataset) else dataset.charges
    if dataset.uncertainty is not None:
        columns["uncertainty"] = dataset.uncertainty
    return pandas.DataFrame(columns, index=pandas.RangeIndex(len(dataset), name="structure"))


def _formulas(dataset: Dataset) -> np.ndarray:
    from ase.formula import Formula

    counts, which = np.unique(compositions(dataset).astype(np.int64), axis=0, return_inverse=True)
    formulas = [
        format(Formula.from_dict({s: n for s, n in zip(dataset.elements, row, strict=True) if n}), "hill")
        for row in counts.tolist()
    ]
    return np.array(formulas, dtype=object)[which.reshape(-1)]
