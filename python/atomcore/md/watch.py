"""Stopping a run as soon as it stops making sense."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from atomcore._core import AtomcoreError
from atomcore._files import replacing
from atomcore.md.velocities import degrees_of_freedom

STOPPED, LAST_GOOD = "stopped.extxyz", "last_good.extxyz"
# eV/atom: far more than any run that makes sense reaches, far less than one that has blown up.
_LARGEST_ERROR = 0.1
_LARGEST_KINETIC = 2.0
_LARGEST_JUMP = 1.0, 0.01  # eV and eV/atom, between the work of the forces in one step and the change of the energy
_CLOSEST = 0.5  # of the sum of two covalent radii: no bond is half as long as it should be
_PER_ATOM = (
    "extrapolation", "extrapolation_excess", "extrapolation_feature", "extrapolation_grade", "energies_spread",
    "forces_spread",
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What ends a run: numbers far beyond any run that makes sense, far below those of one that has blown up.

    Attributes
    ----------
    kinetic : float
        Kinetic energy in eV.
    jump : float
        Energy in eV that a step changes by something else than the work of the forces.
    drift : float
        Change of the total energy in eV since the start, beyond the kinetic energy there; infinite unless it should be
        conserved.
    radii : ndarray [N]
        Two atoms are too close when closer than the sum of theirs, in A.
    kelvin : float
        Temperature in K of a kinetic energy of 1 eV, in which the first of them is told.
    """

    kinetic: float
    jump: float
    drift: float
    radii: np.ndarray
    kelvin: float

    @classmethod
    def of(cls, atoms: Any, temperature: float, ensemble: str) -> "Limits":
        """Return the limits for a run at ``temperature`` (K)."""
        from ase.data import covalent_radii
        from ase.units import kB

        n, conserved = len(atoms), ensemble == "nve"
        return cls(
            kinetic=n * (_LARGEST_KINETIC + 20.0 * kB * temperature),
            jump=_LARGEST_JUMP[0] + _LARGEST_JUMP[1] * n,
            drift=n * _LARGEST_ERROR if conserved else np.inf,
            radii=_CLOSEST * covalent_radii[atoms.numbers],
            kelvin=2.0 / (kB * degrees_of_freedom(atoms, conserved)),
        )


@dataclass(frozen=True)
class Frame:
    """A frame that has passed all checks."""

    positions: np.ndarray
    cell: np.ndarray
    momenta: np.ndarray
    energy: float
    forces: np.ndarray
    stress: np.ndarray | None

    @classmethod
    def of(cls, atoms: Any, with_stress: bool) -> "Frame":
        # ASE has asked for the forces of this frame before it calls an observer; each further question to the
        # calculator compares all atoms once more, which for a small molecule takes as long as the model.
        known = getattr(atoms.calc, "results", {})
        energy = known["energy"] if "energy" in known else atoms.get_potential_energy()
        forces = known["forces"] if "forces" in known else atoms.get_forces(apply_constraint=False)
        stress = atoms.get_stress(voigt=False) if with_stress else None
        return cls(
            atoms.get_positions(), np.array(atoms.cell), atoms.get_momenta(), float(energy), np.array(forces), stress
        )


