"""From a torch model to a model file, checked against the engine that will run it."""

import copy
import datetime
import os
from typing import Any

import numpy as np
import torch

import atomcore
from atomcore import model_file
from atomcore._core import AtomcoreError
from atomcore._files import replacing
from atomcore.potential import Potential

_ABSOLUTE, _RELATIVE = 1e-8, 1e-10  # engine against torch, both in double; eV and eV/A


def export(model: Any, path: str | os.PathLike) -> None:
    """Write ``model`` to ``path``, once the engine has given the same energies and forces as torch.

    Compared are the model's examples (a few training structures), or a random cluster when it has none.

    Raises
    ------
    atomcore.AtomcoreError
        When the two disagree, or the core refuses the file; what was at ``path`` is then untouched.
    """
    with replacing(path) as temporary:
        model_file.write(temporary, _tensors(model), _metadata(model))
        _check_parity(model, Potential.load(temporary))


def _metadata(model: Any) -> dict[str, Any]:
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "requires": ["symmetry_functions", "element_networks"],
        "kind": model.kind,
        "capability": "local",
        "units": {"length": "Angstrom", "energy": "eV"},
        "elements": list(model.elements),
        "cutoff": model.features.cutoff,
        "features": model.features.table,
        "networks": {"activation": model.activation, "members": 1},
        "precision": str(model.dtype).removeprefix("torch."),
        "provenance": {
            "atomcore": atomcore.__version__,
            "torch": torch.__version__,
            "created": created,
            **model.provenance,
        },
    }


def _tensors(model: Any) -> dict[str, np.ndarray]:
    tensors = {"energy.reference": model.energy.reference, "energy.scale": model.energy.scale}
    for x in model.elements:
        for name, values in model.scaling[x].named_buffers():
            tensors[f"features.{x}.{name}"] = values
        for i, layer in enumerate(model.networks[x].layers):
            tensors[f"networks.0.{x}.{i}.weight"] = layer.weight.detach()
            tensors[f"networks.0.{x}.{i}.bias"] = layer.bias.detach()
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def _check_parity(model: Any, potential: Potential) -> None:
    twin = copy.deepcopy(model)
    twin.networks.double()
    for structure in model.examples or [_random_cluster(model)]:
        energy, forces = twin.energy_forces(structure)
        engine_energy, engine_forces = potential.energy_forces(structure)
        expected, found = np.append(forces, energy), np.append(engine_forces, engine_energy)
        excess = np.abs(found - expected) - (_ABSOLUTE + _RELATIVE * np.abs(expected))
        if not (excess <= 0).all():  # true for NaN
            worst = np.argmax(np.nan_to_num(excess, nan=np.inf))
            raise AtomcoreError(
                f"the model was not saved: engine and torch disagree for a structure of {len(forces)} atoms, "
                f"{found[worst]} and {expected[worst]} ({'energy, eV' if worst == forces.size else 'a force, eV/A'})"
            )


def _random_cluster(model: Any) -> Any:
    """Three atoms of each element on a shaken grid, 1.2 to 1.8 A apart."""
    from ase import Atoms

    generator = np.random.default_rng(0)
    numbers = np.repeat(model.features.numbers, 3)
    side = int(np.ceil(len(numbers) ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[: len(numbers)]
    return Atoms(numbers, 1.5 * grid + generator.uniform(-0.15, 0.15, (len(numbers), 3)))
