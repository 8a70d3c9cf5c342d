"""What a GDML training ends with, in numbers and in words."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomcore.data.checks import SLOPES
from atomcore.kernels.gdml import Predictor
from atomcore.models.gdml.iterative import Convergence
from atomcore.models.gdml.symmetry import Symmetry

Float64 = npt.NDArray[np.float64]

_MOST_GEOMETRIES = 50  # that rounding noise is measured with
_SHIFT = 10.0  # Angstrom
_LEAST_CORRELATION = 0.95  # as sGDML demands it


@dataclass(frozen=True, kw_only=True)
class GdmlReport:
    """How a GDML model was trained.

    Attributes
    ----------
    n_structures : int
    numbers : ndarray [N]
    symmetry : Symmetry
    convergence : Convergence or None
        None of the analytic solver.
    condition : float
        Of the matrix that was solved: its largest eigenvalue (by power iteration) over `lam`, which is the smallest,
        since covariances of molecules have six or five null directions a structure.
    energy_noise, forces_noise : float
        Rounding noise of predictions, in eV and eV/A: by how much they change (root mean square) when geometries are
        moved as a whole.
    slope, correlation : float or None
        Of the line ``E_label = slope * E_model + constant`` through the training set; None without energies, or where
        they are all alike.
    warnings : tuple of str
        What is doubtful about the labels.
    """

    n_structures: int
    numbers: np.ndarray
    symmetry: Symmetry
    convergence: Convergence | None
    condition: float
    energy_noise: float
    forces_noise: float
    slope: float | None
    correlation: float | None
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        solver = "analytic solution" if self.convergence is None else self.convergence.describe()
        lines = [
            f"GDML trained on {self.n_structures} structures of {len(self.numbers)} atoms",
            self.symmetry.describe(self.numbers),
            f"{solver}; condition {self.condition:.1e}",
            f"rounding noise of predictions: energy {self.energy_noise:.1e} eV, forces {self.forces_noise:.1e} eV/A",
        ]
        if self.slope is not None:
            lines.append(f"energies of the training set: slope {self.slope:.4f}, correlation {self.correlation:.4f}")
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])


def check_labels(
    energy: Float64 | None, predicted: Float64 | None
) -> tuple[float | None, float | None, tuple[str, ...]]:
    """Compare energies with those that the forces integrate to.

    Returns
    -------
    slope, correlation : float or None
        None without energies, or where they are all alike.
    warnings : tuple of str
    """
    if energy is None or predicted is None:
        return None, None, ()
    x, y = predicted - predicted.mean(), energy - energy.mean()
    if not (x.any() and y.any()):
        return None, None, ()
    slope = float(x @ y / (x @ x))
    correlation = float(x @ y / np.sqrt((x @ x) * (y @ y)))
    found = []
    if slope < 0:
        found.append("energies fall where the forces say that they rise: is the sign of the forces right?")
    elif correlation < _LEAST_CORRELATION:
        found.append(
            f"energies and forces belong together poorly (correlation {correlation:.3f}): are they of one level of "
            "theory, and converged?"
        )
    elif not SLOPES[0] < slope < SLOPES[1]:
        found.append(f"energies change {slope:.3g} times as much as the forces say: are their units what was declared?")
    return slope, correlation, tuple(found)


def rounding_noise(predictor: Predictor, positions: Float64, seed: int) -> tuple[float, float]:
    """Return by how much energies and forces change when training geometries are translated: rounding alone."""
    rng = np.random.default_rng(seed)
    some = positions[rng.permutation(len(positions))[:_MOST_GEOMETRIES]]
    energy, forces = predictor.predict(some)
    moved_energy, moved_forces = predictor.predict(some + rng.uniform(-_SHIFT, _SHIFT, (len(some), 1, 3)))
    return tuple(float(np.sqrt(np.mean(d**2))) for d in (energy - moved_energy, forces - moved_forces))  # type: ignore[return-value]
