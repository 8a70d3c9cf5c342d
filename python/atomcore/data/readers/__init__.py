"""Data sets from files and from objects of other packages."""

from atomcore.data.readers.atoms import from_atoms
from atomcore.data.readers.files import load, load_structure, sample
from atomcore.data.readers.pymatgen import from_pymatgen

__all__ = ["from_atoms", "from_pymatgen", "load", "load_structure", "sample"]