class Watch:
    """Checks every step of a simulation and, where it has to end, keeps the frames on both sides of the fault.

    A step is refused when a number in it is not finite, the mean kinetic energy is out of all proportion, two atoms are
    closer than half the sum of their covalent radii, the energy has changed by something else than the work of the
    forces, or the total energy of an NVE run is not conserved at all.

    Parameters
    ----------
    atoms : ase.Atoms
        With its calculator.
    folder : Path
        Where `STOPPED` and `LAST_GOOD` go.
    dt : float
        In fs.
    temperature : float
        In K.
    ensemble : str
    phase : str
        What the messages call the run.
    """

    def __init__(
        self, atoms: Any, folder: Path, *, dt: float, temperature: float, ensemble: str, phase: str = "the run"
    ) -> None:
        self._atoms, self._folder, self._dt, self._phase = atoms, folder, dt, phase
        self._dynamics: Any = None
        self._limits = Limits.of(atoms, temperature, ensemble)
        self._cell_moves = ensemble == "npt"
        self._good: Frame | None = None
        self._start = 0.0, 0.0  # total and kinetic energy

    def follow(self, dynamics: Any) -> None:
        """Check every step of ``dynamics``, before observers that are attached later see it."""
        self._dynamics = dynamics
        dynamics.attach(self.check, interval=1)

    def check(self) -> None:
        """Raise AtomcoreError when this step is no good."""
        atoms, last = self._atoms, self._good
        now = Frame.of(atoms, self._cell_moves)
        self._check_finite(now)
        self._check_distances()
        kinetic = atoms.get_kinetic_energy()
        if kinetic > self._limits.kinetic:
            self._refuse(f"{self._limits.kelvin * kinetic:.0f} K, {self._fastest(now)}")
        if last is None:
            self._start = now.energy + kinetic, kinetic
        else:
            self._check_work(last, now)
        error = abs(now.energy + kinetic - self._start[0])
        if error > self._limits.drift + self._start[1]:
            self._refuse(f"the total energy has changed by {error:.3g} eV, {self._fastest(now)}")
        self._good = now

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Say when and keep the frames of a run that ends by an error within."""
        try:
            yield
        except (AtomcoreError, ValueError) as error:
            done = 0 if self._dynamics is None else self._dynamics.nsteps
            step = done + (self._good is not None and not isinstance(error, RefusedError))  # the one under way
            keep_frames(self._atoms, self._good, self._folder)
            raise_stopped(error, self._phase, step, self._dt)

    def _refuse(self, what: str) -> None:
        raise RefusedError(what)

    def _name(self, atom: int) -> str:
        return f"atom {atom} ({self._atoms.symbols[atom]})"

    def _fastest(self, now: Frame) -> str:
        atom = int(np.argmax(np.sum(now.momenta**2, axis=1) / self._atoms.get_masses()))
        return f"{self._name(atom)} is the fastest"

    def _check_finite(self, now: Frame) -> None:
        for name, values in (("force", now.forces), ("position", now.positions), ("velocity", now.momenta)):
            if not np.isfinite(values).all():
                wrong = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
                self._refuse(f"the {name} of {self._name(wrong)} is not finite")
        if not np.isfinite(now.energy):
            self._refuse("the energy is not finite")

    def _check_distances(self) -> None:
        from atomcore.neighbors import neighbor_list

        i, j, d = neighbor_list("ijd", self._atoms, 2 * float(self._limits.radii.max()), threads=1)
        close = d - self._limits.radii[i] - self._limits.radii[j]
        if close.size and close.min() < 0:
            worst = int(np.argmin(close))
            names = self._name(int(i[worst])), self._name(int(j[worst]))
            self._refuse(f"{names[0]} and {names[1]} are {d[worst]:.3g} A apart")

    def _check_work(self, last: Frame, now: Frame) -> None:
        moved, work = now.positions - last.positions, 0.0
        if last.stress is not None and now.stress is not None:
            deformation = np.linalg.solve(last.cell, now.cell)
            volumes = abs(np.linalg.det(last.cell)), abs(np.linalg.det(now.cell))
            tension = volumes[0] * last.stress + volumes[1] * now.stress
            work = -0.5 * np.sum(tension * (deformation - np.eye(3)))
            moved = now.positions - last.positions @ deformation
        work += 0.5 * np.vdot(last.forces + now.forces, moved)
        change = now.energy - last.energy + work
        if abs(change) > self._limits.jump:
            most = int(np.argmax(np.sum((now.forces - last.forces) ** 2, axis=1)))
            self._refuse(
                f"the energy has changed by {abs(change):.3g} eV more than the work of the forces in one step, "
                f"the force on {self._name(most)} most"
            )


class RefusedError(AtomcoreError):
    """A step that makes no sense."""

    def __init__(self, what: str) -> None:
        super().__init__(f"it has blown up: {what}; try a smaller dt, a relaxed start or a better model")


def raise_stopped(error: Exception, phase: str, step: int, dt: float) -> NoReturn:
    """Raise ``error`` again with what has stopped and when in front; dt in fs."""
    text = f"{phase} has stopped at step {step} ({step * dt / 1000:g} ps): {error}"
    if not isinstance(error, AtomcoreError) or isinstance(error, RefusedError):
        raise AtomcoreError(text) from error
    error.args = (text,)  # what kind of error it is, and what else it knows, stays
    raise error


def keep_frames(atoms: Any, good: Frame | None, folder: Path) -> None:
    """Write the refused frame, with what the model knows of its reliability, and the one before it."""
    from ase.calculators.singlepoint import SinglePointCalculator

    if np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell).all():
        frame = atoms.copy()
        for name, values in _known(atoms).items():
            frame.set_array(name, values)
        _write(frame, folder / STOPPED)
    if good is not None:
        frame = atoms.copy()
        frame.set_cell(good.cell)
        frame.set_positions(good.positions, apply_constraint=False)
        frame.set_momenta(good.momenta, apply_constraint=False)
        frame.calc = SinglePointCalculator(frame, energy=good.energy, forces=good.forces)
        _write(frame, folder / LAST_GOOD)


def _known(atoms: Any) -> dict[str, np.ndarray]:
    """What a model knows of its own reliability, atom by atom."""
    potential: Any = getattr(atoms.calc, "potential", None)
    if potential is None:
        return {}
    names = [name for name in _PER_ATOM if name in potential.properties]
    try:
        return potential.compute(atoms, names)
    except (ValueError, AtomcoreError):
        return {}  # a frame that the model cannot compute: that is then why the run has stopped


def _write(frame: Any, path: Path) -> None:
    from ase.io.extxyz import write_extxyz

    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        write_extxyz(file, [frame])
