"""Folders of n2p2: read as networks of symmetry functions, and written from them."""

from atomcore.interop.n2p2.read import read_model
from atomcore.interop.n2p2.write import write_model

__all__ = ["read_model", "write_model"]
