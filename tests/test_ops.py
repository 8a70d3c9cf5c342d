"""Torch operators: derivatives, batches, compilation."""

from typing import Any, NamedTuple

import pytest

torch = pytest.importorskip("torch", reason="torch operators need torch")

import numpy as np  # noqa: E402
from ase import Atoms  # noqa: E402
from ase.build import molecule  # noqa: E402
from torch._inductor import config as inductor_config  # noqa: E402

from atomcore.features import SymmetryFunctions  # noqa: E402
from atomcore.features.batch import Batch, Edges, edges  # noqa: E402
from atomcore.features.reference import reference_features  # noqa: E402
from atomcore.features.table import species_index  # noqa: E402
from feature_cases import every_function  # noqa: E402
from helpers import slope  # noqa: E402
from structures import water_box, water_cluster, water_crystal  # noqa: E402
from tolerances import EXACT, FEATURES, FLOAT32, FORCES_FD, INVARIANT, assert_close  # noqa: E402

OPS = torch.ops.atomcore
F = every_function()


class Case(NamedTuple):
    batch: Batch
    edges: Edges
    fixed: tuple[Any, ...]  # plan and graph in the operators' order
    D: torch.Tensor

    @property
    def pointers(self) -> tuple[torch.Tensor, ...]:
        return self.batch.structure_ptr, *self.edges[:3]


def case(structures: list[Atoms], f: SymmetryFunctions = F, dtype: torch.dtype = torch.float64) -> Case:
    batch = Batch.from_atoms(structures, dtype)
    found = edges(batch, f.cutoff)
    species = torch.from_numpy(species_index(batch.numbers.numpy(), f.numbers))
    plan = tuple(torch.from_numpy(part) for part in f.plan)
    return Case(batch, found, (*plan, f.n_features, species, found.row_ptr, found.neighbor), found.D.clone())


def small() -> Case:
    return case([water_cluster()[:4], Atoms("O"), molecule("H2O")])


