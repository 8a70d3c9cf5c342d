"""Fit a NEP4 potential for liquid water by gradients, and write GPUMD's nep.txt: `fit_nep.py TRAIN.xyz OUT.txt`.

GPUMD's own trainer needs a GPU. Here the same functional form (Fan et al., J. Chem. Phys. 157, 114801 (2022); cutoffs
and sizes as GPUMD chooses them by default but for the radial cutoff) is fitted to energies and forces with Adam.
calorine's evaluator reads what is written.
"""

import argparse
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from ase.io import read

from atomcore import neighbor_list

ELEMENTS = ("O", "H")
RADIAL, ANGULAR = 6.0, 4.0  # A
N_RADIAL = N_ANGULAR = 5  # functions, n_max + 1
N_BASIS = 9  # Chebyshev polynomials, basis_size + 1
L_MAX, NEURONS = 4, 30
ENERGY_WEIGHT, BATCH = 100.0, 2
Q222 = -0.007499480826664

# (degree, order) of the real components, as powers of z with integer coefficients, and what they are divided by (kappa)
HARMONICS = {
    (1, 0): ((0, 1), 1), (1, 1): ((1,), 1),
    (2, 0): ((-1, 0, 3), 2), (2, 1): ((0, 1), 1 / 3), (2, 2): ((1,), 1 / 3),
    (3, 0): ((0, -3, 0, 5), 2), (3, 1): ((-1, 0, 5), 2 / 3), (3, 2): ((0, 1), 1 / 15), (3, 3): ((1,), 1 / 15),
    (4, 0): ((3, 0, -30, 0, 35), 8), (4, 1): ((0, -3, 0, 7), 2 / 5), (4, 2): ((-1, 0, 7), 2 / 15),
    (4, 3): ((0, 1), 1 / 105), (4, 4): ((1,), 1 / 105),
}  # fmt: skip


def basis(r: torch.Tensor, cutoff: float) -> torch.Tensor:
    """Return f_k(r), [P, N_BASIS]."""
    x = 2 * (r / cutoff - 1) ** 2 - 1
    chebyshev = [torch.ones_like(x), x]
    while len(chebyshev) < N_BASIS:
        chebyshev.append(2 * x * chebyshev[-1] - chebyshev[-2])
    fc = 0.5 * (torch.cos(math.pi * r / cutoff) + 1)
    return torch.stack([fc, *(0.5 * fc * (t + 1) for t in chebyshev[1:])], -1)


def harmonics(D: torch.Tensor, r: torch.Tensor) -> tuple[torch.Tensor, list[float], list[int]]:
    """Return the components [P, 24], and for each its weight in the invariant and its l."""
    x, y, z = (D / r[:, None]).unbind(-1)
    columns, weights, degrees = [], [], []
    for (degree, m), (coefficients, kappa) in HARMONICS.items():
        h = sum(c * z**k for k, c in enumerate(coefficients) if c)
        real, imaginary = torch.ones_like(x), torch.zeros_like(x)
        for _ in range(m):
            real, imaginary = x * real - y * imaginary, x * imaginary + y * real
        turns = math.factorial(degree - m) / math.factorial(degree + m)
        weight = (2 * degree + 1) / (4 * math.pi) * turns / kappa**2
        for part in (real,) if m == 0 else (real, imaginary):
            columns.append(h * part)
            weights.append(weight if m == 0 else 2 * weight)
            degrees.append(degree)
    return torch.stack(columns, -1), weights, degrees


class Frame:
    """One structure: its pairs within the radial cutoff, sorted by the elements of both ends, and its labels."""

    def __init__(self, atoms, offset: float) -> None:
        i, j, D = neighbor_list("ijD", atoms, RADIAL)
        self.types = torch.tensor([ELEMENTS.index(symbol) for symbol in atoms.symbols])
        kind = 2 * self.types[i] + self.types[j]
        order = torch.argsort(kind, stable=True)
        self.i, self.j, self.D = (
            torch.from_numpy(i)[order],
            torch.from_numpy(j)[order],
            torch.from_numpy(D)[order].float(),
        )
        self.ends = [0, *torch.cumsum(torch.bincount(kind, minlength=4), 0).tolist()]
        self.energy = float(atoms.get_potential_energy()) - offset * len(atoms)
        self.forces = torch.from_numpy(atoms.get_forces()).float()


