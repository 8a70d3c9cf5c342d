"""What the tests of kernel machines train on."""

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.morse import MorsePotential
from ase.calculators.singlepoint import SinglePointCalculator

from atomcore.features import SymmetryFunctions

# The surface of Mueller and Brown (Theor. Chim. Acta 53, 75 (1979)), times 0.1: A, a, b, c, x0, y0
_TERMS = np.array(
    [[-200, -1, 0, -10, 1, 0], [-100, -1, 0, -10, 0, 0.5],
     [-170, -6.5, 11, -6.5, -0.5, 1.5], [15, 0.7, 0.6, 0.7, -1, 1.0]]
)  # fmt: skip


def mueller_brown(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values [n] and gradients [n, 2] at points [n, 2]."""
    A, a, b, c, x0, y0 = _TERMS.T
    dx, dy = points[:, :1] - x0, points[:, 1:] - y0
    term = 0.1 * A * np.exp(a * dx**2 + b * dx * dy + c * dy**2)
    slopes = [(term * (2 * a * dx + b * dy)).sum(1), (term * (b * dx + 2 * c * dy)).sum(1)]
    return term.sum(1), np.stack(slopes, 1)


def mueller_brown_grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the 696 points of the usual grid that lie below 10, with values and gradients."""
    x, y = np.meshgrid(-1.8 + 0.1 * np.arange(32), -0.4 + 0.1 * np.arange(28))
    points = np.stack([x.ravel(), y.ravel()], 1)
    values, slopes = mueller_brown(points)
    low = values < 10
    return points[low], values[low], slopes[low]


def labelled(images: list[Atoms]) -> list[Atoms]:
    """Attach energies and forces of a Morse potential."""
    for atoms in images:
        twin = atoms.copy()
        twin.calc = MorsePotential(epsilon=0.5, r0=1.2, rho0=3.0)
        energy, forces = twin.get_potential_energy(), twin.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return images


def molecules(n: int, names=("H2O", "NH3", "CH3OH"), seed: int = 0) -> list[Atoms]:
    """Return rattled molecules, one kind after the other, with labels."""
    images = [molecule(names[i % len(names)]) for i in range(n)]
    for i, atoms in enumerate(images):
        atoms.rattle(0.08, seed=1000 * seed + i)
    return labelled(images)


def functions(elements=("H", "C", "N", "O")) -> SymmetryFunctions:
    """A small set of symmetry functions."""
    return SymmetryFunctions(
        elements,
        radial=[{"eta": 4.0, "shift": shift} for shift in (0.9, 1.5)],
        angular=[{"type": "wide", "eta": 0.1, "zeta": 1.0, "lambda": 1.0}],
        cutoff=4.0,
    )


def as_oracle(model, images, *, scaled: bool = True) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return structures as the oracle takes them: features, elements, Jacobian, computed one by one."""
    structures = []
    for atoms in images:
        G, J = model.features.compute(atoms, jacobian=True)
        dense = J.to_scipy().toarray().reshape(*G.shape, -1)
        scale = np.stack([model._inputs.scale[z] for z in atoms.numbers])
        structures.append((G * scale, atoms.numbers, dense * scale[..., None]))
    return structures
