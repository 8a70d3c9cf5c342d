"""Judge and time a pair style, in an environment with lammps: `evaluate_lammps.py TEST.xyz BOX.xyz STYLE COEFFICIENTS`.

Prints JSON: the force RMSE (eV/A) over the test frames, and microseconds an atom for a step of NVE in the box, lists
and all (a skin of 1 A, as LAMMPS is used).
"""

import json
import os
import sys
import time

import numpy as np
from ase import Atoms
from ase.io import read
from lammps import lammps

STEPS = 5


def prepare(atoms: Atoms, style: str, coefficients: str) -> lammps:
    """Return LAMMPS with one structure in it."""
    program = lammps(cmdargs=["-log", "none", "-screen", "none"])
    box = " ".join(f"0 {length}" for length in atoms.cell.lengths())
    program.commands_string(f"""
units metal
atom_style atomic
region box block {box}
create_box 2 box
mass 1 1.008
mass 2 15.999
neighbor 1.0 bin
""")
    types = [1 if symbol == "H" else 2 for symbol in atoms.symbols]
    program.create_atoms(len(atoms), list(range(1, len(atoms) + 1)), types, atoms.get_positions(wrap=True).ravel())
    program.commands_string(f"pair_style {style}\npair_coeff * * {coefficients} H O\nrun 0\n")
    return program


def forces(program: lammps, n: int) -> np.ndarray:
    """Return the forces in the order in which the atoms were made."""
    found = np.empty((n, 3))
    found[program.numpy.extract_atom("id")[:n] - 1] = program.numpy.extract_atom("f")[:n]
    return found


def main(test: str, box: str, style: str, *coefficients: str) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    given = " ".join(coefficients)
    frames = read(test, ":")
    errors = [forces(prepare(atoms, style, given), len(atoms)) - atoms.get_forces() for atoms in frames]
    atoms = read(box)
    program = prepare(atoms, style, given)
    program.commands_string("velocity all create 300 1\nfix move all nve\ntimestep 0.0005\nrun 2\n")
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        program.command(f"run {STEPS} pre no post no")
        seconds.append((time.perf_counter() - start) / STEPS)
    print(
        json.dumps(
            {"force RMSE": float(np.sqrt(np.mean(np.square(errors)))), "us": [1e6 * s / len(atoms) for s in seconds]}
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
