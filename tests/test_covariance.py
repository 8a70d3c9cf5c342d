"""Covariances of energies and gradients, and their derivatives in hyper-parameters: plain formulas and autograd."""

import numpy as np
import pytest

import covariance_oracle
from atomcore.kernels import (
    RBF,
    Exponential,
    Laplacian,
    Linear,
    Matern,
    Points,
    Polynomial,
    RationalQuadratic,
    covariance,
    diagonal,
    gradient_of_trace,
)
from helpers import slope
from tolerances import COVARIANCE, COVARIANCE_FD, assert_close

CHOICES = {  # (energies, forces) of rows, and of columns
    "energies": ((True, False), (True, False)),
    "gradients": ((False, True), (False, True)),
    "both": ((True, True), (True, True)),
    "energies in columns": ((True, True), (True, False)),
    "energies with gradients": ((True, False), (False, True)),
}


def kernels(n_features: int):
    lengths = np.linspace(0.8, 2.0, n_features) * np.sqrt(n_features)
    length = 1.4 * np.sqrt(n_features)
    return [
        RBF(lengths, variance=1.7),
        RBF(length),
        Exponential(1.1),
        Exponential(lengths),
        Laplacian(lengths * np.sqrt(n_features)),
        Laplacian(length, norm=2),
        Matern(length, nu=1.5, variance=0.3),
        Matern(lengths, nu=2.5),
        RationalQuadratic(lengths, alpha=0.7),
        RationalQuadratic(length, alpha=2.5, variance=2.0),
        Polynomial(3, 0.5, lengths),
        Linear(0.2, length),
    ]


