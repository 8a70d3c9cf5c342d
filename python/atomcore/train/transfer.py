"""Starting from a trained model: what stays, what is fitted to the new data."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from atomcore.data import reference_energies
from atomcore.train.batches import CHUNK, Graph, chunks
from atomcore.train.cache import Recomputed
from atomcore.train.losses import predict_batch
from atomcore.train.options import Options
from atomcore.train.statistics import statistics


def check_transfer(model: Any, data: Any, options: Options) -> None:
    """Raise when ``model`` cannot go on with ``data``, or layers to freeze are not there."""
    if not options.transfer:
        return
    unknown = [x for x in data.elements if x not in model.elements]
    if unknown:
        raise ValueError(
            f"data has {', '.join(unknown)}, which the model to start from does not know; accepted: data of "
            f"{', '.join(model.elements)}, or train a new model"
        )
    if options.reference_energies is not None:
        raise ValueError("reference_energies cannot be given with transfer: those of the model are shifted to the data")
    n_layers = len(model.hidden) + 1
    if any(layer >= n_layers for layer in options.freeze) or len(options.freeze) == n_layers:
        raise ValueError(
            f"freeze is {list(options.freeze)}; accepted: layers from 0 to {n_layers - 1}, at least one left to train"
        )


def adopt(model: Any, graph: Graph, split: Any, dtype: torch.dtype) -> None:
    """Keep weights and scaling of ``model``, widen its feature ranges and shift its reference values to the data.

    The reference energies change by the least-squares solution, an energy for each element, for labels minus
    predictions over the training part; reference charges by the mean of these differences.
    """
    train = split.indices["train"]
    none = np.zeros(graph.n_elements)
    seen = statistics(model.features, graph, train, none, 1.0, partial=True)
    for i, x in enumerate(model.elements):
        scaling = model.scaling[x]
        low = np.minimum(scaling.minimum.numpy(), seen.minimum[i])
        scaling.set_range(low, np.maximum(scaling.maximum.numpy(), seen.maximum[i]))
    for member in model.members:
        member.networks.to(dtype)
        member.grades = {}  # they belong to the weights and the data of the earlier training
    predicted = np.concatenate([_predict(model, graph, part, dtype) for part in chunks(train, CHUNK)])
    shift = _shift(split.train, predicted, model.target)
    reference = model.energy.reference.clone()
    for x, value in zip(split.train.elements, shift, strict=True):
        reference[model.elements.index(x)] += float(value)
    model.energy.reference = reference


def _predict(model: Any, graph: Graph, structures: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """Energies of structures, or charges of their atoms in the order of the data, references included, in double."""
    batch = graph.batch(structures)
    source = Recomputed(model.members[0], graph, dtype)
    reference = model.energy.reference.index_select(0, batch.species.long())
    with torch.no_grad():
        if model.target == "charges":
            charges = torch.stack([member.atomic_energies(source.inputs(batch)) for member in model.members])
            return (charges.double().mean(dim=0) + reference)[torch.argsort(batch.rows)].numpy()
        energies = torch.stack(
            [
                predict_batch(member, source, batch, forces=False, stress=False, differentiable=False).energy
                for member in model.members
            ]
        )
        return energies.double().mean(dim=0).index_add(0, batch.owner, reference).numpy()


def _shift(train: Any, predicted: np.ndarray, target: str) -> np.ndarray:
    """What to add to the reference values, in the order of ``train.elements``."""
    if target == "charges":
        difference = train.charges - predicted
        return np.array([difference[train.numbers == z].mean() for z in np.unique(train.numbers)])
    return reference_energies(replace(train, energy=train.energy - predicted))


def fingerprint(model: Any) -> str:
    """SHA-256 of the weights that training starts from."""
    digest = hashlib.sha256()
    for member in model.members:
        for weight in member.networks.parameters():
            digest.update(weight.detach().double().numpy().tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def frozen(model: Any, layers: tuple[int, ...]) -> Iterator[None]:
    """Keep these layers of all networks as they are."""
    held = [network.layers[i] for member in model.members for network in member.networks.values() for i in layers]
    for layer in held:
        layer.requires_grad_(False)
    try:
        yield
    finally:
        for layer in held:
            layer.requires_grad_(True)
