"""Structures with energies and forces: reading, checking, splitting and saving."""

from atomcore.data.checks import check_consistency
from atomcore.data.dataset import Dataset
from atomcore.data.readers import from_atoms, from_pymatgen, load, sample
from atomcore.data.references import reference_energies
from atomcore.data.split import Split

__all__ = [
    "Dataset",
    "Split",
    "check_consistency",
    "from_atoms",
    "from_pymatgen",
    "load",
    "reference_energies",
    "sample",
]
