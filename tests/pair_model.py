"""A model that is a pair potential with a soft core and a well, so that dynamics with it behave like matter."""

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk

from atomcore import Calculator
from model_builder import RandomModel

_CUTOFF = 4.5
_TERMS = ((10.0, 1.0, 0.0), (-0.2, 2.0, 2.4))  # eV for each atom of a pair, eta, shift
_LINEAR = 60.0  # here silu(x) is x to the last bit


def pair_model(elements: tuple[str, ...] = ("C", "O"), members: int = 1, largest: float = 1e3) -> RandomModel:
    """Return the model; ``largest`` is the upper end of the ranges that its features have "seen in training"."""
    common = {"type": "radial", "prefactor": 1.0, "cutoff": _CUTOFF, "cutoff_function": "cosine"}
    table = [common | {"elements": [x], "eta": eta, "shift": shift} for x in elements for _, eta, shift in _TERMS]
    n = len(table)
    tensors = {"energy.reference": np.full(len(elements), -30.0), "energy.scale": np.ones(len(elements))}
    for x in elements:
        tensors |= {f"features.{x}.columns": np.arange(n), f"features.{x}.maximum": np.full(n, largest)}
        tensors |= {f"features.{x}.{name}": np.zeros(n) for name in ("mean", "minimum")}
        tensors[f"features.{x}.scale"] = np.ones(n)
        for member in range(members):
            weights = np.array([[weight for weight, _, _ in _TERMS] * len(elements)]) * (1 + 0.1 * member)
            layers = ((weights, _LINEAR), (np.ones((1, 1)), -_LINEAR))
            for layer, (weight, bias) in enumerate(layers):
                tensors[f"networks.{member}.{x}.{layer}.weight"] = weight.astype(np.float32)
                tensors[f"networks.{member}.{x}.{layer}.bias"] = np.array([bias], np.float32)
    metadata = {
        "requires": ["symmetry_functions", "element_networks"],
        "kind": "behler_parrinello",
        "capability": "local",
        "units": {"length": "Angstrom", "energy": "eV"},
        "elements": list(elements),
        "cutoff": _CUTOFF,
        "features": table,
        "networks": {"activation": "silu", "members": members},
        "precision": "float32",
        "provenance": {"atomcore": "test", "data_sha256": "0" * 64, "seed": 0},
    }
    return RandomModel(tensors, metadata)


def crystal(path: Path, repeat: int = 2, **choices) -> Atoms:
    """Return a crystal in the well of the model at ``path``, with its calculator; 4 atoms a cell."""
    atoms = bulk("C", "fcc", a=3.3, cubic=True) * (repeat, repeat, repeat)
    atoms.symbols[::3] = "O"
    atoms.calc = Calculator(path, **choices)
    return atoms
