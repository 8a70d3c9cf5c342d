"""Torch operators given something wrong: a named error, never a crash, a dropped gradient or uninitialised memory."""

import sys
import threading
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch operators need torch")

from ase import Atoms  # noqa: E402
from ase.build import molecule  # noqa: E402

from atomcore import _core  # noqa: E402
from atomcore.features import Batch  # noqa: E402
from structures import water_crystal  # noqa: E402
from test_ops import OPS, Case, F, calls, case, leaf, normal, small  # noqa: E402

ARGUMENTS = {  # the names in the operators' order
    "neighbor_list": ["pos", "cell", "pbc", "structure_ptr", "cutoff"],
    "edge_vectors": ["pos", "cell", "structure_ptr", "row_ptr", "neighbor", "shift"],
    "edge_scatter": ["g_D", "structure_ptr", "row_ptr", "neighbor", "shift"],
}
PLAN = ["table", "parameters", "n_features"]
GRAPH = [*PLAN, "species", "row_ptr", "neighbor", "D"]
STORED = [*PLAN, "n_edges", "row_ptr", "edge_class", "row_offset", "values", "rows"]
ARGUMENTS |= {"features": GRAPH, "features_vjp": [*GRAPH, "g"], "features_jvp": [*GRAPH, "v"]}
ARGUMENTS |= {"features_hvp": [*GRAPH, "g", "v"], "features_jacobian": GRAPH}
ARGUMENTS |= {"jacobian_vjp": [*STORED, "g"], "jacobian_jvp": [*STORED, "v"]}
TENSORS = [
    (op, name) for op, names in ARGUMENTS.items() for name in names if name not in ("cutoff", "n_features", "n_edges")
]


def call(c: Case, op: str, **changes):
    """Call an operator on good arguments but for ``changes``: values, or functions of the good values."""
    operator, good = calls(c)[op]
    arguments = [value.detach() if isinstance(value, torch.Tensor) else value for value in good]
    for name, change in changes.items():
        at = ARGUMENTS[op].index(name)
        arguments[at] = change(arguments[at]) if callable(change) else change
    return operator(*arguments)


