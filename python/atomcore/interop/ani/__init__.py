"""ANI networks: folders of NeuroChem and state dicts of TorchANI."""

from atomcore.interop.ani.neurochem import read_neurochem
from atomcore.interop.ani.torchani import read_torchani

__all__ = ["read_neurochem", "read_torchani"]