class Nep(torch.nn.Module):
    """The potential; energies are those above the offset."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.c_radial = torch.nn.Parameter(torch.randn(4, N_BASIS, N_RADIAL) / 3)
        self.c_angular = torch.nn.Parameter(torch.randn(4, N_BASIS, N_ANGULAR) / 3)
        self.dim = N_RADIAL + N_ANGULAR * (L_MAX + 1)
        self.w0 = torch.nn.Parameter(torch.randn(2, NEURONS, self.dim) / math.sqrt(self.dim))
        self.b0 = torch.nn.Parameter(torch.randn(2, NEURONS))
        self.w1 = torch.nn.Parameter(torch.randn(2, NEURONS) / math.sqrt(NEURONS))
        self.b1 = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("scale", torch.ones(self.dim))

    def descriptors(self, frame: Frame, D: torch.Tensor) -> torch.Tensor:
        r = D.norm(dim=-1)
        near = torch.nonzero(r < ANGULAR).squeeze(1)
        kinds = torch.repeat_interleave(torch.arange(4), torch.tensor([b - a for a, b in pairwise(frame.ends)]))
        f = basis(r, RADIAL)
        g = torch.cat([f[a:b] @ self.c_radial[k] for k, (a, b) in enumerate(pairwise(frame.ends))])
        n = len(frame.types)
        radial = torch.zeros(n, N_RADIAL).index_add(0, frame.i, g)
        f, kinds = basis(r[near], ANGULAR), kinds[near]
        ends = [0, *torch.cumsum(torch.bincount(kinds, minlength=4), 0).tolist()]
        g = torch.cat([f[a:b] @ self.c_angular[k] for k, (a, b) in enumerate(pairwise(ends))])
        h, weights, degrees = harmonics(D[near], r[near])
        s = torch.zeros(n, N_ANGULAR, h.shape[1]).index_add(0, frame.i[near], g[:, :, None] * h[:, None, :])
        squares = s**2 * torch.tensor(weights)
        at = torch.tensor(degrees)
        three = [squares[:, :, at == degree].sum(-1) for degree in range(1, L_MAX + 1)]
        s3, s4, s5, s6, s7 = s[:, :, at == 2].unbind(-1)
        four = (
            s3**3
            + 18 * s3 * (s4**2 + s5**2)
            - 9 * s3 * (s6**2 + s7**2)
            - 54 * s6 * (s5**2 - s4**2)
            + 108 * s4 * s5 * s7
        )
        return torch.cat([radial, *three, Q222 * four], 1)

    def forward(self, frame: Frame) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the energy and, differentiable, the forces."""
        D = frame.D.clone().requires_grad_(True)
        q = self.descriptors(frame, D) * self.scale
        energy = torch.zeros(())
        for t in range(2):
            hidden = torch.tanh(q[frame.types == t] @ self.w0[t].T - self.b0[t])
            energy = energy + (hidden @ self.w1[t] - self.b1).sum()
        (g,) = torch.autograd.grad(energy, D, create_graph=True)
        forces = torch.zeros(len(frame.types), 3).index_add(0, frame.i, g).index_add(0, frame.j, -g)
        return energy, forces

    def text(self, offset: float) -> str:
        """Return nep.txt."""
        lines = [f"nep4 2 {' '.join(ELEMENTS)}", f"cutoff {RADIAL:g} {ANGULAR:g} 200 100"]
        lines += [f"n_max {N_RADIAL - 1} {N_ANGULAR - 1}", f"basis_size {N_BASIS - 1} {N_BASIS - 1}"]
        lines += [f"l_max {L_MAX} 2 0", f"ANN {NEURONS} 0"]
        numbers: list[np.ndarray] = []
        for t in range(2):
            numbers += [self.w0[t].detach().numpy().ravel(), self.b0[t].detach().numpy(), self.w1[t].detach().numpy()]
        numbers.append(self.b1.detach().numpy().astype(float) - offset)
        for c in (self.c_radial, self.c_angular):  # [type pair, k, n] -> [n, k, type, type]
            numbers.append(c.detach().numpy().transpose(2, 1, 0).ravel())
        numbers.append(self.scale.numpy())
        return "\n".join([*lines, *(f"{x:.9e}" for x in np.concatenate(numbers))]) + "\n"


def fit(frames: list[Frame], epochs: int, rate: float = 5e-3) -> Nep:
    model = Nep()
    with torch.no_grad():
        q = torch.cat([model.descriptors(frame, frame.D) for frame in frames[::10]])
        model.scale.copy_(1 / (q.max(0).values - q.min(0).values))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    steps = epochs * -(-len(frames) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.05, final_div_factor=1e3
    )
    random = np.random.default_rng(0)
    for epoch in range(epochs):
        total = 0.0
        for chosen in np.array_split(random.permutation(len(frames)), -(-len(frames) // BATCH)):
            optimizer.zero_grad()
            for number in chosen:
                frame = frames[number]
                energy, forces = model(frame)
                error = ((forces - frame.forces) ** 2).mean()
                loss = error + ENERGY_WEIGHT * ((energy - frame.energy) / len(frame.types)) ** 2
                (loss / len(chosen)).backward()
                total += float(error.detach())
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {epochs}: force RMSE {math.sqrt(total / len(frames)):.4f} eV/A", flush=True)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    structures = read(options.train, ":")
    offset = float(np.mean([atoms.get_potential_energy() / len(atoms) for atoms in structures]))
    frames = [Frame(atoms, offset) for atoms in structures]
    options.out.write_text(fit(frames, options.epochs).text(offset))


if __name__ == "__main__":
    main()
