"""Cholesky factors beside NumPy's and SciPy's: in place, packed, growing, updated, and many small ones at a time."""

import pickle

import numpy as np
import pytest
import scipy.linalg
from scipy.linalg import lapack

from atomcore.kernels.linalg import (
    NotPositiveDefinite,
    add_to_diagonal,
    batched_cholesky,
    batched_logdet,
    batched_solve,
    cholesky,
    packed_size,
)
from helpers import run_python
from tolerances import FLOAT32, PEER, assert_close

SIZES = (1, 2, 3, 6, 17, 130)


def positive_definite(n: int, seed: int = 0, count: int | None = None) -> np.ndarray:
    random = np.random.default_rng([seed, n])
    X = random.normal(size=(count or 1, n, n))
    A = X @ X.transpose(0, 2, 1) + n * np.eye(n)
    return A if count else A[0]


def packed_by_scipy(A: np.ndarray) -> np.ndarray:
    packed, info = lapack.dtrttf(A.T, transr="N", uplo="U")
    assert info == 0
    return packed


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_factor(n, packed):
    A, random = positive_definite(n), np.random.default_rng(n)
    factor = cholesky(A, overwrite=False, packed=packed)
    assert (factor.n, factor.packed, factor.jitter) == (n, packed, 0.0)
    assert_close(factor.lower(), np.linalg.cholesky(A), PEER)
    assert_close(factor.logdet, np.linalg.slogdet(A)[1], PEER)
    assert_close(factor.inverse(), np.linalg.inv(A), PEER)
    for shape in ((n,), (n, 1), (n, 40)):
        y = random.normal(size=shape)
        before = y.copy()
        assert_close(factor.solve(y), np.linalg.solve(A, y), PEER)
        half = scipy.linalg.solve_triangular(np.linalg.cholesky(A), y, lower=True)
        assert_close(factor.half_solve(y), half, PEER)
        assert_close(factor.half_solve(half, transposed=True), np.linalg.solve(A, y), PEER)
        np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize("n", SIZES)
def test_packed_form_is_that_of_lapack(n):
    A = positive_definite(n)
    packed = packed_by_scipy(A)
    assert packed.shape == (packed_size(n),)
    expected, info = lapack.dpftrf(n, packed, transr="N", uplo="U")
    assert info == 0
    factor = cholesky(packed.copy())
    assert factor.nbytes == 8 * packed_size(n)
    assert_close(factor._matrix, expected, PEER)
    assert_close(factor.lower(), np.linalg.cholesky(A), PEER)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("n", [1, 4, 5])
def test_add_to_diagonal(n, packed):
    A, amount = positive_definite(n), np.arange(1.0, n + 1)
    matrix = packed_by_scipy(A) if packed else A.copy()
    add_to_diagonal(matrix, amount)
    add_to_diagonal(matrix, 0.5)
    assert_close(cholesky(matrix).lower(), np.linalg.cholesky(A + np.diag(amount) + 0.5 * np.eye(n)), PEER)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_factor_takes_the_place_of_the_matrix(order):
    A = np.array(positive_definite(50), order=order)
    assert np.shares_memory(cholesky(A)._matrix, A)
    B = np.array(positive_definite(50), order=order)
    kept = B.copy()
    assert_close(cholesky(B, overwrite=False).lower(), np.linalg.cholesky(kept), PEER)
    np.testing.assert_array_equal(B, kept)
    B.flags.writeable = False
    assert_close(cholesky(B).lower(), np.linalg.cholesky(kept), PEER)


@pytest.mark.parametrize("packed", [False, True])
def test_only_one_triangle_is_read(packed):
    A = positive_definite(21)
    half = np.tril(A) + np.triu(np.full(A.shape, np.nan), 1)
    for matrix in (half.copy(), np.asfortranarray(half.T)):
        assert_close(cholesky(matrix, packed=packed).lower(), np.linalg.cholesky(A), PEER)


def test_strided_and_integer_input():
    A = positive_definite(12)
    wide = np.repeat(np.repeat(A, 2, 0), 2, 1)
    assert_close(cholesky(wide[::2, ::2]).lower(), np.linalg.cholesky(A), PEER)
    np.testing.assert_array_equal(wide[::2, ::2], A)
    assert_close(cholesky([[4, 2], [2, 5]]).lower(), np.array([[2.0, 0.0], [1.0, 2.0]]), PEER)


