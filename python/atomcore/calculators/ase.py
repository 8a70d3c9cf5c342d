"""The ASE calculator."""

import os
import tempfile
import warnings
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import ase
import ase.calculators.calculator as base
import numpy as np

from atomcore._core import AtomcoreError
from atomcore.potential import EXTRAPOLATION, GRADE, Evaluator, Potential

GRADE_TO_WARN_OF = 2.0  # held-out structures like those of the training hardly reach it


class ExtrapolationError(AtomcoreError):
    """A structure is further from the training data than the calculator was told to accept.

    Attributes
    ----------
    atom : int
        Where it is worst.
    excess : float or None
        By how much a feature of this atom lies outside the range seen in training, in units of that range.
    spread : float or None
        Length of the standard deviation of the force on this atom, over the members of the ensemble or predicted, in
        eV/A.
    grade : float or None
        Grade of extrapolation of this atom, where 1 is that of the most extreme training atom.
    """

    def __init__(
        self,
        message: str,
        *,
        atom: int,
        excess: float | None = None,
        spread: float | None = None,
        grade: float | None = None,
    ) -> None:
        super().__init__(message)
        self.atom, self.excess, self.spread, self.grade = atom, excess, spread, grade


class Calculator(base.Calculator):
    """Energies, forces and stress of a trained model for ASE, computed by the engine without torch.

    Parameters
    ----------
    model
        The path of a model file, a :class:`~atomcore.potential.Potential`, or a model with a ``save`` method.
    precision, threads
        As in :meth:`Potential.load <atomcore.potential.Potential.load>`; not for a ``Potential``, which has its own.
    extrapolation_limit
        Refuse structures in which a feature of an atom lies further outside the range seen in training than this, in
        units of that range; 0 refuses all that lies outside.
    spread_limit
        Refuse structures in which the standard deviation of the force on an atom, as a vector, is longer than this, in
        eV/A: that over the members of an ensemble, or the predictive one of a Gaussian process.
    grade_limit
        Refuse structures in which an atom has a grade of extrapolation above this, for models of one network an
        element: 1 is the grade of the most extreme training atom.

    Raises
    ------
    TypeError, ValueError
        When the model is none of these, a limit is negative, or it is for what the model does not know.
    ExtrapolationError
        While calculating, when a limit is passed.

    Notes
    -----
    The stress is there for cells that are periodic in three directions. Every result is a copy: changing it changes
    nothing here, and results of earlier calls stay as they were. ``results`` also has the properties
    ``extrapolation``, ``extrapolation_excess``, ``extrapolation_feature`` and ``extrapolation_grade`` of
    :meth:`Potential.compute <atomcore.potential.Potential.compute>`, where the model knows these, and when asked for or
    limited its spreads. The first structure outside the training ranges is told in a warning, so is the first one with
    a grade above 2, and so is a model that predicts differences to something else only.
    """

    name = "atomcore"

    def __init__(
        self,
        model: str | os.PathLike | Potential | Any,
        *,
        precision: Literal["float64", "float32"] | None = None,
        threads: int | None = None,
        extrapolation_limit: float | None = None,
        spread_limit: float | None = None,
        grade_limit: float | None = None,
    ):
        super().__init__()
        self.potential = _as_potential(model, precision, threads)
        self._evaluator = Evaluator(self.potential)
        self.extrapolation_limit = _as_limit("extrapolation_limit", extrapolation_limit)
        self.spread_limit = _as_limit("spread_limit", spread_limit)
        self.grade_limit = _as_limit("grade_limit", grade_limit)
        known = self.potential.properties
        if self.spread_limit is not None and "forces_spread" not in known:
            raise ValueError("spread_limit is for ensembles and for models saved with their variance; accepted: None")
        if self.extrapolation_limit is not None and EXTRAPOLATION[0] not in known:
            raise ValueError(
                "extrapolation_limit is for models of features of atoms whose ranges in training are known; this one "
                f"is {self.potential!r}"
            )
        if self.grade_limit is not None and GRADE not in known:
            raise ValueError("grade_limit is for single networks whose training left grades; accepted: None")
        ensemble = self.potential.members > 1
        self._doubt = "the members of the ensemble disagree by" if ensemble else "the predictive standard deviation is"
        self._warned = self._warned_of_grade = False
        if self.potential.baseline:
            warnings.warn(
                f"the model predicts differences to {self.potential.baseline}, which must be added "
                "(ase.calculators.mixing.SumCalculator adds calculators)",
                stacklevel=2,
            )
        self.implemented_properties = list(known)
        if self.potential.target == "energy":
            self.implemented_properties.append("free_energy")

    def check_state(self, atoms: ase.Atoms, tol: float | None = None) -> list[str]:
        """Return what has changed since the last calculation, exactly: ASE's own check allows for 1e-15."""
        return super().check_state(atoms, tol=tol)

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = base.all_changes,
    ) -> None:
        """Compute everything that the structure allows; called by ASE when its cache does not fit the atoms."""
        super().calculate(atoms, properties, system_changes)
        self.results = {}  # whatever goes wrong below, older results are not this structure's
        if self.atoms is None:
            raise base.CalculatorSetupError("atoms: the calculator has not been given a structure yet")
        asked = properties or []
        periodic = bool(self.atoms.pbc.all())
        if not periodic and any(name.startswith("stress") for name in asked):
            raise base.PropertyNotImplementedError(
                f"stress needs a cell that is periodic in three directions, got pbc {self.atoms.pbc}"
            )
        spread = self.spread_limit is not None or any(name.endswith("_spread") for name in asked)
        results = self._evaluator.compute(self.atoms, self._computable(periodic, spread))
        self._judge(results, self.atoms)
        for array in results.values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False  # ASE hands out copies; nobody can change the cache itself
        if "energy" in results:
            results["free_energy"] = results["energy"]
        self.results = results

    def _computable(self, periodic: bool, spread: bool) -> list[str]:
        """Return the properties to compute: all but those that cost more and that nobody wants."""
        return [
            name
            for name in self.implemented_properties
            if name != "free_energy"
            and (periodic or not name.startswith("stress"))
            and (spread or not name.endswith("_spread"))
        ]

    def _judge(self, results: dict[str, Any], atoms: ase.Atoms) -> None:
        """Warn once of a structure outside the training data; raise when it is further outside than a limit allows."""
        outside = int(np.count_nonzero(results.get("extrapolation", 0)))
        atom = int(np.argmax(results["extrapolation_excess"])) if outside else 0
        excess = float(results["extrapolation_excess"][atom]) if outside else 0.0
        refused = self.extrapolation_limit is not None and excess > self.extrapolation_limit
        if refused or (outside and not self._warned):  # making the text takes time at each step
            feature = self.potential.feature_labels[results["extrapolation_feature"][atom]]
            text = (
                f"{outside} of {len(results['extrapolation'])} atoms lie outside what the model was trained on, most "
                f"of all atom {atom} ({atoms.symbols[atom]}): {feature} is {excess:.3g} of its training range "
                "beyond it"
            )
            if refused:
                limit = f"extrapolation_limit is {self.extrapolation_limit:g}"
                raise ExtrapolationError(f"{text}; {limit}", atom=atom, excess=excess)
            self._warned = True
            warnings.warn(f"{text}. Predictions there are guesses; this is said once.", stacklevel=6)
        self._judge_grade(results.get(GRADE, ()), atoms)
        if self.spread_limit is not None:
            spread = np.linalg.norm(results["forces_spread"], axis=1)
            atom = int(np.argmax(spread)) if len(spread) else 0
            if len(spread) and not spread[atom] <= self.spread_limit:
                raise ExtrapolationError(
                    f"{self._doubt} {spread[atom]:.3g} eV/A on the force on atom {atom} ({atoms.symbols[atom]}); "
                    f"spread_limit is {self.spread_limit:g} eV/A",
                    atom=atom,
                    spread=float(spread[atom]),
                )

    def _judge_grade(self, grade: Any, atoms: ase.Atoms) -> None:
        atom = int(np.argmax(grade)) if len(grade) else 0
        worst = float(grade[atom]) if len(grade) else 0.0
        refused = self.grade_limit is not None and not worst <= self.grade_limit
        if not refused and (self._warned_of_grade or worst <= GRADE_TO_WARN_OF):
            return
        text = (
            f"atom {atom} ({atoms.symbols[atom]}) has an extrapolation grade of {worst:.3g}, where 1 is the most "
            "extreme atom of the training"
        )
        if refused:
            raise ExtrapolationError(f"{text}; grade_limit is {self.grade_limit:g}", atom=atom, grade=worst)
        self._warned_of_grade = True
        warnings.warn(f"{text}. Predictions there are guesses; this is said once.", stacklevel=7)


def _as_limit(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < np.inf:
        raise ValueError(f"{name} is {value!r}; accepted: a finite number of at least 0")
    return float(value)


def _as_potential(model: Any, precision: Any, threads: int | None) -> Potential:
    if isinstance(model, Potential):
        if precision is not None or threads is not None:
            raise ValueError("precision and threads belong to Potential.load when the model is a Potential")
        return model
    if isinstance(model, str | os.PathLike):
        return Potential.load(model, precision=precision or "float64", threads=threads)
    if not hasattr(model, "save"):
        raise TypeError(f"model must be a path, a Potential or a model with .save, got {type(model).__name__}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.atomcore"
        model.save(path)
        return Potential.load(path, precision=precision or "float64", threads=threads)
