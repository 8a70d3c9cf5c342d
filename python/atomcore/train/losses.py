"""Energies and forces of a batch, and the loss."""

from typing import Any, NamedTuple

import numpy as np
import torch

from atomcore.train.batches import MiniBatch
from atomcore.train.cache import Source


class Labels(NamedTuple):
    """What is learned, in training precision.

    Attributes
    ----------
    energy : Tensor [S]
        Energies minus reference energies in eV; the difference is taken in double.
    forces : Tensor [N, 3] or None
        In eV/A.
    n_atoms : Tensor [S]
    """

    energy: torch.Tensor
    forces: torch.Tensor | None
    n_atoms: torch.Tensor

    @classmethod
    def make(cls, residual: np.ndarray, forces: np.ndarray | None, n_atoms: np.ndarray, dtype: torch.dtype) -> "Labels":
        """Convert arrays in double."""
        return cls(
            torch.tensor(residual, dtype=dtype),
            None if forces is None else torch.tensor(forces, dtype=dtype),
            torch.tensor(n_atoms, dtype=dtype),
        )


def predict_batch(
    model: Any, source: Source, batch: MiniBatch, *, forces: bool, differentiable: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Energies [B] in eV, without reference energies, and forces [M, 3] in eV/A, in the batch's order of atoms.

    Parameters
    ----------
    forces : bool
        Whether forces are wanted.
    differentiable : bool
        Whether the forces will be differentiated in the weights.
    """
    inputs = source.inputs(batch)
    for x in inputs:
        x.requires_grad_(forces)
    atomic = model.atomic_energies(inputs)
    energy = atomic.new_zeros(len(batch.structures)).index_add(0, batch.owner, atomic)
    if not forces:
        return energy, None
    gradients = torch.autograd.grad(atomic.sum(), inputs, create_graph=differentiable)
    gD = source.vjp(batch, model.feature_gradients(gradients))
    gradient, _ = torch.ops.atomcore.edge_scatter(gD, batch.pointer, batch.row_ptr, batch.neighbor, batch.shift)
    return energy, -gradient


class Errors(NamedTuple):
    """Errors of a batch: ``energy`` [B] in eV per atom, ``forces`` [M, 3] in eV/A or None."""

    energy: torch.Tensor
    forces: torch.Tensor | None


def batch_errors(model: Any, source: Source, labels: Labels, batch: MiniBatch, *, differentiable: bool) -> Errors:
    """Prediction minus label."""
    energy, forces = predict_batch(
        model, source, batch, forces=labels.forces is not None, differentiable=differentiable
    )
    energy = (energy - labels.energy.index_select(0, batch.structures)) / labels.n_atoms.index_select(
        0, batch.structures
    )
    if labels.forces is None or forces is None:
        return Errors(energy, None)
    return Errors(energy, forces - labels.forces.index_select(0, batch.rows))


def loss_of(errors: Errors, energy_weight: float, forces_weight: float) -> torch.Tensor:
    """``energy_weight * mean_s((dE_s / n_s)^2) + forces_weight * mean_{i,x}(dF_ix^2)``."""
    loss = energy_weight * errors.energy.square().mean()
    if errors.forces is not None:
        loss = loss + forces_weight * errors.forces.square().mean()
    return loss
