"""From trained models to model files, checked against the engine that will run them, and back.

Names are imported when first used: files of kernel models need no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "export": "networks",
    "load_gdml": "gdml",
    "load_many_body": "many_body",
    "restore": "networks",
    "save_gdml": "gdml",
    "save_kernel_machine": "machines",
    "save_many_body": "many_body",
}
__all__ = [
    "export",
    "load_gdml",
    "load_many_body",
    "restore",
    "save_gdml",
    "save_kernel_machine",
    "save_many_body",
]

if TYPE_CHECKING:
    from atomcore.export.gdml import load_gdml, save_gdml
    from atomcore.export.machines import save_kernel_machine
    from atomcore.export.many_body import load_many_body, save_many_body
    from atomcore.export.networks import export, restore


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'atomcore.export' has no attribute {name!r}")
    return getattr(importlib.import_module(f"atomcore.export.{_NAMES[name]}"), name)
