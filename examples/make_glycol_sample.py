"""Make the sample data set that the package ships: ethylene glycol at 500 K with GFN2-xTB energies and forces.

    OMP_NUM_THREADS=1 python examples/make_glycol_sample.py glycol.npz          (three minutes; needs tblite)

Langevin dynamics starts from ten conformers; each run is equilibrated for 2 ps and then gives 100 frames, one every
25 fs. Positions are rounded to single precision and the labels computed anew at the rounded positions, so that the file
is exact as well as small; forces are rounded likewise.
"""

import argparse
from dataclasses import replace

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from tblite.ase import TBLite

import atomcore

SEED = 2026
TEMPERATURE = 500.0  # K
TIMESTEP = 0.5  # fs
FRICTION = 0.01  # 1/fs
EQUILIBRATION = 4000  # steps
INTERVAL = 50  # steps between frames
FRAMES = 100  # of each run
# Dihedral angles H-O-C-C, O-C-C-O and C-C-O-H of the starts, in degrees.
STARTS = (
    (60, 60, 180), (-60, 60, 180), (180, 60, 180), (-60, 60, 60), (60, -60, 180),
    (-60, -60, 180), (60, -60, -60), (180, 180, 180), (60, 180, 60), (60, 180, -60),
)  # fmt: skip


def place(a: np.ndarray, b: np.ndarray, c: np.ndarray, distance: float, angle: float, dihedral: float) -> np.ndarray:
    """Return the point d with the given distance to c, angle b-c-d and dihedral a-b-c-d (degrees)."""
    theta, phi = np.radians(angle), np.radians(dihedral)
    axis = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal)
    local = np.array([-np.cos(theta), np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi)])
    return c + distance * (local @ np.array([axis, np.cross(normal, axis), normal]))


def build(first: float, middle: float, last: float) -> Atoms:
    """Return HOCH2CH2OH with the given dihedral angles H-O-C-C, O-C-C-O and C-C-O-H (degrees)."""
    c1, c2 = np.array([0.0, 0.0, 0.0]), np.array([1.52, 0.0, 0.0])
    angle = np.radians(109.0)
    o1 = 1.41 * np.array([np.cos(angle), np.sin(angle), 0.0])
    o2 = place(o1, c1, c2, 1.41, 109.0, middle)
    sites = [o1, c1, c2, o2, place(c2, c1, o1, 0.97, 107.0, first), place(c1, c2, o2, 0.97, 107.0, last)]
    sites += [place(o2, c2, c1, 1.10, 109.5, middle + turn) for turn in (120.0, -120.0)]
    sites += [place(o1, c1, c2, 1.10, 109.5, middle + turn) for turn in (120.0, -120.0)]
    return Atoms("OCCOHHHHHH", positions=sites)


def run(atoms: Atoms, seed: int) -> list[np.ndarray]:
    """Return positions along a trajectory at constant temperature, centred and rounded to single precision."""
    rng = np.random.default_rng([SEED, seed])
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    thermal = np.sqrt(atoms.get_masses() * units.kB * TEMPERATURE)
    atoms.set_momenta(rng.standard_normal((len(atoms), 3)) * thermal[:, None])
    dynamics = Langevin(
        atoms, TIMESTEP * units.fs, temperature_K=TEMPERATURE, friction=FRICTION / units.fs, fixcm=False, rng=rng
    )
    dynamics.run(EQUILIBRATION)
    frames = []
    for _ in range(FRAMES):
        dynamics.run(INTERVAL)
        frames.append((atoms.positions - atoms.get_center_of_mass()).astype(np.float32).astype(np.float64))
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="file to write, .npz or .extxyz")
    path = parser.parse_args().path
    images = []
    for seed, dihedrals in enumerate(STARTS):
        atoms = build(*dihedrals)
        for positions in run(atoms.copy(), seed):
            image = atoms.copy()
            image.positions = positions
            image.calc = TBLite(method="GFN2-xTB", verbosity=0, accuracy=0.01)
            image.get_forces()
            images.append(image)
        print(f"start {seed + 1} of {len(STARTS)}: {len(images)} frames", flush=True)
    dataset = atomcore.data.from_atoms(images, source="glycol")
    dataset = replace(dataset, forces=dataset.forces.astype(np.float32))
    dataset.save(path)
    print(f"{dataset}\nenergies {np.ptp(dataset.energy):.2f} eV apart")


if __name__ == "__main__":
    main()
