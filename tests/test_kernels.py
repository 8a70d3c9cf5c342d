"""Covariance functions: their matrices against formulas, scipy and scikit-learn, and how they behave as values."""

import copy

import numpy as np
import pytest

import covariance_oracle
from atomcore import _core
from atomcore.kernels import RBF, Exponential, Laplacian, Linear, Matern, Polynomial, RationalQuadratic
from helpers import run_python
from tolerances import COVARIANCE, KERNEL, PEER, assert_close

KERNELS = [
    RBF(0.7),
    RBF(2.0, variance=3.0),
    Exponential(0.9),
    Laplacian(1.3),
    Laplacian(1.3, norm=2),
    Matern(1.1, nu=0.5),
    Matern(1.1, nu=1.5),
    Matern(1.1, nu=2.5, variance=0.2),
    RationalQuadratic(1.2, alpha=0.4),
    Polynomial(3, 0.5, 2.0),
    Linear(0.25),
]
by_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=repr)


def extended(kernel, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """The matrix by differences in extended precision."""
    scales = kernel.scales(X.shape[1])
    X, Y = X.astype(np.longdouble) / scales, Y.astype(np.longdouble) / scales
    if kernel.kind == "polynomial":
        q = (X[:, None] * Y[None]).sum(-1)
    elif kernel.kind == "laplacian":
        q = np.abs(X[:, None] - Y[None]).sum(-1)
    else:
        q = ((X[:, None] - Y[None]) ** 2).sum(-1)
    return (kernel.variance * covariance_oracle.jet(kernel, q)[0]).astype(float)


@by_kernel
@pytest.mark.parametrize(("n", "m", "n_features"), [(1, 1, 1), (5, 97, 3), (96, 24, 16), (130, 101, 17), (98, 3, 200)])
def test_matrices_of_two_sets(kernel, n, m, n_features):
    rng = np.random.default_rng(n)
    X, Y = rng.normal(size=(n, n_features)), rng.normal(size=(m, n_features))
    kernel = kernel.set_params(length=kernel.length) if n_features < 4 else copy.copy(kernel).set_params(length=9.0)
    expected = extended(kernel, X, Y)
    assert_close(kernel(X, Y), expected, KERNEL, scale=np.abs(expected).max())


@by_kernel
@pytest.mark.parametrize(("n", "n_features"), [(1, 2), (95, 2), (97, 40), (260, 18)])
def test_matrices_of_one_set(kernel, n, n_features):
    X = np.random.default_rng(n).normal(size=(n, n_features))
    K = kernel(X)
    assert np.array_equal(K, K.T)
    assert np.array_equal(K, kernel(X, threads=3))
    expected = extended(kernel, X, X)
    assert_close(K, expected, KERNEL, scale=10 * np.abs(expected).max())
    if kernel.kind != "polynomial":
        assert (K.diagonal() == kernel.variance).all()


@by_kernel
def test_close_points_far_from_the_origin_do_not_cancel(kernel):
    """What |x|^2 + |y|^2 - 2 x.y would lose: points 1e-7 apart, and all of them at 1e4."""
    if kernel.kind == "polynomial":
        pytest.skip("is a function of the products themselves")
    rng = np.random.default_rng(1)
    X = 1e4 + 0.3 * rng.normal(size=(40, 64))
    Y = np.concatenate([X[:20] + 1e-7 * rng.normal(size=(20, 64)), X[20:]])
    assert_close(kernel(X, Y), extended(kernel, X, Y), COVARIANCE)
    assert (kernel(X, Y).diagonal()[20:] == kernel.variance).all()


@by_kernel
def test_points_without_number_or_features(kernel):
    assert kernel(np.zeros((0, 3))).shape == (0, 0)
    assert kernel(np.zeros((0, 3)), np.zeros((4, 3))).shape == (0, 4)
    value = kernel.variance * kernel.parameters[0] ** kernel.parameters[1] if kernel.kind == "polynomial" else None
    assert (kernel(np.zeros((2, 0))) == (kernel.variance if value is None else value)).all()


def test_scipy_and_scikit_learn_have_the_same():
    gaussian = pytest.importorskip("sklearn.gaussian_process.kernels", reason="scikit-learn is a peer")
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=(50, 7)), rng.normal(size=(30, 7))
    lengths = rng.uniform(1, 3, 7)
    peers = [
        (RBF(lengths), gaussian.RBF(lengths)),
        (RBF(1.5, variance=2.5), gaussian.ConstantKernel(2.5) * gaussian.RBF(1.5)),
        *((Matern(2.0, nu=nu), gaussian.Matern(2.0, nu=nu)) for nu in (0.5, 1.5, 2.5)),
        (RationalQuadratic(1.7, alpha=0.6), gaussian.RationalQuadratic(1.7, 0.6)),
        (Linear(0.49), gaussian.DotProduct(0.7)),
        (Laplacian(4.0), lambda X, Y: pairwise.laplacian_kernel(X, Y, gamma=0.25)),
        (Polynomial(3, 0.5, 2.0), lambda X, Y: pairwise.polynomial_kernel(X, Y, degree=3, gamma=0.25, coef0=0.5)),
    ]
    for kernel, peer in peers:
        assert_close(kernel(X, Y), peer(X, Y), PEER)


