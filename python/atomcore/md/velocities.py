"""Velocities to start from, and what of them is free."""

from typing import Any

import numpy as np

_LINEAR = 1e-6  # of the largest moment of inertia: nothing turns about an axis with less


def check_masses(atoms: Any) -> None:
    """Raise ValueError unless all masses are finite and above zero."""
    masses = atoms.get_masses()
    wrong = np.flatnonzero(~((masses > 0) & np.isfinite(masses)))
    if wrong.size:
        atom = int(wrong[0])
        raise ValueError(
            f"the mass of atom {atom} ({atoms.symbols[atom]}) is {masses[atom]}; accepted: finite and above zero"
        )


def draw_velocities(atoms: Any, temperature: float, generator: np.random.Generator) -> None:
    """Draw velocities for ``temperature`` (K) and take out the motion as a whole."""
    from ase import units

    deviation = np.sqrt(atoms.get_masses() * units.kB * temperature)
    atoms.set_momenta(generator.standard_normal((len(atoms), 3)) * deviation[:, None])
    stop_as_a_whole(atoms)


def stop_as_a_whole(atoms: Any) -> None:
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


def degrees_of_freedom(atoms: Any, stopped: bool) -> int:
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
