"""Kernel machines of structures as sums of kernels, the form that the engine evaluates and model files hold.

Features of an atom or structure, columns that the model uses, times ``factors``, are the x of

    f(x) = sum_m [ coefficients_m k(x, centres_m) + derivative_coefficients_m . dk(x, centres_m)/dcentres_m ]

with a kernel of unit length and unit variance.
"""

from typing import Any

import numpy as np

from atomcore.kernels import Points
from atomcore.models._kernel_exact import ExactSolver


def record(model: Any) -> dict[str, Any]:
    """Return a trained model of structures as plain arrays.

    Returns
    -------
    dict
        kind : "atomic_kernel" or "structure_kernel"
        elements : tuple of str
        features : the feature object
        concatenated : bool; of a structure kernel, features of the atoms joined in their order
        numbers : int32 [N] or None; of a concatenated model, the atoms it needs
        kernel : dict with ``kind`` (a name of the core), ``parameters`` (two numbers), ``variance``
        mean : "elements", "constant" or "zero"; reference [n_elements], offset: eV, E = offset + sum of references + f
        sums : dict from symbol (for structures: "") to a dict with columns [k] (indices of features), factors [k],
            centres [M, k], coefficients [M], derivative_coefficients [M, k] or None; the variance of the kernel is in
            the coefficients
        spread : what the variance needs, None for models without:
            sparse : bool
            inner : lower factor [n, n] of the covariance of the labels with their noise, or of the inducing points
            outer : lower factor [M, M] (sparse models) such that the variance is
                k(x, x) - |inner^-1 k|^2 + |outer^-1 k|^2, else None
            batches : list of (points, energies, forces): what the rows of ``inner`` are covariances with
    """
    inputs, solver = model._inputs, model._solver
    if solver.alpha.shape[1] != 1:
        raise ValueError(f"the model has {solver.alpha.shape[1]} outputs; accepted in a model file: one")
    kernel, atomic = model.kernel_, inputs.atomic
    coefficients = model._coefficients[:, 0]
    elements = model._mean == "elements"
    points, weights, slopes = _terms(solver)
    sums = {}
    for z, scale in inputs.scale.items():
        own = points.elements == z if atomic else np.ones(len(points.X), bool)
        sums[_symbol(z) if atomic else ""] = _one_sum(
            kernel, scale, points.X[own], weights[own], slopes if slopes is None else slopes[own]
        )
    return {
        "kind": "atomic_kernel" if atomic else "structure_kernel",
        "elements": inputs.elements,
        "features": inputs.features,
        "concatenated": inputs.template is not None,
        "numbers": inputs.template,
        "kernel": {"kind": kernel.kind, "parameters": kernel.parameters, "variance": float(kernel.variance)},
        "mean": model._mean,
        "reference": coefficients if elements else np.zeros(len(inputs.elements)),
        "offset": float(coefficients[0]) if model._mean == "constant" else 0.0,
        "sums": sums,
        "spread": _spread(model) if model._has_variance else None,
    }


def _symbol(number: int) -> str:
    from ase.data import chemical_symbols

    return chemical_symbols[number]


def _terms(solver: Any) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """Return the centres with their weights [M] and the weights of the derivatives at them [M, K]."""
    if not isinstance(solver, ExactSolver):
        return solver.points, solver.alpha[:, 0], None
    parts, first = [], 0
    for labels in solver.batches:
        alpha = solver.alpha[first : first + len(labels.values), 0]
        first += len(labels.values)
        parts.append(_of_batch(labels, alpha))
    points = [labels.points for labels in solver.batches]
    X = np.concatenate([p.X for p in points])
    numbers = None if points[0].elements is None else np.concatenate([p.elements for p in points])
    weights, slopes = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Points(X, numbers), weights, slopes if slopes.any() else None


def _of_batch(labels: Any, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points = labels.points
    counts = np.diff(points.structure_ptr)
    energies = np.zeros(len(counts))
    if labels.is_energy.any():
        energies = alpha[labels.is_energy]
    slopes = np.zeros_like(points.X)
    if not labels.is_energy.all():
        own, ptr = alpha[~labels.is_energy], points.gradient_ptr
        for s in range(len(counts)):
            rows = slice(points.structure_ptr[s], points.structure_ptr[s + 1])
            slopes[rows] = points.jacobian_of(s) @ own[ptr[s] : ptr[s + 1]]
    return np.repeat(energies, counts), slopes


def _one_sum(
    kernel: Any, scale: np.ndarray, X: np.ndarray, weights: np.ndarray, slopes: np.ndarray | None
) -> dict[str, Any]:
    columns = np.flatnonzero(scale)
    lengths = kernel.scales(len(scale))[columns]
    return {
        "columns": columns,
        "factors": scale[columns] / lengths,
        "centres": X[:, columns] / lengths,
        "coefficients": kernel.variance * weights,
        "derivative_coefficients": None if slopes is None else kernel.variance * slopes[:, columns] / lengths,
    }


def _spread(model: Any) -> dict[str, Any]:
    """Return what the predictive variance needs."""
    solver = model._solver
    if isinstance(solver, ExactSolver):
        batches = [(labels.points, labels.kinds["energies"], labels.kinds["forces"]) for labels in solver.batches]
        return {"sparse": False, "inner": solver.factor.lower(), "outer": None, "batches": batches}
    inner = solver.inner.lower()
    batches = [(solver.points, True, False)]
    return {"sparse": True, "inner": inner, "outer": inner @ solver.outer.lower(), "batches": batches}
