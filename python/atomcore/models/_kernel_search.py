"""Hyper-parameters of kernel machines: criteria with analytic gradients, minimized from several starts."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from atomcore._progress import Progress
from atomcore.kernels import Points, covariance, gradient_of_trace
from atomcore.kernels.linalg import Factor, NotPositiveDefinite, add_to_diagonal, cholesky

CRITERIA = ("marginal_likelihood", "leave_one_out", "cross_validation")
_FOLDS = 5
_CANDIDATES = 12  # starts that are looked at; the best of them are followed to their minimum
_PAIRS = 2000  # of points that the scale of distances is judged by
_SMALLEST_NOISE = 1e-9  # of the variance of the labels: below it rounding decides whether the matrix is definite
_WIDEST = math.log(1e4)  # how far hyper-parameters may move from the scale of the data, either way
_FLAT = 1e-3  # slope, per label, of a minimum where rounding ends the line search
_FAILED = 1e10  # value of a criterion where the matrix is not positive definite


Kinds = dict[str, Any]  # which labels there are, in the words of `covariance`: energies, forces
GivenNoise = tuple[float | None, float | None]  # noise variances of energies and derivatives; None: to be found


class Labels(NamedTuple):
    """What is known of some points: rows are all energies, then all derivatives."""

    points: Points
    values: np.ndarray  # [rows, outputs], less the mean function
    weights: np.ndarray  # [rows], what the noise variance of its kind is multiplied by
    is_energy: np.ndarray  # bool [rows]
    owner: np.ndarray  # [rows], the structure

    @property
    def kinds(self) -> Kinds:
        """Which rows there are, in the words of `covariance`."""
        return {"energies": bool(self.is_energy.any()), "forces": bool((~self.is_energy).any())}

    def noise(self, energy: float, gradient: float) -> np.ndarray:
        """Noise variance of each row."""
        return self.weights * np.where(self.is_energy, energy, gradient)


@dataclass(frozen=True)
class Search:
    """What a search for hyper-parameters found.

    Attributes
    ----------
    criterion : str
    value : float
        Of the criterion at its minimum: minus the logarithm of the marginal likelihood per label, or the mean squared
        error of labels that were left out, weighted by the inverse of their noise at the start.
    values : tuple of float
        At the minima that the starts led to, the best first.
    converged : bool
        Whether the best of them is a minimum to the tolerance.
    evaluations : int
        How often the matrix was factored.
    rows : int
        Labels that the search saw.
    """

    criterion: str
    value: float
    values: tuple[float, ...]
    converged: bool
    evaluations: int
    rows: int


def marginal_likelihood(factor: Factor, values: np.ndarray) -> tuple[float, np.ndarray]:
    """Minus the log marginal likelihood per label, and its derivative in the matrix.

    Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), equations 2.30 and 5.9.
    """
    n, outputs = values.shape
    alpha = factor.solve(values)
    loss = 0.5 * float(np.sum(values * alpha)) + outputs * (0.5 * factor.logdet + 0.5 * n * math.log(2 * math.pi))
    slope = factor.inverse()
    slope *= 0.5 * outputs
    slope -= 0.5 * (alpha @ alpha.T)
    return loss / (n * outputs), slope / (n * outputs)


def left_out(factor: Factor, values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals of each label under the model trained on all other groups, in closed form.

    For a group B, ``r_B = (C_BB)^-1 (C y)_B`` with C the inverse of the matrix (Rasmussen and Williams, eq. 5.12, for
    groups).

    Returns
    -------
    residuals [rows, outputs], C [rows, rows], C y [rows, outputs]
    """
    C = factor.inverse()
    alpha = C @ values
    residuals = np.empty_like(alpha)
    for rows in _members(groups):
        residuals[rows] = np.linalg.solve(C[np.ix_(rows, rows)], alpha[rows])
    return residuals, C, alpha


def cross_validation(
    factor: Factor, values: np.ndarray, groups: np.ndarray, importance: np.ndarray
) -> tuple[float, np.ndarray]:
    """Mean squared residual of groups left out, and its derivative in the matrix."""
    residuals, C, alpha = left_out(factor, values, groups)
    n = residuals.size
    loss = float(np.sum(importance[:, None] * residuals**2)) / n
    # dr_B = (C_BB)^-1 (d(Cy)_B - dC_BB r_B), dC = -C dK C, d(Cy) = -C dK C y
    u = np.empty_like(alpha)
    members = _members(groups)
    for rows in members:
        u[rows] = np.linalg.solve(C[np.ix_(rows, rows)], (2.0 / n) * importance[rows, None] * residuals[rows])
    slope = -(C @ u) @ alpha.T
    for output in range(values.shape[1]):
        left, right = (np.stack([C[:, rows] @ x[rows, output] for rows in members], 1) for x in (u, residuals))
        slope += left @ right.T
    return loss, 0.5 * (slope + slope.T)


