"""Atom-centred symmetry functions: explicit tables, the usual default sets, and their evaluation."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from atomcore import _core
from atomcore._arrays import as_structure, check_edge_vectors
from atomcore._labels import labels
from atomcore._threads import resolve_threads
from atomcore.features.cutoffs import DEFAULT_GAMMA, cutoff_keys
from atomcore.features.given import Channels, angular_rows, check_symbols, radial_rows
from atomcore.features.jacobian import Jacobian
from atomcore.features.table import Row, compile_table, species_index

if TYPE_CHECKING:
    import torch

    from atomcore.features.batch import Batch


class SymmetryFunctions:
    """Symmetry functions given one by one and applied to every element (pair).

    Parameters
    ----------
    elements
        Chemical symbols, e.g. ``["H", "C", "O"]``.
    radial
        Mappings, each with the numbers of its ``type``: "radial", which may be left out (Behler's G2; with ``eta`` 0
        his G1), has ``eta`` (1/A^2) and optionally ``shift`` (A); "radial_cosine" (G3) has ``kappa`` (1/A);
        "compact_radial", a window, has optionally ``low`` (A, by default minus its cutoff).
    angular
        Mappings with ``type`` "narrow" (G4), "wide" (G5), "ani", "compact_narrow" or "compact_wide": ``eta``, ``zeta``,
        and ``lambda`` (narrow, wide; 1 by default) or ``theta`` in rad and ``shift`` (ani), optionally ``shift`` and
        ``cos_scale``; or (compact) ``theta_low`` and ``theta_high`` in rad and optionally ``low``.
    cutoff
        Cutoff radius in A of every function that names none.
    normalized
        Read eta as eta / cutoff^2 (the convention of Amp and ML4Chem).
    pair_factor
        1 sums each pair of neighbours once, 2 twice (as the papers write the sum).
    cutoff_function, gamma, inner
        The cutoff function by name, the exponent of "polynomial" (at least 2), and the part of the cutoff radius within
        which the function is 1: see `atomcore.features.cutoffs`. Windows have its shape. Each function may name its
        own, as it may its ``cutoff``.
    resolve_elements
        Whether there is a column for each element (pair), or one in which all neighbours count alike.
    weights
        One column in which neighbours count with the weight of their element, pairs with the product of two: ``"Z"``,
        the atomic number (wACSF), or a number for each element; ``resolve_elements`` then has no effect.

    Raises
    ------
    ValueError
        A parameter outside its range; the message names the row and what is accepted.

    Notes
    -----
    Columns run over the radial functions (outer) and elements, then the angular functions and element pairs. Do not
    rely on the order: `table` says what each column is, and a model file stores it.
    """

    per_atom = True  # one row of features an atom

    def __init__(
        self,
        elements: Sequence[str],
        *,
        radial: Sequence[Mapping[str, Any]] = (),
        angular: Sequence[Mapping[str, Any]] = (),
        cutoff: float = 6.0,
        normalized: bool = False,
        pair_factor: float = 1.0,
        cutoff_function: str = "cosine",
        gamma: float = DEFAULT_GAMMA,
        inner: float = 0.0,
        resolve_elements: bool = True,
        weights: Mapping[str, float] | str | None = None,
    ) -> None:
        names = check_symbols(elements)
        channels = Channels(names, resolve_elements, weights)
        ending = cutoff_keys(cutoff_function, gamma, inner)
        table = radial_rows(radial, channels, cutoff, normalized, ending)
        table += angular_rows(angular, channels, cutoff, normalized, ending, pair_factor)
        self._set(names, table)

    def _set(self, elements: tuple[str, ...], table: list[Row]) -> None:
        self.elements = elements
        self.table = table
        self.plan = compile_table(elements, table)

    @classmethod
    def from_table(cls, elements: Sequence[str], table: Sequence[Row]) -> Self:
        """Return the functions of an explicit table (`atomcore.features.table`), e.g. one read from a model file."""
        functions = cls.__new__(cls)
        functions._set(check_symbols(elements), [dict(row) for row in table])
        return functions

    def to_metadata(self) -> dict[str, Any]:
        """Return what a file keeps, for `atomcore.features.from_metadata`."""
        return {"kind": "symmetry_functions", "elements": list(self.elements), "table": self.table}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> "SymmetryFunctions":
        """Return the features that `to_metadata` describes."""
        return SymmetryFunctions.from_table(metadata["elements"], metadata["table"])

    @property
    def n_features(self) -> int:
        """Number of columns K."""
        return len(self.table)

    @property
    def cutoff(self) -> float:
        """Largest cutoff radius in A."""
        return max(row["cutoff"] for row in self.table)

    @property
    def labels(self) -> list[str]:
        """A readable, unique name for each column."""
        return labels(self.table)

    @cached_property
    def numbers(self) -> np.ndarray:
        """Atomic numbers of `elements`, int32."""
        from ase.data import atomic_numbers

        return np.array([atomic_numbers[symbol] for symbol in self.elements], np.int32)

    def __repr__(self) -> str:
        elements = ", ".join(self.elements)
        return f"{type(self).__name__}({elements}; {self.n_features} functions, cutoff {self.cutoff:g} A)"

    def compute(
        self, atoms: Any, *, jacobian: bool = False, threads: int | None = None
    ) -> np.ndarray | tuple[np.ndarray, Jacobian]:
        """Evaluate the functions for one structure.

        Parameters
        ----------
        atoms
            ASE Atoms, or anything with ``numbers``, ``positions``, ``cell`` and ``pbc``.
        jacobian
            Return the sparse derivatives as well.
        threads
            Number of threads; by default OMP_NUM_THREADS or all cores.

        Returns
        -------
        G : float64 array [N, K]
        J : Jacobian
            Only with ``jacobian=True``; in positions, with periodic images folded back.

        Raises
        ------
        ValueError
            An element that the functions do not know, coincident atoms, or malformed input.
        """
        structure = as_structure(atoms)
        threads = resolve_threads(threads)
        species = species_index(structure.numbers, self.numbers)
        pointer = np.array([0, len(species)], np.int64)
        cell, pbc = structure.cell[None], structure.pbc[None].astype(np.uint8)
        row_ptr, neighbor, shift = _core.neighbor_list(structure.positions, cell, pbc, pointer, self.cutoff, threads)
        D = _core.edge_vectors(structure.positions, cell, pointer, row_ptr, neighbor, shift, threads)
        check_edge_vectors(D, row_ptr, neighbor)
        graph = (*self.plan, species, row_ptr, neighbor, D)
        G = _core.features(*graph, threads)
        if not jacobian:
            return G
        edge_class, row_offset = _core.edge_classes(*graph, threads)
        values = _core.features_jacobian(*graph, edge_class, row_offset, threads)
        edges = (pointer, row_ptr, neighbor, shift)
        return G, Jacobian(self.plan, values, edge_class, row_offset, edges, threads)

    def __call__(self, batch: "Batch") -> "torch.Tensor":
        """Evaluate the functions for a batch of structures on torch tensors, differentiable in positions and cell.

        Returns
        -------
        Tensor [N, K]
            In the type of ``batch.positions``. Twice differentiable; a third derivative raises.
        """
        import torch

        from atomcore.features.batch import edges

        graph = edges(batch, self.cutoff)
        species = torch.from_numpy(species_index(batch.numbers.numpy(), self.numbers))
        table, parameters = (torch.from_numpy(part) for part in self.plan)
        return torch.ops.atomcore.features(
            table, parameters, self.n_features, species, graph.row_ptr, graph.neighbor, graph.D
        )
