"""Small structures that several test files share; between them they have every kind of cell."""

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule


def molecule_rattled() -> Atoms:
    """Ethanol out of equilibrium, without a cell."""
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.08, seed=3)
    return atoms


def family(n: int = 12) -> list[Atoms]:
    """Return rattled copies of one molecule, some of it stretched."""
    copies = []
    for seed in range(n):
        atoms = molecule_rattled()
        atoms.rattle(0.05, seed=seed)
        copies.append(atoms)
    return copies


def small_crystal() -> Atoms:
    """Four atoms in a triclinic cell that is smaller than the cutoff: every atom sees its own images."""
    atoms = bulk("C", "diamond", a=3.9) * (2, 1, 1)
    atoms.numbers[:] = (6, 1, 8, 6)
    atoms.set_cell(atoms.cell.array @ np.array([[1, 0.1, 0], [0, 1, -0.15], [0.05, 0, 0.95]]), scale_atoms=True)
    atoms.rattle(0.1, seed=4)
    return atoms


def slab() -> Atoms:
    """Periodic in two directions, with a tilted vector in the open one."""
    atoms = small_crystal()
    atoms.pbc = (True, True, False)
    return atoms


def linear() -> Atoms:
    """CO2 and C2H2, exactly linear: angles of 0 and 180 degrees."""
    other = molecule("C2H2")
    other.translate((2.9, 0.4, 0.0))
    return molecule("CO2") + other


STRUCTURES = {"molecule": molecule_rattled, "crystal": small_crystal, "slab": slab, "linear": linear}


def left_handed() -> Atoms:
    """Return the crystal with two of its vectors exchanged."""
    atoms = small_crystal()
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    return atoms


def wire() -> Atoms:
    """Return atoms periodic in one direction, with nothing where the other two vectors stand."""
    atoms = small_crystal()
    atoms.pbc = (False, False, True)
    atoms.cell[:2] = 0
    return atoms


def diamond() -> Atoms:
    """Return the eight atoms of a cubic cell of the diamond lattice, rattled."""
    atoms = bulk("C", "diamond", a=3.9, cubic=True)
    atoms.rattle(0.05, seed=6)
    return atoms


def fragments() -> Atoms:
    """Return two molecules further apart than any cutoff."""
    far = linear()
    far.translate((100, 0, 0))
    return molecule_rattled() + far


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


def water_structures() -> dict[str, Atoms]:
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


EVERY_CLASS = STRUCTURES | {
    "left-handed": left_handed,
    "wire": wire,
    "one-atom cell": one_atom_cell,
    "diamond": diamond,
    "fragments": fragments,
}


def water_box(n: int = 6, seed: int = 15) -> Atoms:
    """Return n^3 atoms, a third of them oxygen, on a jittered periodic lattice."""
    random = np.random.default_rng(seed)
    grid = 1.9 * np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)
    symbols = ["OHH"[i % 3] for i in range(n**3)]
    positions = grid + random.uniform(-0.3, 0.3, grid.shape)
    return Atoms(symbols, positions, cell=1.9 * n * np.eye(3), pbc=True)