def test_ml4chem_has_the_same():
    """Its functions as its source has them, for two vectors."""
    x, y = np.array([[1.0, 2.0, 0.5]]), np.array([[0.3, 2.5, -1.0]])
    distance, sigma = np.linalg.norm(x - y), 0.8
    assert_close(RBF(sigma)(x, y), [[np.exp(-(distance**2) / (2 * sigma**2))]], KERNEL)
    assert_close(Exponential(sigma)(x, y), [[np.exp(-distance / (2 * sigma**2))]], KERNEL)
    assert_close(Laplacian(sigma, norm=2)(x, y), [[np.exp(-distance / sigma)]], KERNEL)


@by_kernel
def test_a_length_for_each_feature_is_one_length_where_they_are_equal(kernel):
    X = np.random.default_rng(3).normal(size=(20, 5))
    each = copy.copy(kernel).set_params(length=[kernel.length] * 5)
    assert np.array_equal(each(X), kernel(X))
    assert each != kernel
    assert len(each.theta) == len(kernel.theta) + 4
    with pytest.raises(ValueError, match="length has 5 entries for 4 features"):
        each(X[:, :4])


@by_kernel
def test_theta(kernel):
    again = kernel.with_theta(kernel.theta)
    assert type(again) is type(kernel)
    assert_close(again.theta, kernel.theta, KERNEL)
    assert kernel.theta_names[:2] == ["variance", "length"]
    assert_close(np.exp(kernel.theta[:2]), [kernel.variance, kernel.length], KERNEL)
    moved = kernel.with_theta(kernel.theta + 0.5)
    assert_close(moved.variance, np.exp(0.5) * kernel.variance, KERNEL)
    with pytest.raises(ValueError, match="theta has shape"):
        kernel.with_theta(kernel.theta[:-1])


@by_kernel
def test_kernels_are_values(kernel):
    assert eval(repr(kernel)) == kernel
    assert copy.deepcopy(kernel) == kernel
    assert type(kernel)(**kernel.get_params()) == kernel
    changed = copy.copy(kernel).set_params(variance=7.5)
    assert changed.variance == 7.5
    assert changed != kernel
    assert kernel != "RBF(length=0.7, variance=1.0)"
    before = repr(changed)
    with pytest.raises(ValueError, match="variance is -1; accepted: positive numbers"):
        changed.set_params(length=3.0, variance=-1)
    with pytest.raises(ValueError, match=r"has no parameter 'sigma'; accepted: .*length"):
        changed.set_params(sigma=1.0)
    assert repr(changed) == before


