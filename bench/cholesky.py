"""Time of Cholesky factors beside NumPy and SciPy, in double, one thread.

Small: 10,000 matrices of n rows, factors (`batched_cholesky`) and solutions of one right-hand side without writing the
factor (`batched_solve`, where NumPy has `numpy.linalg.solve`). Large: 4000 rows in place, beside SciPy on a matrix in
Fortran's order and also in place, and packed. Both look for numbers that are not finite, and both begin with a copy of
the matrix.
"""

from functools import partial

import numpy as np
from scipy.linalg import cho_factor
from scipy.linalg.lapack import dtrttf

from atomcore.kernels.linalg import Factor, batched_cholesky, batched_solve, cholesky, packed_size
from common import compare, report

COUNT, LARGE = 10_000, 4000
Row = dict[str, object]


def matrices(n: int, count: int) -> np.ndarray:
    X = np.random.default_rng(n).normal(size=(count, n, n))
    return X + X.transpose(0, 2, 1) + 4 * n * np.eye(n)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    if not np.allclose(found, expected, rtol=1e-10, atol=1e-10):
        raise SystemExit("the results are not those of the peer")


def small(n: int) -> list[Row]:
    A, y = matrices(n, COUNT), np.random.default_rng(0).normal(size=(COUNT, n))
    factor, solve = partial(np.linalg.cholesky, A), partial(np.linalg.solve, A, y[..., None])
    rows = compare(
        f"factor, n = {n}",
        lambda: assert_close(batched_cholesky(A)[0], factor()),
        lambda: batched_cholesky(A, threads=1),
        {"numpy.linalg.cholesky": factor},
    )
    return rows + compare(
        f"solve, n = {n}",
        lambda: assert_close(batched_solve(A, y)[0], solve()[..., 0]),
        lambda: batched_solve(A, y, threads=1),
        {"numpy.linalg.solve": solve},
    )


def large() -> list[Row]:
    A = matrices(LARGE, 1)[0]
    rows, columns = np.empty((LARGE, LARGE)), np.empty((LARGE, LARGE), order="F")
    given, packed = np.asfortranarray(A), np.empty(packed_size(LARGE))
    half = dtrttf(A.T, transr="N", uplo="U")[0]

    def scipys() -> np.ndarray:
        columns[...] = given
        return cho_factor(columns, lower=True, overwrite_a=True)[0]

    def ours(store: np.ndarray, matrix: np.ndarray) -> Factor:
        store[...] = matrix
        return cholesky(store)

    result = []
    for case, store, matrix in (("in place", rows, A), ("packed", packed, half)):
        result += compare(
            f"{LARGE} rows, {case}",
            lambda store=store, matrix=matrix: assert_close(ours(store, matrix).lower(), np.tril(scipys())),
            partial(ours, store, matrix),
            {"scipy.linalg.cho_factor": scipys},
            seconds=20.0,
        )
    return result


if __name__ == "__main__":
    report("cholesky", [row for n in (8, 16, 32, 64) for row in small(n)] + large(), ("scipy",))
