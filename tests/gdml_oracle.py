"""GDML by plain linear algebra, from the formulas of the kernel and its derivatives alone."""

import numpy as np


def inverse_distances(positions, lattice=None):
    a, b = np.tril_indices(len(positions), -1)
    d = positions[a] - positions[b]
    if lattice is not None:
        d = d - np.rint(d @ np.linalg.inv(lattice)) @ lattice
    r = np.linalg.norm(d, axis=1)
    J = np.zeros((len(a), len(positions), 3))
    J[np.arange(len(a)), a] = -d / r[:, None] ** 3
    J[np.arange(len(a)), b] = d / r[:, None] ** 3
    return 1 / r, J.reshape(len(a), -1)


def blocks(x, J, y, K, sigma):
    """Covariance of energy and gradient at one geometry with those at another: [1 + m, 1 + m]."""
    d, lam = x - y, np.sqrt(5) / sigma
    s = lam * np.linalg.norm(d)
    e = lam**2 / 3 * np.exp(-s)
    slope = -e * (1 + s) * d  # dk/dx = -dk/dy
    curvature = e * ((1 + s) * np.eye(len(d)) - lam**2 * np.outer(d, d))  # d2k/dxdy
    out = np.empty((1 + J.shape[1], 1 + K.shape[1]))
    out[0, 0] = (1 + s + s**2 / 3) * np.exp(-s)
    out[0, 1:], out[1:, 0] = -slope @ K, slope @ J
    out[1:, 1:] = J.T @ curvature @ K
    return out


class Oracle:
    """Trained on gradients, and on energies if they are given."""

    def __init__(self, positions, gradients, sigma, lam, permutations, energy=None, lattice=None):
        self.positions, self.sigma, self.lattice = positions, sigma, lattice
        self.permutations = permutations
        self.n, self.m = len(positions), positions.shape[1] * 3
        rows = [self.row(r) for r in positions]
        K = np.concatenate([r[1:] for r in rows] + [r[:1] for r in rows])
        y = gradients.ravel()
        self.mean = 0.0 if energy is None else energy.mean()
        keep = len(K) if energy is not None else self.n * self.m
        if energy is not None:
            y = np.concatenate([y, energy - self.mean])
        self.std = y.std()
        self.K = K[:keep, :keep]
        self.alphas = np.linalg.solve(self.K + lam * np.eye(keep), y / self.std)
        self.keep, self.y = keep, y

    def row(self, position):
        """Covariance of energy and gradient at a geometry with all gradients and then all energies of training."""
        x, J = inverse_distances(position, self.lattice)
        of_gradients, of_energies = [], []
        for r in self.positions:
            block = 0.0
            for p in self.permutations:
                # The gradient at r seen from the permuted geometry: atom a of it is atom p[a] of r.
                y, K = inverse_distances(r[p], self.lattice)
                back = np.empty_like(K.reshape(len(K), -1, 3))
                back[:, p] = K.reshape(len(K), -1, 3)
                block = block + blocks(x, J, y, back.reshape(K.shape), self.sigma)
            of_gradients.append(block[:, 1:])
            of_energies.append(block[:, :1])
        return np.concatenate(of_gradients + of_energies, axis=1)

    def predict(self, position):
        """Energy without a constant of integration, and forces."""
        values = self.std * self.row(position)[:, : self.keep] @ self.alphas
        return self.mean + values[0], -values[1:].reshape(-1, 3)
