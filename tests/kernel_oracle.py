"""Covariances of structures written out plainly in torch, one term at a time: what compiled ones are checked against.

A formula of a kernel here is a function of q as in cpp/math/distance_kernels.hpp, and all derivatives are automatic.
"""

import numpy as np
import torch

FORMULAS = {
    "RBF": lambda x, y, _: torch.exp(-((x - y) ** 2).sum() / 2),
    "Matern": lambda x, y, kernel: _matern(((x - y) ** 2).sum(), kernel.nu),
    "RationalQuadratic": lambda x, y, kernel: (1 + ((x - y) ** 2).sum() / (2 * kernel.alpha)) ** -kernel.alpha,
    "Laplacian": lambda x, y, _: torch.exp(-(x - y).abs().sum()),
}


def _matern(q, nu):
    r = torch.sqrt(2 * nu * q + 1e-300)
    return {0.5: 1.0, 1.5: 1 + r, 2.5: 1 + r + r * r / 3}[nu] * torch.exp(-r)


def formula(kernel, x, y, variance, length):
    """k(x, y) of two points, as torch sees it."""
    return variance * FORMULAS[type(kernel).__name__](x / length, y / length, kernel)


def covariance(kernel, A, B, *, energies=True, gradients=False, variance=None, length=None):
    """[rows of A, rows of B]: energies, then derivatives in the coordinates of each structure through its Jacobian.

    A and B are lists of structures ``(x [n, K], elements [n], jacobian [n, K, m])``.
    """
    variance = torch.tensor(float(kernel.variance)) if variance is None else variance
    length = torch.as_tensor(np.asarray(kernel.length, float)) if length is None else length

    def pair(a, b, u, v):
        x = torch.as_tensor(a[0]) + torch.einsum("nkm,m->nk", torch.as_tensor(a[2]), u)
        y = torch.as_tensor(b[0]) + torch.einsum("nkm,m->nk", torch.as_tensor(b[2]), v)
        same = [(i, j) for i in range(len(x)) for j in range(len(y)) if a[1][i] == b[1][j]]
        terms = [formula(kernel, x[i], y[j], variance, length) for i, j in same]
        return torch.stack(terms).sum() if terms else (u.sum() + v.sum()) * 0

    blocks = [[_block(pair, a, b, energies, gradients) for b in B] for a in A]
    order_a, order_b = (_order([s[2].shape[2] for s in side], energies, gradients) for side in (A, B))
    return torch.cat([torch.cat(row, 1) for row in blocks])[order_a][:, order_b]


def _block(pair, a, b, energies, gradients):
    u = torch.zeros(a[2].shape[2], dtype=torch.float64, requires_grad=True)
    v = torch.zeros(b[2].shape[2], dtype=torch.float64, requires_grad=True)
    if not gradients:
        return pair(a, b, u, v).reshape(1, 1)
    joined = torch.cat([u, v])
    m = len(u)

    def function(w):
        return pair(a, b, w[:m], w[m:])

    value = function(joined)
    slope = torch.func.grad(function)(joined)
    mixed = torch.func.hessian(function)(joined)[:m, m:]
    if not energies:
        return mixed
    top = torch.cat([value.reshape(1, 1), slope[m:].reshape(1, -1)], 1)
    return torch.cat([top, torch.cat([slope[:m].reshape(-1, 1), mixed], 1)])


def _order(sizes, energies, gradients):
    """Rows structure by structure (energy, derivatives) into all energies first."""
    if not (energies and gradients):
        return torch.arange(sum(sizes) if gradients else len(sizes))
    starts = np.cumsum([0, *(m + 1 for m in sizes[:-1])])
    rows = [*starts, *(s + 1 + i for s, m in zip(starts, sizes, strict=True) for i in range(m))]
    return torch.as_tensor(np.array(rows))
