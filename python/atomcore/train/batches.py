"""Mini-batches as slices of flat tables: no loop over structures, no Python object per structure."""

from typing import Any

import numpy as np
import torch

from atomcore._arrays import COINCIDENT
from atomcore.data._validate import structure_of
from atomcore.features.batch import Batch, edges
from atomcore.features.table import species_index

CHUNK = 256  # structures that a pass over a data set takes at once


class Graph:
    """Neighbour list of a whole data set, built once.

    Parameters
    ----------
    data : Dataset
    numbers : ndarray of int
        Atomic numbers in the order of the model's elements.
    cutoff : float
        In Angstrom.

    Attributes
    ----------
    D : Tensor, float64 [P, 3]
        Edge vectors in Angstrom.

    Raises
    ------
    ValueError
        For atoms at the same place, with the structure they are in.
    """

    def __init__(self, data: Any, numbers: Any, cutoff: float) -> None:
        self.species = species_index(data.numbers, numbers)
        self.n_elements = len(numbers)
        self.n_atoms = np.diff(data.structure_ptr)
        self.structure_ptr = data.structure_ptr
        arrays = (data.positions, data.numbers, data.cells, data.pbc, data.structure_ptr)
        *pairs, self.D = edges(Batch(*map(torch.tensor, arrays)), cutoff)
        self.row_ptr, self.neighbor, self.shift = (tensor.numpy() for tensor in pairs)
        self._check_coincident()
        self.degree = np.diff(self.row_ptr)

    def _check_coincident(self) -> None:
        """Raise when atoms coincide: here it is still known which ones, in a batch no longer."""
        close = np.flatnonzero(np.einsum("px,px->p", self.D, self.D) < COINCIDENT**2)
        if close.size:
            atom = int(np.searchsorted(self.row_ptr, close[0], side="right")) - 1
            where = structure_of(atom, self.structure_ptr)
            first, second = (int(row - self.structure_ptr[where]) for row in (atom, self.neighbor[close[0]]))
            raise ValueError(
                f"atoms {first} and {second} of structure {where} are at the same place (less than {COINCIDENT:g} "
                "Angstrom apart)"
            )

    def batch(self, structures: np.ndarray) -> "MiniBatch":
        """Join structures, given by index, to one graph whose atoms are grouped by element.

        A structure may be there several times.
        """
        counts = self.n_atoms[structures]
        atoms = _ranges(self.structure_ptr[structures], counts)
        order = np.argsort(self.species[atoms], kind="stable")
        rows, owner = atoms[order], np.repeat(np.arange(len(structures)), counts)[order]
        place = np.empty(len(rows), dtype=np.int64)
        place[order] = np.arange(len(rows))
        offset = np.cumsum(counts) - counts - self.structure_ptr[structures]  # from atoms of the data to `atoms`
        edges = _ranges(self.row_ptr[rows], self.degree[rows])
        neighbor = place[self.neighbor[edges] + np.repeat(offset[owner], self.degree[rows])]
        batch = MiniBatch()
        batch.structures = torch.from_numpy(structures)
        batch.rows = torch.from_numpy(rows)
        batch.edges = torch.from_numpy(edges)
        batch.species = torch.from_numpy(self.species[rows])
        batch.counts = np.bincount(self.species[rows], minlength=self.n_elements).tolist()
        batch.owner = torch.from_numpy(owner)
        batch.pointer = torch.tensor([0, len(rows)])
        batch.row_ptr = torch.from_numpy(np.concatenate(([0], np.cumsum(self.degree[rows]))))
        batch.neighbor = torch.from_numpy(neighbor)
        batch.shift = torch.from_numpy(self.shift[edges])
        return batch


class MiniBatch:
    """Some structures as one graph; the rows are atoms grouped by element.

    A plain class, since Lightning takes dataclasses and tuples apart to move them to a device.

    Attributes
    ----------
    structures : Tensor, int64 [B]
        Indices into the data set.
    rows : Tensor, int64 [M]
        Atoms of the data set, those of the first element first.
    edges : Tensor, int64 [P]
        Edges of the data set that the rows own.
    species : Tensor, int32 [M]
    counts : list of int
        Rows of each element.
    owner : Tensor, int64 [M]
        Position of each row's structure in `structures`.
    pointer, row_ptr, neighbor, shift : Tensor
        Neighbour list in terms of the rows. All structures count as one, since positions need no more.
    """

    __slots__ = ("counts", "edges", "neighbor", "owner", "pointer", "row_ptr", "rows", "shift", "species", "structures")

    counts: list[int]
    edges: torch.Tensor
    neighbor: torch.Tensor
    owner: torch.Tensor
    pointer: torch.Tensor
    row_ptr: torch.Tensor
    rows: torch.Tensor
    shift: torch.Tensor
    species: torch.Tensor
    structures: torch.Tensor


def chunks(structures: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut ``structures`` into pieces of at most ``size``."""
    return [structures[i : i + size] for i in range(0, len(structures), size)]


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Concatenate ``arange(start, start + count)`` over all pairs."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - counts), counts)
