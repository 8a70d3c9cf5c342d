"""A trained kernel machine of structures as plain numbers: what model files and the engine hold."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from atomcore.models._kernel_inputs import ArrayInputs

Float64 = np.ndarray


@dataclass(frozen=True, eq=False)
class KernelSum:
    """sum_m c_m k(x, z_m) + v_m . dk(x, z_m)/dz_m in eV, with a kernel of unit length and unit variance."""

    scale: Float64  # [K], what features are multiplied by before the kernel sees them; 0 for those it does not see
    centres: Float64  # [M, K], scaled
    coefficients: Float64  # [M]
    derivative_coefficients: Float64 | None  # [M, K]
    minimum: Float64  # [K], the range of the features, not scaled, in training
    maximum: Float64


@dataclass(frozen=True, eq=False)
class Variance:
    """What the predictive variance is computed from; rows: for each batch all energies, then all gradients."""

    features: Float64  # [n, K], scaled
    elements: np.ndarray  # [n], atomic numbers, or 0 where points are whole structures
    structure_ptr: np.ndarray  # [S + 1]
    batch_ptr: np.ndarray  # [B + 1], structures
    jacobians: list[Float64]  # [n_s, K, m_s] of each structure, scaled; empty without gradients
    energies: bool
    gradients: bool
    factor: Float64  # [rows, rows], lower
    outer_factor: Float64 | None  # of sparse models


@dataclass(frozen=True, eq=False)
class KernelRecord:
    """What `record` returns."""

    atomic: bool
    features: Any
    molecule: np.ndarray | None  # atomic numbers of every structure, where features are in the order of the atoms
    periodic: bool  # whether any of them is
    kind: str  # of the kernel, as the core names it
    parameters: tuple[float, float]
    variance_of_kernel: float
    elements: tuple[str, ...]
    reference: Float64  # [elements], eV
    constant: float  # eV
    sums: dict[int, KernelSum]  # by atomic number, or 0 where points are whole structures
    variance: Variance | None


def record(model: Any) -> KernelRecord:
    """Return a trained `KernelMachine` of structures as numbers.

    Raises
    ------
    ValueError
        For models of rows of numbers or of several outputs.
    """
    inputs, kernel = model._inputs, model.kernel_
    if isinstance(inputs, ArrayInputs):
        raise ValueError("a model of rows of numbers has no model file; accepted: models of structures")
    if model._batches[0].outputs != 1:
        raise ValueError(f"the model has {model._batches[0].outputs} outputs; accepted in model files: one, the energy")
    lengths = kernel.scales(len(next(iter(inputs.scale.values()))))
    X, elements, c, v = _centres(model)
    ranges = _ranges(model)
    sums = {}
    for z, scale in inputs.scale.items():
        mine = elements == z
        slopes = None if v is None else kernel.variance * v[mine] / lengths
        sums[z] = KernelSum(scale / lengths, X[mine] / lengths, kernel.variance * c[mine], slopes, *ranges[z])
    by_element = model._mean == "elements"
    coefficients = model._coefficients[:, 0]
    return KernelRecord(
        atomic=inputs.atomic,
        features=inputs.features,
        molecule=inputs.template,
        periodic=any(batch.taken.pbc.any() for batch in model._batches),
        kind=kernel.kind,
        parameters=tuple(kernel.parameters),
        variance_of_kernel=kernel.variance,
        elements=inputs.elements,
        reference=coefficients if by_element else np.zeros(len(inputs.elements)),
        constant=float(coefficients[0]) if model._mean == "constant" else 0.0,
        sums=sums,
        variance=_variance(model, lengths) if model._has_variance else None,
    )


def _kinds_of(points: Any) -> np.ndarray:
    return np.zeros(len(points.X), np.int64) if points.elements is None else points.elements.astype(np.int64)


def _centres(model: Any) -> tuple[Float64, np.ndarray, Float64, Float64 | None]:
    """Return scaled features, elements, coefficients and derivative coefficients of all centres."""
    solver = model._solver
    alpha = solver.alpha[:, 0]
    if not model._exact:
        return solver.points.X, _kinds_of(solver.points), alpha, None
    X = np.concatenate([labels.points.X for labels in solver.batches])
    elements = np.concatenate([_kinds_of(labels.points) for labels in solver.batches])
    kinds = solver.batches[0].kinds
    c, v = np.zeros(len(X)), np.zeros_like(X)
    row, first = 0, 0  # of the labels and of the points
    for labels in solver.batches:
        ptr = labels.points.structure_ptr
        if kinds["energies"]:
            c[first : first + ptr[-1]] = np.repeat(alpha[row : row + len(ptr) - 1], np.diff(ptr))
            row += len(ptr) - 1
        for s in range(len(ptr) - 1 if kinds["forces"] else 0):
            J = labels.points.jacobian_of(s)
            v[first + ptr[s] : first + ptr[s + 1]] = J @ alpha[row : row + J.shape[2]]
            row += J.shape[2]
        first += ptr[-1]
    return X, elements, c, v if kinds["forces"] else None


def _ranges(model: Any) -> dict[int, tuple[Float64, Float64]]:
    """Return the least and the largest value of every feature, before scaling, of each kind of point in training."""
    raw = [model._inputs._raw(batch.taken, jacobian=False) for batch in model._batches]
    X, kinds = np.concatenate([points.X for points in raw]), np.concatenate([_kinds_of(points) for points in raw])
    return {z: (X[kinds == z].min(axis=0), X[kinds == z].max(axis=0)) for z in model._inputs.scale}


def _variance(model: Any, lengths: Float64) -> Variance:
    solver = model._solver
    if not model._exact:
        n = len(solver.points.X)
        ptr = np.arange(n + 1)
        return Variance(
            solver.points.X / lengths, _kinds_of(solver.points), ptr, np.array([0, n]), [], True, False,
            solver.inner.lower(), solver.outer.lower(),
        )  # fmt: skip
    batches = [labels.points for labels in solver.batches]
    counts = np.concatenate([np.diff(points.structure_ptr) for points in batches])
    kinds = solver.batches[0].kinds
    jacobians = []
    if kinds["forces"]:
        jacobians = [points.jacobian_of(s) / lengths[:, None] for points in batches for s in range(points.n_structures)]
    return Variance(
        np.concatenate([points.X for points in batches]) / lengths,
        np.concatenate([_kinds_of(points) for points in batches]),
        np.concatenate([[0], np.cumsum(counts)]),
        np.concatenate([[0], np.cumsum([points.n_structures for points in batches])]),
        jacobians,
        kinds["energies"],
        kinds["forces"],
        solver.factor.lower(),
        None,
    )
