"""Files as sGDML and mbGDML write them, made in the test, and the energy of their models from the published formula."""

from pathlib import Path

import numpy as np

from atomcore.data import Dataset
from atomcore.interop.sgdml import ModelFile

PERMUTATIONS = np.array([[0, 1, 2], [0, 2, 1]])


def water_arrays(n: int = 6, dialect: str = "sgdml") -> dict[str, np.ndarray]:
    """Return the keys that the programs need, in kcal/mol and Angstrom."""
    rng = np.random.default_rng(5)
    positions = np.array([[0.0, 0.0, 0.1], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
    arrays = {
        "type": np.array("d"),
        "name": np.array("water"),
        "theory": np.array("mp2"),
        "z" if dialect == "sgdml" else "Z": np.array([8, 1, 1]),
        "R": positions + 0.05 * rng.normal(size=(n, 3, 3)),
        "E": -47000 + rng.normal(size=n),
        "F": rng.normal(size=(n, 3, 3)),
        "r_unit": np.array("Angstrom"),
        "e_unit": np.array("kcal/mol"),
    }
    if dialect == "mbgdml":
        origins = np.empty((), object)
        origins[()] = {0: "2339670ad87a606cb11a72191dfd9f58"}
        arrays |= {
            "entity_ids": np.array([0, 0, 0]),
            "comp_ids": np.array(["h2o"]),
            "r_prov_ids": origins,
            "r_prov_specs": np.stack([np.zeros(n, int), np.arange(n), np.zeros(n, int)], axis=1),
            "mb": np.array(1),
        }
    return arrays


def surface(n, seed=7):
    """Return geometries of water with the energies and forces of springs between all atoms."""
    rng = np.random.default_rng(seed)
    positions = water_arrays()["R"][0] + 0.06 * rng.normal(size=(n, 3, 3))
    energy, forces = np.zeros(n), np.zeros((n, 3, 3))
    for a, b, length, stiffness in ((0, 1, 0.96, 30.0), (0, 2, 0.96, 30.0), (1, 2, 1.52, 8.0)):
        apart = positions[:, a] - positions[:, b]
        distance = np.linalg.norm(apart, axis=1)
        energy += 0.5 * stiffness * (distance - length) ** 2
        pull = (stiffness * (1 - length / distance))[:, None] * apart
        forces[:, a] -= pull
        forces[:, b] += pull
    return Dataset(
        numbers=np.tile([8, 1, 1], n), positions=positions.reshape(-1, 3), cells=np.zeros((n, 3, 3)),
        pbc=np.zeros((n, 3), bool), structure_ptr=3 * np.arange(n + 1), energy=energy - 2000,
        forces=forces.reshape(-1, 3),
    )  # fmt: skip


def random_model(*, constraints: bool = False, lattice: bool = False, sigma: float = 10.75) -> ModelFile:
    """Return a model of water with five training points, in eV and Angstrom."""
    rng = np.random.default_rng(6)
    return ModelFile(
        numbers=np.array([8, 1, 1]),
        sigma=sigma,
        lam=1e-10,
        constant=-2038.0,
        scale=1.7,
        descriptors=rng.uniform(0.6, 1.1, (5, 3)),
        derivative_coefficients=rng.normal(size=(5, 3)),
        energy_coefficients=rng.normal(size=5) if constraints else None,
        coefficients=rng.normal(size=45),
        permutations=PERMUTATIONS,
        lattice=np.array([[5.0, 0, 0], [1.0, 6, 0], [0.5, -1, 7]]) if lattice else None,
        name="water",
        theory="mp2",
        train_indices=np.array([3, 1, 4, 0, 2]),
        valid_indices=np.array([5, 6]),
        fingerprints={"train": "cd18188f38933a680a4184a5ae68e055"},
        n_test=7,
        errors={"energy": {"mae": 0.1, "rmse": 0.2}, "forces": {"mae": 0.3, "rmse": 0.4}},
    )


def predicted_energy(model: ModelFile, positions: np.ndarray) -> np.ndarray:
    """Return the energies [n] in eV of geometries [n, N, 3], in extended precision (Nat. Commun. 9, 3887 (2018))."""
    first, second = np.tril_indices(len(model.numbers), -1)
    difference = np.asarray(positions, np.longdouble)[:, first] - positions[:, second]
    if model.lattice is not None:
        difference -= np.round(difference @ np.linalg.inv(model.lattice)) @ model.lattice
    x = 1 / np.sqrt((difference**2).sum(axis=2))
    energy = np.zeros(len(x), np.longdouble)
    for permutation in model.permutations:
        a, b = permutation[first], permutation[second]
        pairs = [int(max(i, j) * (max(i, j) - 1) // 2 + min(i, j)) for i, j in zip(a, b, strict=True)]
        for m, (centre, slope) in enumerate(zip(model.descriptors, model.derivative_coefficients, strict=True)):
            away = x - centre[pairs]
            s = np.sqrt(5) * np.sqrt((away**2).sum(axis=1)) / model.sigma
            energy += 5 / (3 * model.sigma**2) * (1 + s) * np.exp(-s) * (away @ slope[pairs])
            if model.energy_coefficients is not None:
                energy += model.energy_coefficients[m] * (1 + s + s**2 / 3) * np.exp(-s)
    return (model.constant + model.scale * energy).astype(float)


def saved(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write an npz file as the programs do, with pickles where there are objects."""
    np.savez_compressed(path, **arrays)
    return path
