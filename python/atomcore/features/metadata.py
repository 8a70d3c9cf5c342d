"""Features from what files keep of them."""

from collections.abc import Mapping
from typing import Any

from atomcore.features.coulomb import CoulombMatrix
from atomcore.features.dscribe import DScribe
from atomcore.features.inverse_distances import InverseDistances
from atomcore.features.symmetry_functions import SymmetryFunctions

_KINDS: dict[str, Any] = {
    "coulomb_matrix": CoulombMatrix,
    "dscribe": DScribe,
    "inverse_distances": InverseDistances,
    "symmetry_functions": SymmetryFunctions,
}


def from_metadata(metadata: Mapping[str, Any]) -> Any:
    """Return the features that ``to_metadata()`` of any of the classes here describes.

    Raises
    ------
    ValueError
        A kind of features that this version does not know.
    """
    kind = metadata["kind"]
    if kind not in _KINDS:
        raise ValueError(f"features of kind {kind!r}; accepted: {', '.join(map(repr, _KINDS))}")
    return _KINDS[kind].from_metadata(metadata)
