"""The features of edge vectors and their first and second derivatives as torch operators."""

import numpy as np
import torch

from atomcore import _core
from atomcore._arrays import check_edge_vectors
from atomcore._ops.library import FLOATS, array, define, differentiate, ints, threads

_PLAN = "Tensor table, Tensor parameters, int n_features"
_GRAPH = "Tensor species, Tensor row_ptr, Tensor neighbor, Tensor D"
_N_FIXED = 6  # plan and graph, which carry no gradient


def plan_arrays(table: torch.Tensor, parameters: torch.Tensor, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the plan's arrays after checking them against the number of features the caller counts on."""
    ints_, reals = array("table", table, (torch.int32,), None), array("parameters", parameters, (torch.float64,), None)
    _core.check_plan(ints_, reals)
    if ints_[1] != n_features:
        raise ValueError(f"n_features is {n_features}; accepted: the number of features of table")
    return ints_, reals


def graph_arrays(table, species, row_ptr, neighbor, D) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the checked arrays of a graph and its edge vectors."""
    graph = (
        array("species", species, (torch.int32,), None),
        ints("row_ptr", row_ptr, None),
        ints("neighbor", neighbor, None),
    )
    _core.check_graph(table, *graph)
    vectors = array("D", D, FLOATS, len(neighbor), 3)
    check_edge_vectors(vectors, graph[1], graph[2])
    return (*graph, vectors)


def _same_type(name: str, tensor: torch.Tensor, D: torch.Tensor, *shape: int):
    return array(name, tensor, (D.dtype,), *shape)


def _call(kernel, table, parameters, n_features, species, row_ptr, neighbor, D, *vectors):
    plan = plan_arrays(table, parameters, n_features)
    graph = graph_arrays(plan[0], species, row_ptr, neighbor, D)
    return torch.from_numpy(kernel(*plan, *graph, *vectors, threads()))


def _features(*arguments):
    return _call(_core.features, *arguments)


def _features_vjp(*arguments):
    *fixed, D, g = arguments
    return _call(_core.features_vjp, *fixed, D, _same_type("g", g, D, len(fixed[4]) - 1, fixed[2]))


def _features_jvp(*arguments):
    *fixed, D, v = arguments
    return _call(_core.features_jvp, *fixed, D, _same_type("v", v, D, len(D), 3))


def _features_hvp(*arguments):
    *fixed, D, g, v = arguments
    vectors = _same_type("g", g, D, len(fixed[4]) - 1, fixed[2]), _same_type("v", v, D, len(D), 3)
    return _call(_core.features_hvp, *fixed, D, *vectors)


def _rows_fake(table, parameters, n_features, species, row_ptr, neighbor, D, v=None):
    return D.new_empty((row_ptr.shape[0] - 1, n_features))


def _edges_fake(table, parameters, n_features, species, row_ptr, neighbor, D, *vectors):
    return torch.empty_like(D, memory_format=torch.contiguous_format)


def _save(ctx, inputs, output):
    fixed, vectors = inputs[:_N_FIXED], inputs[_N_FIXED:]
    ctx.n_features = fixed[2]
    ctx.save_for_backward(*fixed[:2], *fixed[3:], *vectors)


def _restore(ctx):
    """Return plan and graph in the operators' order, and the vectors behind them."""
    table, parameters, species, row_ptr, neighbor, *vectors = ctx.saved_tensors
    return (table, parameters, ctx.n_features, species, row_ptr, neighbor), vectors


def _features_backward(ctx, g):
    fixed, (D,) = _restore(ctx)
    return *(None,) * _N_FIXED, torch.ops.atomcore.features_vjp(*fixed, D, g)


def _features_vjp_backward(ctx, v):
    fixed, (D, g) = _restore(ctx)
    in_D = torch.ops.atomcore.features_hvp(*fixed, D, g, v) if ctx.needs_input_grad[_N_FIXED] else None
    in_g = torch.ops.atomcore.features_jvp(*fixed, D, v) if ctx.needs_input_grad[_N_FIXED + 1] else None
    return *(None,) * _N_FIXED, in_D, in_g


def _features_jvp_backward(ctx, u):
    fixed, (D, v) = _restore(ctx)
    in_D = torch.ops.atomcore.features_hvp(*fixed, D, u, v) if ctx.needs_input_grad[_N_FIXED] else None
    in_v = torch.ops.atomcore.features_vjp(*fixed, D, u) if ctx.needs_input_grad[_N_FIXED + 1] else None
    return *(None,) * _N_FIXED, in_D, in_v


def _features_hvp_backward(ctx, grad):
    raise RuntimeError(
        "atomcore: third derivatives of features are not implemented. Hessians work; training on Hessians does not."
    )


define(f"features({_PLAN}, {_GRAPH}) -> Tensor", _features, _rows_fake)
define(f"features_vjp({_PLAN}, {_GRAPH}, Tensor g) -> Tensor", _features_vjp, _edges_fake)
define(f"features_jvp({_PLAN}, {_GRAPH}, Tensor v) -> Tensor", _features_jvp, _rows_fake)
define(f"features_hvp({_PLAN}, {_GRAPH}, Tensor g, Tensor v) -> Tensor", _features_hvp, _edges_fake)
differentiate("features", (_N_FIXED,), _features_backward, _save)
differentiate("features_vjp", (_N_FIXED, _N_FIXED + 1), _features_vjp_backward, _save)
differentiate("features_jvp", (_N_FIXED, _N_FIXED + 1), _features_jvp_backward, _save)
differentiate("features_hvp", (_N_FIXED, _N_FIXED + 1, _N_FIXED + 2), _features_hvp_backward, _save)
