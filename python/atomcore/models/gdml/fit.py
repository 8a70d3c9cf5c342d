"""Training of GDML: the covariance of gradients, and of energies where they are constraints, and its solution."""

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from atomcore._memory import free_memory, require_memory
from atomcore.data import Dataset
from atomcore.kernels.gdml import Covariance, descriptors
from atomcore.kernels.linalg import Factor, NotPositiveDefinite, add_to_diagonal, cholesky
from atomcore.models.gdml.iterative import Convergence, Iterative, System, solve_iteratively
from atomcore.models.gdml.material import Geometries, geometries, labels
from atomcore.models.gdml.predictor import make_predictor
from atomcore.models.gdml.record import GdmlRecord
from atomcore.models.gdml.report import GdmlReport, check_labels, rounding_noise
from atomcore.models.gdml.symmetry import Symmetry, check_group, find_symmetry

if TYPE_CHECKING:
    from atomcore.models.gdml.model import GDML

Float64 = npt.NDArray[np.float64]

_SHARE = 0.8  # of the free memory that "auto" gives to the covariance
_POWER_ITERATIONS = 8
_TOGETHER = 64  # columns that are solved for at a time


class Trained(NamedTuple):
    """What training ends with."""

    record: GdmlRecord
    alphas: Float64  # [M * 3 N], of gradients
    report: GdmlReport | None
    provenance: dict[str, Any]


