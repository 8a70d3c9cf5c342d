"""From a model, data and choices to what training steps need: scaling, reference energies, labels, features."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from atomcore.data import reference_energies
from atomcore.train.batches import Graph
from atomcore.train.cache import make_source
from atomcore.train.losses import ERROR_NAMES, Labels
from atomcore.train.options import Options
from atomcore.train.parallel import Ranks
from atomcore.train.statistics import output_scale, statistics
from atomcore.train.task import Material
from atomcore.train.transfer import adopt, check_transfer

_log = logging.getLogger("atomcore")
_SMALLEST_RATIO = 1e-6  # of uncertainties, whose squares must not fill what single precision holds


def make_material(model: Any, split: Any, options: Options, ranks: Ranks) -> Material:
    """Set the model's scaling and references, and gather what the training steps need.

    Parameters
    ----------
    model : BehlerParrinello or Ensemble
    split : Split
    options : Options
    ranks : Ranks
        Processes that share the memory of this machine.
    """
    data, train = split.dataset, split.indices["train"]
    learned = _learned(model, data, options)
    check_transfer(model, data, options)
    graph = Graph(data, model.features.numbers, model.features.cutoff)
    dtype = getattr(torch, options.precision)
    if options.transfer:
        adopt(model, graph, split, dtype)
    else:
        reference = _references(model, split.train, options)
        size = _size(split, _residual(data, reference[graph.species], model.target), model.target)
        model.prepare(statistics(model.features, graph, train, reference, size), dtype)
    residual = _residual(data, model.energy.reference.numpy()[graph.species], model.target)
    spread = np.unique(np.linspace(0, len(split.train) - 1, 3).astype(int))
    model.examples = [split.train[int(i)] for i in spread]
    with_jacobian = "forces" in learned or "stress" in learned
    first = model.members[0]
    source = make_source(first, graph, dtype, cache=options.cache, with_jacobian=with_jacobian, processes=ranks.size)
    labels = Labels.make(
        graph.n_atoms,
        dtype,
        **{model.target: residual},
        forces=data.forces if "forces" in learned else None,
        stress=data.stress if "stress" in learned else None,
        volume=np.abs(np.linalg.det(data.cells)) if "stress" in learned else None,
        weight=_weight(data, split.indices),
    )
    return Material(graph, source, labels, train, split.indices["valid"])


def _learned(model: Any, data: Any, options: Options) -> set[str]:
    """Which labels of the data are trained on; raise when what the options ask for is not there."""
    if model.target == "charges":
        if data.charges is None:
            raise ValueError("data has no charges to learn from, which is the target of the model")
        _check_criteria({"charges"}, options)
        return {"charges"}
    if data.energy is None:
        raise ValueError("data has no energies to learn from")
    learned = {"energy"}
    if data.forces is not None and options.forces_weight > 0:
        learned.add("forces")
    if options.stress_weight > 0:
        if data.stress is None:
            raise ValueError(f"stress_weight is {options.stress_weight}, but data has no stress; accepted: 0")
        learned.add("stress")
    elif data.stress is not None:
        _log.info("The data has stress, which is not trained on: stress_weight (loss.stress_weight) is 0.")
    if not any(getattr(options, f"{name}_weight") for name in learned):
        raise ValueError("energy_weight is 0, and data has no other labels with a weight; accepted: a weight above 0")
    _check_criteria(learned, options)
    return learned


def _check_criteria(learned: set[str], options: Options) -> None:
    known = {ERROR_NAMES[name] for name in learned}
    for name in options.convergence or ():
        if name not in known:
            raise ValueError(f"convergence has {name}, which is not trained on; accepted: {', '.join(sorted(known))}")


def _weight(data: Any, parts: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Weight of each structure, 1 on average over the training part, from the uncertainties of its labels."""
    if data.uncertainty is None:
        return None
    train, valid = parts["train"], parts["valid"]
    least = data.uncertainty[train].min()
    wrong = valid[data.uncertainty[valid] < least * _SMALLEST_RATIO]
    if wrong.size:
        raise ValueError(
            f"uncertainty of structure {wrong[0]} is {data.uncertainty[wrong[0]]:.3g}, next to which nothing else "
            f"counts in validation; accepted there: {_SMALLEST_RATIO:g} of the smallest in training, {least:.3g}, or "
            "more"
        )
    with np.errstate(over="ignore"):  # in the test part, whose weights nobody asks for
        weight = (least / data.uncertainty) ** 2  # ratios first: the squares of tiny ones are zero
    return weight / weight[train].mean()


def _residual(data: Any, reference: np.ndarray, target: str) -> np.ndarray:
    """Labels minus the reference values of each atom; in double, since total energies are large."""
    if target == "charges":
        return data.charges - reference
    return data.energy - np.add.reduceat(reference, data.structure_ptr[:-1])


def _size(split: Any, residual: np.ndarray, target: str) -> float:
    """Size of the networks' outputs: eV, or e for charges."""
    train = split.indices["train"]
    if target == "charges":
        rows = np.repeat(np.isin(np.arange(len(split.dataset)), train), split.dataset.n_atoms)
        return output_scale(residual[rows], np.ones(1), None)
    return output_scale(residual[train], split.dataset.n_atoms[train], split.train.forces)


def _references(model: Any, train: Any, options: Options) -> np.ndarray:
    """Reference energies in eV, or mean charges in e, in the order of the model's elements."""
    if model.target == "charges":
        if options.reference_energies is not None:
            raise ValueError("reference_energies cannot be given for a model of charges, which has no energies")
        values = [float(train.charges[train.numbers == z].mean()) for z in np.unique(train.numbers)]
    else:
        values = reference_energies(train, options.reference_energies).tolist()
    found = dict(zip(train.elements, values, strict=True))
    return np.array([found.get(x, 0.0) for x in model.elements])
