"""Atom-centred features of atomic structures.

With r the distance to a neighbour, a and b the distances to two neighbours, q the distance between these, theta the
angle, fc(r) = (1 + cos(pi r / rc)) / 2 and sums over neighbours or unordered pairs of them:

====================  ============================================================================================
type                  value
====================  ============================================================================================
``radial``            exp(-eta (r - s)^2) fc(r)                                                  (Behler's G2)
``narrow``            2^(1-zeta) (1 + lambda cos theta)^zeta exp(-eta [(a-s)^2 + (b-s)^2 + (q-s)^2])
                      fc(a) fc(b) fc(q)                                        (Behler's G4, ML4Chem's "G3")
``wide``              the same without q                                       (Behler's G5, ML4Chem's "G4")
``ani``               2^(1-zeta) (1 + cos(theta' - theta_s))^zeta exp(-eta ((a + b)/2 - s)^2) fc(a) fc(b),
                      theta' = acos(cos_scale cos theta)
====================  ============================================================================================
"""

from atomcore.features.jacobian import Jacobian
from atomcore.features.presets import preset
from atomcore.features.symmetry_functions import ANI, Gaussian, SymmetryFunctions

__all__ = ["ANI", "Gaussian", "Jacobian", "SymmetryFunctions", "preset"]