@pytest.mark.parametrize("kernel", [RBF(np.array([1.0, 2.0])), Matern([0.5, 1.0], nu=1.5), Polynomial(2)], ids=repr)
def test_scikit_learn_clones_kernels(kernel):
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is optional")
    assert base.clone(kernel) == kernel
    assert base.clone(kernel) is not kernel


def test_lengths_are_kept_apart_from_the_array_given():
    lengths = np.array([1.0, 2.0])
    kernel = RBF(lengths)
    lengths[0] = 5.0
    kernel.length[1] = 7.0
    assert kernel.scales(2).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RBF(0.0), "length is 0.0; accepted: positive numbers"),
        (lambda: RBF("long"), "length is 'long'"),
        (lambda: RBF(True), "length is True"),
        (lambda: RBF(np.inf), "length is inf"),
        (lambda: RBF([1.0, -1.0]), "length is .*accepted: a positive number, or one per feature"),
        (lambda: RBF([]), "length is .*or one per feature"),
        (lambda: RBF([[1.0]]), "length is .*or one per feature"),
        (lambda: RBF(variance=np.nan), "variance is nan"),
        (lambda: Matern(nu=2), "nu is 2; accepted: 0.5, 1.5, 2.5"),
        (lambda: Laplacian(norm=3), "norm is 3; accepted: 1, 2"),
        (lambda: RationalQuadratic(alpha=0), "alpha is 0; accepted: positive numbers"),
        (lambda: Polynomial(0), "degree is 0; accepted: whole numbers from 1"),
        (lambda: Polynomial(65), "degree is 65; accepted: whole numbers from 1 to 64"),
        (lambda: Polynomial(offset=-0.5), "offset is -0.5; accepted: numbers from 0"),
        (lambda: RBF()([[np.nan]]), r"X must be finite, got nan at \(0, 0\)"),
        (lambda: RBF()([1.0]), "X must have shape"),
        (lambda: Matern()([[1e160], [-1e160]]), "too large to be squared"),
        (lambda: Matern(1e-10)([[0.0], [1e300]]), "too large to be squared"),
        (lambda: RBF(1e-10)([[1e300], [0.0]], derivative=2), "too large to be squared"),
        (lambda: RBF()([[1.0]], [[1.0, 2.0]]), "B has 2 features; accepted: 1"),
        (lambda: RBF()([[1.0]], derivative=3), "derivative is 3; accepted: 0, 1, 2"),
        (lambda: RBF()([[1.0]], threads=0), "threads must be between 1"),
    ],
)
def test_what_makes_no_sense_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_matrix_that_does_not_fit_is_refused_with_the_numbers():
    with pytest.raises(
        MemoryError, match=r"a matrix of 1000000 x 1000000 covariances would take 8e\+03 GB, and .* free"
    ):
        RBF()(np.zeros((1000000, 1)))


def test_the_core_keeps_no_lengths_that_it_has_converted():
    with pytest.raises(TypeError, match="incompatible constructor"):
        _core.ScaledKernel(0, 0.0, 0.0, 1.0, np.ones(3, np.float32))


def test_derivatives_of_the_values_at_a_point_stand_in_columns():
    X, Y = np.random.default_rng(4).normal(size=(2, 3, 2))
    K = RBF(0.5)(X, Y, derivative=1)
    assert K.shape == (3, 6)
    expected = (4.0 * (X[:, None] - Y[None]) * RBF(0.5)(X, Y)[..., None]).reshape(3, 6)
    assert_close(K, expected, KERNEL)


def test_kernels_need_neither_scipy_nor_scikit_learn():
    code = """
import sys
from atomcore.kernels import RBF
RBF()([[0.0], [1.0]])
print(sorted({name.split(".")[0] for name in sys.modules} & {"scipy", "sklearn", "torch"}))
"""
    assert run_python(code).strip() == "[]"
