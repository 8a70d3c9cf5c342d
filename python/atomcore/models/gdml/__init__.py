"""GDML: energies and forces of one molecule from the covariance of gradients."""

from atomcore.models.gdml.iterative import Iterative
from atomcore.models.gdml.model import GDML
from atomcore.models.gdml.record import GdmlRecord
from atomcore.models.gdml.sampling import stratified_sample
from atomcore.models.gdml.symmetry import Symmetry, find_symmetry

__all__ = ["GDML", "GdmlRecord", "Iterative", "Symmetry", "find_symmetry", "stratified_sample"]
