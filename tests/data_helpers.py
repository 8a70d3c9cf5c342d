"""Small datasets that several test files share."""

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from atomcore.data import Dataset
from tolerances import EXACT, assert_close


def water_and_ammonia(n: int = 6) -> dict[str, np.ndarray]:
    """Return arrays of the npz format: alternately three and four atoms, rows of four."""
    rng = np.random.default_rng(11)
    z = np.array([[8, 1, 1, 0], [7, 1, 1, 1]] * (n // 2))
    arrays = {"Z": z, "R": rng.normal(size=(n, 4, 3)), "E": rng.normal(size=n), "F": rng.normal(size=(n, 4, 3))}
    arrays["R"][z == 0] = arrays["F"][z == 0] = np.nan  # what stands in the padding does not matter
    return arrays


def saved(folder, arrays, name="data.npz"):
    np.savez(folder / name, **arrays)
    return folder / name


def frames(n: int = 4) -> list[Atoms]:
    rng = np.random.default_rng(12)
    images = []
    for i in range(n):
        atoms = Atoms("OH2", positions=np.round(rng.normal(size=(3, 3)), 6))
        atoms.calc = SinglePointCalculator(atoms, energy=float(-i), forces=np.round(rng.normal(size=(3, 3)), 6))
        images.append(atoms)
    return images


def crystals(n: int = 4) -> list[Atoms]:
    """Return strained copper cells of two atoms with energy, forces, stress and charges."""
    rng = np.random.default_rng(31)
    images = []
    for i in range(n):
        atoms = bulk("Cu", cubic=True)[:2]
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=float(i),
            forces=np.round(rng.normal(size=(2, 3)), 6),
            stress=np.round(rng.normal(size=6), 6),
            charges=np.round(rng.normal(size=2), 6),
        )
        atoms.info["uncertainty"] = 0.5 + i
        images.append(atoms)
    return images


def assert_same(a: Dataset, b: Dataset, tolerance=EXACT) -> None:
    for name in ("numbers", "positions", "cells", "pbc", "structure_ptr", "energy", "forces"):
        assert_close(np.asarray(getattr(a, name), float), np.asarray(getattr(b, name), float), tolerance)
