"""Readers and writers of other codes' files: `sgdml` has those of sGDML and mbGDML, `n2p2` those of n2p2."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atomcore.interop import n2p2 as n2p2
    from atomcore.interop import sgdml as sgdml

_MODULES = ("n2p2", "sgdml")


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'atomcore.interop' has no attribute {name!r}")
    return importlib.import_module(f"atomcore.interop.{name}")
