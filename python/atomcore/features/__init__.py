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

`Batch` holds structures as torch tensors for calls of a feature set; only its first use imports torch.
"""

from typing import TYPE_CHECKING, Any

from atomcore.features.jacobian import Jacobian
from atomcore.features.presets import preset
from atomcore.features.symmetry_functions import ANI, Gaussian, SymmetryFunctions

if TYPE_CHECKING:
    from atomcore.features.batch import Batch

__all__ = ["ANI", "Batch", "Gaussian", "Jacobian", "SymmetryFunctions", "preset"]


def __getattr__(name: str) -> Any:
    if name != "Batch":
        raise AttributeError(f"module 'atomcore.features' has no attribute {name!r}")
    from atomcore.features.batch import Batch

    return Batch


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
