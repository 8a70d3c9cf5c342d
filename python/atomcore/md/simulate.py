"""Molecular dynamics through ASE's integrators."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._arrays import whole_number
from atomcore._progress import Progress
from atomcore.md.integrators import Conditions, check_numbers, integrator
from atomcore.md.recorder import Recorder, Trajectory
from atomcore.md.velocities import degrees_of_freedom, draw_velocities, stop_as_a_whole
from atomcore.md.watch import LAST_GOOD, STOPPED, Watch

_SAMPLE = 1.0  # fs between rows of energies
_FILES = ("trajectory.extxyz", "energies.csv")


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
    Frames and energies so far are kept when the run ends before its time, by an error or by an interrupt. Every step is
    checked. The one that is refused is then in ``stopped.extxyz``, if its positions are finite, together with the
    calculator's doubts about each atom, and the step before it, with its velocities, in ``last_good.extxyz``.
    """
    check_numbers(ps=ps, frame_interval=frame_interval)
    check_numbers(least=0.0, equilibrate=equilibrate)
    conditions = Conditions(
        ensemble=ensemble,
        dt=dt,
        temperature=temperature,
        friction=friction,
        pressure=pressure,
        barostat_time=barostat_time,
    )
    seed = whole_number("seed", seed, 0)
    degrees_of_freedom(atoms, False)
    conditions.check_structure(atoms)
    where = Path(folder)
    _clear(where, overwrite)
    generator = np.random.default_rng(seed)
    draw_velocities(atoms, temperature, generator)
    if equilibrate > 0:
        before = "npt" if ensemble == "npt" else "langevin"
        with _watched(atoms, where, conditions, before, generator, "equilibration") as dynamics:
            dynamics.run(round(1000 * equilibrate / dt))
        stop_as_a_whole(atoms)
    steps = max(round(1000 * ps / dt), 1)
    with _watched(atoms, where, conditions, ensemble, generator, "the run") as dynamics:
        recorder = Recorder(dynamics, dt, ensemble, Progress(steps, "MD, step", enabled=progress))
        _record(dynamics, recorder, where, steps, frame_interval)
    return recorder.trajectory()


def _clear(folder: Path, overwrite: bool) -> None:
    """Make the folder and remove what an earlier run left: the files of a run that ends early are its own."""
    if not overwrite and any((folder / name).exists() for name in _FILES):
        raise ValueError(
            f"{str(folder)!r} holds a run already; choose another folder or replace it (overwrite=True, --overwrite)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*_FILES, STOPPED, LAST_GOOD):
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


def _record(dynamics: Any, recorder: Recorder, folder: Path, steps: int, frame_interval: float) -> None:
    from ase.io.extxyz import write_extxyz

    def every(fs: float) -> int:
        return max(round(fs / recorder.dt), 1)

    trajectory_path, energies_path = (folder / name for name in _FILES)
    with (
        contextlib.ExitStack() as at_end,
        trajectory_path.open("w", encoding="utf-8") as file,
        contextlib.closing(recorder),
    ):
        at_end.callback(lambda: recorder.trajectory().write(energies_path))
        dynamics.attach(recorder.record, interval=every(_SAMPLE))
        dynamics.attach(lambda: write_extxyz(file, [dynamics.atoms]), interval=every(frame_interval))
        dynamics.run(steps)
