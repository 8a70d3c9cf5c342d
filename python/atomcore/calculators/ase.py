"""The ASE calculator."""

import os
import tempfile
from pathlib import Path
from typing import Any, Literal

import ase
import ase.calculators.calculator as base
import numpy as np

from atomcore.potential import Potential


class Calculator(base.Calculator):
    """Energies, forces and stress of a trained model for ASE, computed by the engine without torch.

    Parameters
    ----------
    model
        The path of a model file, a :class:`~atomcore.potential.Potential`, or a model with a ``save`` method.
    precision, threads
        As in :meth:`Potential.load <atomcore.potential.Potential.load>`; not for a ``Potential``, which has its own.

    Notes
    -----
    The stress is there for cells that are periodic in three directions. Every result is a copy: changing it changes
    nothing here, and results of earlier calls stay as they were.
    """

    name = "atomcore"
    implemented_properties = ["energy", "free_energy", "forces", "energies", "stress"]  # noqa: RUF012, as ASE has it

    def __init__(
        self,
        model: str | os.PathLike | Potential | Any,
        *,
        precision: Literal["float64", "float32"] | None = None,
        threads: int | None = None,
    ):
        super().__init__()
        self.potential = _as_potential(model, precision, threads)

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
        if self.atoms is None:
            raise base.CalculatorSetupError("atoms: the calculator has not been given a structure yet")
        periodic = bool(self.atoms.pbc.all())
        if not periodic and "stress" in (properties or ()):
            raise base.PropertyNotImplementedError(
                f"stress needs a cell that is periodic in three directions, got pbc {self.atoms.pbc}"
            )
        names = ("energy", "energies", "forces") + (("stress",) if periodic else ())
        results = self.potential.compute(self.atoms, names)
        for array in results.values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False  # ASE hands out copies; nobody can change the cache itself
        self.results = {**results, "free_energy": results["energy"]}


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
