"""What both formats of ANI networks have in common: from their constants and layers to a model."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from atomcore._core import AtomcoreError
from atomcore.features import ANI
from atomcore.interop.networks import NetworkModel

CELU, IDENTITY = "celu", "identity"
_ALPHA = 0.1  # of ANI's CELU, alpha celu(x / alpha); atomcore's has alpha = 1
CITATION = "Smith, Isayev and Roitberg, Chem. Sci. 8, 3192 (2017), and the paper of these networks"


def check_hartree(hartree: float, usual: float) -> None:
    """Raise ValueError unless ``hartree`` can be the size of that unit."""
    if not (np.isfinite(hartree) and hartree > 0):
        raise ValueError(f"hartree is {hartree!r}; accepted: its size in eV, such as {usual}")


class Layer(NamedTuple):
    """One layer: weight [out, in], bias [out] and what acts on its outputs."""

    weight: np.ndarray
    bias: np.ndarray
    activation: str


def network_model(
    features: ANI,
    members: Sequence[Mapping[str, Sequence[Layer]]],
    self_energies: Sequence[float],
    hartree: float,
    provenance: Mapping[str, Any],
) -> NetworkModel:
    """Return the model of networks and self energies in hartree; ranges of the features are not known.

    Parameters
    ----------
    features
        In the order that the networks read them.
    members
        Of each member the layers of each element.
    self_energies
        Of each element.
    hartree
        In eV.
    provenance
        Where the networks come from.

    Raises
    ------
    AtomcoreError
        Activations of the members differ: a model file names those of an element once.
    """
    _check_alike(members)
    n, elements = features.n_features, features.elements
    scales = {x: 1 / _ALPHA if members[0][x][0].activation == CELU else 1.0 for x in elements}
    return NetworkModel(
        elements=tuple(elements),
        table=features.table,
        columns={x: np.arange(n) for x in elements},
        mean={x: np.zeros(n) for x in elements},
        scale={x: np.full(n, scales[x]) for x in elements},
        networks=[{x: _folded(member[x], scales[x]) for x in elements} for member in members],
        activations={x: [layer.activation for layer in members[0][x]] for x in elements},
        reference=hartree * np.asarray(self_energies, np.float64),
        energy_scale=np.full(len(elements), hartree),
        provenance={
            **provenance,
            "units": f"hartree of {hartree} eV, Angstrom",
            "hartree_in_eV": hartree,
            "citation": CITATION,
        },
    )


def _check_alike(members: Sequence[Mapping[str, Sequence[Layer]]]) -> None:
    first = members[0]
    for m, member in enumerate(members[1:], start=1):
        for x, layers in member.items():
            own, others = ([layer.activation for layer in of] for of in (layers, first[x]))
            if own != others:
                raise AtomcoreError(
                    f"the networks of {x} differ: the first of the ensemble has the activations {', '.join(others)}, "
                    f"number {m + 1} has {', '.join(own)}; accepted: the same ones in all"
                )


def _folded(layers: Sequence[Layer], scale: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return weights and biases for the CELU with alpha = 1 and inputs that have been multiplied by ``scale``.

    Weights that do not change stay in single precision.
    """
    found, before = [], scale  # what the inputs of a layer have been multiplied by
    for layer in layers:
        after = 1 / _ALPHA if layer.activation == CELU else 1.0
        weight = layer.weight if after == before else layer.weight.astype(np.float64) * (after / before)
        found.append((weight, layer.bias if after == 1 else layer.bias.astype(np.float64) * after))
        before = after
    return found
