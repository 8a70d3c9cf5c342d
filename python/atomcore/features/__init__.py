"""Features of atomic structures: symmetry functions centred on atoms, and descriptors of whole molecules.

With r the distance to a neighbour, a and b the distances to two neighbours, q the distance between these, theta the
angle, fc a cutoff function (`atomcore.features.cutoffs`), C a window of the same shape between two limits, and sums
over neighbours or unordered pairs of them:

====================  ============================================================================================
type                  value
====================  ============================================================================================
``radial``            exp(-eta (r - s)^2) fc(r)                                       (Behler's G2; G1 with eta = 0)
``radial_cosine``     cos(kappa r) fc(r)                                                         (Behler's G3)
``narrow``            2^(1-zeta) (1 + lambda cos theta)^zeta exp(-eta [(a-s)^2 + (b-s)^2 + (q-s)^2])
                      fc(a) fc(b) fc(q)                                        (Behler's G4, ML4Chem's "G3")
``wide``              the same without q                                       (Behler's G5, ML4Chem's "G4")
``ani``               2^(1-zeta) (1 + cos(theta' - theta_s))^zeta exp(-eta ((a + b)/2 - s)^2) fc(a) fc(b),
                      theta' = acos(cos_scale cos theta)
``compact_radial``    C(r)
``compact_narrow``    C(theta) C(a) C(b) C(q)
``compact_wide``      C(theta) C(a) C(b)
====================  ============================================================================================

A window C on low < r < cutoff is ``f(|r - m| / w)``, with the middle m and half the width w of the interval and f(x) a
cutoff function; the same holds for theta_low < theta < theta_high, where an asymmetric one is taken as its symmetric
one.

`CoulombMatrix` and `InverseDistances` describe whole molecules for kernels, `DScribe` what that package computes. All
have ``per_atom`` (whether there is a row of features an atom or a structure), ``compute(atoms, jacobian=False)``,
``to_metadata()`` and ``from_metadata()``.

`Batch` holds structures as torch tensors for calls of a feature set; only its first use imports torch.
"""

from typing import TYPE_CHECKING, Any

from atomcore.features.coulomb import CoulombMatrix
from atomcore.features.dscribe import DScribe
from atomcore.features.grids import imbalzano, uniform
from atomcore.features.inverse_distances import InverseDistances
from atomcore.features.jacobian import Jacobian
from atomcore.features.metadata import from_metadata
from atomcore.features.presets import preset
from atomcore.features.selection import select
from atomcore.features.sets import ANI, Compact, Gaussian
from atomcore.features.symmetry_functions import SymmetryFunctions

if TYPE_CHECKING:
    from atomcore.features.batch import Batch

__all__ = [
    "ANI",
    "Batch",
    "Compact",
    "CoulombMatrix",
    "DScribe",
    "Gaussian",
    "InverseDistances",
    "Jacobian",
    "SymmetryFunctions",
    "from_metadata",
    "imbalzano",
    "preset",
    "select",
    "uniform",
]


def __getattr__(name: str) -> Any:
    if name != "Batch":
        raise AttributeError(f"module 'atomcore.features' has no attribute {name!r}")
    from atomcore.features.batch import Batch

    return Batch


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
