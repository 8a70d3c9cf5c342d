"""Converted networks beside the engine that will run them: layer by layer in numpy, from the same features."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore.export.shared import check_parity, numbers_of
from atomcore.features import SymmetryFunctions
from atomcore.interop.networks import NetworkModel
from atomcore.potential import Potential

Float64 = npt.NDArray[np.float64]

_ACTIVATIONS: dict[str, Callable[[Float64], Float64]] = {
    "silu": lambda x: x * _sigmoid(x),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "celu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "sigmoid": lambda x: _sigmoid(x),
    "softplus": lambda x: np.logaddexp(0, x),
    "identity": lambda x: x,
    "gaussian": lambda x: np.exp(-0.5 * x**2),
    "cosine": np.cos,
    "exponential": lambda x: np.exp(-x),
    "square": np.square,
}
_SPACINGS = (1.5, 3.0, 100.0)  # A, of the grids that atoms stand on; the last ones are alone
_STEP = 1e-13  # relative, of features: the rounding that two ways of adding up neighbours leave


def check_networks(model: NetworkModel, potential: Potential) -> float:
    """Compare the atomic energies of the engine with plain formulas, for clusters of all elements.

    Returns
    -------
    float
        The largest difference, in eV an atom.

    Raises
    ------
    AtomcoreError
        They disagree, or a number is not finite.
    """
    features = SymmetryFunctions.from_table(model.elements, model.table)
    worst = 0.0
    for spacing in _SPACINGS:
        atoms = _cluster(model, spacing)
        G = np.asarray(features.compute(atoms), np.float64)
        expected, nearby = (_energies(model, atoms, values) for values in (G, G * (1 + _STEP)))
        if not np.isfinite(expected).all() and spacing != _SPACINGS[-1]:
            continue  # far from all that the model was made for
        name = "energies" if model.target == "energy" else "charges"
        found = potential.compute(atoms, (name,))[name]
        check_parity(found, expected, "plain formulas", np.abs(nearby - expected))
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst


def _energies(model: NetworkModel, atoms: Any, G: Float64) -> Float64:
    """Return the mean energy of each atom over the members, from its features [N, K]."""
    energies = np.zeros(len(atoms))
    with np.errstate(all="ignore"):
        for i, symbol in enumerate(atoms.get_chemical_symbols()):
            start = (G[i, model.columns[symbol]] - model.mean[symbol]) * model.scale[symbol]
            if model.normalized_inputs:
                start = start / (np.linalg.norm(start) or 1.0)
            element = list(model.elements).index(symbol)
            for member in model.networks:
                x = start
                for (weight, bias), name in zip(member[symbol], model.activations[symbol], strict=True):
                    x = _ACTIVATIONS[name](weight.astype(np.float64) @ x + bias)
                y = model.reference[element] + model.energy_scale[element] * x[0]
                energies[i] += y / len(model.networks)
    return energies


def _cluster(model: NetworkModel, spacing: float) -> Any:
    """Return three atoms of each element on a shaken grid."""
    from ase import Atoms

    random = np.random.default_rng(0)
    numbers = random.permutation(np.repeat(numbers_of(model.elements), 3))
    side = int(np.ceil(len(numbers) ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[: len(numbers)]
    return Atoms(numbers, spacing * (grid + random.uniform(-0.1, 0.1, (len(numbers), 3))))


def _sigmoid(x: Float64) -> Float64:
    return 0.5 * (1 + np.tanh(0.5 * x))
