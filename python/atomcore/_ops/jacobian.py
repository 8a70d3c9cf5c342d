"""The stored Jacobian of features as torch operators: made once, applied in every step of a training run."""

import numpy as np
import torch

from atomcore import _core
from atomcore._ops.features import graph_arrays, plan_arrays
from atomcore._ops.library import FLOATS, array, define, differentiate, ints, threads

_STORED = (
    "Tensor table, Tensor parameters, int n_features, int n_edges, Tensor row_ptr, Tensor edge_class, "
    "Tensor row_offset, Tensor values, Tensor rows"
)
_N_FIXED = 9


def _features_jacobian(table, parameters, n_features, species, row_ptr, neighbor, D):
    plan = plan_arrays(table, parameters, n_features)
    graph = graph_arrays(plan[0], species, row_ptr, neighbor, D)
    edge_class, row_offset = _core.edge_classes(*plan, *graph, threads())
    values = _core.features_jacobian(*plan, *graph, edge_class, row_offset, threads())
    return torch.from_numpy(values), torch.from_numpy(edge_class), torch.from_numpy(row_offset)


def _features_jacobian_fake(table, parameters, n_features, species, row_ptr, neighbor, D):
    n_blocks = torch.library.get_ctx().new_dynamic_size()
    return (
        D.new_empty((n_blocks, 3)),
        D.new_empty(neighbor.shape[0], dtype=torch.int32),
        torch.empty_like(row_ptr),
    )


def _features_jacobian_backward(ctx, *grads):
    raise RuntimeError("atomcore: the stored Jacobian is not differentiable in D; use features and its derivatives.")


def _stored(
    table, parameters, n_features, n_edges, row_ptr, edge_class, row_offset, values, rows
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the arrays of a stored Jacobian, with the rows asked for checked against it."""
    pointer, offset = ints("row_ptr", row_ptr, None), ints("row_offset", row_offset, len(row_ptr))
    wanted = ints("rows", rows, None)
    if len(wanted) and (wanted.min() < 0 or wanted.max() >= len(pointer) - 1):
        raise ValueError(f"rows holds {wanted.min()} to {wanted.max()}; accepted: 0 to {len(pointer) - 2}")
    found = int((pointer[wanted + 1] - pointer[wanted]).sum())
    if found != n_edges:
        raise ValueError(f"n_edges is {n_edges}; accepted: the number of edges of rows, {found}")
    return (
        *plan_arrays(table, parameters, n_features),
        pointer,
        array("edge_class", edge_class, (torch.int32,), int(pointer[-1])),
        offset,
        array("values", values, FLOATS, int(offset[-1]), 3),
        wanted,
    )


def _jacobian_vjp(*arguments):
    *stored, g = arguments
    cotangent = array("g", g, (stored[7].dtype,), len(stored[8]), stored[2])
    return torch.from_numpy(_core.jacobian_vjp(*_stored(*stored), cotangent, threads()))


def _jacobian_jvp(*arguments):
    *stored, v = arguments
    tangent = array("v", v, (stored[7].dtype,), stored[3], 3)
    return torch.from_numpy(_core.jacobian_jvp(*_stored(*stored), tangent, threads()))


def _vjp_fake(table, parameters, n_features, n_edges, row_ptr, edge_class, row_offset, values, rows, g):
    return g.new_empty((n_edges, 3))


def _jvp_fake(table, parameters, n_features, n_edges, row_ptr, edge_class, row_offset, values, rows, v):
    return v.new_empty((rows.shape[0], n_features))


def _save(ctx, inputs, output):
    ctx.sizes = inputs[2:4]
    ctx.save_for_backward(*inputs[:2], *inputs[4:_N_FIXED])


def _backward(adjoint):
    def backward(ctx, grad):
        table, parameters, *rest = ctx.saved_tensors
        return *(None,) * _N_FIXED, adjoint(table, parameters, *ctx.sizes, *rest, grad)

    return backward


define(
    "features_jacobian(Tensor table, Tensor parameters, int n_features, Tensor species, Tensor row_ptr, "
    "Tensor neighbor, Tensor D) -> (Tensor, Tensor, Tensor)",
    _features_jacobian,
    _features_jacobian_fake,
)
differentiate("features_jacobian", (6,), _features_jacobian_backward, lambda ctx, inputs, output: None)
define(f"jacobian_vjp({_STORED}, Tensor g) -> Tensor", _jacobian_vjp, _vjp_fake)
define(f"jacobian_jvp({_STORED}, Tensor v) -> Tensor", _jacobian_jvp, _jvp_fake)
differentiate("jacobian_vjp", (_N_FIXED,), _backward(torch.ops.atomcore.jacobian_jvp), _save)
differentiate("jacobian_jvp", (_N_FIXED,), _backward(torch.ops.atomcore.jacobian_vjp), _save)
