"""Structures with energies and forces: reading, checking, splitting and saving."""

from atomcore.data.checks import check_consistency
from atomcore.data.clusters import Clusters, Criterion, cut_clusters, find_sets, pack_box
from atomcore.data.dataset import Dataset
from atomcore.data.entities import Components, Entities
from atomcore.data.many_body import add_lower_orders, decompose, remove_lower_orders
from atomcore.data.readers import from_atoms, from_pymatgen, load, sample
from atomcore.data.references import reference_energies
from atomcore.data.split import Split

__all__ = [
    "Clusters",
    "Components",
    "Criterion",
    "Dataset",
    "Entities",
    "Split",
    "add_lower_orders",
    "check_consistency",
    "cut_clusters",
    "decompose",
    "find_sets",
    "from_atoms",
    "from_pymatgen",
    "load",
    "pack_box",
    "reference_energies",
    "remove_lower_orders",
    "sample",
]
