"""Structures as torch tensors, one after another, and their edges."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

import atomcore._ops  # noqa: F401  registers torch.ops.atomcore
from atomcore._arrays import as_structure


class Batch(NamedTuple):
    """S structures with N atoms in all; lengths in A.

    Attributes
    ----------
    positions : Tensor [N, 3], float32 or float64
    numbers : Tensor [N], int32
    cell : Tensor [S, 3, 3]
        Lattice vectors as rows, in the type of ``positions``.
    pbc : Tensor [S, 3], bool
    structure_ptr : Tensor [S + 1], int64
        Structure s owns atoms ``structure_ptr[s]`` to ``structure_ptr[s + 1]``.
    """

    positions: torch.Tensor
    numbers: torch.Tensor
    cell: torch.Tensor
    pbc: torch.Tensor
    structure_ptr: torch.Tensor

    @classmethod
    def from_atoms(cls, structures: Sequence[Any], dtype: torch.dtype = torch.float64) -> "Batch":
        """Return the batch of a sequence of ASE Atoms (or look-alikes)."""
        parts = [as_structure(atoms) for atoms in structures]
        if not parts:
            raise ValueError("structures is empty; accepted: at least one structure, which may have no atoms")
        counts = [0, *(len(part.numbers) for part in parts)]
        return cls(
            torch.from_numpy(np.concatenate([part.positions for part in parts])).to(dtype),
            torch.from_numpy(np.concatenate([part.numbers for part in parts])),
            torch.from_numpy(np.stack([part.cell for part in parts])).to(dtype),
            torch.from_numpy(np.stack([part.pbc for part in parts])),
            torch.from_numpy(np.cumsum(counts, dtype=np.int64)),
        )


class Edges(NamedTuple):
    """Neighbour list of a batch: CSR arrays, lattice shifts and edge vectors D [P, 3]."""

    row_ptr: torch.Tensor
    neighbor: torch.Tensor
    shift: torch.Tensor
    D: torch.Tensor


def edges(batch: Batch, cutoff: float) -> Edges:
    """Return all edges shorter than ``cutoff`` (A); D is differentiable in positions and cell."""
    fixed = batch.positions.detach(), batch.cell.detach()
    row_ptr, neighbor, shift = torch.ops.atomcore.neighbor_list(*fixed, batch.pbc, batch.structure_ptr, cutoff)
    D = torch.ops.atomcore.edge_vectors(batch.positions, batch.cell, batch.structure_ptr, row_ptr, neighbor, shift)
    return Edges(row_ptr, neighbor, shift, D)