def test_no_rows():
    factor = cholesky(np.empty((0, 0)))
    assert factor.logdet == 0.0
    assert factor.solve(np.empty(0)).shape == (0,)
    grown = factor.append(np.empty((3, 0)), positive_definite(3))
    assert_close(grown.lower(), np.linalg.cholesky(positive_definite(3)), PEER)


# ---- what has no factor


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("pivot", [0, 7, 15, 16, 29])
def test_the_pivot_that_fails_is_named(pivot, packed):
    A = positive_definite(30)
    A[pivot, pivot] = -1.0
    with pytest.raises(NotPositiveDefinite, match=f"pivot {pivot} of 30") as caught:
        cholesky(A, packed=packed)
    assert caught.value.pivot == pivot
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.pivot, str(copy)) == (pivot, str(caught.value))
    assert isinstance(copy, np.linalg.LinAlgError)


@pytest.mark.parametrize("packed", [False, True])
def test_duplicates_raise_and_jitter_is_reported(packed):
    x = np.concatenate([np.linspace(0, 5, 20), [2.5, 2.5]])
    K = np.exp(-((x[:, None] - x) ** 2) / 0.02)
    with pytest.raises(NotPositiveDefinite):
        cholesky(K.copy(), packed=packed)
    factor = cholesky(K.copy(), jitter=1e-8, packed=packed)
    assert factor.jitter == 1e-8
    L = factor.lower()
    assert_close(L @ L.T, K + 1e-8 * np.eye(len(K)), PEER)


def test_nearly_singular_matrices_solve_with_small_residuals():
    x = np.linspace(0, 1, 200)
    K = np.exp(-((x[:, None] - x) ** 2) / 0.5)  # of rank 15 or so in double precision
    K[np.diag_indices(200)] += 1e-10
    y = np.sin(9 * x)
    alpha = cholesky(K, overwrite=False).solve(y)
    assert np.linalg.norm(K @ alpha - y) <= 1e-8 * np.linalg.norm(y)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 1), (28, 27), (29, 29), (20, 2)])
def test_what_is_not_finite_is_refused_by_name(row, column, packed, value):
    A = positive_definite(30)
    A[row, column] = value
    kept = A.copy()
    with pytest.raises(ValueError, match=rf"A is not finite at \[{row}, {column}\]"):
        cholesky(A, packed=packed)
    np.testing.assert_array_equal(A, kept)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: cholesky(np.eye(3)[:2]), r"A has shape \(2, 3\); accepted"),
        (lambda: cholesky(np.ones(5)), r"A has shape \(5,\); accepted"),
        (lambda: cholesky(np.eye(3), jitter=-1.0), "jitter is -1.0; accepted"),
        (lambda: cholesky(np.eye(3), jitter=np.nan), "jitter is nan; accepted"),
        (lambda: cholesky(np.eye(3)).solve(np.ones(2)), r"y must have shape \(3,\), got \(2,\)"),
        (lambda: cholesky(np.eye(3)).solve(np.ones((2, 3))), r"y must have shape \(3, m\), got \(2, 3\)"),
        (lambda: cholesky(np.eye(2)).half_solve([1.0, np.nan]), "y holds numbers that are not finite"),
        (lambda: cholesky(np.eye(2)).append(np.ones((1, 3)), np.eye(1)), r"B must have shape \(m, 2\)"),
        (lambda: cholesky(np.eye(2)).append(np.ones((1, 2)), np.eye(2)), r"C must have shape \(1, 1\)"),
        (lambda: cholesky(np.eye(2)).append([[np.inf, 0]], np.eye(1)), "B holds numbers that are not finite"),
        (lambda: cholesky(np.eye(2)).update(np.ones(3)), r"v must have shape \(2,\)"),
        (lambda: cholesky(np.eye(2)).downdate([np.nan, 0]), "v holds numbers that are not finite"),
        (lambda: batched_cholesky(np.ones((2, 65, 65))), r"A has shape \(2, 65, 65\); accepted: .* 1 to 64"),
        (lambda: batched_cholesky(np.eye(3)), r"A has shape \(3, 3\); accepted"),
        (lambda: batched_cholesky(np.ones((2, 3, 3)), out=np.ones((2, 3, 4))), "out is float64"),
        (lambda: batched_cholesky(np.ones((2, 3, 3)), out=np.ones((2, 3, 3), np.float32)), "out is float32"),
        (lambda: batched_solve(np.ones((2, 3, 3)), np.ones((2, 2))), r"y has shape \(2, 2\); accepted"),
        (lambda: batched_solve(np.ones((2, 3, 3)), np.ones(2)), r"y has shape \(2,\); accepted"),
        (lambda: batched_solve(np.ones((2, 3, 3)), np.full((2, 3), np.nan)), "y holds numbers that are not finite"),
    ],
)
def test_bad_arguments_are_refused_by_name(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_complex_numbers_are_not_cut_to_real_ones():
    for call in (lambda A: batched_cholesky(A), lambda A: batched_solve(np.ones((2, 3, 3)), A)):
        with pytest.raises(TypeError, match="must hold real numbers, got dtype complex128"):
            call(np.ones((2, 3, 3)) * 1j)


# ---- growing and updating


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1), (5, 1), (6, 1, 4), (40, 30, 1)])
def test_appended_rows_equal_a_refit(sizes, packed):
    A, n = positive_definite(sum(sizes)), sizes[0]
    factor = cholesky(A[:n, :n].copy(), packed=packed, jitter=0.1)
    for m in sizes[1:]:
        factor = factor.append(A[n : n + m, :n], A[n : n + m, n : n + m])
        n += m
    expected = cholesky(A.copy(), packed=packed, jitter=0.1)
    assert (factor.n, factor.packed, factor.jitter) == (n, packed, 0.1)
    assert_close(factor.lower(), expected.lower(), PEER)
    assert_close(factor.logdet, expected.logdet, PEER)


