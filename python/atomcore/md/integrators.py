"""ASE's integrators under the names and units of `atomcore.md.simulate`."""

from dataclasses import dataclass
from typing import Any

import numpy as np

ENSEMBLES = ("nve", "langevin", "npt")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a run is held at; see `atomcore.md.simulate`.

    Raises
    ------
    ValueError
        For a value out of range, by name.
    """

    ensemble: str
    dt: float
    temperature: float
    friction: float
    pressure: float
    barostat_time: float

    def __post_init__(self) -> None:
        if self.ensemble not in ENSEMBLES:
            raise ValueError(f"ensemble is {self.ensemble!r}; accepted: {', '.join(ENSEMBLES)}")
        check_numbers(dt=self.dt, barostat_time=self.barostat_time)
        check_numbers(least=0.0, temperature=self.temperature, friction=self.friction)
        check_numbers(least=-np.inf, pressure=self.pressure)
        if self.ensemble == "npt":
            check_numbers(temperature=self.temperature, friction=self.friction)

    def check_structure(self, atoms: Any) -> None:
        """Raise ValueError when the volume is to change and cannot."""
        if self.ensemble != "npt":
            return
        if not atoms.pbc.all():
            raise ValueError(f"ensemble npt needs a cell that is periodic in three directions; got pbc {atoms.pbc}")
        if atoms.constraints:
            names = ", ".join(type(constraint).__name__ for constraint in atoms.constraints)
            raise ValueError(f"ensemble npt moves every atom with the cell, so constraints cannot hold; got {names}")


def integrator(atoms: Any, conditions: Conditions, ensemble: str, generator: np.random.Generator) -> Any:
    """Return ASE's dynamics of ``ensemble``.

    NPT is Langevin dynamics of atoms and volume (Quigley and Probert, J. Chem. Phys. 120, 11432 (2004)): it samples the
    distribution of an isothermal-isobaric ensemble for a few stiff atoms as well, where chains of thermostats need not,
    and takes an unrelaxed start without ringing. The cell keeps its shape.
    """
    from ase import units

    step, gamma = conditions.dt * units.fs, conditions.friction / units.fs
    if ensemble == "nve":
        from ase.md.verlet import VelocityVerlet

        return VelocityVerlet(atoms, step)
    if ensemble == "langevin":
        from ase.md.langevin import Langevin

        # ASE's own way of holding the centre of mass (fixcm) does not sample the right distribution.
        return Langevin(atoms, step, temperature_K=conditions.temperature, friction=gamma, fixcm=False, rng=generator)
    from ase.md.langevinbaoab import LangevinBAOAB

    time = 1000 * conditions.barostat_time * units.fs
    return LangevinBAOAB(
        atoms,
        step,
        temperature_K=conditions.temperature,
        externalstress=-conditions.pressure * units.GPa,
        hydrostatic=True,
        T_tau=1 / gamma,
        P_tau=time,
        P_mass=3 * (len(atoms) + 1) * units.kB * conditions.temperature * time**2,  # Martyna, Tobias and Klein's choice
        rng=generator,
    )


def check_numbers(*, least: float | None = None, **values: float) -> None:
    """Raise ValueError unless all values are finite and above zero, or at least ``least``."""
    for name, value in values.items():
        if not (abs(value) < np.inf and (value > 0 if least is None else value >= least)):
            accepted = " above zero" if least is None else "" if least == -np.inf else f" of at least {least:g}"
            raise ValueError(f"{name} is {value!r}; accepted: a finite number{accepted}")
