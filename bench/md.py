"""What a step of molecular dynamics costs besides the model, 64 atoms: integrator, checks, bookkeeping.

Ours is the time of the compiled loop less that within the model, both taken in C++; with the files it is that of a
whole run less the model, with a frame every 20 steps and a row of energies every other. ASE's integrators run with a
calculator that does nothing. The trajectories of both are compared first, with the same model.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.calculator import all_changes
from ase.io.extxyz import write_extxyz
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.verlet import VelocityVerlet

from atomcore.md import simulate
from atomcore.md.core_run import CoreRun
from atomcore.md.integrators import Conditions
from atomcore.md.schedule import Schedule
from atomcore.md.velocities import draw_velocities
from common import REPOSITORY, pin, report, spread

sys.path.insert(0, str(REPOSITORY / "tests"))
from pair_model import crystal, pair_model

STEPS, SAMPLES = 1000, 15
FILE_STEPS, FILE_SAMPLES = 10_000, 3  # a run long enough that its first and last checkpoint count for little
DT = 0.5  # fs
FRAME, ROW = 20, 2  # steps


class Free(AseCalculator):
    """No forces, at no cost."""

    implemented_properties = ("energy", "forces")

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = None, system_changes: list[str] = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}


class Timed(CoreRun):
    """A run that leaves its loop to be asked for times."""

    def _loop(self, phase: Any) -> Any:
        self.loop = super()._loop(phase)
        return self.loop


def start(model: Path) -> Atoms:
    """Return 64 atoms."""
    atoms = crystal(model)
    doubled = atoms * (2, 1, 1)
    doubled.calc = atoms.calc
    return doubled


def check(model: Path, folder: Path) -> None:
    """Raise unless 50 steps in the loop end where those of ASE do."""
    ends = []
    for engine in ("auto", "ase"):
        atoms = start(model)
        simulate(atoms, folder, ps=0.05, dt=1.0, engine=engine, progress=False)
        ends.append(atoms.positions)
    if not np.abs(ends[0] - ends[1]).max() < 1e-10:
        raise SystemExit("the trajectories differ")


def own(model: Path, folder: Path, ensemble: str, *, files: bool) -> float:
    """Return our seconds a step beside the model, of one run."""
    atoms = start(model)
    conditions = Conditions(ensemble=ensemble, dt=DT, temperature=300.0, friction=0.01, pressure=0.0, barostat_time=1.0)
    steps = FILE_STEPS if files else STEPS
    schedule = Schedule(steps=steps, equilibration=0, sample=ROW, frame=FRAME)
    draw_velocities(atoms, 300.0, np.random.default_rng(0))
    run = Timed(atoms, folder, conditions, schedule, seed=0, given={}, restart=False, progress=False)
    begin = time.perf_counter()
    run.run()
    whole = time.perf_counter() - begin
    return ((whole if files else run.loop.seconds) - run.loop.model_seconds) / steps


def peer(model: Path, folder: Path, ensemble: str, *, files: bool) -> float:
    """Return the seconds a step of ASE's integrator."""
    atoms = start(model)
    atoms.calc, steps = Free(), FILE_STEPS if files else STEPS
    draw_velocities(atoms, 300.0, np.random.default_rng(0))
    dynamics: MolecularDynamics = VelocityVerlet(atoms, DT * units.fs)
    if ensemble == "langevin":
        dynamics = Langevin(atoms, DT * units.fs, temperature_K=300.0, friction=0.01 / units.fs, fixcm=False)
    with (folder / "ase.extxyz").open("w") as file:
        if files:
            dynamics.attach(lambda: write_extxyz(file, [atoms]), interval=FRAME)
            dynamics.attach(lambda: atoms.get_total_energy(), interval=ROW)
        begin = time.perf_counter()
        dynamics.run(steps)
        return (time.perf_counter() - begin) / steps


def main() -> None:
    pin()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = pair_model().write(folder / "pair.atomcore")
        check(model, folder)
        for case, ensemble, files in (
            ("MD step beside the model, 64 atoms, NVE", "nve", False),
            ("the same, Langevin", "langevin", False),
            ("NVE, trajectory and energies included", "nve", True),
        ):
            samples = range(FILE_SAMPLES if files else SAMPLES)
            times = [[1e6 * f(model, folder, ensemble, files=files) for f in (own, peer)] for _ in samples]
            ours, theirs = zip(*times, strict=True)
            ratios = statistics.median(theirs) / statistics.median(ours), min(theirs) / min(ours)
            row = {"case": case, "atomcore, us": spread(ours), "peer": "ASE", "peer, us": spread(theirs)}
            rows.append({**row, "ratio": f"{ratios[0]:.2f}", "of minima": f"{ratios[1]:.2f}"})
    report("md", rows, ("ase",))


if __name__ == "__main__":
    main()