@pytest.mark.parametrize(("op", "name"), TENSORS)
def test_wrong_types(op, name):
    def other(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(torch.float16 if tensor.is_floating_point() else torch.int16)

    with pytest.raises((TypeError, ValueError), match=r"dtype.*accepted"):
        call(small(), op, **{name: other})


@pytest.mark.parametrize("change", [lambda t: t[None], lambda t: t.reshape(-1)[:-1]], ids=["one more axis", "too few"])
@pytest.mark.parametrize(("op", "name"), TENSORS)
def test_wrong_shapes(op, name, change):
    # two arguments that disagree may be blamed either way
    words = "|".join([*ARGUMENTS[op], "positions", "cells"])
    with pytest.raises((ValueError, TypeError), match=rf"\b({words})\b"):
        call(small(), op, **{name: change})


@pytest.mark.parametrize(("op", "name"), TENSORS)
def test_tensors_without_memory(op, name):
    with pytest.raises((ValueError, RuntimeError, NotImplementedError), match="meta"):
        call(small(), op, **{name: lambda t: t.to("meta")})


def another_offset(table: torch.Tensor) -> torch.Tensor:
    """Return a table whose first record names a list of columns that is not there."""
    changed = table.clone()
    changed[14] += 100_000_000
    return changed


@pytest.mark.parametrize("op", ["features_vjp", "features_jvp", "features_hvp", "jacobian_vjp", "jacobian_jvp"])
def test_mixed_precision_is_refused(op):
    name = ARGUMENTS[op][-1]
    with pytest.raises(TypeError, match=rf"{name} has dtype torch.float32"):
        call(small(), op, **{name: lambda t: t.float()})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"neighbor": lambda n: n + 1000}, "neighbor"),
        ({"neighbor": lambda n: n - 1000}, "neighbor"),
        ({"row_ptr": lambda p: p + 1}, "row_ptr"),
        ({"row_ptr": lambda p: p.flip(0)}, "row_ptr"),
        ({"row_ptr": lambda p: p * 2}, "row_ptr"),
        ({"row_ptr": lambda p: p[:0]}, "row_ptr|g has shape"),
        ({"row_ptr": lambda p: torch.cat([p, p[-1:], p[-1:]])}, "row_ptr|g has shape"),
        ({"species": lambda s: s + 2}, "species"),
        ({"species": lambda s: s - 1}, "species"),
        ({"species": lambda s: s[:-1]}, "species|row_ptr"),
        ({"n_features": 5}, "n_features|g has shape"),
        ({"table": lambda t: t[:2]}, "table"),
        ({"table": lambda t: t[:-1]}, "table"),
        ({"parameters": lambda p: p[:3]}, "parameters"),
        ({"table": another_offset}, "table.*unchanged"),
        ({"parameters": lambda p: p.flip(0)}, "parameters.*unchanged"),
        ({"D": lambda D: D * float("nan")}, "D must be finite"),
        ({"D": lambda D: D / 0}, "D must be finite"),
        ({"D": lambda D: D * 0}, "same place"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("op", ["features", "features_vjp", "features_jvp", "features_hvp", "features_jacobian"])
def test_broken_graphs(op, change, words):
    with pytest.raises(ValueError, match=words):
        call(small(), op, **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": lambda r: r + 100}, "rows"),
        ({"rows": lambda r: r - 100}, "rows"),
        ({"n_edges": 1}, "n_edges|v has shape"),
        ({"edge_class": lambda c: c + 1_000_000}, "edge_class"),
        ({"edge_class": lambda c: c - 1_000_000}, "edge_class"),
        ({"row_offset": lambda o: torch.cat([o[:1], o[1:-1] + 10**9, o[-1:]])}, "row_offset"),
        ({"row_offset": lambda o: o - 10**9}, "row_offset|values"),
        ({"row_ptr": lambda p: torch.cat([p[:1], p[1:-1] + 10**9, p[-1:]])}, "row_ptr|n_edges"),
        ({"row_ptr": lambda p: p[:0], "row_offset": lambda o: o[:0]}, "row_ptr|rows"),
        ({"row_ptr": lambda p: p - 4}, "row_ptr|edge_class"),
        ({"table": lambda t: t[:2]}, "table"),
        ({"table": another_offset}, "table.*unchanged"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("op", ["jacobian_vjp", "jacobian_jvp"])
def test_broken_stored_jacobians(op, change, words):
    with pytest.raises(ValueError, match=words):
        call(small(), op, **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"neighbor": lambda n: n + 1000}, "neighbor"),
        ({"neighbor": lambda n: n - 1000}, "neighbor"),
        ({"row_ptr": lambda p: p.flip(0)}, "row_ptr"),
        ({"row_ptr": lambda p: p + 1}, "row_ptr"),
        ({"row_ptr": lambda p: p[:0]}, "row_ptr|pos|structure_ptr"),
        ({"structure_ptr": lambda p: p + 1}, "structure_ptr"),
        ({"structure_ptr": lambda p: p[:0]}, "structure_ptr|cell"),
        ({"structure_ptr": lambda p: p.flip(0)}, "structure_ptr"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("op", ["edge_vectors", "edge_scatter"])
def test_broken_edges(op, change, words):
    with pytest.raises(ValueError, match=words):
        call(small(), op, **change)


@pytest.mark.parametrize("cutoff", [0.0, -1.0, float("nan"), float("inf")])
def test_wrong_cutoffs(cutoff):
    with pytest.raises(ValueError, match="cutoff"):
        call(small(), "neighbor_list", cutoff=cutoff)


# Other threads of Python


@pytest.mark.parametrize("name", ["edge_classes", "check_graph"])
def test_python_goes_on_during_long_calls(name):
    n = 1_000_000
    table, parameters = (tensor.numpy() for tensor in (small().fixed[0], small().fixed[1]))
    graph = (np.zeros(1, np.int32), np.array([0, n]), np.zeros(n, np.int64))
    last = (table, *graph) if name == "check_graph" else (table, parameters, *graph, np.ones((n, 3)), 1)
    begun, ended, awake = [], [], []

    def work():
        begun.append(time.perf_counter())
        for _ in range(20):
            getattr(_core, name)(*last)
        ended.append(time.perf_counter())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(60.0)  # Python itself does not make `work` wait, so that only the calls can let others in
    try:
        thread = threading.Thread(target=work)
        thread.start()
        while thread.is_alive():
            time.sleep(0.001)
            awake.append(time.perf_counter())
    finally:
        sys.setswitchinterval(interval)
    assert any(begun[0] < moment < ended[0] for moment in awake)


# Gradients that nobody would get


@pytest.mark.parametrize(
    ("op", "name"), [("features", "parameters"), ("features_vjp", "parameters"), ("jacobian_vjp", "values")]
)
def test_a_gradient_in_a_fixed_argument_is_refused(op, name):
    with pytest.raises(RuntimeError, match="no gradient"):
        call(small(), op, **{name: leaf})


def test_the_stored_jacobian_has_no_gradient_and_says_so():
    c = small()
    values, _, _ = OPS.features_jacobian(*c.fixed, leaf(c.D))
    with pytest.raises(RuntimeError, match="not differentiable"):
        values.sum().backward()


def test_forward_mode_is_refused_and_torch_func_never_wrong():
    c = small()
    with (
        torch.autograd.forward_ad.dual_level(),
        pytest.raises(RuntimeError, match="forward mode"),
    ):
        OPS.features(*c.fixed, torch.autograd.forward_ad.make_dual(c.D, torch.ones_like(c.D)))
    with pytest.raises(RuntimeError):
        torch.func.grad(lambda D: OPS.features(*c.fixed, D).sum())(c.D)


@pytest.mark.parametrize("transform", [torch.func.jacfwd, torch.func.hessian])
def test_forward_mode_of_torch_func_is_refused(transform):
    c = small()
    with pytest.raises(RuntimeError):
        transform(lambda D: OPS.features(*c.fixed, D).sum())(c.D)


def test_the_jvp_of_torch_func_is_refused_for_every_operator():
    c = small()
    for operator, arguments in calls(c).values():
        floats = [
            i for i, value in enumerate(arguments) if isinstance(value, torch.Tensor) and value.is_floating_point()
        ]

        def function(*values, operator=operator, arguments=arguments, floats=floats):
            given = list(arguments)
            for i, value in zip(floats, values, strict=True):
                given[i] = value
            return operator(*given)

        primals = tuple(arguments[i].detach() for i in floats)
        with pytest.raises(RuntimeError, match="forward mode"):
            torch.func.jvp(function, primals, tuple(torch.ones_like(value) for value in primals))


def test_gradients_reach_every_differentiable_argument():
    c = case([water_crystal(), Atoms("O")])  # periodic, so that the cell matters
    for operator, arguments in calls(c).values():
        leaves = [value for value in arguments if isinstance(value, torch.Tensor) and value.requires_grad]
        result = operator(*arguments)
        parts = [part for part in (result if isinstance(result, tuple) else (result,)) if part.requires_grad]
        total = sum((part * normal(*part.shape)).sum() for part in parts)
        if leaves:
            assert all(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(total, leaves))


# Batches


def test_wrong_batches():
    with pytest.raises(ValueError, match="structures"):
        Batch.from_atoms([])
    with pytest.raises(ValueError, match=r"6.*accepted"):
        F(Batch.from_atoms([molecule("CH4")]))
    with pytest.raises(ValueError, match="atoms 0 and 1"):
        F(Batch.from_atoms([Atoms("OH", [[0, 0, 0], [0, 0, 1e-9]])]))
    batch = Batch.from_atoms([water_crystal()])
    with pytest.raises(TypeError, match="cell"):
        F(batch._replace(cell=batch.cell.float()))
