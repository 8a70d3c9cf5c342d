"""The surface of Mueller and Brown by a Gaussian process and by a network: energies, gradients and uncertainty.

    OMP_NUM_THREADS=1 python examples/mueller_brown.py

The process finds its lengths, variance and noise by the marginal likelihood, from the scale of the data; with gradients
a hundred points are worth three hundred without. Its standard deviation says where it knows nothing.
"""

import argparse

import numpy as np

from atomcore.kernels import RBF
from atomcore.models import GaussianProcess

# Theor. Chim. Acta 53, 75 (1979), times 0.1: A, a, b, c, x0, y0
TERMS = np.array(
    [[-200, -1, 0, -10, 1, 0], [-100, -1, 0, -10, 0, 0.5], [-170, -6.5, 11, -6.5, -0.5, 1.5],
     [15, 0.7, 0.6, 0.7, -1, 1.0]]
)  # fmt: skip


def surface(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values [n] and gradients [n, 2] at points [n, 2]."""
    A, a, b, c, x0, y0 = TERMS.T
    dx, dy = points[:, :1] - x0, points[:, 1:] - y0
    term = 0.1 * A * np.exp(a * dx**2 + b * dx * dy + c * dy**2)
    slopes = [(term * (2 * a * dx + b * dy)).sum(1), (term * (b * dx + 2 * c * dy)).sum(1)]
    return term.sum(1), np.stack(slopes, 1)


def grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the 696 points of a grid that lie below 10, with values and gradients."""
    x, y = np.meshgrid(-1.8 + 0.1 * np.arange(32), -0.4 + 0.1 * np.arange(28))
    points = np.stack([x.ravel(), y.ravel()], 1)
    values, slopes = surface(points)
    low = values < 10
    return points[low], values[low], slopes[low]


def gaussian_process(n: int, *, gradients: bool, seed: int = 0) -> tuple[float, GaussianProcess]:
    """Train on n random points of the grid; return the RMSE over all of it, and the model."""
    X, y, G = grid()
    chosen = np.random.default_rng(seed).permutation(len(X))[:n]
    model = GaussianProcess(RBF([1.0, 1.0]), seed=seed)
    model.fit(X[chosen], y[chosen], gradients=G[chosen] if gradients else None)
    return float(np.sqrt(np.mean((model.predict(X) - y) ** 2))), model


def network(epochs: int, seed: int = 314) -> float:
    """Train a network 2-20-1 on energies and gradients of the grid; return its RMSE over the same points."""
    import torch

    torch.manual_seed(seed)
    X, y, G = (torch.tensor(part, dtype=torch.float32) for part in grid())
    net = torch.nn.Sequential(torch.nn.Linear(2, 20), torch.nn.Tanh(), torch.nn.Linear(20, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(epochs):
        for chosen in torch.randperm(len(y)).split(32):
            x = X[chosen].clone().requires_grad_()
            value = net(x)[:, 0]
            (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
            loss = (value - y[chosen]).square().mean() + (slope - G[chosen]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return float((net(X)[:, 0] - y).square().mean().sqrt())


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=300, help="that the processes are trained on")
    parser.add_argument("--epochs", type=int, default=300, help="of the network; 0 does without it and without torch")
    given = parser.parse_args(arguments)
    errors = {}
    for name, gradients in (("energies", False), ("energies and gradients", True)):
        errors[name], model = gaussian_process(given.points, gradients=gradients)
        _, far = model.predict(np.array([[-0.5, 0.5], [5.0, 5.0]]), return_std=True)
        print(f"process, {given.points} points, {name}: RMSE {errors[name]:.2e}, {model.kernel_}")
        print(f"    standard deviation {far[0]:.1e} among the points, {far[1]:.1f} far away")
    if given.epochs:
        errors["network"] = network(given.epochs)
        print(f"network, 696 points, energies and gradients: RMSE {errors['network']:.2e}")
    return errors


if __name__ == "__main__":
    main()
