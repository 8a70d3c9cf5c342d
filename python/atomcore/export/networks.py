"""From a torch model to a model file, checked against the engine that will run it, and back."""

import copy
import datetime
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import atomcore
from atomcore import model_file
from atomcore._core import AtomcoreError
from atomcore._files import replacing
from atomcore.features import SymmetryFunctions
from atomcore.features.table import needs_families
from atomcore.models.bpnn import BehlerParrinello
from atomcore.models.networks import ACTIVATIONS
from atomcore.models.scaling import NORMALIZER
from atomcore.potential import Potential

_NOT_TRAINED_HERE = {  # requirements of networks of other codes
    "layer_activations": "its layers have activations of their own; accepted: one activation "
    f"({', '.join(ACTIVATIONS)}) between the layers",
    "unknown_ranges": "it does not say what ranges its features had in training; accepted: models that do",
}
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


def restore(path: str | os.PathLike) -> list[BehlerParrinello]:
    """Return the members that a model file holds: they share features, scaling and reference energies.

    Raises
    ------
    OSError, atomcore.AtomcoreError
        As for `atomcore.Potential.load`.
    """
    metadata, tensors = model_file.read(path)
    for requirement, reason in _NOT_TRAINED_HERE.items():
        if requirement in metadata["requires"]:
            raise AtomcoreError(f"{os.fspath(path)!r} cannot be trained on: {reason}")
    widths = {x: _widths(tensors, x) for x in metadata["elements"]}
    if len(set(widths.values())) > 1:
        raise AtomcoreError(
            f"{os.fspath(path)!r} cannot be trained on: the widths of its hidden layers are {widths}; "
            "accepted: the same for all elements"
        )
    try:
        return _members(metadata, tensors)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:  # the core checks the rest
        raise AtomcoreError(
            f"{os.fspath(path)!r} cannot be trained on: its metadata make no sense: {type(error).__name__}: {error}"
        ) from error


def _members(metadata: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> list[BehlerParrinello]:
    features = SymmetryFunctions.from_table(metadata["elements"], metadata["features"])
    networks, first = metadata["networks"], metadata["elements"][0]
    members = []
    for m in range(int(networks["members"])):
        model = BehlerParrinello(
            features,
            _widths(tensors, first),
            networks["activation"],
            networks.get("seed", 0) + m,
            shared=networks.get("shared", False),
            scaling=networks.get("scaling", "soft"),
            target=metadata.get("target", "energy"),
        )
        _fill(model, tensors, m, getattr(torch, metadata["precision"]))
        members.append(model)
    return members


def _widths(tensors: Mapping[str, np.ndarray], element: str) -> tuple[int, ...]:
    """Return the widths of the hidden layers of an element."""
    own = [name for name in tensors if name.startswith(f"networks.0.{element}.") and name.endswith(".bias")]
    return tuple(len(tensors[f"networks.0.{element}.{i}.bias"]) for i in range(len(own) - 1))


def _fill(model: BehlerParrinello, tensors: Mapping[str, np.ndarray], member: int, dtype: torch.dtype) -> None:
    """Give ``model`` the numbers of one member of a file."""
    for name in ("reference", "scale"):
        setattr(model.energy, name, torch.from_numpy(tensors[f"energy.{name}"].astype(np.float64)))
    for x in model.elements:
        for name, values in list(model.scaling[x].named_buffers()):
            kept = torch.from_numpy(tensors[f"features.{x}.{name}"].copy())
            setattr(model.scaling[x], name, kept.to(values.dtype))
    model.start(dtype)
    with torch.no_grad():
        model.grades = {x: tensors[f"grade.{x}.matrix"] for x in model.elements if f"grade.{x}.matrix" in tensors}
        for x in model.elements:
            for i, layer in enumerate(model.networks[x].layers):
                for name, values in layer.named_parameters():
                    values.copy_(torch.from_numpy(tensors[f"networks.{member}.{x}.{i}.{name}"].copy()))


def _metadata(model: Any) -> dict[str, Any]:
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    needed = {
        "symmetry_functions": True,
        "function_families": needs_families(model.features.table),
        "element_networks": True,
        "ensemble": len(model.members) > 1,
        "normalized_inputs": model.input_scaling == NORMALIZER,
        "charges": model.target == "charges",
    }
    return {
        "requires": [name for name, needs in needed.items() if needs],
        "kind": model.kind,
        "capability": "local",
        "target": model.target,
        "units": {"length": "Angstrom", "energy": "eV"},
        "elements": list(model.elements),
        "cutoff": model.features.cutoff,
        "features": model.features.table,
        "networks": {
            "activation": model.activation,
            "members": len(model.members),
            "shared": model.shared,
            "scaling": model.input_scaling,
            "seed": model.seed,
        },
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
        for m, member in enumerate(model.members):
            for i, layer in enumerate(member.networks[x].layers):
                tensors[f"networks.{m}.{x}.{i}.weight"] = layer.weight.detach()
                tensors[f"networks.{m}.{x}.{i}.bias"] = layer.bias.detach()
    arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
    if len(model.members) == 1:
        arrays |= {f"grade.{x}.matrix": matrix for x, matrix in model.members[0].grades.items()}
    return arrays


def _check_parity(model: Any, potential: Potential) -> None:
    twin = copy.deepcopy(model)
    for member in twin.members:
        member.networks.double()
    for structure in model.examples or [_random_cluster(model)]:
        expected, found = _both(twin, potential, structure)
        excess = np.abs(found - expected) - (_ABSOLUTE + _RELATIVE * np.abs(expected))
        if not (excess <= 0).all():  # true for NaN
            worst = int(np.argmax(np.nan_to_num(excess, nan=np.inf)))
            raise AtomcoreError(
                f"the model was not saved: engine and torch disagree for a structure of {len(structure)} atoms, "
                f"{found[worst]} and {expected[worst]} ({_what(model, worst, len(structure))})"
            )


def _both(twin: Any, potential: Potential, structure: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return everything that torch and engine predict of a structure, as one row of numbers each."""
    if twin.target == "charges":
        return twin.charges(structure), potential.compute(structure, ["charges"])["charges"]
    members = np.array([_row(*member.energy_forces(structure)) for member in twin.members])
    expected, found = members.mean(axis=0), _row(*potential.energy_forces(structure))
    if len(members) > 1:
        spread = potential.compute(structure, ["energy_spread", "forces_spread"])
        expected = np.append(expected, members.std(axis=0, ddof=1))
        found = np.append(found, _row(spread["energy_spread"], spread["forces_spread"]))
    return expected, found


def _row(energy: float, forces: np.ndarray) -> np.ndarray:
    return np.append(forces, energy)


def _what(model: Any, position: int, n_atoms: int) -> str:
    if model.target == "charges":
        return "a charge, e"
    each = 3 * n_atoms + 1
    name = "energy, eV" if position % each == 3 * n_atoms else "a force, eV/A"
    return name if position < each else f"spread of {name}"


def _random_cluster(model: Any) -> Any:
    """Three atoms of each element on a shaken grid, 1.2 to 1.8 A apart."""
    from ase import Atoms

    generator = np.random.default_rng(0)
    numbers = np.repeat(model.features.numbers, 3)
    side = int(np.ceil(len(numbers) ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[: len(numbers)]
    return Atoms(numbers, 1.5 * grid + generator.uniform(-0.15, 0.15, (len(numbers), 3)))
