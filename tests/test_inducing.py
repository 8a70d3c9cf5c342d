"""Inducing points: what they cover, that seeds decide them, and that no row counts twice."""

import numpy as np
import pytest

from atomcore.kernels.inducing import cur, farthest_point, k_means
from tolerances import PEER, assert_close


def clusters(seed: int = 0) -> np.ndarray:
    """Return 300 points in 6 clusters, of which the last has 3 only."""
    random = np.random.default_rng(seed)
    centres = 10.0 * np.eye(6)
    label = np.concatenate([np.arange(297) % 5, [5, 5, 5]])
    return centres[label] + 0.1 * random.normal(size=(300, 6))


def distances(X: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(X[:, None] - points, axis=2).min(1)


@pytest.mark.parametrize("method", [cur, farthest_point, k_means])
def test_rare_points_are_covered(method):
    X = clusters()
    found = method(X, 6, seed=1)
    points = found if method is k_means else X[found]
    assert points.shape == (6, 6)
    if method is not cur:  # which draws
        assert distances(X, points).max() < 1.0
        return
    often = [(cur(X, 6, seed=seed) >= 297).any() for seed in range(20)]
    uniform = [(np.random.default_rng(seed).choice(300, 6, replace=False) >= 297).any() for seed in range(20)]
    assert sum(often) > sum(uniform) + 5


@pytest.mark.parametrize("method", [cur, farthest_point, k_means])
def test_seeds_decide(method):
    X = clusters()
    np.testing.assert_array_equal(method(X, 40, seed=3), method(X.copy(), 40, seed=3))
    assert not np.array_equal(method(X, 40, seed=3), method(X, 40, seed=4))


@pytest.mark.parametrize("method", [cur, farthest_point])
def test_indices_are_those_of_different_rows(method):
    X = np.repeat(clusters()[:30], 4, axis=0)
    found = method(X, 30, seed=0)
    assert found.dtype == np.int64
    assert sorted(found // 4) == list(range(30))
    with pytest.raises(ValueError, match="n is 31; accepted: up to 30, the number of different rows"):
        method(X, 31)


def test_clusters_of_copies():
    X = np.repeat(clusters()[:10], 5, axis=0)
    points = k_means(X, 10, seed=0)
    assert_close(points[np.lexsort(points.T)], X[::5][np.lexsort(X[::5].T)], PEER)
    with pytest.raises(ValueError, match="n is 11; accepted: up to 10"):
        k_means(X, 11)


def test_farthest_points_are_the_plain_greedy_choice():
    X = clusters(5) + 1e4  # far from the origin: differences of large squares
    found = farthest_point(X, 25, seed=2)
    chosen = [int(found[0])]
    while len(chosen) < 25:
        chosen.append(int(distances(X, X[chosen]).argmax()))
    assert found.tolist() == chosen
    np.testing.assert_array_equal(farthest_point(X, 9, seed=2), found[:9])


def test_leverage_scores_decide_the_draws():
    """A row that alone spans a direction has the score 1, and copies of rows share theirs."""
    X = np.concatenate([np.tile([1.0, 0.0], (99, 1)) + 1e-9 * np.arange(99)[:, None] * [1.0, 0.0], [[0.0, 1e-3]]])
    first = [int(cur(X, 2, seed=seed)[0]) for seed in range(200)]
    assert 60 < first.count(99) < 140  # one in two


def test_every_row_may_be_taken():
    X = clusters()[:20]
    for method in (cur, farthest_point):
        assert sorted(method(X, 20, seed=0)) == list(range(20))
    assert k_means(X, 20, seed=0).shape == (20, 6)
    assert farthest_point(np.zeros((3, 2)), 1).shape == cur(np.zeros((3, 2)), 1).shape == (1,)


@pytest.mark.parametrize("method", [cur, farthest_point, k_means])
@pytest.mark.parametrize(
    ("X", "n", "said"),
    [
        (np.ones(3), 1, r"X must have shape \(N, K\)"),
        ([[1.0, np.nan]], 1, "X holds numbers that are not finite"),
        (np.eye(3), 4, "n is 4; accepted: from 1 to the number of rows of X, 3"),
        (np.eye(3), 0, "n is 0; accepted: whole numbers from 1"),
        (np.eye(3), 1.5, "n is 1.5; accepted: whole numbers"),
    ],
)
def test_bad_arguments_are_refused_by_name(method, X, n, said):
    with pytest.raises(ValueError, match=said):
        method(X, n)
    with pytest.raises(ValueError, match="seed is -1; accepted: whole numbers from 0"):
        method(np.eye(3), 1, seed=-1)


@pytest.mark.long
def test_a_hundred_thousand_rows():
    import tracemalloc

    X = np.random.default_rng(0).normal(size=(100_000, 30))
    tracemalloc.start()
    for method in (cur, farthest_point, k_means):
        assert len(method(X, 200)) == 200
    assert tracemalloc.get_traced_memory()[1] < 6 * X.nbytes
    tracemalloc.stop()