def normal(*shape: int, seed: int = 81) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def leaf(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().clone().requires_grad_()


def stored(c: Case, rows: torch.Tensor) -> tuple[Any, ...]:
    values, edge_class, offset = OPS.features_jacobian(*c.fixed, c.D)
    n_edges = int(c.edges.row_ptr.diff()[rows].sum())
    return (*c.fixed[:3], n_edges, c.edges.row_ptr, edge_class, offset, values, rows)


def calls(c: Case) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Return each operator with arguments, the differentiable ones requiring a gradient."""
    b, P, N = c.batch, len(c.D), len(c.batch.numbers)
    g, v = leaf(normal(N, F.n_features)), leaf(normal(P, 3, seed=82))
    rows = torch.tensor([2, 0, 2, 5])
    fixed = stored(c, rows)
    return {
        "neighbor_list": (OPS.neighbor_list, (b.positions, b.cell, b.pbc, b.structure_ptr, 4.5)),
        "edge_vectors": (OPS.edge_vectors, (leaf(b.positions), leaf(b.cell), *c.pointers)),
        "edge_scatter": (OPS.edge_scatter, (leaf(c.D), *c.pointers)),
        "features": (OPS.features, (*c.fixed, leaf(c.D))),
        "features_vjp": (OPS.features_vjp, (*c.fixed, leaf(c.D), g)),
        "features_jvp": (OPS.features_jvp, (*c.fixed, leaf(c.D), v)),
        "features_hvp": (OPS.features_hvp, (*c.fixed, c.D, g.detach(), v.detach())),
        "features_jacobian": (OPS.features_jacobian, (*c.fixed, c.D)),
        "jacobian_vjp": (OPS.jacobian_vjp, (*fixed, leaf(normal(4, F.n_features)))),
        "jacobian_jvp": (OPS.jacobian_jvp, (*fixed, leaf(normal(fixed[3], 3)))),
    }


NAMES = list(calls(small()))
WITHOUT_GRADIENTS = ("neighbor_list", "features_hvp", "features_jacobian")
WITH_GRADIENTS = [name for name in NAMES if name not in WITHOUT_GRADIENTS]


# Registration


@pytest.mark.parametrize("name", NAMES)
def test_opcheck(name):
    operator, arguments = calls(small())[name]
    tests = ["test_schema", "test_autograd_registration", "test_faketensor"]
    torch.library.opcheck(operator.default, arguments, test_utils=tests)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_opcheck_under_aot_dispatch(name):
    operator, arguments = calls(small())[name]
    torch.library.opcheck(operator.default, arguments, test_utils="test_aot_dispatch_dynamic")


# Derivatives


@pytest.mark.parametrize("name", ["edge_vectors", "edge_scatter", "features", "jacobian_vjp", "jacobian_jvp"])
def test_gradcheck(name):
    operator, arguments = calls(small())[name]
    assert torch.autograd.gradcheck(operator, arguments, eps=1e-6, atol=1e-8, rtol=1e-6)
    assert torch.autograd.gradgradcheck(operator, arguments, eps=1e-6, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("name", ["features_vjp", "features_jvp"])
def test_gradcheck_of_products(name):
    operator, arguments = calls(small())[name]
    assert torch.autograd.gradcheck(operator, arguments, eps=1e-6, atol=1e-8, rtol=1e-6)
    linear = (*arguments[:-2], arguments[-2].detach(), arguments[-1])
    assert torch.autograd.gradgradcheck(operator, linear, eps=1e-6, atol=1e-8, rtol=1e-6)


def test_derivatives_equal_autograd_of_the_plain_formulas():
    c = case([water_cluster(), water_crystal()])
    g, v = normal(len(c.batch.numbers), F.n_features), normal(len(c.D), 3, seed=83)
    D = leaf(c.D)
    G = reference_features(F.elements, F.table, c.fixed[3].long(), c.edges.row_ptr, c.edges.neighbor, D)
    (vjp,) = torch.autograd.grad(G, D, g, create_graph=True)
    (hvp,) = torch.autograd.grad(vjp, D, v)
    assert_close(OPS.features(*c.fixed, c.D), G.detach(), FEATURES)
    assert_close(OPS.features_vjp(*c.fixed, c.D, g), vjp.detach(), FEATURES)
    assert_close(OPS.features_hvp(*c.fixed, c.D, g, v), hvp, FEATURES, scale=float(hvp.abs().max()))
    jvp = OPS.features_jvp(*c.fixed, c.D, v)
    assert_close((jvp * g).sum(), (vjp * v).sum().detach(), INVARIANT)


def test_third_derivatives_raise_in_words():
    c = small()
    D = leaf(c.D)
    (first,) = torch.autograd.grad(OPS.features(*c.fixed, D).square().sum(), D, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), D, create_graph=True)
    assert second.requires_grad
    with pytest.raises(RuntimeError, match="third derivatives of features are not implemented"):
        torch.autograd.grad(second.sum(), D)
    for position in range(3):
        leaves = [leaf(c.D), leaf(normal(6 + 2, F.n_features)), leaf(normal(len(c.D), 3))]
        with pytest.raises(RuntimeError, match="third derivatives"):
            torch.autograd.grad(OPS.features_hvp(*c.fixed, *leaves).sum(), leaves[position])


def energy_of(batch: Batch, weights: torch.Tensor):
    def energy(positions: torch.Tensor) -> torch.Tensor:
        return torch.tanh(F(batch._replace(positions=positions)) * weights).sum()

    return energy


@pytest.mark.parametrize("structure", [water_cluster()[:6], water_crystal()], ids=["cluster", "crystal"])
def test_hessian_is_symmetric_and_right(structure):
    batch = Batch.from_atoms([structure])
    energy = energy_of(batch, 0.1 * normal(F.n_features))
    n = 3 * len(structure)
    hessian = torch.autograd.functional.hessian(energy, batch.positions).reshape(n, n)
    assert_close(hessian, hessian.T, INVARIANT)
    size = float(hessian.abs().max())
    assert_close(hessian.reshape(n, -1, 3).sum(1), torch.zeros(n, 3), INVARIANT, scale=size)  # translations

    def gradient(R: torch.Tensor) -> torch.Tensor:
        R = leaf(R)
        return torch.autograd.grad(energy(R), R)[0].ravel()

    for i in range(0, n, 5):
        unit = torch.zeros(n, dtype=torch.float64).index_fill(0, torch.tensor([i]), 1.0).reshape(-1, 3)
        assert_close(hessian[i], slope(gradient, batch.positions, unit), FORCES_FD)


def test_gradient_in_the_cell():
    batch = Batch.from_atoms([water_crystal(), water_cluster()])
    weights = 0.1 * normal(F.n_features)
    found = edges(batch, F.cutoff)
    fixed = case([water_crystal(), water_cluster()]).fixed

    def energy(cell: torch.Tensor) -> torch.Tensor:
        D = OPS.edge_vectors(batch.positions, cell, batch.structure_ptr, *found[:3])
        return torch.tanh(OPS.features(*fixed, D) * weights).sum()

    assert torch.autograd.gradcheck(energy, leaf(batch.cell), eps=1e-6, atol=1e-7, rtol=1e-6)


# Training on forces


def test_weight_gradient_of_a_force_loss():
    c = case([water_cluster(), water_crystal()])
    target = normal(len(c.batch.numbers), 3, seed=84)
    weights = [leaf(0.2 * normal(F.n_features, 5, seed=85)), leaf(normal(5, 1, seed=86))]

    def loss_of(forces: torch.Tensor, energy: torch.Tensor) -> torch.Tensor:
        return (forces - target).square().sum() + energy.square()

    def network(G: torch.Tensor) -> torch.Tensor:
        return (torch.tanh(G @ weights[0]) @ weights[1]).sum()

    def as_trained() -> torch.Tensor:  # D held constant: the backward pass needs features_jvp alone
        G = leaf(OPS.features(*c.fixed, c.D))
        energy = network(G)
        (g,) = torch.autograd.grad(energy, G, create_graph=True)
        forces = -OPS.edge_scatter(OPS.features_vjp(*c.fixed, c.D, g), *c.pointers)[0]
        return loss_of(forces, energy)

    def through_the_cache() -> torch.Tensor:
        G = leaf(OPS.features(*c.fixed, c.D))
        energy = network(G)
        (g,) = torch.autograd.grad(energy, G, create_graph=True)
        J = stored(c, torch.arange(len(c.batch.numbers)))
        return loss_of(-OPS.edge_scatter(OPS.jacobian_vjp(*J, g), *c.pointers)[0], energy)

    def plain() -> torch.Tensor:
        R = leaf(c.batch.positions)
        D = OPS.edge_vectors(R, c.batch.cell, *c.pointers)
        G = reference_features(F.elements, F.table, c.fixed[3].long(), c.edges.row_ptr, c.edges.neighbor, D)
        energy = network(G)
        (gradient,) = torch.autograd.grad(energy, R, create_graph=True)
        return loss_of(-gradient, energy)

    expected = torch.autograd.grad(plain(), weights)
    for way in (as_trained, through_the_cache):
        loss = way()
        assert_close(loss.detach(), plain().detach(), INVARIANT)
        for ours, theirs in zip(torch.autograd.grad(loss, weights), expected, strict=True):
            assert_close(ours, theirs, INVARIANT, scale=float(theirs.abs().max()))
    for weight, gradient in zip(weights, expected, strict=True):
        start, direction = weight.detach().clone(), normal(*weight.shape, seed=87)

        def moved(way: float, weight=weight, start=start, direction=direction) -> torch.Tensor:
            weight.data = start + way * direction
            return as_trained().detach()

        size = float(gradient.abs().max())
        assert_close(slope(moved, 0.0, 1.0), (gradient * direction).sum(), FORCES_FD, scale=size)
        weight.data = start


def differentiable(arguments: tuple[Any, ...]) -> list[torch.Tensor]:
    return [value for value in arguments if isinstance(value, torch.Tensor) and value.requires_grad]


def total(result: Any) -> torch.Tensor:
    return sum((part * part).sum() for part in tuple_of(result))


def tuple_of(result: Any) -> tuple[torch.Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("name", WITH_GRADIENTS)
def test_two_forwards_before_one_backward(name):
    makers = [small, lambda: case([water_crystal(), molecule("H2O")])]
    alone = []
    for make in makers:
        operator, arguments = calls(make())[name]
        alone.append(torch.autograd.grad(total(operator(*arguments)), differentiable(arguments)))
    both = [calls(make())[name][1] for make in makers]
    first, second = (operator(*arguments) for arguments in both)
    (total(first) + total(second)).backward()
    for arguments, expected in zip(both, alone, strict=True):
        for value, gradient in zip(differentiable(arguments), expected, strict=True):
            assert_close(value.grad, gradient, EXACT)


# Sizes, layouts, precision


def test_a_batch_equals_its_structures_bit_for_bit():
    structures = [water_cluster(), Atoms("O"), water_crystal(), Atoms(), molecule("H2O"), water_box(3)]
    whole = case(structures)
    g = normal(len(whole.batch.numbers), F.n_features)
    outputs = [OPS.features(*whole.fixed, whole.D), None, None]
    outputs[1:] = OPS.edge_scatter(OPS.features_vjp(*whole.fixed, whole.D, g), *whole.pointers)
    ptr = whole.batch.structure_ptr.tolist()
    for s, atoms in enumerate(structures):
        c = case([atoms])
        span = slice(ptr[s], ptr[s + 1])
        forces, cell = OPS.edge_scatter(OPS.features_vjp(*c.fixed, c.D, g[span]), *c.pointers)
        assert_close(outputs[0][span], OPS.features(*c.fixed, c.D), EXACT)
        assert_close(outputs[1][span], forces, EXACT)
        assert_close(outputs[2][s : s + 1], cell, EXACT)
        assert_close(F.compute(atoms), outputs[0][span], EXACT)


def test_threads_change_no_bit():
    c = case([water_box()])
    g, v = normal(len(c.batch.numbers), F.n_features), normal(len(c.D), 3)
    before, results = torch.get_num_threads(), []
    J = stored(c, torch.arange(len(c.batch.numbers)))
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            gD = OPS.features_vjp(*c.fixed, c.D, g)
            results.append((OPS.features(*c.fixed, c.D), gD, OPS.features_jvp(*c.fixed, c.D, v)))
            results[-1] += (OPS.features_hvp(*c.fixed, c.D, g, v), *OPS.edge_scatter(gD, *c.pointers))
            results[-1] += (OPS.jacobian_vjp(*J, g), OPS.jacobian_jvp(*J, v), *OPS.features_jacobian(*c.fixed, c.D))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            assert torch.equal(one, same)


@pytest.mark.parametrize("structures", [[Atoms()], [Atoms("O"), Atoms("H")]], ids=["no atoms", "no neighbours"])
def test_nothing_to_sum(structures):
    c = case(structures)
    N = len(c.batch.numbers)
    assert c.D.shape == (0, 3)
    D, g, v = leaf(c.D), leaf(torch.ones(N, F.n_features, dtype=torch.float64)), leaf(c.D)
    assert_close(OPS.features(*c.fixed, D).detach(), torch.zeros(N, F.n_features), EXACT)
    assert OPS.features_vjp(*c.fixed, D, g).shape == (0, 3)
    assert_close(OPS.features_jvp(*c.fixed, D, v).detach(), torch.zeros(N, F.n_features), EXACT)
    assert OPS.features_hvp(*c.fixed, D, g, v).shape == (0, 3)
    J = stored(c, torch.arange(N))
    assert OPS.jacobian_vjp(*J, g).shape == (0, 3)
    assert_close(OPS.jacobian_jvp(*J, v).detach(), torch.zeros(N, F.n_features), EXACT)
    R = leaf(c.batch.positions)
    (gradient,) = torch.autograd.grad(F(c.batch._replace(positions=R)).sum(), R)
    assert_close(gradient, torch.zeros(N, 3), EXACT)


@pytest.mark.parametrize("name", NAMES)
def test_other_memory_layouts_give_the_same_bits(name):
    operator, arguments = calls(small())[name]

    def strided(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.ndim == 0:
            return value
        wide = torch.empty((*value.shape[:-1], 2 * value.shape[-1] + 1), dtype=value.dtype)
        wide[..., 1::2] = value.detach()
        return wide[..., 1::2].requires_grad_(value.requires_grad)

    changed = tuple(strided(value) for value in arguments)
    for one, same in zip(tuple_of(operator(*arguments)), tuple_of(operator(*changed)), strict=True):
        assert torch.equal(one, same)
        assert one.is_contiguous()


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_follows_double(name):
    c = case([water_cluster(), water_crystal()])
    operator, arguments = calls(c)[name]

    def single(at: int, value: Any) -> Any:
        floating = isinstance(value, torch.Tensor) and value.dtype == torch.float64
        return value.detach().float() if floating and at != parameters else value

    parameters = -1 if name in ("neighbor_list", "edge_vectors", "edge_scatter") else 1  # always double
    narrow = tuple(single(at, value) for at, value in enumerate(arguments))
    for double, result in zip(tuple_of(operator(*arguments)), tuple_of(operator(*narrow)), strict=True):
        if not double.is_floating_point():
            assert torch.equal(result, double)
            continue
        assert result.dtype == torch.float32
        double = double.detach()
        assert_close(result.double(), double, FLOAT32, scale=float(double.abs().max()))


# Compilation


@pytest.mark.parametrize("name", NAMES)
def test_compiled_operators_equal_eager_ones(name):
    operator, arguments = calls(small())[name]

    # nothing but the operators, for which the compiler checks sizes and strides but has no loops to build
    def run(*given: Any) -> tuple[torch.Tensor, ...]:
        return tuple_of(operator(*given))

    torch.compiler.reset()  # torch gives up on one function compiled too often
    with (
        inductor_config.patch(force_disable_caches=True),  # the one on disk does not see changed operators
        torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True),  # as many entries as there are pairs
    ):
        compiled, eager = torch.compile(run, fullgraph=True)(*arguments), run(*arguments)
        for one, same in zip(compiled, eager, strict=True):
            assert torch.equal(one, same)
        if name in WITH_GRADIENTS:
            leaves, cotangents = differentiable(arguments), [normal(*part.shape) for part in eager]
            expected = torch.autograd.grad(eager, leaves, cotangents)
            for one, same in zip(torch.autograd.grad(compiled, leaves, cotangents), expected, strict=True):
                assert torch.equal(one, same)


def test_compiled_energy_and_forces_equal_eager_ones():
    c = case([water_cluster(), water_crystal()])
    weights = 0.1 * normal(F.n_features)

    def energy(R: torch.Tensor) -> torch.Tensor:
        D = OPS.edge_vectors(R, c.batch.cell, *c.pointers)
        return torch.tanh(OPS.features(*c.fixed, D) * weights).sum()

    def energy_and_forces(R: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        D = OPS.edge_vectors(R, c.batch.cell, *c.pointers)
        y = torch.tanh(OPS.features(*c.fixed, D) * weights)
        gD = OPS.features_vjp(*c.fixed, D, (1 - y * y) * weights)
        return y.sum(), -OPS.edge_scatter(gD, *c.pointers)[0]

    R = leaf(c.batch.positions)
    expected = energy(R)
    (gradient,) = torch.autograd.grad(expected, R)
    compiled = torch.compile(energy, fullgraph=True)(R)
    assert_close(compiled.detach(), expected.detach(), INVARIANT)
    assert_close(torch.autograd.grad(compiled, R)[0], gradient, INVARIANT)
    both = torch.compile(energy_and_forces, fullgraph=True)(R.detach())
    assert_close(both[0], expected.detach(), INVARIANT)
    assert_close(both[1], -gradient, INVARIANT)
