"""Covariances of structures written out plainly in torch, with automatic derivatives: what ours are checked against."""

import numpy as np
import torch


def _matern52(q):
    apart = q > 0  # the root has no slope at zero, but there the function is 1 - 5 q / 6 to second order
    r = torch.sqrt(5 * torch.where(apart, q, 1.0))
    return torch.where(apart, (1 + r + r * r / 3) * torch.exp(-r), 1 - 5 * q / 6)


FORMULAS = {  # of the difference [..., K] of two points in units of the lengths
    "RBF": lambda d, _: torch.exp(-(d**2).sum(-1) / 2),
    "Matern": lambda d, kernel: _matern52((d**2).sum(-1)),
    "Laplacian": lambda d, _: torch.exp(-d.abs().sum(-1)),
}


def covariance(kernel, A, B, *, energies=True, gradients=False):
    """[rows of A, rows of B]: energies, then derivatives in the coordinates of each structure through its Jacobian.

    A and B are lists of structures ``(x [n, K], elements [n], jacobian [n, K, m])``. One displacement moves the same
    coordinate of every structure of a list: a block of two structures knows their own coordinates only.
    """
    (a, za, Ja, La), (b, zb, Jb, Lb) = _stacked(A), _stacked(B)
    length = torch.as_tensor(np.asarray(kernel.length, float))
    same = (za[:, None] == zb[None]).double() * float(kernel.variance)

    def blocks(u, v):
        x, y = (a + Ja @ u) / length, (b + Jb @ v) / length
        return La.T @ (same * FORMULAS[type(kernel).__name__](x[:, None] - y[None], kernel)) @ Lb

    u, v = torch.zeros(Ja.shape[2]).double(), torch.zeros(Jb.shape[2]).double()
    value = blocks(u, v).numpy()
    if not gradients:
        return value
    mixed = _derivative(_derivative(blocks, 0), 1)(u, v).numpy()
    own = [np.concatenate([_cut(block, s[2].shape[2], t[2].shape[2]) for block, t in zip(row, B, strict=True)], 1)
           for row, s in zip(mixed, A, strict=True)]  # fmt: skip
    if not energies:
        return np.concatenate(own)
    left, right = _derivative(blocks, 0)(u, v).numpy(), _derivative(blocks, 1)(u, v).numpy()
    below = np.concatenate([left[s, :, : A[s][2].shape[2]].T for s in range(len(A))])
    beside = np.concatenate([right[:, t, : B[t][2].shape[2]] for t in range(len(B))], 1)
    return np.block([[value, beside], [below, np.concatenate(own)]])


def _derivative(function, argument):
    return torch.func.jacfwd(function, argnums=argument)


def _cut(block, m, n):
    return block[:m, :n]


def _stacked(structures):
    """Features, elements, Jacobians padded with zeros, and which atom is of which structure."""
    m = max(s[2].shape[2] for s in structures)
    padded = [np.pad(s[2], ((0, 0), (0, 0), (0, m - s[2].shape[2]))) for s in structures]
    owner = np.repeat(np.eye(len(structures)), [len(s[0]) for s in structures], axis=0)
    parts = (np.concatenate([np.asarray(s[i]) for s in structures]) for i in (0, 1))
    x, z = (torch.as_tensor(part) for part in parts)
    return x, z, torch.as_tensor(np.concatenate(padded)), torch.as_tensor(owner)
