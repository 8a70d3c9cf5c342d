"""Make the periodic sample data set that the package ships: copper with ASE's EMT potential, with stress.

    OMP_NUM_THREADS=1 python examples/make_copper_sample.py copper.npz          (a minute)

Bulk cells under strain, supercells with displaced atoms, and Langevin dynamics of the crystal, of the crystal with a
vacancy and of the liquid. Positions and cells are rounded to single precision and the labels computed anew at the
rounded structures; forces and stress are rounded likewise.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.langevin import Langevin

import atomcore

SEED = 2027
LATTICE = 3.61  # Angstrom; EMT's own is 3.59
TIMESTEP = 4.0  # fs
FRICTION = 0.01  # 1/fs
EQUILIBRATION = 500  # steps
INTERVAL = 25  # steps between frames
# Temperature (K), lattice constant of the crystal with the volume per atom (Angstrom), vacancies, frames.
RUNS = (
    (300, 3.61, 0, 40), (600, 3.61, 0, 30), (600, 3.50, 0, 30), (900, 3.66, 0, 30), (1200, 3.66, 0, 30),
    (900, 3.61, 1, 30), (1200, 3.66, 1, 30), (2000, 3.80, 0, 40), (3000, 3.70, 0, 40),
)  # fmt: skip
MELTED = 2000  # K; from here on the run starts from a molten crystal


def strained(rng: np.random.Generator) -> Iterator[Atoms]:
    """Give perfect four-atom cells: compressed and expanded, then under random strain."""
    for scale in np.linspace(0.94, 1.08, 20):
        yield bulk("Cu", a=LATTICE * scale, cubic=True)
    for _ in range(40):
        atoms = bulk("Cu", a=LATTICE, cubic=True)
        strain = rng.normal(0.0, 0.02, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.5 * (strain + strain.T)), scale_atoms=True)
        yield atoms


def displaced(rng: np.random.Generator) -> Iterator[Atoms]:
    """Give strained supercells of eight and sixteen atoms whose atoms are displaced at random."""
    for index in range(40):
        atoms = bulk("Cu", a=LATTICE, cubic=True) * ((2, 1, 1) if index % 2 else (2, 2, 1))
        strain = rng.normal(0.0, 0.015, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.5 * (strain + strain.T)), scale_atoms=True)
        atoms.positions += rng.normal(0.0, 0.02 + 0.2 * index / 40, atoms.positions.shape)
        yield atoms


def dynamics(run: int, temperature: float, lattice: float, vacancies: int, frames: int) -> Iterator[Atoms]:
    """Give frames of a run at constant volume and temperature."""
    rng = np.random.default_rng([SEED, run])
    atoms = bulk("Cu", a=lattice, cubic=True) * 2
    del atoms[:vacancies]
    if temperature >= MELTED:
        atoms.positions += rng.normal(0.0, 0.4, atoms.positions.shape)
    atoms.calc = EMT()
    thermal = np.sqrt(atoms.get_masses() * units.kB * temperature)
    atoms.set_momenta(rng.standard_normal((len(atoms), 3)) * thermal[:, None])
    integrator = Langevin(
        atoms, TIMESTEP * units.fs, temperature_K=temperature, friction=FRICTION / units.fs, fixcm=False, rng=rng
    )
    integrator.run(EQUILIBRATION)
    for _ in range(frames):
        integrator.run(INTERVAL)
        yield Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def labeled(atoms: Atoms) -> Atoms:
    """Return the structure, rounded to single precision, with its labels."""
    atoms.wrap()
    cell, positions = (array.astype(np.float32).astype(np.float64) for array in (atoms.cell.array, atoms.positions))
    rounded = Atoms(atoms.numbers, positions, cell=cell, pbc=True)
    rounded.calc = EMT()
    rounded.get_stress()
    return rounded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="file to write, .npz or .extxyz")
    path = parser.parse_args().path
    rng = np.random.default_rng(SEED)
    images = [labeled(atoms) for atoms in (*strained(rng), *displaced(rng))]
    for number, settings in enumerate(RUNS):
        images += [labeled(atoms) for atoms in dynamics(number, *settings)]
        print(f"run {number + 1} of {len(RUNS)}: {len(images)} structures", flush=True)
    dataset = atomcore.data.from_atoms(images, source="copper")
    single = {name: getattr(dataset, name).astype(np.float32) for name in ("forces", "stress")}
    dataset = replace(dataset, **single)
    dataset.save(path)
    per_atom = dataset.energy / dataset.n_atoms
    print(f"{dataset}\nenergies {per_atom.min():.3f} to {per_atom.max():.3f} eV/atom")
    print(f"stress {dataset.stress.min():.3f} to {dataset.stress.max():.3f} eV/Angstrom^3")


if __name__ == "__main__":
    main()
