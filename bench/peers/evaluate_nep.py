"""Judge and time NEP: `evaluate_nep.py TEST.xyz BOX.xyz NEP.txt`, in an environment with calorine.

Prints JSON: the force RMSE (eV/A) over the test frames, and microseconds an atom for energy and forces of the box,
neighbour search included, as calorine's calculator does it.
"""

import json
import os
import sys
import time

import numpy as np
from ase.io import read
from calorine.calculators import CPUNEP


def main(test: str, box: str, model: str) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    errors = []
    for atoms in read(test, ":"):
        expected = atoms.get_forces()
        atoms.calc = CPUNEP(model)
        errors.append(atoms.get_forces() - expected)
    atoms = read(box)
    atoms.calc = CPUNEP(model)
    atoms.get_forces()
    seconds = []
    for _ in range(5):
        atoms.positions[0, 0] += 1e-6  # so that nothing is taken from before
        start = time.perf_counter()
        atoms.get_forces()
        seconds.append(time.perf_counter() - start)
    print(
        json.dumps(
            {"force RMSE": float(np.sqrt(np.mean(np.square(errors)))), "us": [1e6 * s / len(atoms) for s in seconds]}
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
