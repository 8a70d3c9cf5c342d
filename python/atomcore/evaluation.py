"""How wrong a potential is: predictions of the C++ engine against labels. Nothing here needs torch."""

from collections.abc import Mapping
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


def evaluate(potential: Any, data: Any) -> Predictions:
    """Run ``potential`` over the structures of ``data``.

    Parameters
    ----------
    potential : Potential
    data : Dataset
        With energies, at least one structure; forces are compared when it has them.

    Raises
    ------
    ValueError
        When the data has no energies or no structures.
    TypeError, ValueError, AtomcoreError
        When ``potential`` refuses a structure; the message says which.
    """
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


def _energy_forces(potential: Any, data: Any, i: int) -> tuple[float, np.ndarray]:
    try:
        return potential.energy_forces(data[i])
    except (TypeError, ValueError, AtomcoreError) as error:
        name = f" of {data.source}" if data.source else ""
        raise type(error)(f"structure {i}{name} (from 0, without dropped duplicates): {error}") from error


def metrics_table(metrics: Mapping[str, Mapping[str, float] | None]) -> str:
    """Lay out errors as text, a line for each set of structures; energies in meV/atom and meV, forces in meV/A."""
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