def test_appended_rows_that_depend_on_others_raise():
    A = positive_definite(9)
    factor = cholesky(A.copy())
    before = factor.lower()
    with pytest.raises(NotPositiveDefinite, match="pivot 10 of 11") as caught:
        factor.append(A[[0, 3]], A[np.ix_([0, 3], [0, 3])] + np.diag([1.0, -1.0]))
    assert caught.value.pivot == 10
    np.testing.assert_array_equal(factor.lower(), before)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_rank_one_updates(n, packed):
    A, v = positive_definite(n), np.random.default_rng(n).normal(size=n)
    factor = cholesky(A.copy(), packed=packed)
    larger = factor.update(v)
    assert_close(larger.lower(), np.linalg.cholesky(A + np.outer(v, v)), PEER)
    assert_close(larger.downdate(v).lower(), np.linalg.cholesky(A), PEER)
    assert_close(factor.lower(), np.linalg.cholesky(A), PEER)


def test_downdating_too_far_raises_and_spoils_nothing():
    A = positive_definite(8)
    factor = cholesky(A.copy())
    v = 1.01 * factor.lower()[:, 2]
    with pytest.raises(NotPositiveDefinite) as caught:
        factor.downdate(v)
    assert caught.value.pivot == 2
    assert_close(factor.lower(), np.linalg.cholesky(A), PEER)


# ---- many small ones


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 31, 32, 33, 63, 64])
def test_batches(n, dtype):
    tolerance = PEER if dtype == np.float64 else FLOAT32
    for count in (1, 7, 8, 20):
        A = positive_definite(n, count, count).astype(dtype)
        exact = A.astype(np.float64)
        L, status = batched_cholesky(A)
        assert (L.dtype, status.tolist()) == (dtype, [0] * count)
        assert_close(L, np.linalg.cholesky(exact), tolerance, scale=n)
        logdet, status = batched_logdet(A)
        assert_close(logdet, np.linalg.slogdet(exact)[1], tolerance, scale=n)
        assert not status.any()
        for shape in ((count, n), (count, n, 1), (count, n, 4), (count, n, 6)):
            y = np.random.default_rng(n).normal(size=shape).astype(dtype)
            x, status = batched_solve(A, y)
            columns = y.reshape(count, n, -1)
            assert_close(x, np.linalg.solve(exact, columns).reshape(shape), tolerance)
            assert not status.any()


