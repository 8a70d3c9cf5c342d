"""Structures and feature sets that the tests of features and operators share."""

import numpy as np
from ase import Atoms
from ase.build import molecule

from atomcore.features import ANI, Gaussian, SymmetryFunctions


def every_function() -> SymmetryFunctions:
    """Return functions of every type with several cutoffs, shifts, exponents and both forms of the ANI angle."""
    return SymmetryFunctions(
        ["H", "O"],
        radial=[
            {"eta": 0.3, "shift": 0.0},
            {"eta": 1.7, "shift": 1.1},
            {"eta": 0.0, "shift": 0.0, "cutoff": 3.1},
        ],
        angular=[
            {"type": "narrow", "eta": 0.05, "zeta": 1.0, "lambda": 1.0},
            {"type": "narrow", "eta": 0.2, "zeta": 4.0, "lambda": -1.0, "shift": 0.4, "cutoff": 3.6},
            {"type": "narrow", "eta": 0.01, "zeta": 2.0, "lambda": 0.5},
            {"type": "wide", "eta": 0.05, "zeta": 2.7, "lambda": -1.0},
            {"type": "wide", "eta": 0.3, "zeta": 1.0, "lambda": 1.0, "shift": 0.9},
            {"type": "ani", "eta": 4.0, "zeta": 14.1, "shift": 1.2, "theta": 0.7, "cutoff": 3.5},
            {"type": "ani", "eta": 4.0, "zeta": 8.0, "shift": 1.6, "theta": 2.1, "cutoff": 3.5, "cos_scale": 1.0},
        ],
        cutoff=4.5,
        pair_factor=2.0,
    )


def presets() -> dict[str, SymmetryFunctions]:
    """Return the published sets and the plain variants of them, for H, C and O."""
    elements = ["H", "C", "O"]
    return {
        "ani1x": ANI.ani1x(elements),
        "ani2x": ANI.ani2x(elements),
        "ani without 0.25 and 0.95": ANI(elements, radial_prefactor=1.0, cos_scale=1.0),
        "ml4chem_default": Gaussian(sorted(elements)),
        "wide": Gaussian(elements, cutoff=5.0, normalized=False, angular="wide"),
    }


def water_cluster(seed: int = 11) -> Atoms:
    """Return three distorted, turned water molecules without a cell."""
    random = np.random.default_rng(seed)
    atoms = Atoms()
    for origin in ([0, 0, 0], [2.9, 0.3, -0.4], [0.8, 2.7, 1.1]):
        water = molecule("H2O")
        water.rotate(float(random.uniform(0, 360)), random.normal(size=3))
        water.positions += origin + random.normal(scale=0.05, size=(3, 3))
        atoms += water
    return atoms


def water_crystal(seed: int = 12) -> Atoms:
    """Return two water molecules in a tilted cell smaller than the cutoffs."""
    atoms = water_cluster(seed)[:6]
    atoms.set_cell([[4.1, 0, 0], [1.3, 3.9, 0], [-0.8, 0.9, 4.3]])
    atoms.pbc = True
    return atoms


def one_atom_cell() -> Atoms:
    """Return one oxygen atom in a tilted cell of about a third of the cutoff."""
    return Atoms("O", positions=[[0.2, -0.1, 7.0]], cell=[[1.6, 0, 0], [0.5, 1.7, 0], [-0.3, 0.4, 1.8]], pbc=True)


def named_structures() -> dict[str, Atoms]:
    """Return small structures of H and O that between them meet every periodicity and neighbour count."""
    slab = water_crystal(13)
    slab.pbc = (True, True, False)
    wire = water_crystal(14)
    wire.pbc = (False, False, True)
    wire.cell[0] = 0
    return {
        "cluster": water_cluster(),
        "crystal": water_crystal(),
        "slab": slab,
        "wire": wire,
        "one-atom cell": one_atom_cell(),
        "isolated atom": Atoms("O"),
        "pair": Atoms("OH", [[0, 0, 0], [0, 0, 0.97]]),
        "beyond the cutoff": Atoms("OH", [[0, 0, 0], [0, 0, 9.0]]),
    }


def water_box(n: int = 6, seed: int = 15) -> Atoms:
    """Return n^3 atoms, a third of them oxygen, on a jittered periodic lattice."""
    random = np.random.default_rng(seed)
    grid = 1.9 * np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)
    symbols = ["OHH"[i % 3] for i in range(n**3)]
    positions = grid + random.uniform(-0.3, 0.3, grid.shape)
    return Atoms(symbols, positions, cell=1.9 * n * np.eye(3), pbc=True)


def explicit_edges(atoms: Atoms, cutoff: float, images: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row_ptr, neighbor and D of all pairs closer than ``cutoff`` by enumerating ``images`` cells each way."""
    ranges = [np.arange(-images, images + 1) if periodic else np.zeros(1) for periodic in atoms.pbc]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3) @ np.asarray(atoms.cell)
    row_ptr, neighbor, vectors = [0], [], [np.empty((0, 3))]
    for centre in atoms.positions:
        D = atoms.positions[None] - centre + shifts[:, None]
        r = np.linalg.norm(D, axis=-1)
        image, atom = np.nonzero((r < cutoff) & (r > 1e-12))
        row_ptr.append(row_ptr[-1] + len(atom))
        neighbor.append(atom)
        vectors.append(D[image, atom])
    ends = np.concatenate([np.empty(0, np.int64), *neighbor]).astype(np.int64)
    return np.array(row_ptr, np.int64), ends, np.concatenate(vectors)


def slope(function, x: np.ndarray, direction: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Return the derivative of ``function`` at ``x`` along ``direction`` by the five-point formula."""
    near = function(x + step * direction) - function(x - step * direction)
    far = function(x + 2 * step * direction) - function(x - 2 * step * direction)
    return (8 * near - far) / (12 * step)
