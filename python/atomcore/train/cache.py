"""Features and their Jacobian for training: kept between epochs when they fit into memory, recomputed otherwise.

Both sources give the same numbers to rounding. Edge vectors never change during training, so G is a leaf of the
automatic derivatives, and the only thing needed of the features is their (constant) Jacobian.
"""

import logging
from typing import Any, Protocol

import numpy as np
import torch

from atomcore._memory import free_memory, size_in_words
from atomcore.train.batches import CHUNK, Graph, MiniBatch, chunks

_log = logging.getLogger("atomcore")
_SAMPLE = 32  # structures that the size of the Jacobian is judged by


class Source(Protocol):
    """Where a training step gets network inputs and the features' Jacobian from."""

    def inputs(self, batch: MiniBatch) -> list[torch.Tensor]:
        """Scaled network inputs of the batch [M_X, n_columns_X], one tensor an element."""

    def vjp(self, batch: MiniBatch, g: torch.Tensor) -> torch.Tensor:
        """Edge gradients [P, 3] from feature gradients ``g`` [M, K], differentiable in ``g``."""

    def edge_vectors(self, batch: MiniBatch) -> torch.Tensor:
        """Edge vectors [P, 3] in Angstrom, in training precision."""


class FeaturePlan:
    """Arrays of a feature plan as tensors, and the operators on a batch."""

    def __init__(self, features: Any) -> None:
        self.table, self.parameters = (torch.as_tensor(array) for array in features.plan)
        self.n_features: int = features.n_features

    def features(self, batch: MiniBatch, D: torch.Tensor) -> torch.Tensor:
        """G [M, K] of a batch."""
        return torch.ops.atomcore.features(
            self.table, self.parameters, self.n_features, batch.species, batch.row_ptr, batch.neighbor, D
        )


class Recomputed:
    """Features and vector-Jacobian products evaluated anew for each batch."""

    def __init__(self, model: Any, graph: Graph, dtype: torch.dtype) -> None:
        self._model, self._plan = model, FeaturePlan(model.features)
        self._graph, self._dtype = graph, dtype

    def inputs(self, batch: MiniBatch) -> list[torch.Tensor]:
        """See `Source`. Scaled in double: features that vary little beside their mean keep their digits."""
        G = self._plan.features(batch, self._graph.D[batch.edges])
        groups = zip(self._model.elements, G.split(batch.counts), strict=True)
        return [self._model.scaling[x](group).to(self._dtype) for x, group in groups]

    def edge_vectors(self, batch: MiniBatch) -> torch.Tensor:
        """See `Source`."""
        return self._graph.D[batch.edges].to(self._dtype)

    def vjp(self, batch: MiniBatch, g: torch.Tensor) -> torch.Tensor:
        """See `Source`."""
        D, plan = self.edge_vectors(batch), self._plan
        return torch.ops.atomcore.features_vjp(
            plan.table, plan.parameters, plan.n_features, batch.species, batch.row_ptr, batch.neighbor, D, g
        )


class Stored:
    """Network inputs and the Jacobian of the whole data set in memory: a batch is slices and dense algebra."""

    def __init__(self, model: Any, graph: Graph, dtype: torch.dtype, *, with_jacobian: bool) -> None:
        self._graph, self._dtype = graph, dtype
        self._slot = torch.empty(len(graph.species), dtype=torch.int64)
        self._inputs = []
        for i, x in enumerate(model.elements):
            rows = torch.from_numpy(np.flatnonzero(graph.species == i))
            self._slot[rows] = torch.arange(len(rows))
            self._inputs.append(torch.empty((len(rows), len(model.scaling[x].columns)), dtype=dtype))
        fresh = Recomputed(model, graph, dtype)
        for structures in chunks(np.arange(len(graph.n_atoms)), CHUNK):
            batch = graph.batch(structures)
            slots = self._slot[batch.rows].split(batch.counts)
            for kept, slot, values in zip(self._inputs, slots, fresh.inputs(batch), strict=True):
                kept[slot] = values
        if not with_jacobian:
            return
        plan = FeaturePlan(model.features)
        row_ptr, neighbor = torch.from_numpy(graph.row_ptr), torch.from_numpy(graph.neighbor)
        self._plan = (plan.table, plan.parameters, plan.n_features)
        values, edge_class, row_offset = torch.ops.atomcore.features_jacobian(
            *self._plan, torch.from_numpy(graph.species), row_ptr, neighbor, graph.D.to(dtype)
        )
        self._jacobian = (row_ptr, edge_class, row_offset, values)

    def inputs(self, batch: MiniBatch) -> list[torch.Tensor]:
        """See `Source`."""
        slots = self._slot[batch.rows].split(batch.counts)
        return [kept.index_select(0, slot) for kept, slot in zip(self._inputs, slots, strict=True)]

    def edge_vectors(self, batch: MiniBatch) -> torch.Tensor:
        """See `Source`."""
        return self._graph.D[batch.edges].to(self._dtype)

    def vjp(self, batch: MiniBatch, g: torch.Tensor) -> torch.Tensor:
        """See `Source`."""
        n_edges = len(batch.neighbor)
        return torch.ops.atomcore.jacobian_vjp(*self._plan, n_edges, *self._jacobian, batch.rows, g)


def make_source(
    model: Any, graph: Graph, dtype: torch.dtype, *, cache: bool | None, with_jacobian: bool, processes: int = 1
) -> Source:
    """Choose between keeping and recomputing, and say so with the size.

    Parameters
    ----------
    model : BehlerParrinello
        Prepared: its scaling says which inputs to keep.
    graph : Graph
    dtype : torch.dtype
        Training precision.
    cache : bool, optional
        Force one or the other; by default keep what takes at most half of the free memory.
    with_jacobian : bool
        False when only energies are trained on.
    processes : int
        Which share the memory.
    """
    size = _stored_bytes(model, graph, dtype, with_jacobian=with_jacobian)
    free = free_memory() / processes
    what = "features and their Jacobian" if with_jacobian else "features"
    if cache is None:
        cache = size <= free / 2
    if not cache:
        _log.info(
            "Recomputing %s for each batch: kept between epochs they would take about %s, of %s free memory.",
            what, size_in_words(size), size_in_words(free),
        )  # fmt: skip
        return Recomputed(model, graph, dtype)
    _log.info("Keeping %s between epochs: about %s, of %s free memory.", what, size_in_words(size), size_in_words(free))
    return Stored(model, graph, dtype, with_jacobian=with_jacobian)


def _stored_bytes(model: Any, graph: Graph, dtype: torch.dtype, *, with_jacobian: bool) -> float:
    """Bytes that `Stored` takes; the filling of the Jacobian is judged by structures spread over the data set."""
    columns = [len(model.scaling[x].columns) for x in model.elements]
    n_values = float(np.bincount(graph.species, minlength=graph.n_elements) @ columns)
    if with_jacobian:
        n_structures = len(graph.n_atoms)
        batch = graph.batch(np.unique(np.linspace(0, n_structures - 1, min(n_structures, _SAMPLE)).astype(np.int64)))
        plan = FeaturePlan(model.features)
        values, *_ = torch.ops.atomcore.features_jacobian(
            plan.table, plan.parameters, plan.n_features, batch.species, batch.row_ptr, batch.neighbor,
            graph.D[batch.edges],
        )  # fmt: skip
        n_values += values.numel() * len(graph.neighbor) / max(len(batch.neighbor), 1)
    return n_values * dtype.itemsize
