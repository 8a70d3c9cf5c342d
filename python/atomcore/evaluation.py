"""How wrong a potential is: predictions of the C++ engine against labels. Nothing here needs torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError

_COLUMNS = {  # of the table, and the names of the metrics in them
    "energy, meV/atom": "energy_{}_per_atom",
    "energy, meV": "energy_{}",
    "forces, meV/A": "forces_{}",
    "stress, meV/A^3": "stress_{}",
    "charges, me": "charges_{}",
}
NO_FORCE = 1e-5  # eV/A: symmetry alone makes errors and spreads as small as this
_RANK = {"energy": "energy_spread_spearman", "forces": "forces_spread_spearman"}


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
    stress, stress_label : ndarray [S, 6] or None
        In eV/A^3, as ASE has them.
    energy_spread : ndarray [S] or None
        Of the energy among the members of an ensemble, in eV.
    forces_spread : ndarray [N, 3] or None
        In eV/A.
    """

    energy: np.ndarray
    energy_label: np.ndarray
    n_atoms: np.ndarray
    forces: np.ndarray | None
    forces_label: np.ndarray | None
    stress: np.ndarray | None = None
    stress_label: np.ndarray | None = None
    energy_spread: np.ndarray | None = None
    forces_spread: np.ndarray | None = None

    def metrics(self) -> dict[str, float]:
        """Root mean square and mean absolute errors.

        Returns
        -------
        dict
            ``energy_rmse``, ``energy_mae`` in eV, ``energy_rmse_per_atom``, ``energy_mae_per_atom`` in eV/atom and,
            where there are labels, ``forces_rmse``, ``forces_mae`` over components in eV/A and ``stress_rmse``,
            ``stress_mae`` over components in eV/A^3. For ensembles also ``energy_spread_spearman`` and
            ``forces_spread_spearman``, Spearman's rank correlations of the spread and the size of the error, of
            energies per atom and of the force vectors of all atoms but those on which symmetry lets no force act; they
            are left out where there are fewer than three values or all are alike.
        """
        dE = self.energy - self.energy_label
        errors = {"energy_rmse": _rms(dE), "energy_mae": _mae(dE)}
        errors |= {"energy_rmse_per_atom": _rms(dE / self.n_atoms), "energy_mae_per_atom": _mae(dE / self.n_atoms)}
        if self.forces is not None and self.forces_label is not None:
            dF = self.forces - self.forces_label
            errors |= {"forces_rmse": _rms(dF), "forces_mae": _mae(dF)}
            if self.forces_spread is not None:
                spread, error = np.linalg.norm(self.forces_spread, axis=1), np.linalg.norm(dF, axis=1)
                some = (spread > NO_FORCE) | (error > NO_FORCE)
                errors |= _rank("forces", spread[some], error[some])
        if self.stress is not None and self.stress_label is not None:
            dS = self.stress - self.stress_label
            errors |= {"stress_rmse": _rms(dS), "stress_mae": _mae(dS)}
        if self.energy_spread is not None:
            errors |= _rank("energy", self.energy_spread / self.n_atoms, np.abs(dE) / self.n_atoms)
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
        With energies, at least one structure; forces and stress are compared when it has them. With charges for a
        model of these.

    Raises
    ------
    ValueError
        When the data has no energies (no charges) or no structures.
    TypeError, ValueError, AtomcoreError
        When ``potential`` refuses a structure; the message says which.
    """
    if potential.target == "charges":
        return _evaluate_charges(potential, data)
    if data.energy is None or not len(data):
        raise ValueError(f"data is {data!r}; accepted: structures with energies to compare with")
    labels = {"forces": data.forces, "stress": data.stress}
    names = ["energy", *(name for name, label in labels.items() if label is not None)]
    spreads = [f"{name}_spread" for name in names if name != "stress"]
    spreads = [name for name in spreads if name in potential.properties]
    found: Any = _computed(potential, data, [*names, *spreads])
    return Predictions(
        energy_label=data.energy,
        forces_label=data.forces,
        stress_label=data.stress,
        n_atoms=data.n_atoms,
        **{"forces": None, **found},
    )


def _evaluate_charges(potential: Any, data: Any) -> ChargePredictions:
    if data.charges is None or not len(data):
        raise ValueError(f"data is {data!r}; accepted: structures with charges to compare with")
    found = _computed(potential, data, ["charges"])
    return ChargePredictions(charges=found["charges"], charges_label=data.charges, n_atoms=data.n_atoms)


def _computed(potential: Any, data: Any, names: list[str]) -> dict[str, np.ndarray]:
    """Return properties of all structures, a row for each structure or, where they belong to atoms, for each atom."""
    results = [_compute(potential, data, i, names) for i in range(len(data))]
    values = {name: [result[name] for result in results] for name in names}
    of_atoms = ("forces", "charges")
    return {
        name: np.concatenate(rows) if name.startswith(of_atoms) else np.array(rows) for name, rows in values.items()
    }


def _compute(potential: Any, data: Any, i: int, names: list[str]) -> dict[str, Any]:
    try:
        return potential.compute(data[i], names)
    except (TypeError, ValueError, AtomcoreError) as error:
        name = f" of {data.source}" if data.source else ""
        raise type(error)(f"structure {i}{name} (from 0, without dropped duplicates): {error}") from error


def metrics_table(metrics: Mapping[str, Mapping[str, float] | None]) -> str:
    """Lay out errors as text, a line for each set of structures, in thousandths of the units of the metrics."""
    known = {name: errors for name, errors in metrics.items() if errors is not None}
    shown = {head: key for head, key in _COLUMNS.items() if any(key.format("rmse") in row for row in known.values())}
    lines = [f"{'':8}" + "".join(f"{head:>20}" for head in shown), f"{'':8}" + f"{'RMSE':>11}{'MAE':>9}" * len(shown)]
    for name, errors in known.items():
        keys = [(key.format(kind), width) for key in shown.values() for kind, width in (("rmse", 10), ("mae", 8))]
        cells = [(f"{1000 * errors[key]:.4g}" if key in errors else "-", width) for key, width in keys]
        lines.append(f"{name:8}" + "".join(f" {value:>{width}}" for value, width in cells))
    lines += [_rank_line(name, errors) for name, errors in known.items() if _RANK["forces"] in errors]
    return "\n".join(lines)


def _rank_line(name: str, errors: Mapping[str, float]) -> str:
    ranks = ", ".join(f"{what} {errors[key]:.2f}" for what, key in _RANK.items() if key in errors)
    return f"{name:8} rank correlation (Spearman) of the spread and the error: {ranks}"


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))


def _mae(x: np.ndarray) -> float:
    return float(np.mean(np.abs(x)))


def _rank(name: str, spread: np.ndarray, error: np.ndarray) -> dict[str, float]:
    if len(spread) < 3 or np.ptp(spread) == 0 or np.ptp(error) == 0:
        return {}
    from scipy.stats import spearmanr

    return {_RANK[name]: float(spearmanr(spread, error).statistic)}
