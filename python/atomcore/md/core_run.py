"""Runs of exported models in the compiled loop: velocity Verlet and Langevin dynamics that restart bit for bit."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from atomcore import _core
from atomcore._arrays import as_float64, as_structure, check_numbers
from atomcore._core import AtomcoreError
from atomcore._progress import Progress
from atomcore.calculators import Calculator
from atomcore.calculators.ase import GRADE_TO_WARN_OF
from atomcore.md.files import EnergyTable, FrameFile
from atomcore.md.integrators import Conditions
from atomcore.md.recorder import Extrapolation, Trajectory
from atomcore.md.restart import Checkpoint, digest
from atomcore.md.schedule import Schedule
from atomcore.md.velocities import stop_as_a_whole
from atomcore.md.watch import Frame, Limits, RefusedError, keep_frames, raise_stopped

TRAJECTORY, ENERGIES = "trajectory.extxyz", "energies.csv"
ENSEMBLES = ("nve", "langevin")
_PRODUCTION = "the run"
_BLOCK = 0.2  # seconds that pass in the core before Python sees an interrupt
_CHECKPOINT_INTERVAL = 10.0  # seconds


def suits(atoms: Any, ensemble: str) -> bool:
    """Whether the compiled loop can run this."""
    calculator = atoms.calc
    return (
        type(calculator) is Calculator  # whatever a derived class changes, the loop would not see it
        and calculator.potential.target == "energy"
        and ensemble in ENSEMBLES
        and not atoms.constraints
    )


@dataclass(frozen=True)
class _Phase:
    name: str
    steps: int
    ensemble: str
    stream: int  # of random numbers
    recorded: bool


class CoreRun:
    """A run of ``atoms``, whose calculator is an atomcore `Calculator`.

    Parameters
    ----------
    atoms : ase.Atoms
        Moved in place; with the velocities to start from, unless an earlier run goes on.
    folder : Path
        Where the files are or come.
    conditions : Conditions
    schedule : Schedule
    seed : int
        Of the thermostat.
    given : dict
        What else an earlier run must have in common with this one, by name.
    restart : bool
        Go on with the run in ``folder``.
    progress : bool

    Raises
    ------
    ValueError
        There is no run to go on with, or it was of another structure, with another model or other conditions.
    AtomcoreError
        Its files are damaged.
    """

    def __init__(
        self,
        atoms: Any,
        folder: Path,
        conditions: Conditions,
        schedule: Schedule,
        *,
        seed: int,
        given: dict[str, Any],
        restart: bool,
        progress: bool,
    ) -> None:
        self._atoms, self._folder, self._conditions = atoms, folder, conditions
        self._schedule, self._seed = schedule, seed
        self._calculator: Calculator = atoms.calc
        self._potential = atoms.calc.potential
        self._kelvin = np.nan  # of a kinetic energy of 1 eV, known once a phase begins
        self._labels: list[str] = []
        self._frame = atoms.copy()  # what is written
        structure = as_structure(atoms)
        check_numbers(structure.numbers)
        self._system: dict[str, np.ndarray] = {
            "numbers": structure.numbers,
            "masses": as_float64("masses", atoms.get_masses(), ("N",)),
            "cell": structure.cell.copy(),
            "pbc": structure.pbc.copy(),
        }
        self._given = given | {
            "precision": self._potential._precision,
            "spread_limit": None if self._calculator.spread_limit is None else "a number",
        }
        self._model = digest(self._potential._content)
        self._safe = self._earlier() if restart else None
        sizes = self._safe.sizes if self._safe else {}
        self._flushed = self._written = 0.0  # when the files were and when a checkpoint was
        self._worst = self._safe.worst if self._safe else None
        self._table = EnergyTable(folder / ENERGIES, sizes.get(ENERGIES, 0))
        self._frames = FrameFile(folder / TRAJECTORY, sizes.get(TRAJECTORY, 0))
        self._files = self._table, self._frames
        done = self._safe.step if self._safe and self._safe.phase == _PRODUCTION else 0
        self._bar = Progress(schedule.steps, "MD, step", start=done, enabled=progress)

    def run(self) -> Trajectory:
        """Run to the end.

        Raises
        ------
        ExtrapolationError, AtomcoreError
            As `atomcore.md.simulate` does.
        """
        equilibration = _Phase("equilibration", self._schedule.equilibration, "langevin", 0, False)
        production = _Phase(_PRODUCTION, self._schedule.steps, self._conditions.ensemble, 1, True)
        try:
            if equilibration.steps and (self._safe is None or self._safe.phase == equilibration.name):
                self._run(equilibration)
                stop_as_a_whole(self._atoms)
            self._run(production)
        finally:
            self._close()
        return Trajectory(**self._table.columns(), n_atoms=len(self._atoms), worst=self._worst)

    def _earlier(self) -> Checkpoint:
        checkpoint = Checkpoint.read(self._folder)
        checkpoint.check(self._folder, self._model, self._given, self._system)
        return checkpoint

    def _run(self, phase: _Phase) -> None:
        loop = self._loop(phase)
        try:
            while not loop.started or loop.step < phase.steps:
                self._advance(loop, phase)
        except (AtomcoreError, ValueError) as error:
            self._stop(loop, phase, error)
        finally:
            if loop.started:
                _place(self._atoms, loop.state)

    def _loop(self, phase: _Phase) -> _core.MdLoop:
        from ase import units

        earlier = self._safe if self._safe is not None and self._safe.phase == phase.name else None
        if earlier is not None:
            _place(self._atoms, earlier.state)
        limits = Limits.of(self._atoms, self._conditions.temperature, phase.ensemble)
        self._kelvin = limits.kelvin if earlier is None else earlier.kelvin
        loop = _core.MdLoop(
            self._potential._core,
            **self._system,
            positions=np.ascontiguousarray(self._atoms.positions, dtype=float),
            momenta=np.ascontiguousarray(self._atoms.get_momenta(), dtype=float),
            conditions=_core.MdConditions(
                dt=self._conditions.dt * units.fs,
                thermostat=phase.ensemble == "langevin",
                kT=units.kB * self._conditions.temperature,
                friction=self._conditions.friction / units.fs,
                seed=self._seed % 2**64,
                stream=phase.stream,
            ),
            limits=_core.MdLimits(
                radii=limits.radii.tolist(),
                kinetic=limits.kinetic,
                jump=limits.jump,
                drift=limits.drift,
                kelvin=self._kelvin,
                **self._doubts(),
            ),
            with_spread=self._calculator.spread_limit is not None,
            n_threads=self._potential._threads,
        )
        if earlier is not None:
            loop.resume(earlier.step, earlier.energy, earlier.state["gradient"], earlier.start)
        return loop

    def _doubts(self) -> dict[str, float]:
        """Return where the loop has to stop for the calculator to judge: at its limits and where it warns first."""
        calculator = self._calculator
        limits = {
            "excess": calculator.extrapolation_limit if calculator._warned else 0.0,
            "spread": calculator.spread_limit,
            "grade": calculator.grade_limit,
        }
        if not calculator._warned_of_grade:
            limits["grade"] = min(GRADE_TO_WARN_OF, np.inf if limits["grade"] is None else limits["grade"])
        return {name: np.inf if limit is None else limit for name, limit in limits.items()}

    def _advance(self, loop: _core.MdLoop, phase: _Phase) -> None:
        """Go on to the next frame, or for a while."""
        every = self._schedule.frame
        target = min((loop.step // every + 1) * every, phase.steps) if loop.started else 0
        outcome, why, samples = loop.run(target, self._schedule.sample, _BLOCK)
        if phase.recorded:
            self._record(samples)
            if outcome == "done" and target % every == 0:
                self._write_frame(loop.state)
        if loop.started:
            self._keep(loop, phase)
        if outcome == "refused":
            raise RefusedError(why)
        if outcome == "doubtful":
            self._calculator._judge(loop.candidate, self._atoms)
            loop.set_limits(**self._doubts())

    def _record(self, samples: list[tuple[int, float, float, float, float, int, int, float]]) -> None:
        with_spread, text = self._calculator.spread_limit is not None, ""
        for step, potential, kinetic, spread, excess, atom, feature, grade in samples:
            temperature = self._kelvin * kinetic
            row = {"time": step * self._conditions.dt / 1000, "potential": potential, "kinetic": kinetic}
            row["temperature"] = temperature
            if self._potential._ranges:
                row["extrapolation_excess"] = excess
            if self._potential._grades:
                row["extrapolation_grade"] = grade
            if with_spread:
                row["forces_spread"] = spread
            self._table.add(row)
            if excess > (self._worst.excess if self._worst else 0.0):
                self._labels = self._labels or self._potential.feature_labels
                self._worst = Extrapolation(step, atom, self._labels[feature], excess)
            text = f"{temperature:.0f} K"
        if samples:
            self._bar.update(samples[-1][0], text)

    def _write_frame(self, state: dict[str, Any]) -> None:
        frame, energy = self._frame, state["energy"]
        _place(frame, state)
        frame.arrays["forces"] = -state["gradient"]
        if self._potential._atomic_energies:
            frame.arrays["energies"] = state["energies"]
        frame.info["energy"] = energy
        if frame.pbc.all():
            strain = state["strain_gradient"]
            frame.info["stress"] = 0.5 * (strain + strain.T) / abs(np.linalg.det(self._system["cell"]))
        frame.info["free_energy"] = energy
        self._frames.add(frame)

    def _keep(self, loop: _core.MdLoop, phase: _Phase) -> None:
        """Note where the run is now, in memory and from time to time on disk: whatever comes, it ends here."""
        state, now = loop.state, time.monotonic()
        self._safe = Checkpoint(
            model=self._model,
            conditions=self._given,
            atoms=self._system,
            phase=phase.name,
            step=state["step"],
            energy=state["energy"],
            start=loop.start,
            kelvin=self._kelvin,
            state={name: state[name] for name in ("positions", "momenta", "gradient")},
            sizes={file.path.name: file.size for file in self._files},
            worst=self._worst,
        )
        if now - self._written > _CHECKPOINT_INTERVAL:
            self._save()
        elif now - self._flushed > _BLOCK:
            for file in self._files:
                file.flush()
            self._flushed = now

    def _save(self) -> None:
        for file in self._files:
            file.flush(to_disk=True)  # before the checkpoint that counts on it
        if self._safe is not None:
            self._safe.write(self._folder)
        self._written = self._flushed = time.monotonic()

    def _close(self) -> None:
        """Leave files that fit together: an interrupt may have come while one of them was written."""
        for file in self._files:
            file.cut(self._safe.sizes[file.path.name] if self._safe else 0)
        self._save()
        for file in self._files:
            file.close()
        self._bar.close(self._safe.step if self._safe else 0)

    def _stop(self, loop: _core.MdLoop, phase: _Phase, error: Exception) -> NoReturn:
        candidate, good = loop.candidate, None
        if loop.started:
            state = loop.state
            cell = self._system["cell"]
            good = Frame(state["positions"], cell, state["momenta"], state["energy"], -state["gradient"], None)
        refused = self._atoms.copy()
        refused.calc = self._calculator
        _place(refused, candidate)
        keep_frames(refused, good, self._folder)
        raise_stopped(error, phase.name, candidate["step"], self._conditions.dt)


def _place(atoms: Any, state: dict[str, Any]) -> None:
    atoms.positions[:] = state["positions"]
    atoms.set_momenta(state["momenta"])
