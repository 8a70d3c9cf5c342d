"""Structures that benchmarks are timed on, the same for every code."""

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.data.s22 import create_s22_system, s22
from ase.units import Bohr
from scipy.spatial.transform import Rotation

from common import shared

WATER_PER_VOLUME = 0.033428  # molecules/A^3, the liquid at room temperature


def water_box(side: int, seed: int = 0) -> Atoms:
    """Return ``side``^3 water molecules at the density of the liquid, turned at random, in a periodic cube.

    The oxygen atoms stand within 0.25 A (each axis) of a simple cubic lattice. The order is O, H, H for each molecule.
    """
    random = np.random.default_rng(seed)
    spacing = WATER_PER_VOLUME ** (-1 / 3)
    sites = spacing * np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    sites += random.uniform(-0.25, 0.25, sites.shape)
    water = molecule("H2O")
    water.positions -= water.positions[0]
    turned = [rotation.apply(water.positions) for rotation in Rotation.random(len(sites), rng=random)]
    positions = (sites[:, None] + np.stack(turned)).reshape(-1, 3)
    box = Atoms(np.tile(water.numbers, len(sites)), positions, cell=[side * spacing] * 3, pbc=True)
    box.wrap()
    return box


def uracil_dimer() -> Atoms:
    """Return the hydrogen-bonded uracil dimer of the S22 set: 24 atoms."""
    return create_s22_system("Uracil_dimer_h-bonded")


def s22_batch(count: int, seed: int = 0) -> list[Atoms]:
    """Return ``count`` complexes of the S22 set with 15 to 30 atoms of H, C, N, O, each moved by 0.05 A at random."""
    random = np.random.default_rng(seed)
    complexes = [
        atoms for atoms in map(create_s22_system, s22) if 15 <= len(atoms) <= 30 and set(atoms.numbers) <= {1, 6, 7, 8}
    ]
    batch = [complexes[i % len(complexes)].copy() for i in range(count)]
    for atoms in batch:
        atoms.positions += random.normal(scale=0.05, size=atoms.positions.shape)
    return batch


def n2p2_functions(element: str, cutoff_function: str) -> list[dict]:
    """Return the rows of a feature table for the atoms of one element in n2p2's liquid water potential.

    Morawietz et al., PNAS 113, 8368 (2016): 27 functions for H, 30 for O, 12 bohr; its cutoff function is "tanh3".
    """
    rows = []
    for line in shared("data", "n2p2_h2o_rpbe_d3", "input.nn").read_text().splitlines():
        words = line.split("#")[0].split()
        if words[:2] != ["symfunction_short", element]:
            continue
        n = 1 if words[2] == "2" else 2
        others, numbers = sorted(words[3 : 3 + n]), [float(word) for word in words[3 + n :]]
        row = {"type": "radial" if n == 1 else "narrow", "elements": others, "prefactor": 1.0}
        row |= {"eta": numbers[0] / Bohr**2, "shift": numbers[1] * Bohr if n == 1 else 0.0}
        row |= {"lambda": numbers[1], "zeta": numbers[2]} if n == 2 else {}
        rows.append({**row, "cutoff": numbers[-1] * Bohr, "cutoff_function": cutoff_function})
    return rows