def test_results_beyond_the_caches_are_the_same():
    A = positive_definite(24, count=1000)  # 4.6 MB
    L, status = batched_cholesky(A)
    np.testing.assert_array_equal(L[:50], batched_cholesky(A[:50])[0])
    assert_close(L, np.linalg.cholesky(A), PEER)
    assert not status.any()


@pytest.mark.parametrize("n", [3, 20, 64])
def test_matrices_that_fail_touch_no_others(n):
    A, y = positive_definite(n, count=37), np.random.default_rng(0).normal(size=(37, n))
    good = (batched_cholesky(A)[0], batched_solve(A, y)[0], batched_logdet(A)[0])
    bad = {0: (0, -1.0), 5: (n - 1, 0.0), 6: (n // 2, np.nan), 20: (1, np.inf), 36: (n - 1, -np.inf)}
    for matrix, (pivot, value) in bad.items():
        A[matrix, pivot, pivot] = value
    expected = np.zeros(37, np.int32)
    for matrix, (pivot, _) in bad.items():
        expected[matrix] = pivot + 1
    fine = expected == 0
    for before, (after, status) in zip(
        good, (batched_cholesky(A), batched_solve(A, y), batched_logdet(A)), strict=True
    ):
        np.testing.assert_array_equal(status, expected)
        np.testing.assert_array_equal(after[fine], before[fine])
        assert np.isnan(after[~fine]).all()


def test_a_nan_below_the_diagonal_fails():
    A = positive_definite(10, count=3)
    A[1, 6, 2] = np.nan
    A[1, 2, 8] = A[2, 2, 8] = np.nan  # right of the diagonal: not read
    assert batched_cholesky(A)[1].tolist() == [0, 7, 0]


def test_batches_in_place_and_in_threads():
    A, y = positive_definite(19, count=300), np.random.default_rng(0).normal(size=(300, 19, 3))
    L, x = batched_cholesky(A, threads=1)[0], batched_solve(A, y, threads=1)[0]
    np.testing.assert_array_equal(batched_cholesky(A, threads=3)[0], L)
    np.testing.assert_array_equal(batched_solve(A, y, threads=3)[0], x)
    assert batched_solve(A, y, out=y)[0] is y
    np.testing.assert_array_equal(y, x)
    assert batched_cholesky(A, out=A)[0] is A
    np.testing.assert_array_equal(A, L)


def test_an_empty_batch():
    for result, status in (batched_cholesky(np.empty((0, 4, 4))), batched_logdet(np.empty((0, 4, 4)))):
        assert len(result) == len(status) == 0


# ---- the library around it


def test_scipy_is_loaded_when_needed():
    code = """
import sys
import numpy as np
from atomcore.kernels.linalg import batched_cholesky, cholesky
batched_cholesky(np.eye(3)[None])
assert not any(name.startswith("scipy") for name in sys.modules)
assert cholesky(np.eye(3)).logdet == 0.0
assert "scipy.linalg" in sys.modules
"""
    run_python(code)


@pytest.mark.long
@pytest.mark.parametrize("what", ["cholesky(A)", "factor.inverse()"])
def test_ctrl_c_ends_long_work(what):
    """Each takes seconds on one thread, which the signal cuts short."""
    code = f"""
import os, signal, threading, time
import numpy as np
from atomcore.kernels.linalg import cholesky
A = np.eye(7000)
factor = cholesky(A, overwrite=False)
started = time.process_time()
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    {what}
except KeyboardInterrupt:
    print(time.process_time() - started)
"""
    assert 0.0 < float(run_python(code)) < 2.0


@pytest.mark.long
@pytest.mark.parametrize("packed", [False, True])
def test_a_matrix_that_is_worked_on_in_parts(packed):
    n = 5001
    A = positive_definite(n)
    expected = np.linalg.slogdet(A)[1]
    y = np.random.default_rng(1).normal(size=n)
    factor = cholesky(A, overwrite=False, packed=packed)
    assert abs(factor.logdet - expected) <= 1e-12 * abs(expected)
    assert np.abs(A @ factor.solve(y) - y).max() <= 1e-10
