"""Readers and writers of other codes' files: `sgdml` has those of sGDML and mbGDML."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atomcore.interop import sgdml as sgdml

_MODULES = ("sgdml",)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'atomcore.interop' has no attribute {name!r}")
    return importlib.import_module(f"atomcore.interop.{name}")