class Trainer:
    """A training set, prepared for one or many pairs of sigma and lambda.

    Parameters
    ----------
    model : GDML
        Whose settings count, `sigma` and `lam` apart.
    dataset : Dataset
    progress : bool
        Whether to show bars.
    """

    def __init__(self, model: "GDML", dataset: Dataset, *, progress: bool = True):
        self._constraints = model.energies == "constraints"
        self._solver, self._seed, self._progress = model.solver, model.seed, progress
        self._geometry = geometries(dataset)
        self._energy, forces = labels(dataset, model.energies)
        self._x, self._jacobian = descriptors(self._geometry.positions, self._geometry.lattice)
        self.symmetry = _symmetry(model, self._geometry, progress)
        self._n_gradients = forces.size
        self._provenance = dataset.provenance
        self._y, self._scale = self._normalised(forces)
        self._kept: tuple[float, Float64] | None = None

    def solve(self, sigma: float, lam: float, *, report: bool = True, keep: bool = False) -> Trained:
        """Train with these settings.

        Parameters
        ----------
        sigma, lam : float
        report : bool
            Whether to judge condition and noise too, at the cost of some predictions of the training set.
        keep : bool
            Keep the covariance for another `lam` with the same `sigma`, where twice the memory is there.
        """
        alphas, factor, convergence = self._coefficients(sigma, lam, keep)
        gradient_alphas = alphas[: self._n_gradients]
        record = GdmlRecord(
            numbers=self._geometry.numbers,
            sigma=sigma,
            scale=self._scale,
            constant=float(self._energy.mean()) if self._energy is not None and self._constraints else 0.0,
            lattice=self._geometry.lattice,
            descriptors=self._x,
            derivative_coefficients=_derivative_coefficients(self._jacobian, gradient_alphas),
            energy_coefficients=alphas[self._n_gradients :] if self._constraints else None,
            permutations=self.symmetry.permutations,
        )
        predicted = None
        if self._energy is not None:
            predicted = make_predictor(record).predict(self._geometry.positions)[0]
            if not self._constraints:
                record = record.shifted(float(np.mean(self._energy - predicted)))
            elif report and factor is not None:
                predicted = self._energies_of_forces(factor)  # energies it was trained on would agree anyway
        judgement = self._judge(record, lam, predicted, convergence) if report else None
        return Trained(record, gradient_alphas, judgement, dict(self._provenance))

    def leave_one_out(self, sigma: float, lam: float, *, keep: bool = False) -> tuple[Float64 | None, Float64]:
        """Return the errors of each structure when it is left out of training, in closed form from one factor.

        With A the matrix of all and B the block of its inverse that belongs to a structure, the labels of the structure
        miss by B^-1 (A^-1 y) (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 5.12).

        Returns
        -------
        energy : ndarray [M] or None
            Prediction minus label, in eV; None unless energies are constraints.
        forces : ndarray [M, N, 3]
            In eV/A.
        """
        if isinstance(self._solver, Iterative) or self._solver == "iterative":
            raise ValueError("solver is iterative, which has no closed form for leaving one out; accepted: give valid")
        n, m = len(self._y), self._n_gradients // len(self._x)
        require_memory(8.0 * n * n, f"the inverse covariance of {n} labels", "a validation set")
        factor = self._factor(sigma, lam, keep)
        alphas, inverse = factor.solve(self._y), factor.inverse()
        missed = np.empty((len(self._x), m + self._constraints))
        for s in range(len(self._x)):
            own = np.arange(s * m, (s + 1) * m)
            if self._constraints:
                own = np.append(own, self._n_gradients + s)
            missed[s] = np.linalg.solve(inverse[np.ix_(own, own)], alphas[own]) * self._scale
        forces = missed[:, :m].reshape(len(self._x), -1, 3)  # of gradients, label minus prediction
        return -missed[:, m] if self._constraints else None, forces

    def _normalised(self, forces: Float64) -> tuple[Float64, float]:
        """Return the labels, gradients and then what energies there are, over their standard deviation, and that."""
        y = -forces.ravel()
        if self._constraints:
            assert self._energy is not None
            y = np.concatenate([y, self._energy - self._energy.mean()])
        scale = float(y.std())
        if not scale > 0:
            raise ValueError("dataset has forces that are all alike; accepted: forces that differ")
        return y / scale, scale

    def _covariance(self, sigma: float) -> Covariance:
        permutations = self.symmetry.permutations
        return Covariance(self._x, self._jacobian, permutations, sigma=sigma, energies=self._constraints)

    def _energies_of_forces(self, factor: Factor) -> Float64:
        """Return what forces alone say of the energies, from the factor L of the covariance of both.

        With the labels y1 and y2 of forces and energies, L21 L11^-1 y1 = y2 - L22 (L^-1 y)_2, and L22^-1 is the last
        block of L^-1.
        """
        n, m = len(self._y), len(self._x)
        block = np.empty((m, m))
        for first in range(0, m, _TOGETHER):
            units = np.zeros((n, min(_TOGETHER, m - first)))
            np.fill_diagonal(units[n - m + first :], 1.0)
            block[:, first : first + _TOGETHER] = factor.half_solve(units)[n - m :]
        remainder = np.linalg.solve(block, factor.half_solve(self._y)[n - m :])
        return (self._y[n - m :] - remainder) * self._scale

    def _coefficients(self, sigma: float, lam: float, keep: bool) -> tuple[Float64, Factor | None, Convergence | None]:
        n, solver = len(self._y), self._solver
        if solver == "auto":
            solver = "analytic" if 4.0 * n * (n + 1) <= _SHARE * free_memory() else "iterative"
        if solver == "analytic":
            factor = self._factor(sigma, lam, keep)
            return factor.solve(self._y), factor, None
        options = Iterative() if isinstance(solver, str) else solver
        alphas, convergence = solve_iteratively(
            self._system(sigma, lam), options, seed=self._seed, progress=self._progress
        )
        return alphas, None, convergence

    def _factor(self, sigma: float, lam: float, keep: bool) -> Factor:
        """Return the Cholesky factor of the covariance with `lam` on its diagonal, packed."""
        if self._kept is None or self._kept[0] != sigma:
            self._kept = None  # before as much is taken again
            n = len(self._y)
            size = 4.0 * n * (n + 1)
            keep = keep and 2 * size <= _SHARE * free_memory()
            alternative = "solver='iterative', or fewer structures"
            require_memory(size * (1 + keep), f"the packed covariance of {n} labels", alternative)
            C = self._covariance(sigma).assemble("packed", progress=self._progress)
        else:
            C = self._kept[1]
        self._kept = (sigma, C) if keep else None
        C = C.copy() if keep else C
        add_to_diagonal(C, lam)
        try:
            return cholesky(C, progress=self._progress)
        except NotPositiveDefinite as error:
            raise NotPositiveDefinite(self._explanation(error.pivot, lam), error.pivot) from None

    def _explanation(self, pivot: int, lam: float) -> str:
        per_structure = self._n_gradients // len(self._x)
        s = pivot // per_structure if pivot < self._n_gradients else pivot - self._n_gradients
        return (
            f"the covariance is not positive definite at pivot {pivot}, which belongs to structure {s} of the training "
            f"set, with lam {lam:.1e}; accepted: a larger lam, or a smaller sigma"
        )

    def _system(self, sigma: float, lam: float) -> System:
        covariance = self._covariance(sigma)
        key = hashlib.sha256(repr((sigma, lam, self._constraints)).encode())
        for array in (self._x, self._jacobian, self.symmetry.permutations, self._y):
            key.update(np.ascontiguousarray(array).tobytes())
        unit = self._n_gradients // len(self._x)
        return System(covariance.product, covariance.rows, self._y, lam, unit, key.hexdigest())

    def _judge(
        self, record: GdmlRecord, lam: float, predicted: Float64 | None, convergence: Convergence | None
    ) -> GdmlReport:
        slope, correlation, doubts = check_labels(self._energy, predicted)
        noise = rounding_noise(make_predictor(record), self._geometry.positions, self._seed)
        return GdmlReport(
            n_structures=len(self._x),
            numbers=self._geometry.numbers,
            symmetry=self.symmetry,
            convergence=convergence,
            condition=(self._largest_eigenvalue(record.sigma) + lam) / lam,
            energy_noise=noise[0],
            forces_noise=noise[1],
            slope=slope,
            correlation=correlation,
            warnings=doubts,
        )

    def _largest_eigenvalue(self, sigma: float) -> float:
        """Estimate the largest eigenvalue of the covariance by power iteration, from below."""
        covariance = self._covariance(sigma)
        v = np.random.default_rng(self._seed).standard_normal(len(self._y))
        size = float(np.linalg.norm(v))
        for _ in range(_POWER_ITERATIONS):
            v = covariance.product(v / size)
            size = float(np.linalg.norm(v))
        return size


def _symmetry(model: "GDML", geometry: Geometries, progress: bool) -> Symmetry:
    if not isinstance(model.symmetries, bool):
        return check_group(model.symmetries, geometry.numbers)
    if not model.symmetries:
        return Symmetry(np.arange(len(geometry.numbers))[None])
    positions, numbers, lattice = geometry.positions, geometry.numbers, geometry.lattice
    return find_symmetry(positions, numbers, lattice=lattice, seed=model.seed, progress=progress)


def _derivative_coefficients(jacobian: Float64, alphas: Float64) -> Float64:
    """Return J_j alpha_j of every training geometry, [M, D]; `jacobian` is [M, D, 3]."""
    u = alphas.reshape(len(jacobian), -1, 3)
    a, b = np.tril_indices(u.shape[1], -1)
    return np.einsum("jkx,jkx->jk", jacobian, u[:, b] - u[:, a])
