"""Time of kernel matrices of 4000 points beside scipy, numpy, scikit-learn and torch: Gaussian and Laplacian kernels.

One thread, float64, from features to a full symmetric matrix. Ours writes on memory of its pool, which keeps what an
earlier result has freed; peers run as installed, where each result is fresh memory, and tuned: the Gaussian one of
numpy into an array that is there.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.spatial.distance import cdist

from atomcore.kernels import RBF, Laplacian
from common import compare, report

POINTS, SIZES = 4000, (64, 150, 500)
PEERS = ("scipy", "scikit-learn", "torch")
LARGEST_DIFFERENCE = 1e-13

Peer = Callable[[], np.ndarray]


def gaussian_by_products(X: np.ndarray, gamma: float, out: np.ndarray | None = None) -> np.ndarray:
    """exp(-gamma |x - y|^2) by |x|^2 + |y|^2 - 2 x.y, in place after the product."""
    squares = np.einsum("ij,ij->i", X, X)
    K = np.matmul(X, X.T, out=out)
    K *= 2 * gamma
    K -= gamma * squares[:, None]
    K -= gamma * squares[None, :]
    return np.exp(K, out=K)


def by_distances(X: np.ndarray, gamma: float, metric: str) -> np.ndarray:
    K = cdist(X, X, metric)
    K *= -gamma
    return np.exp(K, out=K)


def peers(X: np.ndarray, gamma: float) -> dict[str, dict[str, Peer]]:
    """Return what the other codes compute, by kernel and name."""
    out = np.empty((len(X), len(X)))
    found: dict[str, dict[str, Peer]] = {
        "gaussian": {
            "numpy GEMM + exp": partial(gaussian_by_products, X, gamma),
            "numpy GEMM + exp, in place": partial(gaussian_by_products, X, gamma, out),
            "scipy cdist + exp": partial(by_distances, X, gamma, "sqeuclidean"),
        },
        "laplacian": {"scipy cdist + exp": partial(by_distances, X, gamma, "cityblock")},
    }
    try:
        from sklearn.metrics.pairwise import laplacian_kernel, rbf_kernel
    except ImportError:
        print("scikit-learn is not installed: no comparison with it")
    else:
        found["gaussian"]["scikit-learn"] = lambda: rbf_kernel(X, gamma=gamma)
        found["laplacian"]["scikit-learn"] = lambda: laplacian_kernel(X, gamma=gamma)
    try:
        import torch
    except ImportError:
        print("torch is not installed: no comparison with it")
    else:
        torch.set_num_threads(1)
        tensor = torch.from_numpy(X)
        found["gaussian"]["torch"] = lambda: torch.cdist(tensor, tensor).square_().mul_(-gamma).exp_().numpy()
        found["laplacian"]["torch"] = lambda: torch.cdist(tensor, tensor, p=1.0).mul_(-gamma).exp_().numpy()
    return found


def check(ours: Peer, others: dict[str, Peer]) -> None:
    K = ours()
    for name, other in others.items():
        apart = np.abs(K - other()).max()
        if not apart <= LARGEST_DIFFERENCE:
            raise SystemExit(f"{name} computes something else: {apart}")


def main() -> None:
    rows = []
    for n_features in SIZES:
        X = np.random.default_rng(0).normal(size=(POINTS, n_features))
        gamma = 1 / (2 * n_features)
        kernels = {"gaussian": RBF(np.sqrt(n_features)), "laplacian": Laplacian(1 / gamma)}
        for name, others in peers(X, gamma).items():
            ours = partial(kernels[name], X, threads=1)
            rows += compare(f"{name}, {n_features} features", partial(check, ours, others), ours, others)
    report("kernels", rows, PEERS)


if __name__ == "__main__":
    main()
