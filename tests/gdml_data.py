"""Molecules for tests of GDML: springs between all atoms, whose energies and forces are known exactly."""

import numpy as np

from atomcore.data import Dataset

METHANOL = (  # C, O, the hydrogen of the hydroxyl group, three of the methyl group
    (6, 8, 1, 1, 1, 1),
    [[0, 0, 0], [1.42, 0, 0], [1.73, 0.9, 0], [-0.36, 1.03, 0], [-0.36, -0.51, 0.89], [-0.36, -0.51, -0.89]],
)
AMMONIA = ((7, 1, 1, 1), [[0, 0, 0.1], [0.94, 0, -0.25], [-0.47, 0.81, -0.25], [-0.47, -0.81, -0.25]])
WATER = ((8, 1, 1), [[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]])


def springs(numbers, positions, lattice=None):
    """Energies [n] in eV and forces [n, N, 3] of geometries [n, N, 3]: pairs of like elements have like springs."""
    numbers, positions = np.asarray(numbers), np.asarray(positions, dtype=float)
    a, b = np.tril_indices(len(numbers), -1)
    d = positions[:, a] - positions[:, b]
    if lattice is not None:
        d = d - np.rint(d @ np.linalg.inv(lattice)) @ lattice
    r = np.linalg.norm(d, axis=2)
    stiffness = 0.5 + 0.1 * np.sqrt(numbers[a] * numbers[b])
    natural = 1.0 + 0.03 * (numbers[a] + numbers[b])
    x = np.exp(natural - r)  # of Morse's form, so that the surface is not trivial
    energy = np.sum(stiffness * (1 - x) ** 2, axis=1)
    pull = (2 * stiffness * (1 - x) * x / r)[..., None] * d  # dE/dr of atom a
    forces = np.zeros_like(positions)
    for k, (i, j) in enumerate(zip(a, b, strict=True)):
        forces[:, i] -= pull[:, k]
        forces[:, j] += pull[:, k]
    return energy, forces


def shaken(numbers, equilibrium, n, *, seed=0, amplitude=0.1, permutations=None):
    """Positions [n, N, 3] about one geometry, every structure with its atoms exchanged by one of the permutations."""
    rng = np.random.default_rng(seed)
    positions = np.asarray(equilibrium, dtype=float) + amplitude * rng.standard_normal((n, len(numbers), 3))
    if permutations is not None:
        rows = np.asarray(permutations)[rng.integers(len(permutations), size=n)]
        positions = np.take_along_axis(positions, rows[:, :, None], axis=1)
    return positions


def as_dataset(numbers, positions, energy=None, forces=None, lattice=None):
    n, N = positions.shape[:2]
    return Dataset(
        numbers=np.tile(numbers, n),
        positions=positions.reshape(-1, 3),
        cells=np.tile(np.zeros((3, 3)) if lattice is None else lattice, (n, 1, 1)),
        pbc=np.full((n, 3), lattice is not None),
        structure_ptr=np.arange(n + 1) * N,
        energy=energy,
        forces=None if forces is None else forces.reshape(-1, 3),
    )


def molecules(n, molecule=AMMONIA, *, seed=0, lattice=None, permutations=None, amplitude=0.1):
    """A data set of one molecule with springs between its atoms."""
    numbers, equilibrium = molecule
    positions = shaken(numbers, equilibrium, n, seed=seed, permutations=permutations, amplitude=amplitude)
    energy, forces = springs(numbers, positions, lattice)
    return as_dataset(numbers, positions, energy - 1000.0, forces, lattice)
