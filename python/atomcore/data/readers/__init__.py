"""Data sets from files and from objects of other packages."""

from atomcore.data.readers.atoms import from_atoms
from atomcore.data.readers.files import load, load_structure, sample

__all__ = ["from_atoms", "load", "load_structure", "sample"]
