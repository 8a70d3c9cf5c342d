"""Several potentials on the same symmetry functions as the members of one."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from atomcore._core import AtomcoreError
from atomcore.interop.networks import Layer, NetworkModel


def committee(members: Sequence[NetworkModel], names: Sequence[str]) -> NetworkModel:
    """Return one model of models with one member each.

    Members that were trained on different data scale features and energies each in their own way: what differs from the
    first one goes into their first and last layers. Ranges are those that all members have seen.

    Raises
    ------
    AtomcoreError
        Members differ in elements, functions or activations, or in energies that their last layer cannot take in.
    """
    first = members[0]
    networks = [first.networks[0]]
    for member, name in zip(members[1:], names[1:], strict=True):
        _check_alike(first, member, f"{name} and {names[0]}")
        own = {x: list(layers) for x, layers in member.networks[0].items()}
        for i, x in enumerate(first.elements):
            with np.errstate(all="ignore"):  # what becomes infinite is refused
                own[x][0] = _with_inputs_of(first, member, x)
                own[x][-1] = _with_energies_of(first, member, i, own[x][-1], name)
            if not all(np.isfinite(part).all() for layer in (own[x][0], own[x][-1]) for part in layer):
                raise AtomcoreError(f"{name} and {names[0]} scale features of {x} too differently for one model")
        networks.append(own)
    return replace(
        first,
        networks=networks,
        minimum={x: np.max([m.minimum[x] for m in members if m.minimum], axis=0) for x in first.elements},
        maximum={x: np.min([m.maximum[x] for m in members if m.maximum], axis=0) for x in first.elements},
    )


def _check_alike(first: NetworkModel, member: NetworkModel, who: str) -> None:
    alike = {
        "elements": tuple(first.elements) == tuple(member.elements),
        "symmetry functions": first.table == member.table
        and all(np.array_equal(first.columns[x], member.columns[x]) for x in first.elements if x in member.columns),
        "activations": first.activations == member.activations,
    }
    for what, same in alike.items():
        if not same:
            raise AtomcoreError(f"{who} have different {what}; accepted: members of a committee with the same ones")


def _with_inputs_of(first: NetworkModel, member: NetworkModel, x: str) -> Layer:
    weight, bias = member.networks[0][x][0]
    shift = (first.mean[x] - member.mean[x]) * member.scale[x]
    return weight * (member.scale[x] / first.scale[x]), bias + weight @ shift


def _with_energies_of(first: NetworkModel, member: NetworkModel, i: int, layer: Layer, name: str) -> Layer:
    factor = member.energy_scale[i] / first.energy_scale[i]
    offset = (member.reference[i] - first.reference[i]) / first.energy_scale[i]
    x = first.elements[i]
    if (factor, offset) != (1.0, 0.0) and first.activations[x][-1] != "identity":
        raise AtomcoreError(
            f"{name} has another atom_energy, mean_energy or conv_energy than the first member, which the output of "
            f"{x}, not being linear, cannot take in; accepted: the same ones"
        )
    return layer[0] * factor, layer[1] * factor + offset
