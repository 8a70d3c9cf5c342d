"""Tiny model files of every kind, which the fuzzing programs start from. They are made anew each time, never stored.

PYTHONPATH=tests python -m fuzz.corpus FOLDER
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from atomcore import model_file
from model_builder import RandomModel, random_model

UNITS = {"length": "Angstrom", "energy": "eV"}


def _row(kind: str, elements: Any, **numbers: Any) -> dict[str, Any]:
    return {"type": kind, "elements": elements, "prefactor": 1.0, "cutoff": 4.0, "cutoff_function": "cosine"} | numbers


def _table() -> list[dict[str, Any]]:
    """Return one function of each of the types that models without families have."""
    angular = {"eta": 0.05, "shift": 0.3, "zeta": 4.0}
    return [
        _row("radial", ["H"], eta=0.6, shift=0.5),
        _row("radial", ["O"], eta=0.6, shift=0.5, cutoff_function="polynomial", gamma=4.0),
        _row("narrow", ["H", "H"], **angular, **{"lambda": -1.0}),
        _row("wide", ["H", "O"], **angular, **{"lambda": 1.0}, cutoff=3.0),
        _row("ani", ["O", "O"], **angular, theta=0.6, cos_scale=0.95),
    ]


def _families() -> list[dict[str, Any]]:
    """Return one function of each of the other types."""
    window = {"low": 0.5, "theta_low": 0.4, "theta_high": 2.0}
    weights = {"H": 1.0, "O": 8.0}
    return [
        _row("radial", "all", eta=0.6, shift=0.5, weights=weights, inner=0.2),
        _row("narrow", "all", eta=0.05, shift=0.3, zeta=0.5, weights=weights, **{"lambda": -1.0}),
        _row("radial_cosine", ["H"], kappa=1.5, cutoff_function="tanh3"),
        _row("compact_radial", ["O"], low=-1.0, cutoff_function="poly2"),
        _row("compact_narrow", ["H", "O"], **window, cutoff_function="exponential"),
        _row("compact_wide", ["H", "H"], **window, cutoff_function="poly2_asymmetric"),
    ]


def _inputs(elements: tuple[str, ...], n: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    tensors = {"energy.reference": random.normal(size=len(elements))}
    for x in elements:
        tensors |= {
            f"features.{x}.columns": np.arange(n),
            f"features.{x}.mean": random.uniform(0, 1, n),
            f"features.{x}.scale": random.uniform(0.5, 2, n),
            f"features.{x}.minimum": np.zeros(n),
            f"features.{x}.maximum": np.full(n, 3.0),
        }
    return tensors


def _lower(n: int, random: np.random.Generator) -> np.ndarray:
    """Return a lower triangle, row by row."""
    factor = np.tril(random.normal(0, 0.1, (n, n)), -1) + np.eye(n)
    return factor[np.tril_indices(n)]


def _variance(
    columns: int, points: tuple[int, ...], variables: tuple[int, ...], elements: int
) -> dict[str, np.ndarray]:
    """Return the tensors of a variance of structures of so many points and coordinates."""
    random = np.random.default_rng(7)
    observed = len(points) + sum(variables)
    jacobian = [random.normal(size=n * columns * m) for n, m in zip(points, variables, strict=True)]
    return {
        "variance.columns": np.arange(columns),
        "variance.features": random.normal(size=(sum(points), columns)),
        "variance.elements": np.arange(sum(points)) % elements,
        "variance.structure_ptr": np.cumsum([0, *points]),
        "variance.batch_ptr": np.array([0, 1, len(points)]),
        "variance.variables": np.array(variables),
        "variance.jacobian": np.concatenate(jacobian),
        "variance.factor": _lower(observed, random),
        "variance.outer_factor": _lower(observed, random),
    }


def _network(members: int = 1, table: list[dict[str, Any]] | None = None, **choices: Any) -> RandomModel:
    return random_model(
        ("H", "O"), hidden=(3, 2), reference=(-1.0, -2.0), members=members, table=table or _table(), **choices
    )


def _network_of_another_code() -> RandomModel:
    """Return one with an activation for each layer, and with no ranges of its functions."""
    model = _network(requires=("layer_activations", "unknown_ranges"))
    layers = {"H": ["gaussian", "cosine", "identity"], "O": ["square", "exponential", "tanh"]}
    model.metadata["networks"] = {"activations": layers, "members": 1}
    for name in [name for name in model.tensors if name.endswith(("minimum", "maximum"))]:
        del model.tensors[name]
    return model


def _graded_network() -> RandomModel:
    model, random = _network(), np.random.default_rng(9)
    for x in ("H", "O"):
        model.tensors[f"grade.{x}.matrix"] = random.normal(size=(3, 3))
    return model


def _atomic_kernel() -> RandomModel:
    random, elements, table = np.random.default_rng(1), ("H", "O"), _table()
    n = len(table)
    tensors = _inputs(elements, n, random) | _variance(n, (2, 1), (6, 3), len(elements))
    for x in elements:
        tensors |= {
            f"kernel.{x}.centres": random.normal(size=(3, n)),
            f"kernel.{x}.coefficients": random.normal(size=3),
            f"kernel.{x}.derivative_coefficients": random.normal(size=(3, n)),
        }
    metadata = {
        "requires": ["symmetry_functions", "kernel_expansion"],
        "kind": "atomic_kernel",
        "capability": "local",
        "units": UNITS,
        "elements": list(elements),
        "cutoff": 4.0,
        "features": table,
        "kernel": {"type": "rational_quadratic", "alpha": 1.5},
        "variance": {"of_kernel": 2.0, "energies": True, "gradients": True},
        "precision": "float64",
    }
    return RandomModel(tensors, metadata)


def _structure_kernel(kind: str, molecular: bool) -> RandomModel:
    random, atoms = np.random.default_rng(2), ["O", "H", "H"]
    n = 6 if kind in ("coulomb_raw", "coulomb_sorted") else 3
    tensors = {
        "features.columns": np.arange(n),
        "features.mean": random.normal(size=n),
        "features.scale": random.uniform(0.5, 2, n),
        "energy.constant": random.normal(size=1),
        "energy.reference": random.normal(size=2),
        "kernel.centres": random.normal(size=(2, n)),
        "kernel.coefficients": random.normal(size=2),
        "kernel.derivative_coefficients": random.normal(size=(2, n)),
    } | _variance(n, (1, 1), (9, 9), 1)
    metadata = {
        "requires": ["kernel_expansion", "structure_kernel"],
        "kind": "structure_kernel",
        "capability": "molecular" if molecular else "global",
        "units": UNITS,
        "elements": ["H", "O"],
        "descriptor": {"type": kind, "n_atoms": 3, "fixed_size": molecular, "exponent": 2.4, "length_unit": 0.53},
        "kernel": {"type": "rbf"} if molecular else {"type": "polynomial", "offset": 1.0, "degree": 3},
        "variance": {"of_kernel": 2.0, "energies": True, "gradients": True},
        "precision": "float64",
    }
    return RandomModel(tensors, metadata | ({"atoms": atoms} if molecular else {}))


def _gdml(atoms: list[str], lattice: bool = False) -> RandomModel:
    random, n = np.random.default_rng(3), len(atoms)
    pairs = n * (n - 1) // 2
    swapped = np.arange(n)
    swapped[-2:] = swapped[-2:][::-1]
    tensors = {
        "gdml.descriptors": random.uniform(0.3, 1, (2, pairs)),
        "gdml.derivative_coefficients": random.normal(size=(2, pairs)),
        "gdml.energy_coefficients": random.normal(size=2),
        "gdml.permutations": np.array([np.arange(n), swapped]),
    }
    if lattice:
        tensors["gdml.lattice"] = np.diag([9.0, 10.0, 11.0])
    metadata = {
        "requires": ["gdml"],
        "kind": "gdml",
        "capability": "molecular",
        "units": UNITS,
        "elements": ["O", "H"],
        "atoms": atoms,
        "gdml": {"sigma": 2.0, "scale": 1.5, "constant": -3.0},
        "precision": "float64",
    }
    return RandomModel(tensors, metadata)


def _many_body() -> RandomModel:
    water = {"name": "water", "atoms": ["O", "H", "H"], "masses": [16.0, 1.0, 1.0]}
    terms = [
        (["water"], None, _gdml(["O", "H", "H"])),
        (["water", "hydrogen"], {"measure": "centre_distance_sum", "cutoff": 9.0, "width": 2.0}, _network()),
        (
            ["hydrogen"],
            {"measure": "largest_atom_distance", "lower": 0.1},
            _structure_kernel("inverse_distances", False),
        ),
    ]
    tensors, listed, requires = {}, [], {"many_body"}
    for t, (components, criterion, model) in enumerate(terms):
        tensors |= {f"terms.{t}.{name}": array for name, array in model.tensors.items()}
        term = {"components": components, "model": model.metadata}
        listed.append(term | ({"criterion": criterion} if criterion else {}))
        requires |= set(model.metadata["requires"])
    metadata = {
        "requires": sorted(requires),
        "kind": "many_body",
        "capability": "global",
        "units": UNITS,
        "elements": ["O", "H"],
        "components": [water, {"name": "hydrogen", "atoms": ["H", "H"], "masses": [1.0, 1.0]}],
        "terms": listed,
        "precision": "float64",
    }
    return RandomModel(tensors, metadata)


def models() -> dict[str, RandomModel]:
    """Return a small model of each kind by name."""
    return {
        "network": _network(),
        "ensemble": _network(members=2, requires=("ensemble", "normalized_inputs"), activation="tanh"),
        "families": _network(table=_families(), requires=("function_families",), activation="softplus"),
        "other_code": _network_of_another_code(),
        "graded": _graded_network(),
        "charges": _network(target="charges", activation="celu"),
        "atomic_kernel": _atomic_kernel(),
        "molecular_kernel": _structure_kernel("inverse_distances", True),
        "eigenvalue_kernel": _structure_kernel("coulomb_eigenvalues", False),
        "sorted_kernel": _structure_kernel("coulomb_sorted", True),
        "gdml": _gdml(["O", "H", "H"]),
        "crystal": _gdml(["H", "H"], lattice=True),
        "many_body": _many_body(),
    }


def write_corpus(folder: Path) -> list[Path]:
    """Write a model file of each kind; each passes the reader."""
    paths = []
    for name, model in models().items():
        paths.append(folder / name)
        model_file.write(paths[-1], model.tensors, model.metadata)
    return paths


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(exist_ok=True)
    write_corpus(Path(sys.argv[1]))
