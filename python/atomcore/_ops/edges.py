"""Neighbour lists and edge vectors as torch operators."""

import numpy as np
import torch

from atomcore import _core
from atomcore._ops.library import FLOATS, array, define, differentiate, ints, threads


def _neighbor_list(pos, cell, pbc, structure_ptr, cutoff):
    n_structures = len(structure_ptr) - 1
    arrays = _core.neighbor_list(
        array("pos", pos, FLOATS, None, 3).astype(np.float64),
        array("cell", cell, FLOATS, n_structures, 3, 3).astype(np.float64),
        array("pbc", pbc, (torch.bool,), n_structures, 3).view(np.uint8),
        ints("structure_ptr", structure_ptr, None),
        cutoff,
        threads(),
    )
    return tuple(torch.from_numpy(part) for part in arrays)


def _neighbor_list_fake(pos, cell, pbc, structure_ptr, cutoff):
    n_edges = torch.library.get_ctx().new_dynamic_size()
    return (
        pos.new_empty(pos.shape[0] + 1, dtype=torch.int64),
        pos.new_empty(n_edges, dtype=torch.int64),
        pos.new_empty((n_edges, 3), dtype=torch.int32),
    )


def _graph(structure_ptr, row_ptr, neighbor, shift) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return (
        ints("structure_ptr", structure_ptr, None),
        ints("row_ptr", row_ptr, None),
        ints("neighbor", neighbor, None),
        array("shift", shift, (torch.int32,), len(neighbor), 3),
    )


def _edge_vectors(pos, cell, structure_ptr, row_ptr, neighbor, shift):
    if cell.dtype != pos.dtype:
        raise TypeError(f"cell has dtype {cell.dtype}; accepted: that of pos, {pos.dtype}")
    positions = array("pos", pos, FLOATS, len(row_ptr) - 1, 3)
    cells = array("cell", cell, FLOATS, len(structure_ptr) - 1, 3, 3)
    return torch.from_numpy(
        _core.edge_vectors(positions, cells, *_graph(structure_ptr, row_ptr, neighbor, shift), threads())
    )


def _edge_scatter(g_D, structure_ptr, row_ptr, neighbor, shift):
    cotangent = array("g_D", g_D, FLOATS, len(neighbor), 3)
    arrays = _core.edge_scatter(cotangent, *_graph(structure_ptr, row_ptr, neighbor, shift), threads())
    return tuple(torch.from_numpy(part) for part in arrays)


def _edge_scatter_fake(g_D, structure_ptr, row_ptr, neighbor, shift):
    return g_D.new_empty((row_ptr.shape[0] - 1, 3)), g_D.new_empty((structure_ptr.shape[0] - 1, 3, 3))


def _save_graph(ctx, inputs, output):
    ctx.save_for_backward(*inputs[-4:])


define(
    "neighbor_list(Tensor pos, Tensor cell, Tensor pbc, Tensor structure_ptr, float cutoff)"
    " -> (Tensor, Tensor, Tensor)",
    _neighbor_list,
    _neighbor_list_fake,
)
define(
    "edge_vectors(Tensor pos, Tensor cell, Tensor structure_ptr, Tensor row_ptr, Tensor neighbor, Tensor shift)"
    " -> Tensor",
    _edge_vectors,
    lambda pos, cell, structure_ptr, row_ptr, neighbor, shift: pos.new_empty((neighbor.shape[0], 3)),
)
define(
    "edge_scatter(Tensor g_D, Tensor structure_ptr, Tensor row_ptr, Tensor neighbor, Tensor shift) -> (Tensor, Tensor)",
    _edge_scatter,
    _edge_scatter_fake,
)
differentiate(
    "edge_vectors",
    (0, 1),
    lambda ctx, g_D: (*torch.ops.atomcore.edge_scatter(g_D, *ctx.saved_tensors), None, None, None, None),
    _save_graph,
)
differentiate(
    "edge_scatter",
    (0,),
    lambda ctx, u_pos, u_cell: (
        torch.ops.atomcore.edge_vectors(u_pos, u_cell, *ctx.saved_tensors),
        None,
        None,
        None,
        None,
    ),
    _save_graph,
)
