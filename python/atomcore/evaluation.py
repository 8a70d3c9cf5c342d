"""How wrong a potential is: predictions of the C++ engine against labels. Nothing here needs torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError

_COLUMNS = (("energy", "_per_atom"), ("energy", ""), ("forces", ""))  # of the table, in the names of the metrics


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Predictions beside labels of some structures.

    Attributes
    ----------
    energy, energy_label : ndarray [S]
        In eV.
    n_atoms : ndarray [S]
    forces, forces_label : ndarray [N, 3] or None
        In eV/A.
    """

    energy: np.ndarray
    energy_label: np.ndarray
    n_atoms: np.ndarray
    forces: np.ndarray | None
    forces_label: np.ndarray | None

    def metrics(self) -> dict[str, float]:
        """Root mean square and mean absolute errors.

        Returns
        -------
        dict
            ``energy_rmse``, ``energy_mae`` in eV, ``energy_rmse_per_atom``, ``energy_mae_per_atom`` in eV/atom and,
            where there are forces, ``forces_rmse``, ``forces_mae`` over components in eV/A.
        """
        dE = self.energy - self.energy_label
        errors = {"energy_rmse": _rms(dE), "energy_mae": _mae(dE)}
        errors |= {"energy_rmse_per_atom": _rms(dE / self.n_atoms), "energy_mae_per_atom": _mae(dE / self.n_atoms)}
        if self.forces is not None and self.forces_label is not None:
            dF = self.forces - self.forces_label
            errors |= {"forces_rmse": _rms(dF), "forces_mae": _mae(dF)}
        return errors


@dataclass(frozen=True, kw_only=True)
class ChargePredictions:
    """Charges of atoms beside labels.

    Attributes
    ----------
    charges, charges_label : ndarray [N]
        In e.
    n_atoms : ndarray [S]
    """

    charges: np.ndarray
    charges_label: np.ndarray
    n_atoms: np.ndarray

    def metrics(self) -> dict[str, float]:
        """Root mean square and mean absolute errors ``charges_rmse`` and ``charges_mae`` over atoms, in e."""
        dq = self.charges - self.charges_label
        return {"charges_rmse": _rms(dq), "charges_mae": _mae(dq)}


def evaluate(potential: Any, data: Any) -> Any:
    """Run ``potential`` over the structures of ``data``.

    Parameters
    ----------
    potential : Potential
    data : Dataset
        With energies, at least one structure; forces are compared when it has them. With charges for a model of these.

    Raises
    ------
    ValueError
        When the data has no energies (no charges) or no structures.
    TypeError, ValueError, AtomcoreError
        When ``potential`` refuses a structure; the message says which.
    """
    if getattr(potential, "target", "energy") == "charges":
        return _evaluate_charges(potential, data)
    if data.energy is None or not len(data):
        raise ValueError(f"data must have structures with energies to compare with; got {data!r}")
    results = [_energy_forces(potential, data, i) for i in range(len(data))]
    return Predictions(
        energy=np.array([energy for energy, _ in results]),
        energy_label=data.energy,
        n_atoms=data.n_atoms,
        forces=None if data.forces is None else np.concatenate([forces for _, forces in results]),
        forces_label=data.forces,
    )


def _evaluate_charges(potential: Any, data: Any) -> ChargePredictions:
    if data.charges is None or not len(data):
        raise ValueError(f"data must have structures with charges to compare with; got {data!r}")
    found = [_of_structure(data, i, lambda atoms: potential.compute(atoms, ["charges"])) for i in range(len(data))]
    charges = np.concatenate([result["charges"] for result in found])
    return ChargePredictions(charges=charges, charges_label=data.charges, n_atoms=data.n_atoms)


def _energy_forces(potential: Any, data: Any, i: int) -> tuple[float, np.ndarray]:
    return _of_structure(data, i, potential.energy_forces)


def _of_structure(data: Any, i: int, function: Callable[[Any], Any]) -> Any:
    """Call ``function`` with structure ``i``; an error says which one it was."""
    try:
        return function(data[i])
    except (TypeError, ValueError, AtomcoreError) as error:
        name = f" of {data.source}" if data.source else ""
        raise type(error)(f"structure {i}{name} (from 0, without dropped duplicates): {error}") from error


def metrics_table(metrics: Mapping[str, Mapping[str, float] | None]) -> str:
    """Lay out errors as text, a line for each set of structures; energies in meV/atom and meV, forces in meV/A.

    Errors of charges are in thousandths of an elementary charge.
    """
    if any(errors and "charges_rmse" in errors for errors in metrics.values()):
        rows = [
            f"{name:8}{1000 * errors['charges_rmse']:>11.4g}{1000 * errors['charges_mae']:>9.4g}"
            for name, errors in metrics.items()
            if errors
        ]
        return "\n".join([f"{'':8}{'charges, me':>20}", f"{'':8}{'RMSE':>11}{'MAE':>9}", *rows])
    head = f"{'':8}{'energy, meV/atom':>20}{'energy, meV':>20}{'forces, meV/A':>20}\n"
    lines = [head + f"{'':8}" + f"{'RMSE':>11}{'MAE':>9}" * 3]
    for name, errors in metrics.items():
        if errors is None:
            continue
        keys = [f"{stem}_{kind}{end}" for stem, end in _COLUMNS for kind in ("rmse", "mae")]
        values = [f"{1000 * errors[key]:.4g}" if key in errors else "-" for key in keys]
        cells = [f" {value:>{10 if i % 2 == 0 else 8}}" for i, value in enumerate(values)]
        lines.append(f"{name:8}" + "".join(cells))
    return "\n".join(lines)


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))


def _mae(x: np.ndarray) -> float:
    return float(np.mean(np.abs(x)))
