"""Predictions of a batch, their errors, and the loss."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from atomcore._voigt import VOIGT
from atomcore.train.batches import MiniBatch
from atomcore.train.cache import Source
from atomcore.train.options import CRITERIA

TERMS = ("energy", "forces", "stress", "charges")  # what can be learned, in the order of logs and sums
PER_ATOM = ("forces", "charges")  # the others are per structure
ERROR_NAMES = dict(zip(TERMS, CRITERIA, strict=True))


class Labels(NamedTuple):
    """What is learned, in training precision; None where it is not.

    Attributes
    ----------
    n_atoms : Tensor [S]
    energy : Tensor [S] or None
        Energies minus reference energies in eV; the difference is taken in double.
    forces : Tensor [N, 3] or None
        In eV/A.
    stress : Tensor [S, 6] or None
        In eV/A^3, ASE's sign and order.
    volume : Tensor [S] or None
        Of the cells in A^3, beside stress.
    charges : Tensor [N] or None
        Minus their reference values, in e.
    weight : Tensor [S] or None
        Of each structure's squared errors in the loss; 1 on average over the training part. None is 1 for all.
    """

    n_atoms: torch.Tensor
    energy: torch.Tensor | None = None
    forces: torch.Tensor | None = None
    stress: torch.Tensor | None = None
    volume: torch.Tensor | None = None
    charges: torch.Tensor | None = None
    weight: torch.Tensor | None = None

    @classmethod
    def make(cls, n_atoms: np.ndarray, dtype: torch.dtype, **arrays: np.ndarray | None) -> "Labels":
        """Convert arrays in double; names as in the attributes."""
        tensors = {k: None if array is None else torch.tensor(array, dtype=dtype) for k, array in arrays.items()}
        return cls(torch.tensor(n_atoms, dtype=dtype), **tensors)

    def counts(self, structures: np.ndarray) -> dict[str, int]:
        """How many numbers each term has in ``structures``."""
        n_atoms = round(float(self.n_atoms[torch.from_numpy(structures)].double().sum()))
        sizes = {"energy": len(structures), "forces": 3 * n_atoms, "stress": 6 * len(structures), "charges": n_atoms}
        return {name: size for name, size in sizes.items() if getattr(self, name) is not None}


class Prediction(NamedTuple):
    """Energies [B] in eV without reference energies, forces [M, 3] in eV/A, strain gradients [B, 6] in eV."""

    energy: torch.Tensor
    forces: torch.Tensor | None
    virial: torch.Tensor | None


def predict_batch(
    model: Any, source: Source, batch: MiniBatch, *, forces: bool, stress: bool, differentiable: bool
) -> Prediction:
    """Energies, forces and strain gradients of a batch, in the batch's order of atoms.

    Parameters
    ----------
    forces, stress : bool
        Whether forces and strain gradients are wanted.
    differentiable : bool
        Whether these will be differentiated in the weights.
    """
    inputs = source.inputs(batch)
    for x in inputs:
        x.requires_grad_(forces or stress)
    atomic = model.atomic_energies(inputs)
    energy = atomic.new_zeros(len(batch.structures)).index_add(0, batch.owner, atomic)
    if not (forces or stress):
        return Prediction(energy, None, None)
    gradients = torch.autograd.grad(atomic.sum(), inputs, create_graph=differentiable)
    gD = source.vjp(batch, model.feature_gradients(gradients))
    virial = strain_gradient(batch, source.edge_vectors(batch), gD) if stress else None
    if not forces:
        return Prediction(energy, None, virial)
    gradient, _ = torch.ops.atomcore.edge_scatter(gD, batch.pointer, batch.row_ptr, batch.neighbor, batch.shift)
    return Prediction(energy, -gradient, virial)


def strain_gradient(batch: MiniBatch, D: torch.Tensor, gD: torch.Tensor) -> torch.Tensor:
    """``dE_s/dstrain = sum of D_e (x) gD_e`` over the edges e of structure s, symmetric, as xx yy zz yz xz xy [B, 6].

    Parameters
    ----------
    batch : MiniBatch
    D, gD : Tensor [P, 3]
        Edge vectors in Angstrom and the derivatives of the energy in them.
    """
    outer = (D[:, :, None] * gD[:, None, :]).view(-1, 9)
    # Rows own their edges, structures their rows: sums in a fixed order, so the same for any number of threads.
    rows = torch.segment_reduce(outer, "sum", offsets=batch.row_ptr)
    slots = (9 * batch.owner[:, None] + torch.arange(9)).view(-1)
    n_structures = len(batch.structures)
    full = rows.new_zeros(9 * n_structures).index_add(0, slots, rows.view(-1)).view(n_structures, 3, 3)
    first, second = VOIGT
    return 0.5 * (full[:, first, second] + full[:, second, first])


class Errors(NamedTuple):
    """Predictions minus labels of a batch; None for what is not learned.

    Attributes
    ----------
    energy : Tensor [B] or None
        In eV per atom.
    forces : Tensor [M, 3] or None
        In eV/A.
    stress : Tensor [B, 6] or None
        In eV/A^3.
    charges : Tensor [M] or None
        In e.
    volume : Tensor [B] or None
        In A^3 per atom, beside stress.
    weight : Tensor [B] or None
    owner : Tensor [M]
        Structure of each atom, as in the batch.
    """

    energy: torch.Tensor | None
    forces: torch.Tensor | None
    stress: torch.Tensor | None
    charges: torch.Tensor | None
    volume: torch.Tensor | None
    weight: torch.Tensor | None
    owner: torch.Tensor

    def squares(self) -> dict[str, torch.Tensor]:
        """Squared errors of each term as the loss counts them, structure weights included."""
        result = {}
        for name in TERMS:
            error = getattr(self, name)
            if error is None:
                continue
            if name == "stress":
                error = error * self.volume[:, None]  # type: ignore[index]
            square = error.square()
            if self.weight is not None:
                weight = self.weight.index_select(0, self.owner) if name in PER_ATOM else self.weight
                square = square * weight.view(-1, *[1] * (square.dim() - 1))
            result[name] = square
        return result


def batch_errors(model: Any, source: Source, labels: Labels, batch: MiniBatch, *, differentiable: bool) -> Errors:
    """Prediction minus label."""

    def of_structures(values: torch.Tensor | None) -> Any:
        return None if values is None else values.index_select(0, batch.structures)

    energy = forces = stress = charges = volume = None
    if labels.charges is not None:
        charges = model.atomic_energies(source.inputs(batch)) - labels.charges.index_select(0, batch.rows)
    else:
        wanted = {"forces": labels.forces is not None, "stress": labels.stress is not None}
        predicted = predict_batch(model, source, batch, differentiable=differentiable, **wanted)
        n_atoms = labels.n_atoms.index_select(0, batch.structures)
        energy = (predicted.energy - of_structures(labels.energy)) / n_atoms
        if predicted.forces is not None and labels.forces is not None:
            forces = predicted.forces - labels.forces.index_select(0, batch.rows)
        if predicted.virial is not None and labels.volume is not None:
            whole = labels.volume.index_select(0, batch.structures)
            stress = predicted.virial / whole[:, None] - of_structures(labels.stress)
            volume = whole / n_atoms
    return Errors(energy, forces, stress, charges, volume, of_structures(labels.weight), batch.owner)


def loss_of(errors: Errors, weights: Mapping[str, float], counts: Mapping[str, int] | None = None) -> torch.Tensor:
    """Weighted sum of the mean squares of `Errors.squares`; see `Options` for the formula.

    Parameters
    ----------
    errors : Errors
    weights : mapping of str to float
        By term.
    counts : mapping of str to int, optional
        What the sums of squares are divided by, where the batch is part of a larger one.
    """
    squares = errors.squares()
    numbers = {name: square.numel() for name, square in squares.items()} if counts is None else counts
    return torch.stack([weights[name] * square.sum() / numbers[name] for name, square in squares.items()]).sum()


class Sums:
    """Squared errors summed over batches, in double."""

    def __init__(self) -> None:
        self.values = torch.zeros((len(TERMS), 3), dtype=torch.float64)  # squares; as the loss has them; how many

    def add(self, errors: Errors) -> None:
        """Take in a batch."""
        floats = {
            name: x.detach().double() for name, x in errors._asdict().items() if x is not None and name != "owner"
        }
        errors = errors._replace(**floats)
        for name, counted in errors.squares().items():
            error = floats[name]
            self.values[TERMS.index(name)] += torch.stack(
                [error.square().sum(), counted.sum(), error.new_tensor(error.numel())]
            )

    def summary(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Loss over everything summed, and root mean square errors in eV/atom, eV/A, eV/A^3 and e."""
        result = {"loss": 0.0}
        for name, (squares, counted, number) in zip(TERMS, self.values.tolist(), strict=True):
            if number:
                result["loss"] += weights.get(name, 0.0) * counted / number
                result[ERROR_NAMES[name]] = math.sqrt(squares / number)
        return result
