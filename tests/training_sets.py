"""Tiny data sets for training tests: molecules of a soft pair potential, made in milliseconds."""

import numpy as np

from atomcore.data import Dataset
from atomcore.features import SymmetryFunctions

_EQUILIBRIUM = {(1, 1): 1.6, (1, 8): 1.0, (8, 8): 1.5}


def small_features(elements=("H", "O")) -> SymmetryFunctions:
    """Nine functions an element or pair, smooth."""
    return SymmetryFunctions(
        elements,
        radial=[{"eta": 2.0, "shift": shift} for shift in (0.8, 1.4, 2.0)],
        angular=[{"type": "narrow", "eta": 0.05, "zeta": 1.0, "lambda": sign} for sign in (1.0, -1.0)],
        cutoff=4.0,
    )


def molecules(n: int = 24, *, seed: int = 0, offset: float = 0.0, with_forces: bool = True) -> Dataset:
    """``n`` shaken molecules, alternately H2O and H2O2, with energies and forces of Morse pairs.

    Parameters
    ----------
    offset : float
        Added to the energy for each atom, in eV: what total energies of electronic-structure codes look like.
    """
    generator = np.random.default_rng(seed)
    shapes = [
        (np.array([8, 1, 1]), np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0.0]])),
        (np.array([8, 8, 1, 1]), np.array([[0, 0, 0], [1.45, 0, 0], [-0.3, 0.9, 0.1], [1.75, -0.5, 0.8]])),
    ]
    numbers, positions, energies, forces = [], [], [], []
    for i in range(n):
        z, shape = shapes[i % 2]
        x = shape + generator.normal(0.0, 0.08, shape.shape)
        energy, force = _morse(z, x)
        numbers.append(z)
        positions.append(x)
        energies.append(energy + offset * len(z))
        forces.append(force)
    return Dataset(
        numbers=np.concatenate(numbers),
        positions=np.concatenate(positions),
        cells=np.zeros((n, 3, 3)),
        pbc=np.zeros((n, 3), dtype=bool),
        structure_ptr=np.concatenate([[0], np.cumsum([len(z) for z in numbers])]),
        energy=np.array(energies),
        forces=np.concatenate(forces) if with_forces else None,
        source="made in the test",
    )


def crystals(n: int = 12, *, seed: int = 0) -> Dataset:
    """``n`` strained and shaken cells of copper by ASE's effective-medium theory, of 4 and 8 atoms, with stress."""
    from ase.build import bulk
    from ase.calculators.emt import EMT

    generator = np.random.default_rng(seed)
    frames = []
    for i in range(n):
        atoms = bulk("Cu", cubic=True).repeat((1, 1, 1 + i % 2))
        atoms.set_cell(atoms.cell @ (np.eye(3) + generator.normal(0.0, 0.03, (3, 3))), scale_atoms=True)
        atoms.rattle(0.1, rng=generator)
        atoms.calc = EMT()
        frames.append(atoms)
    return Dataset(
        numbers=np.concatenate([atoms.numbers for atoms in frames]),
        positions=np.concatenate([atoms.positions for atoms in frames]),
        cells=np.array([atoms.cell[:] for atoms in frames]),
        pbc=np.ones((n, 3), dtype=bool),
        structure_ptr=np.concatenate([[0], np.cumsum([len(atoms) for atoms in frames])]),
        energy=np.array([atoms.get_potential_energy() for atoms in frames]),
        forces=np.concatenate([atoms.get_forces() for atoms in frames]),
        stress=np.array([atoms.get_stress() for atoms in frames]),
        source="made in the test",
    )


def _morse(z: np.ndarray, x: np.ndarray) -> tuple[float, np.ndarray]:
    depth, width = 1.0, 1.2
    energy, forces = 0.0, np.zeros_like(x)
    for i in range(len(z)):
        for j in range(i):
            d = x[i] - x[j]
            r = np.linalg.norm(d)
            a, b = sorted((int(z[i]), int(z[j])))
            e = np.exp(-width * (r - _EQUILIBRIUM[a, b]))
            energy += depth * (e * e - 2 * e)
            pull = 2 * depth * width * (e * e - e) * d / r
            forces[i] += pull
            forces[j] -= pull
    return energy, forces