def _size(values: np.ndarray) -> float:
    """Mean square of labels, one where they are nothing."""
    size = float(np.mean(values**2)) if values.size else 0.0
    return size if size > 0 else 1.0


def _members(groups: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


class _Problem:
    """A criterion as a function of the logarithms of the hyper-parameters that are free.

    They are those of the kernel, without its variance where that is fixed, and the noise variances of the kinds of
    labels that there are, unless they are given.
    """

    def __init__(
        self, kernel: Any, labels: Labels, criterion: str, *, noise: GivenNoise, fixed_variance: bool, seed: int
    ) -> None:
        self.kernel, self.labels, self.fixed_variance = kernel, labels, fixed_variance
        self.kinds = [labels.is_energy, ~labels.is_energy]
        self.noise = np.array([1.0 if given is None else given for given in noise])
        self.noisy = [i for i, rows in enumerate(self.kinds) if noise[i] is None and rows.any()]
        self.evaluations = 0
        self.scale = np.array([_size(labels.values[rows]) for rows in self.kinds])
        importance = np.where(labels.is_energy, 1 / self.scale[0], 1 / self.scale[1])
        groups = labels.owner
        if criterion == "cross_validation":
            n = int(labels.owner.max()) + 1
            folds = np.arange(n) % min(_FOLDS, n)
            groups = np.random.default_rng(seed).permutation(folds)[labels.owner]
        self.criterion: Callable[[Factor], tuple[float, np.ndarray]] = (
            (lambda factor: marginal_likelihood(factor, labels.values))
            if criterion == "marginal_likelihood"
            else (lambda factor: cross_validation(factor, labels.values, groups, importance))
        )

    def split(self, theta: np.ndarray) -> tuple[Any, np.ndarray]:
        """Return the kernel and the noise variances (energies, derivatives)."""
        n = len(theta) - len(self.noisy)
        own = np.concatenate([self.kernel.theta[:1], theta[:n]]) if self.fixed_variance else theta[:n]
        noise = self.noise.copy()
        noise[self.noisy] = np.exp(theta[n:])
        return self.kernel.with_theta(own), noise

    def factor(self, theta: np.ndarray) -> Factor:
        """Return the factor of the matrix with its noise."""
        kernel, noise = self.split(theta)
        K = covariance(kernel, self.labels.points, **self.labels.kinds)
        add_to_diagonal(K, self.labels.noise(*noise))
        self.evaluations += 1
        return cholesky(K)

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        try:
            factor = self.factor(theta)
        except NotPositiveDefinite:
            return _FAILED, np.zeros_like(theta)
        kernel, noise = self.split(theta)
        value, slope = self.criterion(factor)
        if not math.isfinite(value):
            return _FAILED, np.zeros_like(theta)
        own = gradient_of_trace(kernel, slope, self.labels.points, **self.labels.kinds)
        diagonal = slope.diagonal() * self.labels.weights
        noises = [noise[i] * float(diagonal[self.kinds[i]].sum()) for i in self.noisy]
        return value, np.concatenate([own[1:] if self.fixed_variance else own, noises])

    def value(self, theta: np.ndarray) -> float:
        """Return the criterion alone."""
        try:
            return self.criterion(self.factor(theta))[0]
        except NotPositiveDefinite:
            return _FAILED


def search(
    kernel: Any,
    labels: Labels,
    criterion: str,
    *,
    starts: int,
    seed: int,
    noise: GivenNoise = (None, None),
    fixed_variance: bool = False,
    progress: bool = False,
) -> tuple[Any, np.ndarray, Search]:
    """Minimize a criterion over lengths, variance, alpha and the noise variances that are not given.

    The scale of the starts comes from the data: lengths from the distances of points, the variance from the labels
    given the lengths (it has a closed form), noise from the spread of the labels. Of a dozen seeded candidates around
    it the best ones are followed by L-BFGS until they converge.

    Returns
    -------
    kernel, noise variances (energies, derivatives), Search
    """
    from scipy.optimize import minimize

    problem = _Problem(kernel, labels, criterion, noise=noise, fixed_variance=fixed_variance, seed=seed)
    centre, candidates = _candidates(problem, np.random.default_rng(seed))
    bar = Progress(_CANDIDATES + starts, f"hyper-parameters, {len(labels.values)} labels", enabled=progress)
    ranked = []
    for i, theta in enumerate(candidates):
        ranked.append((problem.value(theta), i))
        bar.update(i + 1)
    ranked = [entry for entry in sorted(ranked) if entry[0] < _FAILED]
    if not ranked:
        raise NotPositiveDefinite("no candidate for the hyper-parameters gives a positive definite matrix", 0)
    bounds = _bounds(problem, centre)
    results = []
    for i, (_, index) in enumerate(ranked[:starts]):
        results.append(
            minimize(problem, candidates[index], jac=True, method="L-BFGS-B", bounds=bounds,
                     options={"maxiter": 200, "ftol": 1e-8, "gtol": 1e-5})
        )  # fmt: skip
        bar.update(_CANDIDATES + i + 1, f"best {min(result.fun for result in results):.4g}")
    results.sort(key=lambda result: result.fun)
    bar.close(_CANDIDATES + starts, f"best {results[0].fun:.4g}")
    found, variances = problem.split(results[0].x)
    values = tuple(float(result.fun) for result in results)
    report = Search(
        criterion, values[0], values, _converged(results[0], bounds), problem.evaluations, len(labels.values)
    )
    return found, variances, report


def _converged(result: Any, bounds: list[tuple[float, float]]) -> bool:
    """Whether a minimum was found, to the tolerance or to what rounding lets a line search see."""
    lower, upper = np.transpose(bounds)
    slope = np.clip(result.x - result.jac, lower, upper) - result.x
    return bool(result.success or (result.status == 2 and np.abs(slope).max() <= _FLAT))


def scaled_kernel(kernel: Any, points: Points, seed: int) -> Any:
    """Return the kernel with lengths in the scale of the data: what separates points, typically and by feature."""
    rng = np.random.default_rng(seed)
    n = len(points.X)
    i, j = rng.integers(0, n, (2, _PAIRS))
    other = i != j
    if points.elements is not None:
        other &= points.elements[i] == points.elements[j]
    squared = (
        np.mean((points.X[i[other]] - points.X[j[other]]) ** 2, axis=0) if other.any() else np.ones(points.X.shape[1])
    )
    distance = math.sqrt(squared.sum()) or 1.0
    length = kernel.length
    if np.ndim(length):
        length = np.sqrt(np.where(squared > 0, squared, distance**2) * len(squared)) / math.sqrt(2)
    else:
        length = distance / math.sqrt(2)
    return type(kernel)(**{**kernel.get_params(), "length": length})


def _candidates(problem: _Problem, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the scale of the data as a theta, and starts around it."""
    labels = problem.labels
    base = scaled_kernel(problem.kernel, labels.points, int(rng.integers(2**31))).theta[1:]
    thetas = [_with_variance(problem, base, np.full(2, 1e-4))]
    for _ in range(_CANDIDATES - 1):
        own = base + rng.uniform(math.log(0.1), math.log(10.0)) + rng.normal(0.0, 0.3, len(base)) * (len(base) > 1)
        thetas.append(_with_variance(problem, own, 10.0 ** rng.uniform(-6, -2, 2)))
    return thetas[0], thetas


def _with_variance(problem: _Problem, own: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Join lengths and noise with the variance that is best for the shape of the matrix."""
    noise = np.log(ratio * problem.scale)[problem.noisy]
    if problem.fixed_variance:
        return np.concatenate([own, np.log(ratio)[problem.noisy]])
    first = 0 if problem.kinds[0].any() else 1
    theta = np.concatenate([[math.log(problem.scale[first])], own, noise])
    n = len(theta) - len(noise)
    for _ in range(2):
        try:
            y = problem.labels.values
            fit = float(np.sum(y * problem.factor(theta).solve(y))) / y.size
        except NotPositiveDefinite:
            break
        theta[0] += math.log(max(fit, 1e-12))
        theta[n:] += math.log(max(fit, 1e-12))  # the shape stays
    theta[n:] = np.maximum(theta[n:], np.log(2 * _SMALLEST_NOISE * problem.scale[problem.noisy]))
    return theta


def _bounds(problem: _Problem, centre: np.ndarray) -> list[tuple[float, float]]:
    """Limits that are far from the scale of the data; noise has a floor that keeps matrices positive definite."""
    n = len(centre) - len(problem.noisy)
    limits = [(value - 2 * _WIDEST, value + 2 * _WIDEST) for value in centre[:n]]
    size = np.ones(2) if problem.fixed_variance else problem.scale
    return limits + [(math.log(_SMALLEST_NOISE * size[i]), math.log(10.0 * size[i])) for i in problem.noisy]
