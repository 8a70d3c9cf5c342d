"""The potential ``"atomcore"`` of openmm-ml, registered by an entry point: `AtomcorePotentialImplFactory`."""

import os
from collections.abc import Iterable
from typing import Any

import ase
import numpy as np
import openmm
from openmm import unit
from openmmml.mlpotential import MLPotentialImpl, MLPotentialImplFactory

from atomcore.calculators.ase import Calculator
from atomcore.calculators.frames import keeping_refused
from atomcore.potential import Potential
from atomcore.units import energy_factors, length_factors

_ENERGY, _LENGTH = energy_factors()["kJ/mol"], length_factors()["nm"]  # of OpenMM, in eV and Angstrom


class AtomcorePotentialImplFactory(MLPotentialImplFactory):
    """Makes ``openmmml.MLPotential("atomcore", modelPath="model.atomcore")``."""

    def createImpl(self, name: str, **args: Any) -> MLPotentialImpl:
        """Return the implementation; keywords as for `AtomcorePotentialImpl`."""
        return AtomcorePotentialImpl(**args)


class AtomcorePotentialImpl(MLPotentialImpl):
    """A trained model as a potential of openmm-ml.

    Parameters
    ----------
    modelPath
        Model file, or a loaded :class:`~atomcore.potential.Potential`.
    **limits
        ``extrapolation_limit`` and the other limits of `atomcore.Calculator`, also ``precision`` and ``threads``.

    Raises
    ------
    TypeError, ValueError, OSError, AtomcoreError
        As for `atomcore.Calculator`; or the model predicts no energies.

    Notes
    -----
    A structure beyond a limit ends the simulation with an ``openmm.OpenMMException`` that says why, and is written to
    ``stopped.extxyz`` in the current folder.

    Examples
    --------
    >>> potential = MLPotential("atomcore", modelPath="water.atomcore", extrapolation_limit=0.1)
    >>> system = potential.createSystem(topology)
    """

    def __init__(self, modelPath: str | os.PathLike | Potential, **limits: Any) -> None:
        self._calculator = Calculator(modelPath, **limits)
        potential = self._calculator.potential
        if potential.target != "energy":
            raise ValueError(f"modelPath is a model of {potential.target}; accepted: a model of energies")

    def addForces(
        self,
        topology: openmm.app.Topology,
        system: openmm.System,
        atoms: Iterable[int] | None,
        forceGroup: int,
        periodic: bool | None = None,
        **args: Any,
    ) -> None:
        """Add the model to a system; called by ``createSystem`` and ``createMixedSystem``.

        Parameters
        ----------
        topology
            With the elements of all atoms that the model is for, and box vectors where the system is periodic.
        system
            Gets an ``openmm.PythonForce``.
        atoms
            Indices of the atoms that the model is for, in the order in which it gets them; None for all.
        forceGroup
            Of the force.
        periodic
            Whether these atoms feel their periodic images. By default as the topology says, except for models of one
            molecule: these take it as isolated.
        **args
            What embedding methods want; of no meaning here.

        Raises
        ------
        ValueError
            An atom has no element or one that the model does not know, or the atoms are not those of a model of one
            molecule.
        """
        every = list(topology.atoms())
        included = every if atoms is None else [every[i] for i in atoms]
        box = topology.getPeriodicBoxVectors() is not None
        if periodic is None:
            periodic = box and self._calculator.potential.capability != "molecular"
        if periodic and not box:
            raise ValueError("periodic is True for a topology without box vectors; accepted: None, False")
        structure = ase.Atoms(_numbers(included, self._calculator.potential), pbc=periodic)
        force = openmm.PythonForce(_Compute(self._calculator, structure))
        force.setName("atomcore")
        force.setForceGroup(forceGroup)
        force.setUsesPeriodicBoundaryConditions(periodic)
        if atoms is not None:
            force.setParticles([atom.index for atom in included])
        system.addForce(force)

    def getMLLongRange(self) -> bool:
        """Return False: no kind of model has forces between periodic images beyond a cutoff."""
        return False


class _Compute:
    """Energy and forces of a state. OpenMM pickles it into serialized systems, which so contain the model."""

    def __init__(self, calculator: Calculator, atoms: ase.Atoms) -> None:
        self._atoms = atoms
        self._atoms.calc = calculator

    def __call__(self, state: openmm.State) -> tuple[float, np.ndarray]:
        """Return the energy in kJ/mol and the forces in kJ/mol/nm."""
        atoms = self._atoms
        atoms.positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer) * _LENGTH
        if atoms.pbc.any():
            atoms.cell[:] = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer) * _LENGTH
        with keeping_refused(lambda: atoms):
            atoms.calc.calculate(atoms)
        results = atoms.calc.results
        return results["energy"] / _ENERGY, results["forces"] * (_LENGTH / _ENERGY)


def _numbers(atoms: list[Any], potential: Potential) -> list[int]:
    """Return the atomic numbers; raise a ValueError unless the model knows them all."""
    for atom in atoms:
        symbol = None if atom.element is None else atom.element.symbol
        if symbol not in potential.elements:
            what = "no element" if symbol is None else f"the element {symbol}"
            raise ValueError(
                f"topology: atom {atom.index} ({atom.name}) has {what}; accepted: {', '.join(potential.elements)}"
            )
    symbols = tuple(atom.element.symbol for atom in atoms)
    if potential.atoms is not None and symbols != potential.atoms:
        raise ValueError(
            f"topology: the model is of the molecule {' '.join(potential.atoms)} in this order, got {' '.join(symbols)}"
        )
    return [atom.element.atomic_number for atom in atoms]
