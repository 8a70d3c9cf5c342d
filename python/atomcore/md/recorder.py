"""What a run leaves behind besides its frames: energies and what else changes along it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from atomcore._progress import Progress
from atomcore.md.files import EnergyTable
from atomcore.md.velocities import degrees_of_freedom


class Extrapolation(NamedTuple):
    """The worst extrapolation of a run: in which step, of which atom, and in which feature by how many ranges."""

    step: int
    atom: int
    feature: str
    excess: float


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
    volume, pressure : ndarray [n] or None
        In A^3 and GPa, for NPT runs; the pressure contains that of the moving atoms.
    forces_spread : ndarray [n] or None
        Largest spread of a force (length of the vector) among the atoms in eV/A, for an ensemble of networks whose
        calculator computes it with every frame because of its ``spread_limit``.
    extrapolation_excess : ndarray [n] or None
        How far the worst feature of any atom lies outside what the model was trained on, in units of the range there; 0
        where all lie inside. None when the model does not know.
    extrapolation_grade : ndarray [n] or None
        The largest grade of extrapolation of any atom; None for a model that has none.
    worst : Extrapolation or None
        None when no step recorded extrapolates.
    """

    time: np.ndarray
    potential: np.ndarray
    kinetic: np.ndarray
    temperature: np.ndarray
    n_atoms: int
    volume: np.ndarray | None = None
    pressure: np.ndarray | None = None
    forces_spread: np.ndarray | None = None
    extrapolation_excess: np.ndarray | None = None
    extrapolation_grade: np.ndarray | None = None
    worst: Extrapolation | None = None

    @property
    def total_per_atom(self) -> np.ndarray:
        """Total energy above its start in meV/atom."""
        total = self.potential + self.kinetic
        return 1000 * (total - total[0]) / self.n_atoms


class Recorder:
    """Collects what a running simulation leaves behind.

    Parameters
    ----------
    dynamics : ase.md.md.MolecularDynamics
    dt : float
        In fs.
    ensemble : str
    table : EnergyTable
    bar : Progress
        Of the steps.
    """

    def __init__(self, dynamics: Any, dt: float, ensemble: str, table: EnergyTable, bar: Progress) -> None:
        from ase.units import kB

        self._dynamics, self._atoms, self.dt, self._bar = dynamics, dynamics.atoms, dt, bar
        self._with_volume = ensemble == "npt"
        self._kelvin = 2.0 / (kB * degrees_of_freedom(self._atoms, ensemble == "nve"))
        self._table = table
        self._worst: Extrapolation | None = None

    def record(self) -> None:
        """Add what is known of this step."""
        atoms, step = self._atoms, self._dynamics.nsteps
        kinetic = atoms.get_kinetic_energy()
        row = {"time": step * self.dt / 1000, "potential": atoms.get_potential_energy(), "kinetic": kinetic}
        row["temperature"] = self._kelvin * kinetic
        if self._with_volume:
            row |= {"volume": atoms.get_volume(), "pressure": _pressure(atoms)}
        row |= self._reliability(getattr(atoms.calc, "results", {}))
        self._table.add(row)
        self._table.flush()
        self._bar.update(step, f"{row['temperature']:.0f} K")

    def _reliability(self, results: dict[str, Any]) -> dict[str, float]:
        row: dict[str, float] = {}
        if "forces_spread" in results:
            row["forces_spread"] = np.sqrt(np.max(np.sum(results["forces_spread"] ** 2, axis=1)))
        if "extrapolation_excess" in results:
            atom = int(np.argmax(results["extrapolation_excess"]))
            excess = row["extrapolation_excess"] = float(results["extrapolation_excess"][atom])
            if excess > (self._worst.excess if self._worst else 0.0):
                label = self._atoms.calc.potential.feature_labels[int(results["extrapolation_feature"][atom])]
                self._worst = Extrapolation(self._dynamics.nsteps, atom, label, excess)
        if "extrapolation_grade" in results:
            row["extrapolation_grade"] = float(np.max(results["extrapolation_grade"]))
        return row

    def close(self) -> None:
        """Let go of the terminal."""
        self._bar.close(self._dynamics.nsteps)

    def trajectory(self) -> Trajectory:
        """Everything recorded so far."""
        columns: Any = self._table.columns()
        return Trajectory(**columns, n_atoms=len(self._atoms), worst=self._worst)


def _pressure(atoms: Any) -> float:
    """Pressure in GPa, with that of the moving atoms."""
    from ase.units import GPa

    return -float(np.mean(atoms.get_stress(include_ideal_gas=True)[:3])) / GPa
