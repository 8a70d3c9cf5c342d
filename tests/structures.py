"""Small structures of H, C and O that between them have every kind of cell."""

import ase
import numpy as np
from ase.build import bulk, molecule


def molecule_rattled() -> ase.Atoms:
    """Ethanol out of equilibrium, without a cell."""
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.08, seed=3)
    return atoms


def small_crystal() -> ase.Atoms:
    """Four atoms in a triclinic cell that is smaller than the cutoff: every atom sees its own images."""
    atoms = bulk("C", "diamond", a=3.9) * (2, 1, 1)
    atoms.numbers[:] = (6, 1, 8, 6)
    atoms.set_cell(atoms.cell.array @ np.array([[1, 0.1, 0], [0, 1, -0.15], [0.05, 0, 0.95]]), scale_atoms=True)
    atoms.rattle(0.1, seed=4)
    return atoms


def slab() -> ase.Atoms:
    """Periodic in two directions, with a tilted vector in the open one."""
    atoms = small_crystal()
    atoms.pbc = (True, True, False)
    return atoms


def linear() -> ase.Atoms:
    """CO2 and C2H2, exactly linear: angles of 0 and 180 degrees."""
    other = molecule("C2H2")
    other.translate((2.9, 0.4, 0.0))
    return molecule("CO2") + other


STRUCTURES = {"molecule": molecule_rattled, "crystal": small_crystal, "slab": slab, "linear": linear}
