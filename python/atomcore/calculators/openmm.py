"""The potential ``"atomcore"`` of openmm-ml, which finds it by an entry point, and a reporter of its reliability."""

import functools
import inspect
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from openmm import unit
from openmmml.mlpotential import MLPotentialImpl, MLPotentialImplFactory

from atomcore._arrays import whole_number
from atomcore.calculators.ase import Calculator
from atomcore.calculators.frames import RELIABILITY, System, keeping_refused
from atomcore.md.files import GrowingFile
from atomcore.potential import Evaluator, Potential
from atomcore.units import energy_factors, length_factors

_COLUMNS = {
    "extrapolation": "extrapolating_atoms",
    "extrapolation_excess": "extrapolation_excess_max",
    "extrapolation_grade": "extrapolation_grade_max",
    "forces_spread": "forces_spread_max_eV_per_A",
}
_KEYWORDS = set(inspect.signature(Calculator).parameters) - {"model"}
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
        TypeError
            ``args`` has a limit or another keyword of `atomcore.Calculator`, which belong to ``MLPotential``.
        ValueError
            An atom has no element or one that the model does not know, or the atoms are not those of a model of one
            molecule.
        """
        if misplaced := _KEYWORDS & args.keys():  # a limit that did nothing would be trusted
            raise TypeError(
                f"createSystem got {', '.join(sorted(misplaced))}; accepted where the model file is named: "
                'MLPotential("atomcore", modelPath=..., ...)'
            )
        included, numbers, periodic = _atoms(topology, self._calculator.potential, atoms, periodic)
        force = openmm.PythonForce(_Compute(self._calculator, numbers, periodic))
        force.setName("atomcore")
        force.setForceGroup(forceGroup)
        force.setUsesPeriodicBoundaryConditions(periodic)
        if atoms is not None:
            force.setParticles(included)
        system.addForce(force)

    def getMLLongRange(self) -> bool:
        """Return False: no kind of model has forces between periodic images beyond a cutoff."""
        return False


class _Compute:
    """Energy and forces of a state. OpenMM pickles it into serialized systems, which so contain the model."""

    def __init__(self, calculator: Calculator, numbers: np.ndarray, periodic: bool) -> None:
        self._calculator, self._evaluator = calculator, Evaluator(calculator.potential)
        self._names = calculator._computable(periodic=False, spread=calculator.spread_limit is not None)
        self._numbers, self._periodic = numbers, periodic

    def __call__(self, state: openmm.State) -> tuple[float, np.ndarray]:
        """Return the energy in kJ/mol and the forces in kJ/mol/nm; contexts in several threads may call this."""
        system: Any = _system(state, self._numbers, self._periodic)
        results = self._evaluator.compute(system, self._names)
        with keeping_refused(functools.partial(system.atoms, self._calculator)):
            self._calculator._judge(results, system)
        return results["energy"] / _ENERGY, results["forces"] * (_LENGTH / _ENERGY)


class ExtrapolationReporter:
    """A reporter for ``openmm.app.Simulation``: how far the atoms are from what a model has been trained on.

    Each row has the step, how many atoms have a feature outside the range seen in training, and the largest
    ``extrapolation_excess``; then the largest ``extrapolation_grade`` and length of ``forces_spread`` of models that
    know these.

    Parameters
    ----------
    file
        To write, as CSV.
    reportInterval
        In steps.
    model
        Model file, or a loaded :class:`~atomcore.potential.Potential`. It is evaluated once more for each row.
    atoms, periodic
        As in `AtomcorePotentialImpl.addForces`.

    Raises
    ------
    ValueError
        The model knows nothing of its reliability.
    """

    def __init__(
        self,
        file: str | os.PathLike,
        reportInterval: int,
        model: str | os.PathLike | Potential,
        atoms: Iterable[int] | None = None,
        periodic: bool | None = None,
    ) -> None:
        self._interval = whole_number("reportInterval", reportInterval, 1)
        self._potential = model if isinstance(model, Potential) else Potential.load(model)
        self._names = [name for name in RELIABILITY if name in self._potential.properties]
        if not self._names:
            raise ValueError(f"model is {self._potential!r}, which knows nothing of its reliability")
        self._atoms, self._periodic = atoms if atoms is None else list(atoms), periodic
        self._known: tuple[list[int], np.ndarray, bool] | None = None
        self._file = GrowingFile(Path(file))
        self._file.write(",".join(["step", *(_COLUMNS[name] for name in self._names)]) + "\n")

    def describeNextReport(self, simulation: openmm.app.Simulation) -> dict[str, Any]:
        """Return when the next row is due and what it needs, as OpenMM asks for it."""
        steps = self._interval - simulation.currentStep % self._interval
        return {"steps": steps, "periodic": False, "include": ["positions"]}

    def report(self, simulation: openmm.app.Simulation, state: openmm.State) -> None:
        """Write a row."""
        if self._known is None:
            self._known = _atoms(simulation.topology, self._potential, self._atoms, self._periodic)
        included, numbers, periodic = self._known
        system = _system(state, numbers, periodic, included)
        results = self._potential.compute(system, self._names)
        row = [simulation.currentStep, *(_worst(name, results[name]) for name in self._names)]
        self._file.write(",".join(map(str, row)) + "\n")
        self._file.flush()


def _atoms(
    topology: openmm.app.Topology, potential: Potential, atoms: Iterable[int] | None, periodic: bool | None
) -> tuple[list[int], np.ndarray, bool]:
    """Return indices and atomic numbers of the atoms that the model is for, and whether they feel their images."""
    every = list(topology.atoms())
    included = every if atoms is None else [every[i] for i in atoms]
    box = topology.getPeriodicBoxVectors() is not None
    if periodic is None:
        periodic = box and potential.capability != "molecular"
    if periodic and not box:
        raise ValueError("periodic is True for a topology without box vectors; accepted: None, False")
    return [atom.index for atom in included], np.array(_numbers(included, potential), np.int32), periodic


def _system(state: openmm.State, numbers: np.ndarray, periodic: bool, included: list[int] | None = None) -> System:
    """Return the structure of a state, or of these of its atoms."""
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer) * _LENGTH
    cell = np.zeros((3, 3))
    if periodic:
        cell = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer) * _LENGTH
    return System(positions if included is None else positions[included], cell, np.full(3, periodic), numbers)


def _worst(name: str, values: np.ndarray) -> float:
    """Return the largest value of an atom; of counts, how many atoms have any."""
    if name == "extrapolation":
        return int(np.count_nonzero(values))
    return float(np.max(np.linalg.norm(values, axis=1) if values.ndim == 2 else values, initial=0.0))


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
