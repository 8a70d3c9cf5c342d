"""Functions that are quick beside functions that are usual: the same water, training and networks for both.

The set `Compact` and the 27 + 30 functions of n2p2's water potential (Morawietz et al., PNAS 113, 8368 (2016)) are
trained on 64 water molecules (deepmd-kit's example set), blocks of 20 neighbouring frames, every fourth held out.
Prints the errors on these, and the time of the whole potential (list, features, networks, forces and virial) on 10 368
atoms of the same liquid in float32 on one thread: of structures that are evaluated anew, and of one that moves. Times
are the least CPU time of several calls, which hardly sees what else the machine does. Every atom has the functions of
both elements, 43 in n2p2's set.
"""

import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
from ase import Atoms

import atomcore as ac
from atomcore.features import Compact, SymmetryFunctions
from atomcore.potential import Evaluator, Potential
from common import report, shared
from systems import n2p2_functions

ELEMENTS = ("H", "O")
NETWORKS = {"hidden": (25, 25), "activation": "tanh"}  # n2p2's
TRAINING = {"max_epochs": 150, "batch_size": 4, "validate_every": 10, "threads": 1, "progress": False}
REPEATS = (3, 3, 6)  # of a held-out frame
CALLS = 12
PROPERTIES = ("energy", "forces", "stress")


def n2p2_set() -> SymmetryFunctions:
    """Return the functions of both elements' atoms; those that both use stand in the table once."""
    table: list[dict] = []
    for row in itertools.chain.from_iterable(n2p2_functions(element, "tanh3") for element in ELEMENTS):
        if row not in table:
            table.append(row)
    return SymmetryFunctions.from_table(ELEMENTS, table)


def atom_steps(model: Path, start: Atoms) -> dict[str, str]:
    """Time a potential on structures near ``start``; return microseconds an atom and atom-steps a second."""
    potential, atoms = Potential.load(model, precision="float32", threads=1), start.copy()
    moves = np.random.default_rng(0).normal(scale=0.005, size=(CALLS, *start.positions.shape))
    result = {}
    for case, evaluator in (("anew", potential), ("moving", Evaluator(potential))):
        seconds = []
        for move in moves:
            atoms.positions = start.positions + move
            before = time.process_time()
            evaluator.compute(atoms, PROPERTIES)
            seconds.append(time.process_time() - before)
        result[f"{case}, us/atom"] = f"{1e6 * min(seconds) / len(atoms):.2f}"
        result[f"{case}, atom-steps/s"] = f"{len(atoms) / min(seconds):.0f}"
    return result


def main() -> None:
    """Train and time both sets and write the results."""
    data = ac.data.load(shared("data", "deepmd_water", "deepmd_water.npz"), units="eV, Angstrom")
    split = data.split(mode="block", block=20, test_every=4, valid=0)
    start = split.test[0].repeat(REPEATS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, features in (("Compact", Compact(ELEMENTS)), ("n2p2's functions", n2p2_set())):
            model = ac.models.BehlerParrinello(features, **NETWORKS)
            before = time.process_time()
            errors = ac.train.fit(model, split, **TRAINING).metrics["test"]
            seconds = time.process_time() - before
            path = Path(folder) / "model.atomcore"
            model.save(path)
            rows.append({
                "functions": name,
                "columns": features.n_features,
                "test energy RMSE, meV/atom": f"{1e3 * errors['energy_rmse_per_atom']:.3f}",
                "test force RMSE, eV/A": f"{errors['forces_rmse']:.4f}",
                "training CPU s": f"{seconds:.0f}",
                **atom_steps(path, start),
            })  # fmt: skip
    report("compact", rows)


if __name__ == "__main__":
    main()
