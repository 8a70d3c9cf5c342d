"""Training of GDML: the covariance of gradients, and energies where they are constraints, solved for coefficients."""

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from atomcore._memory import free_memory, require_memory
from atomcore._progress import Progress
from atomcore.kernels.gdml import gdml_covariance, gdml_derivative_coefficients, gdml_descriptors, gdml_product
from atomcore.kernels.linalg import NotPositiveDefinite, cholesky
from atomcore.models.gdml.iterative import Convergence, Iterative, System, solve_iteratively
from atomcore.models.gdml.material import Geometries

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_SHARE = 0.8  # of the free memory that "auto" gives to the covariance


class Points(NamedTuple):
    """Training geometries as the kernels see them."""

    x: Float64  # [M, D], inverse distances
    jacobian: Float64  # [M, D, 3], derivative of x in the position of the second atom of each pair
    permutations: Int64  # [P, N]

    @property
    def n_coordinates(self) -> int:
        """Of one geometry."""
        return 3 * self.permutations.shape[1]

    def n_unknowns(self, constraints: bool) -> int:
        """Number of coefficients, with energies as constraints or without."""
        return len(self.x) * (self.n_coordinates + constraints)


class Solution(NamedTuple):
    """What the equations are solved by."""

    alphas: Float64  # [M * 3 N], of gradients
    energy_alphas: Float64 | None  # [M]
    convergence: Convergence | None  # None of the analytic solver


def make_points(geometry: Geometries, permutations: Int64) -> Points:
    """Return the training geometries as the kernels see them."""
    return Points(*gdml_descriptors(geometry.positions, geometry.lattice), permutations)


def normalised(energy: Float64 | None, forces: Float64) -> tuple[Float64, float]:
    """Return the labels, gradients and then what energies there are, over their standard deviation, and that."""
    y = -forces.ravel()
    if energy is not None:
        y = np.concatenate([y, energy - energy.mean()])
    scale = float(y.std())
    if not scale > 0:
        raise ValueError("dataset has labels that are all alike; accepted: forces that differ")
    return y / scale, scale


def covariance(points: Points, sigma: float, *, constraints: bool) -> Float64:
    """Return the packed covariance of gradients, and of energies behind them, after announcing its memory."""
    n = points.n_unknowns(constraints)
    require_memory(4.0 * n * (n + 1), f"the covariance of {n} labels (packed)", "solver='iterative', or fewer structures")
    return gdml_covariance(points.x, points.jacobian, points.permutations, sigma, energies=constraints, packed=True)


def packed_diagonal(n: int) -> Int64:
    """Return where the diagonal is in a packed lower triangle of size n."""
    i, split, length = np.arange(n), n // 2, n | 1
    return np.where(i >= split, (i - split) * length + i, i * length + split + 1 + i)


def solve(
    points: Points,
    y: Float64,
    sigma: float,
    lam: float,
    solver: str | Iterative,
    *,
    constraints: bool,
    seed: int,
    progress: bool,
) -> Solution:
    """Solve ``(C + lam) alpha = y`` by one of the solvers."""
    n = len(y)
    if solver == "auto":
        solver = "analytic" if 4.0 * n * (n + 1) <= _SHARE * free_memory() else "iterative"
    if solver == "analytic":
        alphas, convergence = _solve_analytically(points, y, sigma, lam, constraints, progress), None
    else:
        options = Iterative() if isinstance(solver, str) else solver
        system = _system(points, y, sigma, lam, constraints)
        alphas, convergence = solve_iteratively(system, options, seed=seed, progress=progress)
    n_gradients = len(points.x) * points.n_coordinates
    return Solution(alphas[:n_gradients], alphas[n_gradients:] if constraints else None, convergence)


def _solve_analytically(
    points: Points, y: Float64, sigma: float, lam: float, constraints: bool, progress: bool
) -> Float64:
    bar = Progress(2, "covariance and its factor", enabled=progress)
    bar.update(0)
    C = covariance(points, sigma, constraints=constraints)
    bar.update(1)
    factor = factorise(C, len(y), lam, points)
    bar.close(2)
    return factor.solve(y)


def factorise(C: Float64, n: int, lam: float, points: Points):  # noqa: ANN201
    """Factorise a packed covariance in place, `lam` added to its diagonal."""
    C[packed_diagonal(n)] += lam
    try:
        return cholesky(C, packed=True)
    except NotPositiveDefinite as error:
        n_gradients = len(points.x) * points.n_coordinates
        of_gradient = error.pivot < n_gradients
        structure = error.pivot // points.n_coordinates if of_gradient else error.pivot - n_gradients
        raise NotPositiveDefinite(
            f"the covariance is not positive definite at pivot {error.pivot}, of structure {structure} of the training "
            f"set, with lam {lam:.1e}; a larger lam helps, or a smaller sigma",
            error.pivot,
        ) from error


def _system(points: Points, y: Float64, sigma: float, lam: float, constraints: bool) -> System:
    x, jacobian, permutations = points
    key = hashlib.sha256(repr((sigma, lam, constraints)).encode())
    for array in (x, jacobian, permutations, y):
        key.update(np.ascontiguousarray(array).tobytes())
    return System(
        product=lambda v: gdml_product(x, jacobian, permutations, sigma, v, energies=constraints),
        columns=lambda chosen: gdml_covariance(x, jacobian, permutations, sigma, energies=constraints, columns=chosen),
        y=y,
        lam=lam,
        unit=points.n_coordinates,
        key=key.hexdigest(),
    )


def derivative_coefficients(points: Points, alphas: Float64) -> Float64:
    """Return J_j alpha_j of every training geometry, [M, D]."""
    return gdml_derivative_coefficients(points.jacobian, alphas)


def largest_eigenvalue(points: Points, sigma: float, *, constraints: bool, seed: int) -> float:
    """Estimate the largest eigenvalue of the covariance by power iteration, from below."""
    v = np.random.default_rng(seed).standard_normal(points.n_unknowns(constraints))
    size = float(np.linalg.norm(v))
    for _ in range(8):
        v = gdml_product(points.x, points.jacobian, points.permutations, sigma, v / size, energies=constraints)
        size = float(np.linalg.norm(v))
    return size
