"""Training: ``fit(model, data)`` of networks, which needs torch, and of kernel machines, which does not.

Names are imported when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atomcore.train.network_fit import fit
    from atomcore.train.kernel_fit import KernelReport, fit_kernel_machine
    from atomcore.train.options import Options
    from atomcore.train.report import Report
    from atomcore.train.task import TrainingError

_HOMES = {
    "KernelReport": "atomcore.train.kernel_fit",
    "Options": "atomcore.train.options",
    "Report": "atomcore.train.report",
    "TrainingError": "atomcore.train.task",
    "fit": "atomcore.train.network_fit",
    "fit_kernel_machine": "atomcore.train.kernel_fit",
}
__all__ = ["KernelReport", "Options", "Report", "TrainingError", "fit", "fit_kernel_machine"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'atomcore.train' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
