"""Molecular dynamics, in the compiled loop where that can run it and through ASE's integrators elsewhere."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._arrays import as_plain, whole_number
from atomcore._progress import Progress
from atomcore.md import core_run
from atomcore.md.files import EnergyTable
from atomcore.md.integrators import Conditions, integrator
from atomcore.md.recorder import Recorder, Trajectory
from atomcore.md.restart import CHECKPOINT
from atomcore.md.schedule import Schedule
from atomcore.md.velocities import check_masses, degrees_of_freedom, draw_velocities, stop_as_a_whole
from atomcore.md.watch import LAST_GOOD, STOPPED, Watch

ENGINES = ("auto", "ase")
_FILES = (core_run.TRAJECTORY, core_run.ENERGIES)


def simulate(
    atoms: Any,
    folder: str | os.PathLike,
    *,
    ps: float,
    dt: float = 0.5,
    temperature: float = 300.0,
    ensemble: str = "nve",
    friction: float = 0.01,
    pressure: float = 1e-4,
    barostat_time: float = 1.0,
    equilibrate: float = 0.0,
    frame_interval: float = 10.0,
    seed: int = 0,
    engine: str = "auto",
    restart: bool = False,
    overwrite: bool = True,
    progress: bool = True,
) -> Trajectory:
    """Run ``atoms`` (which has a calculator) and write ``trajectory.extxyz`` and ``energies.csv``.

    Velocities are drawn for ``temperature``, with total momentum and (without periodicity) rotation taken out.

    Parameters
    ----------
    atoms : ase.Atoms
        Moved in place.
    folder : path
        Made where it is not there; what an earlier run left in it is replaced.
    ps : float
        Length of the run.
    dt : float
        Time step in fs.
    temperature : float
        In K.
    ensemble : {"nve", "langevin", "npt"}
        Constant energy; Langevin dynamics at constant volume; the same with a volume that fluctuates under ``pressure``
        while the cell keeps its shape.
    friction : float
        Of the Langevin thermostat, in 1/fs.
    pressure : float
        In GPa, for "npt"; by default 1 bar.
    barostat_time : float
        How slowly the volume follows the pressure, in ps, for "npt".
    equilibrate : float
        Length in ps of a run before, which is not recorded: Langevin dynamics, or "npt" before "npt". Without it, an
        NVE run settles between ``temperature`` and that of the starting structure.
    frame_interval : float
        Between frames of the trajectory, in fs.
    seed : int
        Of velocities and thermostat.
    engine : {"auto", "ase"}
        "auto" runs a `Calculator <atomcore.Calculator>` in the compiled loop for "nve" and "langevin" without
        constraints, and all else through ASE's integrators; "ase" does so always.
    restart : bool
        Go on with the run in ``folder``, which ended early or was shorter than ``ps``: the result is, to the bit, that
        of a run without a break. Only what the compiled loop runs can go on. Model, atoms and all parameters but
        ``ps`` and limits must be those of the run; positions and velocities of ``atoms`` are replaced.
    overwrite : bool
        False refuses a folder that holds a run.
    progress : bool

    Raises
    ------
    ValueError
        For a parameter out of range, by name.
    ExtrapolationError
        When the calculator refuses a frame because of its limits.
    AtomcoreError
        When the run blows up: see `atomcore.md.watch.Watch`.

    Notes
    -----
    Frames and energies so far are kept when the run ends before its time, by an error or by an interrupt, and the
    compiled loop leaves a checkpoint, ``restart.npz``, at the end and every ten seconds before. Every step is checked.
    The one that is refused is then in ``stopped.extxyz``, if its positions are finite, together with the calculator's
    doubts about each atom, and the step before it, with its velocities, in ``last_good.extxyz``.
    """
    conditions = Conditions(
        ensemble=ensemble,
        dt=dt,
        temperature=temperature,
        friction=friction,
        pressure=pressure,
        barostat_time=barostat_time,
    )
    schedule = Schedule.of(dt, ps, equilibrate, frame_interval)
    seed = whole_number("seed", seed, 0)
    degrees_of_freedom(atoms, False)
    check_masses(atoms)
    conditions.check_structure(atoms)
    compiled = _in_core(atoms, ensemble, engine, restart)
    where, generator = Path(folder), np.random.default_rng(seed)
    if not restart:
        _clear(where, overwrite)
        draw_velocities(atoms, temperature, generator)
    if compiled:
        given = {"ensemble": ensemble, "dt": dt, "temperature": temperature, "friction": friction, "seed": seed}
        given |= {"equilibrate": equilibrate, "frame_interval": frame_interval}
        given = {name: as_plain(value) for name, value in given.items()}
        return core_run.CoreRun(
            atoms, where, conditions, schedule, seed=seed, given=given, restart=restart, progress=progress
        ).run()
    if equilibrate > 0:
        before = "npt" if ensemble == "npt" else "langevin"
        with _watched(atoms, where, conditions, before, generator, "equilibration") as dynamics:
            dynamics.run(schedule.equilibration)
        stop_as_a_whole(atoms)
    with _watched(atoms, where, conditions, ensemble, generator, "the run") as dynamics:
        return _record(dynamics, where, conditions, schedule, progress)


def _in_core(atoms: Any, ensemble: str, engine: str, restart: bool) -> bool:
    """Whether the compiled loop runs this; raise ValueError where a run cannot go on."""
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}; accepted: {', '.join(ENGINES)}")
    compiled = engine == "auto" and core_run.suits(atoms, ensemble)
    if restart and not compiled:
        raise ValueError(
            "restart is for an atomcore Calculator of energies, ensemble nve or langevin, atoms without constraints "
            f"and engine auto; got {type(atoms.calc).__name__}, {ensemble}, "
            f"{len(atoms.constraints)} constraint(s), {engine}"
        )
    return compiled


def _clear(folder: Path, overwrite: bool) -> None:
    """Make the folder and remove what an earlier run left: the files of a run that ends early are its own."""
    if not overwrite and any((folder / name).exists() for name in _FILES):
        raise ValueError(
            f"{str(folder)!r} holds a run already; choose another folder or replace it (overwrite=True, --overwrite)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CHECKPOINT, *_FILES, STOPPED, LAST_GOOD):
        (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _watched(
    atoms: Any, folder: Path, conditions: Conditions, ensemble: str, generator: np.random.Generator, phase: str
) -> Iterator[Any]:
    """Give the dynamics, every step of which is checked; what it leaves when it ends by an error is seen to."""
    watch = Watch(atoms, folder, dt=conditions.dt, temperature=conditions.temperature, ensemble=ensemble, phase=phase)
    with watch.saving():
        dynamics = integrator(atoms, conditions, ensemble, generator)
        watch.follow(dynamics)  # first, so that nothing is recorded of a step that is refused
        yield dynamics


def _record(dynamics: Any, folder: Path, conditions: Conditions, schedule: Schedule, progress: bool) -> Trajectory:
    from ase.io.extxyz import write_extxyz

    bar = Progress(schedule.steps, "MD, step", enabled=progress)
    with (
        (folder / core_run.TRAJECTORY).open("w", encoding="utf-8") as file,
        contextlib.closing(EnergyTable(folder / core_run.ENERGIES)) as table,
        contextlib.closing(Recorder(dynamics, conditions.dt, conditions.ensemble, table, bar)) as recorder,
    ):
        dynamics.attach(recorder.record, interval=schedule.sample)
        dynamics.attach(lambda: write_extxyz(file, [dynamics.atoms]), interval=schedule.frame)
        dynamics.run(schedule.steps)
        return recorder.trajectory()
