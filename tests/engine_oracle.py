"""What a model file predicts, by torch, autograd and the explicit Jacobian: the oracle of the engine's tests."""

from typing import Any

import numpy as np

from atomcore.features import SymmetryFunctions
from model_builder import RandomModel


def activation_function(name: str) -> Any:
    """Return the torch function of a name in a model file."""
    import torch  # when called, so that the engine's other tests run where there is no torch

    return {
        "silu": torch.nn.functional.silu,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "celu": torch.nn.functional.celu,
        "sigmoid": torch.sigmoid,
        "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
        "identity": lambda x: x,
        "gaussian": lambda x: torch.exp(-(x**2) / 2),
        "cosine": torch.cos,
        "exponential": lambda x: torch.exp(-x),
        "square": torch.square,
    }[name]


def layer_activations(model: RandomModel, symbol: str) -> list[str]:
    """Return the name of the activation of each layer of an element, the output layer's last."""
    networks = model.metadata["networks"]
    if "activations" in networks:
        return networks["activations"][symbol]
    layers = sum(name.startswith(f"networks.0.{symbol}.") and name.endswith("weight") for name in model.tensors)
    return [networks["activation"]] * (layers - 1) + ["identity"]


def reference(model: RandomModel, atoms: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return atomic energies and forces of a model with one member, all in double."""
    return _evaluate(model, atoms)[:2]


def grades(model: RandomModel, atoms: Any) -> np.ndarray:
    """Return the grades of extrapolation of a model that has them."""
    phi = _evaluate(model, atoms)[2]
    symbols = atoms.get_chemical_symbols()
    return np.array(
        [np.linalg.norm(model.tensors[f"grade.{x}.matrix"] @ [*row, 1.0]) for x, row in zip(symbols, phi, strict=True)]
    )


def _evaluate(model: RandomModel, atoms: Any) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return atomic energies, forces, and what each atom's last hidden layer gives."""
    import torch

    elements = model.metadata["elements"]
    G, jacobian = SymmetryFunctions.from_table(elements, model.metadata["features"]).compute(atoms, jacobian=True)
    inputs = torch.tensor(G, requires_grad=True)
    tensors = {name: torch.tensor(array) for name, array in model.tensors.items()}
    energies, phi = [], []
    for i, symbol in enumerate(atoms.get_chemical_symbols()):
        x = inputs[i, tensors[f"features.{symbol}.columns"]]
        x = (x - tensors[f"features.{symbol}.mean"]) * tensors[f"features.{symbol}.scale"]
        if "normalized_inputs" in model.metadata["requires"]:
            x = x / torch.linalg.norm(x)
        for layer, name in enumerate(layer_activations(model, symbol)):
            last = x.detach().numpy()
            x = tensors[f"networks.0.{symbol}.{layer}.weight"].double() @ x
            x = activation_function(name)(x + tensors[f"networks.0.{symbol}.{layer}.bias"].double())
        phi.append(last)
        s = elements.index(symbol)
        energies.append(tensors["energy.reference"][s] + tensors["energy.scale"][s] * x[0])
    stacked = torch.stack(energies)
    (g,) = torch.autograd.grad(stacked.sum(), inputs)
    return stacked.detach().numpy(), -jacobian.vjp(g.numpy()), phi
