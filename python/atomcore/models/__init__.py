"""Models, one class each: networks, trained by ``atomcore.train.fit``, and kernel machines, which have ``fit``.

Only networks need torch. Names are imported when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atomcore.models.bpnn import BehlerParrinello
    from atomcore.models.ensemble import Ensemble
    from atomcore.models.gdml import GDML
    from atomcore.models.gpr import GaussianProcess
    from atomcore.models.krr import KernelRidge
    from atomcore.models.many_body import ManyBody, Term

_HOMES = {
    "BehlerParrinello": "atomcore.models.bpnn",
    "Ensemble": "atomcore.models.ensemble",
    "GDML": "atomcore.models.gdml",
    "GaussianProcess": "atomcore.models.gpr",
    "KernelRidge": "atomcore.models.krr",
    "ManyBody": "atomcore.models.many_body",
    "Term": "atomcore.models.many_body",
}
__all__ = ["GDML", "BehlerParrinello", "Ensemble", "GaussianProcess", "KernelRidge", "ManyBody", "Term"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'atomcore.models' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
