"""Readers and writers of other codes' files: `sgdml` has those of sGDML and mbGDML."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atomcore.interop import sgdml

__all__ = ["sgdml"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'atomcore.interop' has no attribute {name!r}")
    return importlib.import_module(f"atomcore.interop.{name}")
