"""Molecular dynamics through ASE's integrators."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError
from atomcore._files import write_text
from atomcore._progress import Progress

ENSEMBLES = ("nve", "langevin")
_SAMPLE = 1.0  # fs between rows of energies


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """Energies along a run.

    Attributes
    ----------
    time : ndarray [n]
        In ps.
    potential, kinetic : ndarray [n]
        In eV.
    temperature : ndarray [n]
        In K, of the degrees of freedom that move: an NVE run has no motion as a whole.
    n_atoms : int
    """

    time: np.ndarray
    potential: np.ndarray
    kinetic: np.ndarray
    temperature: np.ndarray
    n_atoms: int

    @property
    def total_per_atom(self) -> np.ndarray:
        """Total energy above its start in meV/atom."""
        total = self.potential + self.kinetic
        return 1000 * (total - total[0]) / self.n_atoms


def simulate(
    atoms: Any,
    folder: Path,
    *,
    ps: float,
    dt: float = 0.5,
    temperature: float = 300.0,
    ensemble: str = "nve",
    friction: float = 0.01,
    equilibrate: float = 0.0,
    frame_interval: float = 10.0,
    seed: int = 0,
    progress: bool = True,
) -> Trajectory:
    """Run ``atoms`` (which has a calculator) and write ``trajectory.extxyz`` and ``energies.csv``.

    Velocities are drawn for ``temperature``, with total momentum and (without periodicity) rotation taken out.

    Parameters
    ----------
    atoms : ase.Atoms
        Moved in place.
    folder : Path
        Exists; the two files in it are replaced.
    ps : float
        Length of the run.
    dt : float
        Time step in fs.
    temperature : float
        In K.
    ensemble : {"nve", "langevin"}
    friction : float
        Of the Langevin thermostat, in 1/fs.
    equilibrate : float
        Length in ps of Langevin dynamics before the run, which is not recorded: without it, an NVE run settles between
        ``temperature`` and that of the starting structure.
    frame_interval : float
        Between frames of the trajectory, in fs.
    seed : int
        Of velocities and thermostat.
    progress : bool

    Raises
    ------
    ValueError
        For a parameter out of range, by name.
    AtomcoreError
        When the energy stops being finite; the frames so far are kept.
    """
    _check(ps=ps, dt=dt, frame_interval=frame_interval)
    _check(least=0.0, temperature=temperature, friction=friction, equilibrate=equilibrate)
    if ensemble not in ENSEMBLES:
        raise ValueError(f"ensemble must be one of {', '.join(ENSEMBLES)}; got {ensemble!r}")
    from ase.io.extxyz import write_extxyz

    generator = np.random.default_rng(seed)
    _draw_velocities(atoms, temperature, generator)
    thermostat = (temperature, friction, generator)
    if equilibrate > 0:
        _integrator(atoms, dt, "langevin", *thermostat).run(round(1000 * equilibrate / dt))
        _stop_as_a_whole(atoms)
    dynamics = _integrator(atoms, dt, ensemble, *thermostat)
    steps = max(round(1000 * ps / dt), 1)
    freedom = _degrees_of_freedom(atoms) if ensemble == "nve" else 3 * len(atoms)
    recorder = _Recorder(dynamics, dt, freedom, Progress(steps, "MD, step", enabled=progress))
    with (folder / "trajectory.extxyz").open("w", encoding="utf-8") as file, contextlib.closing(recorder):
        dynamics.attach(recorder.record, interval=max(round(_SAMPLE / dt), 1))
        dynamics.attach(lambda: write_extxyz(file, [atoms]), interval=max(round(frame_interval / dt), 1))
        dynamics.run(steps)
    trajectory = recorder.trajectory()
    _write_energies(trajectory, folder / "energies.csv")
    return trajectory


class _Recorder:
    """Collects the energies of a running simulation."""

    def __init__(self, dynamics: Any, dt: float, freedom: int, bar: Progress) -> None:
        from ase.units import kB

        self._dynamics, self._atoms, self._dt, self._bar = dynamics, dynamics.atoms, dt, bar
        self._kelvin = 2.0 / (kB * freedom)
        self._rows: list[tuple[float, ...]] = []

    def record(self) -> None:
        step, atoms = self._dynamics.nsteps, self._atoms
        time = step * self._dt / 1000
        potential, kinetic = atoms.get_potential_energy(), atoms.get_kinetic_energy()
        if not np.isfinite(potential + kinetic):
            raise AtomcoreError(f"the energy is not finite at step {step} ({time:g} ps); try a smaller dt")
        self._rows.append((time, potential, kinetic, self._kelvin * kinetic))
        self._bar.update(step, f"{self._rows[-1][3]:.0f} K")

    def close(self) -> None:
        self._bar.close(self._dynamics.nsteps)

    def trajectory(self) -> Trajectory:
        time, potential, kinetic, temperature = np.array(self._rows).T
        return Trajectory(
            time=time, potential=potential, kinetic=kinetic, temperature=temperature, n_atoms=len(self._atoms)
        )


def _write_energies(run: Trajectory, path: Path) -> None:
    columns = (run.time, run.potential, run.kinetic, run.potential + run.kinetic, run.temperature)
    lines = ["time_ps,potential_eV,kinetic_eV,total_eV,temperature_K"]
    lines += [",".join(repr(float(x)) for x in row) for row in zip(*columns, strict=True)]
    write_text(path, "\n".join(lines) + "\n")


def _draw_velocities(atoms: Any, temperature: float, generator: np.random.Generator) -> None:
    from ase import units

    deviation = np.sqrt(atoms.get_masses() * units.kB * temperature)
    atoms.set_momenta(generator.standard_normal((len(atoms), 3)) * deviation[:, None])
    _stop_as_a_whole(atoms)


def _stop_as_a_whole(atoms: Any) -> None:
    """Take out the motion of the centre of mass and, without periodicity, the rotation."""
    from ase.md.velocitydistribution import Stationary, ZeroRotation

    if len(atoms) > 1:
        Stationary(atoms)
        if not atoms.pbc.any():
            ZeroRotation(atoms)


def _degrees_of_freedom(atoms: Any) -> int:
    """Number of velocities that are free once the motion as a whole has been taken out."""
    n = len(atoms)
    if n == 1:
        return 3
    rotations = 0 if atoms.pbc.any() else (2 if n == 2 else 3)
    return 3 * n - 3 - rotations


def _integrator(
    atoms: Any, dt: float, ensemble: str, temperature: float, friction: float, generator: np.random.Generator
) -> Any:
    from ase import units

    if ensemble == "nve":
        from ase.md.verlet import VelocityVerlet

        return VelocityVerlet(atoms, dt * units.fs)
    from ase.md.langevin import Langevin

    # ASE's own way of holding the centre of mass (fixcm) does not sample the right distribution.
    return Langevin(
        atoms, dt * units.fs, temperature_K=temperature, friction=friction / units.fs, fixcm=False, rng=generator
    )


def _check(*, least: float | None = None, **values: float) -> None:
    """Raise unless all values are finite and above zero, or at least ``least``."""
    for name, value in values.items():
        if not (value < np.inf and (value > 0 if least is None else value >= least)):
            accepted = "above zero" if least is None else f"of at least {least:g}"
            raise ValueError(f"{name} must be a finite number {accepted}; got {value!r}")