def random_points(seed: int, n_structures: int, n_features: int, *, elements: bool, most: int = 6) -> Points:
    """Return structures of 1 to ``most`` rows in mixed order of elements, three variables a row."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, most + 1, n_structures)
    pointer = np.cumsum([0, *sizes])
    X = rng.normal(size=(pointer[-1], n_features))
    labels = rng.choice([8, 1, 6], size=len(X)) if elements else None
    return Points(X, labels, pointer, [rng.normal(size=(n, n_features, n, 3)) for n in sizes])


def options(rows: tuple[bool, bool], columns: tuple[bool, bool]) -> dict[str, tuple[bool, bool]]:
    return {"energies": (rows[0], columns[0]), "forces": (rows[1], columns[1])}


def possible(kernel, rows: tuple[bool, bool], columns: tuple[bool, bool]) -> bool:
    return kernel.smoothness == 2 or not (rows[1] and columns[1])


@pytest.fixture(scope="module", params=[(1, False), (3, True), (20, True)], ids=str)
def sets(request) -> tuple[Points, Points]:
    n_features, elements = request.param
    A = random_points(1, 7, n_features, elements=elements)
    B = random_points(2, 5, n_features, elements=elements)
    B.X[2] = A.X[3]  # rows that coincide
    return A, B


@pytest.mark.parametrize("choice", CHOICES)
def test_covariances_of_two_sets(sets, choice):
    A, B = sets
    rows, columns = CHOICES[choice]
    for kernel in kernels(A.n_features):
        if possible(kernel, rows, columns):
            K = covariance(kernel, A, B, **options(rows, columns))
            expected = covariance_oracle.covariance(kernel, A, B, rows, columns)
            assert_close(K, expected, COVARIANCE, scale=np.abs(expected).max())
            assert np.array_equal(K, covariance(kernel, A, B, **options(rows, columns), threads=3))


@pytest.mark.parametrize("choice", ["energies", "gradients", "both"])
def test_covariances_of_one_set(sets, choice):
    A, _ = sets
    rows, columns = CHOICES[choice]
    for kernel in kernels(A.n_features):
        if possible(kernel, rows, columns):
            K = covariance(kernel, A, **options(rows, columns))
            expected = covariance_oracle.covariance(kernel, A, A, rows, rows)
            assert_close(K, expected, COVARIANCE, scale=np.abs(expected).max())
            assert np.array_equal(K, K.T)
            assert np.array_equal(K, covariance(kernel, A, **options(rows, columns), threads=3))
            own = diagonal(kernel, A, energies=rows[0], forces=rows[1])
            assert_close(own, K.diagonal(), COVARIANCE, scale=np.abs(own).max())


def test_large_structures_are_cut_into_tiles():
    """Structures of more rows than a tile and a block of pairs hold, and many small ones that share a tile."""
    A = random_points(3, 2, 18, elements=True, most=3)
    rng = np.random.default_rng(4)
    large = Points(rng.normal(size=(130, 18)), None, [0, 110, 130], [rng.normal(size=(n, 18, 4)) for n in (110, 20)])
    many = Points(rng.normal(size=(260, 18)), np.repeat([1, 8], 130), np.arange(0, 261, 5))
    kernel, both = Matern(5.0), (True, True)
    expected = covariance_oracle.covariance(kernel, large, large, both, both)
    assert_close(covariance(kernel, large, energies=True, forces=True), expected, COVARIANCE, scale=expected.max())
    expected = covariance_oracle.covariance(kernel, many, many, (True, False), (True, False))
    assert_close(covariance(kernel, many), expected, COVARIANCE, scale=expected.max())
    expected = covariance_oracle.covariance(kernel, A, many, both, (True, False))
    found = covariance(kernel, A, many, energies=True, forces=(True, False))
    assert_close(found, expected, COVARIANCE, scale=expected.max())


def test_gradients_are_derivatives_of_energies():
    """Features that are functions of coordinates, moved along a direction."""
    rng = np.random.default_rng(5)
    still, start, direction = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=3)

    def at(x) -> Points:
        features = np.stack([np.sin(x), x**2])
        return Points(features, None, [0, 2], [np.stack([np.diag(np.cos(x)), np.diag(2 * x)])])

    for kernel in kernels(3):
        B = Points.of_variables(still)
        both = {"energies": (False, True), "forces": (True, possible(kernel, (False, True), (True, True)))}
        found = direction @ covariance(kernel, at(start), B, **both)
        columns = {"energies": True, "forces": (False, both["forces"][1])}
        expected = slope(lambda x, kernel=kernel, columns=columns, B=B: covariance(kernel, at(x), B, **columns)[0],
                         start, direction)  # fmt: skip
        assert_close(found, expected, COVARIANCE_FD, scale=np.abs(expected).max())


@pytest.mark.parametrize("choice", CHOICES)
def test_derivatives_in_hyperparameters_by_differences(sets, choice):
    A, B = sets
    rows, columns = CHOICES[choice]
    rng = np.random.default_rng(6)
    for kernel in kernels(A.n_features):
        if not possible(kernel, rows, columns) or (kernel.smoothness == 0 and choice != "energies"):
            continue
        for other in (B, None) if rows == columns else (B,):
            chosen = options(rows, columns)
            W = rng.normal(size=covariance(kernel, A, other, **chosen).shape)
            found = gradient_of_trace(kernel, W, A, other, **chosen)

            def trace(theta, kernel=kernel, other=other, W=W, chosen=chosen):
                return np.sum(W * covariance(kernel.with_theta(theta), A, other, **chosen))

            expected = np.array([slope(trace, kernel.theta, e, step=1e-3) for e in np.eye(len(kernel.theta))])
            assert_close(found, expected, COVARIANCE_FD, scale=np.abs(expected).max())
            assert np.array_equal(found, gradient_of_trace(kernel, W, A, other, **chosen, threads=3))


@pytest.mark.parametrize("index", [i for i, kernel in enumerate(kernels(3)) if kernel.smoothness == 2])
def test_derivatives_in_hyperparameters_by_autograd(index):
    torch = pytest.importorskip("torch")
    kernel = kernels(3)[index]
    A = random_points(7, 3, 3, elements=True, most=3)
    W = np.random.default_rng(8).normal(size=(A.n_observations(True, True),) * 2)
    theta = torch.tensor(kernel.theta, requires_grad=True)
    trace = (torch.tensor(W) * _torch_covariance(torch, kernel, theta, A)).sum()
    expected = torch.autograd.grad(trace, theta)[0].numpy()
    found = gradient_of_trace(kernel, W, A, energies=True, forces=True)
    assert_close(found, expected, COVARIANCE, scale=np.abs(expected).max())


def _torch_covariance(torch, kernel, theta, points: Points):
    """Covariances of energies and gradients by derivatives of the sum of all energies in two sets of coordinates."""
    pointer, M = points.gradient_ptr, int(points.gradient_ptr[-1])
    J = torch.zeros((len(points.X), points.n_features, M), dtype=torch.float64)
    for s, block in enumerate(points.jacobian or []):
        first, last = points.structure_ptr[s], points.structure_ptr[s + 1]
        J[first:last, :, pointer[s] : pointer[s + 1]] = torch.tensor(block)
    X, mask = torch.tensor(points.X), torch.tensor(points.elements[:, None] == points.elements[None])
    of_structure = torch.tensor(np.repeat(np.eye(points.n_structures), np.diff(points.structure_ptr), axis=0))
    r, r2 = (torch.zeros(M, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def rows(x, y):
        return mask * _torch_kernel(torch, kernel, theta, X + J @ x, X + J @ y)

    E = of_structure.T @ rows(r, r2) @ of_structure
    derive = torch.func.jacrev
    EF = derive(lambda y: of_structure.T @ rows(r, y).sum(1))(r2)
    FF = derive(derive(lambda x, y: rows(x, y).sum(), argnums=0), argnums=1)(r, r2)
    return torch.cat([torch.cat([E, EF], 1), torch.cat([EF.T, FF], 1)])


def _torch_kernel(torch, kernel, theta, X, Y):
    values = torch.exp(theta)
    n_lengths = max(1, np.size(kernel.length))
    variance, lengths, alpha = values[0], values[1 : 1 + n_lengths], values[-1]
    a, b = X / lengths, Y / lengths
    if kernel.kind == "polynomial":
        return variance * (a @ b.T + kernel.parameters[0]) ** int(kernel.parameters[1])
    q = ((a[:, None] - b[None]) ** 2).sum(-1)
    if kernel.kind == "rbf":
        return variance * torch.exp(-q / 2)
    if kernel.kind == "rational_quadratic":
        return variance * (1 + q / (2 * alpha)) ** -alpha
    # Where rows coincide the Matern kernels are their expansion in q, so that no square root is derived at 0.
    factor = {"matern32": 3, "matern52": 5}[kernel.kind]
    apart = q > 0
    s = torch.sqrt(factor * torch.where(apart, q, 1.0))
    third = s**2 / 3 if factor == 5 else 0
    near = 1 - 1.5 * q if factor == 3 else 1 - 5 / 6 * q + 25 / 24 * q**2
    return variance * torch.where(apart, (1 + s + third) * torch.exp(-s), near)


def test_points_of_functions_are_points_with_unit_jacobians():
    rng = np.random.default_rng(9)
    X = rng.normal(size=(6, 4))
    explicit = Points(X, jacobian=np.broadcast_to(np.eye(4), (6, 1, 4, 4)))
    kernel = RBF([1.0, 2.0, 0.7, 1.5])
    K = covariance(kernel, Points.of_variables(X), energies=True, forces=True)
    assert np.array_equal(K, covariance(kernel, explicit, energies=True, forces=True))
    assert np.array_equal(K[6:, 6:], kernel(X, derivative=2))
    assert_close(K[:6, 6:], kernel(X, X, derivative=1), COVARIANCE)
    assert_close(K[:6, 6:], kernel(X, derivative=1), COVARIANCE)


def test_elements_of_one_set_only_meet_their_own():
    X = np.zeros((3, 2))
    A = Points(X, [1, 1, 8], [0, 3], np.zeros((1, 3, 2, 3)))
    B = Points(X, [6, 6, 6], [0, 3], np.zeros((1, 3, 2, 3)))
    assert covariance(RBF(), A).item() == 5.0
    assert not covariance(RBF(), A, B, energies=True, forces=True).any()
    assert not gradient_of_trace(RBF(), np.ones((1, 1)), A, B).any()


def test_results_go_where_they_are_wanted():
    A = random_points(10, 4, 3, elements=True)
    out = np.full((A.n_observations(True, True),) * 2, np.nan)
    assert covariance(RBF(), A, energies=True, forces=True, out=out) is out
    assert np.array_equal(out, covariance(RBF(), A, energies=True, forces=True))
    with pytest.raises(ValueError, match=r"out has shape \(2, 2\); accepted: \(4, 4\)"):
        covariance(RBF(), A, out=np.empty((2, 2)))
    with pytest.raises(ValueError, match="out must be a C-contiguous float64 array"):
        covariance(RBF(), A, out=np.empty((4, 4), order="F"))


@pytest.mark.parametrize("kernel", [Exponential(), Laplacian(), Laplacian(norm=2), Matern(nu=0.5)], ids=repr)
def test_kernels_without_second_derivatives_refuse(kernel):
    A = random_points(11, 3, 2, elements=False)
    with pytest.raises(ValueError, match=f"{type(kernel).__name__}.* has no second derivatives"):
        covariance(kernel, A, forces=True)
    with pytest.raises(ValueError, match="has no second derivatives"):
        kernel(A.X, derivative=2)
    with pytest.raises(ValueError, match="accepted with gradients"):
        gradient_of_trace(kernel, np.zeros((3, A.n_observations(True, True))), A, A, forces=(False, True))


def test_what_does_not_fit_is_refused():
    A, bare = random_points(12, 3, 2, elements=False), Points(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="A has no jacobian"):
        covariance(RBF(), bare, forces=True)
    with pytest.raises(ValueError, match="B has no jacobian"):
        covariance(RBF(), A, bare, forces=True)
    with pytest.raises(ValueError, match="B has 3 features; accepted: 2"):
        covariance(RBF(), bare, Points(np.zeros((3, 3))))
    with pytest.raises(ValueError, match="for both or for neither"):
        covariance(RBF(), bare, Points(np.zeros((3, 2)), [1, 1, 1]))
    with pytest.raises(ValueError, match="differ between rows and columns"):
        covariance(RBF(), A, forces=(True, False))
    with pytest.raises(ValueError, match=r"W has shape \(1, 1\); accepted: \(3, 3\)"):
        gradient_of_trace(RBF(), [[1.0]], bare)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([[0.0, np.nan]],), r"X must be finite, got nan at \(0, 1\)"),
        (([0.0],), "X must have shape"),
        ((np.zeros((2, 1)), [1]), "elements must have shape"),
        ((np.zeros((2, 1)), None, [0, 1]), "structure_ptr must rise from 0 to the number of rows, 2"),
        ((np.zeros((2, 1)), None, [0, 2, 1, 2]), "structure_ptr must rise"),
        ((np.zeros((2, 1)), None, None, np.zeros((1, 1, 1, 3))), "jacobian has 1 entries for 2 structures"),
        ((np.zeros((2, 1)), None, None, np.zeros((2, 2, 1, 3))), r"jacobian\[0\] has shape \(2, 1, 3\)"),
        ((np.zeros((1, 1)), None, None, np.full((1, 1, 1, 3), np.inf)), r"jacobian\[0\] must be finite"),
    ],
)
def test_points_are_checked(arguments, said):
    with pytest.raises(ValueError, match=said):
        Points(*arguments)


def test_no_structures_have_no_covariances():
    none = Points(np.zeros((0, 3)), None, [0], [])
    assert covariance(RBF(), none, energies=True, forces=True).shape == (0, 0)
    A = random_points(13, 2, 3, elements=False)
    assert covariance(RBF(), A, none).shape == (2, 0)
    assert not gradient_of_trace(RBF(), np.zeros((0, 0)), none).any()
    hollow = Points(np.zeros((1, 3)), None, [0, 0, 1])  # a structure without rows
    assert covariance(RBF(), hollow).tolist() == [[0.0, 0.0], [0.0, 1.0]]
