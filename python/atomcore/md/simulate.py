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
_FILES = ("trajectory.extxyz", "energies.csv")
# eV/atom: far more than any run that makes sense reaches, far less than one that has blown up.
_LARGEST_ERROR = 0.1
_LARGEST_KINETIC = 2.0
_LINEAR = 1e-6  # of the largest moment of inertia: nothing turns about an axis with less


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
    overwrite: bool = True,
    progress: bool = True,
) -> Trajectory:
    """Run ``atoms`` (which has a calculator) and write ``trajectory.extxyz`` and ``energies.csv``.

    Velocities are drawn for ``temperature``, with total momentum and (without periodicity) rotation taken out.

    Parameters
    ----------
    atoms : ase.Atoms
        Moved in place.
    folder : Path
        Made where it is not there; the two files in it are replaced.
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
    overwrite : bool
        False refuses a folder that holds a run.
    progress : bool

    Raises
    ------
    ValueError
        For a parameter out of range, by name.
    AtomcoreError
        When the run blows up: the energy is not finite, the total energy of an NVE run is not conserved at all, or the
        velocities are out of all proportion.

    Notes
    -----
    Frames and energies so far are kept when the run ends before its time, by an error or by an interrupt.
    """
    _check(ps=ps, dt=dt, frame_interval=frame_interval)
    _check(least=0.0, temperature=temperature, friction=friction, equilibrate=equilibrate)
    if ensemble not in ENSEMBLES:
        raise ValueError(f"ensemble must be one of {', '.join(ENSEMBLES)}; got {ensemble!r}")
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0; got {seed!r}")
    _degrees_of_freedom(atoms, False)
    trajectory_path, energies_path = (folder / name for name in _FILES)
    if not overwrite and (trajectory_path.exists() or energies_path.exists()):
        raise ValueError(
            f"{str(folder)!r} holds a run already; choose another folder or replace it (overwrite=True, --overwrite)"
        )
    from ase.io.extxyz import write_extxyz

    folder.mkdir(parents=True, exist_ok=True)
    for path in (trajectory_path, energies_path):  # what is left of a run that ends early is its own
        path.unlink(missing_ok=True)
    generator = np.random.default_rng(seed)
    _draw_velocities(atoms, temperature, generator)
    thermostat = (temperature, friction, generator)
    if equilibrate > 0:
        _integrator(atoms, dt, "langevin", *thermostat).run(round(1000 * equilibrate / dt))
        _stop_as_a_whole(atoms)
    dynamics = _integrator(atoms, dt, ensemble, *thermostat)
    steps = max(round(1000 * ps / dt), 1)
    recorder = _Recorder(dynamics, dt, ensemble, temperature, Progress(steps, "MD, step", enabled=progress))
    with (
        contextlib.ExitStack() as at_end,
        trajectory_path.open("w", encoding="utf-8") as file,
        contextlib.closing(recorder),
    ):
        at_end.callback(lambda: _write_energies(recorder.trajectory(), energies_path))
        dynamics.attach(recorder.record, interval=max(round(_SAMPLE / dt), 1))
        dynamics.attach(lambda: write_extxyz(file, [atoms]), interval=max(round(frame_interval / dt), 1))
        dynamics.run(steps)
    return recorder.trajectory()


class _Recorder:
    """Collects the energies of a running simulation."""

    def __init__(self, dynamics: Any, dt: float, ensemble: str, temperature: float, bar: Progress) -> None:
        from ase.units import kB

        self._dynamics, self._atoms, self._dt, self._bar = dynamics, dynamics.atoms, dt, bar
        self._conserved = ensemble == "nve"
        freedom = _degrees_of_freedom(self._atoms, self._conserved)
        self._kelvin = 2.0 / (kB * freedom)
        self._largest_kinetic = len(self._atoms) * (_LARGEST_KINETIC + 20.0 * kB * temperature)
        self._rows: list[tuple[float, ...]] = []

    def record(self) -> None:
        step, atoms = self._dynamics.nsteps, self._atoms
        time = step * self._dt / 1000
        potential, kinetic = atoms.get_potential_energy(), atoms.get_kinetic_energy()
        where = f"at step {step} ({time:g} ps); try a smaller dt, a relaxed start or a better model"
        if not np.isfinite(potential + kinetic):
            raise AtomcoreError(f"the run has blown up: the energy is not finite {where}")
        self._rows.append((time, potential, kinetic, self._kelvin * kinetic))
        if kinetic > self._largest_kinetic:
            raise AtomcoreError(f"the run has blown up: {self._rows[-1][3]:.0f} K {where}")
        error = abs(potential + kinetic - self._rows[0][1] - self._rows[0][2])
        if self._conserved and error > len(atoms) * _LARGEST_ERROR + self._rows[0][2]:
            raise AtomcoreError(f"the run has blown up: the total energy has changed by {error:.3g} eV {where}")
        self._bar.update(step, f"{self._rows[-1][3]:.0f} K")

    def close(self) -> None:
        self._bar.close(self._dynamics.nsteps)

    def trajectory(self) -> Trajectory:
        time, potential, kinetic, temperature = np.array(self._rows).reshape(-1, 4).T
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
    """Take out the motion of the centre of mass and, without periodicity, the rotation.

    Constraints are left to themselves: with atoms held in space neither is conserved.
    """
    from ase.md.velocitydistribution import Stationary, ZeroRotation

    if len(atoms) == 1 or atoms.constraints:
        return
    Stationary(atoms)
    if not atoms.pbc.any():
        with np.errstate(divide="ignore", invalid="ignore"):  # ASE divides by the zero moment of linear molecules
            ZeroRotation(atoms)


def _degrees_of_freedom(atoms: Any, stopped: bool) -> int:
    """Number of velocities that are free; ``stopped``: without those of the motion as a whole.

    Raises
    ------
    ValueError
        When there is none.
    """
    free = 3 * len(atoms) - sum(constraint.get_removed_dof(atoms) for constraint in atoms.constraints)
    if len(atoms) == 0:
        raise ValueError("atoms must be at least one; got none")
    if free <= 0:
        raise ValueError(f"atoms must be at least one that can move; got {len(atoms)}, all held by constraints")
    if not stopped or len(atoms) == 1 or atoms.constraints:
        return free
    if atoms.pbc.any():
        return free - 3
    moments = atoms.get_moments_of_inertia()
    return free - 3 - int(np.sum(moments > _LINEAR * moments.max()))


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
