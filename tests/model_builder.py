"""Random models, so that the engine can be tested without training one."""

from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from atomcore import model_file
from atomcore.features import SymmetryFunctions

ACTIVATIONS = ("silu", "tanh", "relu", "celu", "sigmoid", "softplus")
LAYER_ACTIVATIONS = (*ACTIVATIONS, "identity", "gaussian", "cosine", "exponential", "square")


def feature_table(
    elements: tuple[str, ...], cutoff: float = 4.0, cutoff_function: str = "cosine"
) -> list[dict[str, Any]]:
    """Two or three functions of every type for every element or pair; the angular ones have a shorter cutoff."""
    table: list[dict[str, Any]] = []
    common: dict[str, Any] = {"cutoff_function": cutoff_function}
    if cutoff_function == "polynomial":
        common["gamma"] = 4.0
    for element in elements:
        for eta, shift in ((0.05, 0.0), (0.6, 0.0), (2.0, 1.5)):
            row = {"type": "radial", "elements": [element], "prefactor": 1.0, "eta": eta, "shift": shift}
            table.append(row | {"cutoff": cutoff} | common)
    for pair in combinations_with_replacement(elements, 2):
        angular = {"elements": list(pair), "cutoff": 0.8 * cutoff} | common
        for kind in ("narrow", "wide"):
            for zeta, sign in ((1.0, 1.0), (4.0, -1.0)):
                row = {"type": kind, "prefactor": 1.0, "eta": 0.05, "shift": 0.0, "zeta": zeta, "lambda": sign}
                table.append(row | angular)
        for theta in (0.6, 2.2):
            row = {"type": "ani", "prefactor": 2.0, "eta": 1.1, "shift": 1.3, "zeta": 8.0, "theta": theta}
            table.append(row | {"cos_scale": 0.95} | angular)
    return table


@dataclass
class RandomModel:
    """What a model file holds, before it is written."""

    tensors: dict[str, np.ndarray]
    metadata: dict[str, Any]

    def member(self, m: int) -> "RandomModel":
        """Return the model that one member of an ensemble is."""
        own = {name.replace(f"networks.{m}.", "networks.0."): array for name, array in self.tensors.items()
               if not name.startswith("networks.") or name.startswith(f"networks.{m}.")}  # fmt: skip
        return RandomModel(own, self.metadata | {"networks": self.metadata["networks"] | {"members": 1}})

    def write(self, path: Path) -> Path:
        """Write the model file and return its path."""
        model_file.write(path, self.tensors, self.metadata)
        return path


def random_model(
    elements: tuple[str, ...] = ("H", "C", "O"),
    *,
    hidden: tuple[int, ...] = (17, 9),
    activation: str = "silu",
    activations: dict[str, list[str]] | None = None,
    cutoff: float = 4.0,
    reference: tuple[float, ...] = (-16.4, -1037.9, -2043.1),
    seed: int = 0,
    members: int = 1,
    requires: tuple[str, ...] = (),
    cutoff_function: str = "cosine",
    target: str = "energy",
    table: list[dict[str, Any]] | None = None,
) -> RandomModel:
    """Make a model with random weights (float32) whose networks read different subsets of the features.

    With ``activations`` each layer of each element has its own, the output layer too.
    """
    random = np.random.default_rng(seed)
    table = table or feature_table(elements, cutoff, cutoff_function)
    n = len(table)
    tensors: dict[str, np.ndarray] = {
        "energy.reference": np.array(reference[: len(elements)]),
        "energy.scale": random.uniform(0.5, 2.0, len(elements)),
    }
    for element in elements:
        columns = np.sort(random.choice(n, n - 2, replace=False))
        widths = (len(columns), *hidden, 1)
        for member in range(members):
            source = random if member == 0 else np.random.default_rng([seed, member])
            for layer, (inputs, outputs) in enumerate(pairwise(widths)):
                weight = source.normal(0, 1 / np.sqrt(inputs), (outputs, inputs))
                prefix = f"networks.{member}.{element}.{layer}"
                tensors[f"{prefix}.weight"] = weight.astype(np.float32)
                tensors[f"{prefix}.bias"] = source.normal(0, 0.3, outputs).astype(np.float32)
        tensors |= {
            f"features.{element}.columns": columns,
            f"features.{element}.mean": random.uniform(0, 1, len(columns)),
            f"features.{element}.scale": random.uniform(0.5, 3, len(columns)),
            f"features.{element}.minimum": np.zeros(n),
            f"features.{element}.maximum": np.full(n, 10.0),
        }
    metadata: dict[str, Any] = {
        "requires": ["symmetry_functions", "element_networks", *requires],
        "kind": "behler_parrinello",
        "capability": "local",
        "units": {"length": "Angstrom", "energy": "eV"},
        "elements": list(elements),
        "cutoff": max(row["cutoff"] for row in table),
        "features": table,
        "networks": {"activation": activation, "members": members},
        "precision": "float32",
        "provenance": {"atomcore": "test", "data_sha256": "0" * 64, "seed": seed},
    }
    if activations is not None:
        metadata["requires"].append("layer_activations")
        metadata["networks"] = {"activations": activations, "members": members}
    if target == "charges":
        metadata["requires"].append("charges")
        metadata["target"] = "charges"
    return RandomModel(tensors, metadata)


def graded(model: RandomModel, seed: int = 0) -> RandomModel:
    """Give a model grades of extrapolation, by random matrices; return it."""
    random = np.random.default_rng(seed)
    for x in model.metadata["elements"]:
        last = max(int(name.split(".")[3]) for name in model.tensors if name.startswith(f"networks.0.{x}."))
        size = model.tensors[f"networks.0.{x}.{last}.weight"].shape[1] + 1
        model.tensors[f"grade.{x}.matrix"] = random.normal(size=(size, size))
    return model


def ranged(model: RandomModel, structures: list[Any]) -> SymmetryFunctions:
    """Give a model the ranges of its features over the atoms of some structures; return the features."""
    elements = model.metadata["elements"]
    features = SymmetryFunctions.from_table(elements, model.metadata["features"])
    symbols = np.concatenate([atoms.get_chemical_symbols() for atoms in structures])
    G = np.concatenate([features.compute(atoms) for atoms in structures])
    for x in elements:
        model.tensors[f"features.{x}.minimum"] = G[symbols == x].min(axis=0)
        model.tensors[f"features.{x}.maximum"] = G[symbols == x].max(axis=0)
    return features
