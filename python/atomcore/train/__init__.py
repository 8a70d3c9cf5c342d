"""Training: ``fit(model, data)`` for networks; runs, searches and active learning for kernel machines.

Only networks need torch. Names are imported when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atomcore.train.active import active_train
    from atomcore.train.clustering import find_problematic
    from atomcore.train.kernel_fit import KernelReport, fit_kernel_machine
    from atomcore.train.kernel_search import bayesian_search, grid_search
    from atomcore.train.network_fit import fit
    from atomcore.train.options import Options
    from atomcore.train.report import Report
    from atomcore.train.surrogate import Acquisition
    from atomcore.train.task import TrainingError

_HOMES = {
    "Acquisition": "surrogate",
    "KernelReport": "kernel_fit",
    "Options": "options",
    "Report": "report",
    "TrainingError": "task",
    "active_train": "active",
    "bayesian_search": "kernel_search",
    "find_problematic": "clustering",
    "fit": "network_fit",  # no module has the name of a function: importing it would hide the function
    "fit_kernel_machine": "kernel_fit",
    "grid_search": "kernel_search",
}
__all__ = [
    "Acquisition",
    "KernelReport",
    "Options",
    "Report",
    "TrainingError",
    "active_train",
    "bayesian_search",
    "find_problematic",
    "fit",
    "fit_kernel_machine",
    "grid_search",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'atomcore.train' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"atomcore.train.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
