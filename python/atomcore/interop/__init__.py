"""Models of other codes, read and written: `convert.convert` does it, the others have the parts for each code."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atomcore.interop import ani as ani
    from atomcore.interop import convert as convert
    from atomcore.interop import n2p2 as n2p2
    from atomcore.interop import sgdml as sgdml

_MODULES = ("ani", "convert", "n2p2", "sgdml")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"atomcore.interop.{name}")
    raise AttributeError(f"module 'atomcore.interop' has no attribute {name!r}")
