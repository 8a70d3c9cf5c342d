"""Networks for metatomic, as TorchScript of plain torch operations: `save`.

The file needs nothing of this package where it runs, and is many times slower than the engine.
"""
# TorchScript knows the annotations of metatomic's interface in this form only:
# ruff: noqa: UP006, UP035, UP045

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
import torch
from ase.data import atomic_numbers
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)

from atomcore._files import replacing
from atomcore.features.reference import features_of_pairs
from atomcore.interop.networks import Layer, NetworkModel
from atomcore.models.networks import ACTIVATIONS

_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    **ACTIVATIONS,
    "identity": lambda x: x,
    "gaussian": lambda x: torch.exp(-0.5 * x**2),
    "cosine": torch.cos,
    "exponential": lambda x: torch.exp(-x),
    "square": torch.square,
}


def save(source: str | os.PathLike, path: str | os.PathLike) -> None:
    """Write a model file as a model of metatomic, for the programs that run these.

    Parameters
    ----------
    source
        Model file of networks, an ensemble or not, with energies.
    path
        File to write (``.pt``).

    Raises
    ------
    OSError, AtomcoreError
        `source` cannot be read, or `path` not be written.
    ValueError
        `source` holds a model of another kind.

    Notes
    -----
    The result is in double precision and for the processor; the energies are the ``energy`` of metatomic, whole or by
    atom, in eV, and the mean over an ensemble. Forces and virials follow by autograd, as its engines do it.
    """
    model = NetworkModel.read(source)
    if model.target != "energy":
        raise ValueError(f"source is {str(source)!r}, a model of {model.target}; accepted: a model of energies")
    numbers = [atomic_numbers[x] for x in model.elements]
    capabilities = ModelCapabilities(
        outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
        atomic_types=numbers,
        interaction_range=model.cutoff,
        length_unit="angstrom",
        supported_devices=["cpu"],
        dtype="float64",
    )
    module = _Module(_traced(_Energies(model)), numbers, model.cutoff).eval()
    exported = AtomisticModel(module, ModelMetadata(name=Path(source).stem), capabilities)
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's, of the format that metatomic has chosen
        exported.save(str(temporary))


class _Energies(torch.nn.Module):
    """Energies of atoms from the edge vectors about them, in plain torch operations."""

    def __init__(self, model: NetworkModel) -> None:
        super().__init__()
        self._model = model

    def forward(
        self,
        species: torch.Tensor,
        centre: torch.Tensor,
        end: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        D: torch.Tensor,
    ) -> torch.Tensor:
        model = self._model
        G = features_of_pairs(model.elements, model.table, species, centre, end, first, second, D)
        energies = torch.zeros_like(species, dtype=D.dtype)
        for i, x in enumerate(model.elements):
            own = torch.nonzero(species == i).squeeze(1)
            inputs = (G[own][:, _tensor(model.columns[x], torch.int64)] - _tensor(model.mean[x])) * _tensor(
                model.scale[x]
            )
            if model.normalized_inputs:
                square = inputs.square().sum(dim=1, keepdim=True)
                inputs = inputs * torch.where(square > 0, square, 1.0).rsqrt()
            outputs = [_network(member[x], model.activations[x], inputs) for member in model.networks]
            mean = torch.stack(outputs).mean(dim=0)
            energies = energies.index_add(0, own, float(model.reference[i]) + float(model.energy_scale[i]) * mean)
        return energies


def _tensor(values: np.ndarray, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=dtype)


def _network(layers: Sequence[Layer], activations: Sequence[str], x: torch.Tensor) -> torch.Tensor:
    for (weight, bias), name in zip(layers, activations, strict=True):
        x = _ACTIVATIONS[name](torch.nn.functional.linear(x, _tensor(weight), _tensor(bias)))
    return x.squeeze(1)


def _traced(energies: _Energies) -> torch.jit.ScriptModule:
    """Return the same for TorchScript, recorded with three atoms that see one another."""
    centre, end = torch.tensor([[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]])
    positions = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.1, 0.0], [0.2, 0.9, 0.3]], dtype=torch.float64)
    species, first = torch.zeros(3, dtype=torch.int64), torch.arange(0, 6, 2)
    edges = species, centre, species[end], first, first + 1, positions[end] - positions[centre]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # of constants, which the model's numbers are
        return torch.jit.trace(energies.eval(), edges, check_trace=False)


class _Module(torch.nn.Module):
    """What metatomic calls; TorchScript compiles this source."""

    _species: torch.Tensor

    def __init__(self, energies: torch.jit.ScriptModule, numbers: list[int], cutoff: float) -> None:
        super().__init__()
        self._energies = energies
        self._neighbors = NeighborListOptions(cutoff=cutoff, full_list=True, strict=True)
        species = torch.full((max(numbers) + 1,), -1)
        species[numbers] = torch.arange(len(numbers))
        self.register_buffer("_species", species)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [self._neighbors]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels] = None,
    ) -> Dict[str, TensorMap]:
        results: Dict[str, TensorMap] = {}
        if "energy" not in outputs:
            return results
        by_atom = outputs["energy"].sample_kind == "atom"
        energies: List[torch.Tensor] = []
        samples: List[torch.Tensor] = []
        for i, system in enumerate(systems):
            atoms = torch.arange(len(system))
            if selected_atoms is not None:
                selected = selected_atoms.values
                atoms = selected[selected[:, 0] == i, 1].to(torch.int64)
            own = self._of_atoms(system, atoms)
            if by_atom:
                energies.append(own.unsqueeze(1))
                samples.append(torch.stack([torch.full_like(atoms, i), atoms], dim=1))
            else:
                energies.append(own.sum().reshape(1, 1))
                samples.append(torch.tensor([[i]]))
        block = TensorBlock(
            values=torch.cat(energies),
            samples=Labels(["system", "atom"] if by_atom else ["system"], torch.cat(samples).to(torch.int32)),
            components=torch.jit.annotate(List[Labels], []),
            properties=Labels(["energy"], torch.tensor([[0]], dtype=torch.int32)),
        )
        results["energy"] = TensorMap(keys=Labels(["_"], torch.tensor([[0]], dtype=torch.int32)), blocks=[block])
        return results

    def _of_atoms(self, system: System, atoms: torch.Tensor) -> torch.Tensor:
        """Return the energies of these atoms of a system."""
        block = system.get_neighbor_list(self._neighbors)
        pairs, species = block.samples.values.to(torch.int64), self._species[system.types.to(torch.int64)]
        row = torch.full_like(species, -1)
        row[atoms] = torch.arange(len(atoms))
        kept = torch.nonzero(row[pairs[:, 0]] >= 0).squeeze(1)
        kept = kept[torch.argsort(row[pairs[kept, 0]], stable=True)]  # rows one after another
        centre = row[pairs[kept, 0]]
        counts = torch.bincount(centre, minlength=len(atoms))
        edge = torch.arange(len(kept))
        later = (torch.cumsum(counts, 0)[centre] if len(kept) > 0 else edge) - 1 - edge  # of the same centre
        first = torch.repeat_interleave(edge, later)
        second = first + 1 + torch.arange(len(first)) - (torch.cumsum(later, 0) - later)[first]
        D = block.values.squeeze(-1)[kept]
        return self._energies(species[atoms], centre, species[pairs[kept, 1]], first, second, D)
