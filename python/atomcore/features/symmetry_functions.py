"""Atom-centred symmetry functions: explicit tables, the usual default sets, and their evaluation."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from atomcore import _core
from atomcore._arrays import as_structure, check_edge_vectors
from atomcore._labels import labels
from atomcore._threads import resolve_threads
from atomcore.features.jacobian import Jacobian
from atomcore.features.table import (
    DEFAULT_GAMMA,
    KEYS,
    TYPES,
    Row,
    angular_row,
    ani_row,
    as_number,
    compile_table,
    cutoff_keys,
    radial_row,
    species_index,
)

if TYPE_CHECKING:
    import torch

    from atomcore.features.batch import Batch

_DEFAULTED = {  # what a function given by its numbers may leave out
    "radial": {"shift", "cutoff"},
    "narrow": {"shift", "cutoff", "lambda"},
    "wide": {"shift", "cutoff", "lambda"},
    "ani": {"cos_scale", "cutoff"},
}
_ANI1X_RADIAL_SHIFTS = tuple(0.9 + 0.26875 * i for i in range(16))
_ANI1X_ANGLES = tuple((2 * i + 1) * np.pi / 16 for i in range(8))


class SymmetryFunctions:
    """Symmetry functions given one by one and applied to every element (pair).

    Parameters
    ----------
    elements
        Chemical symbols, e.g. ``["H", "C", "O"]``.
    radial
        Mappings with ``eta`` (1/A^2) and, optionally, ``shift`` (A) and ``cutoff`` (A).
    angular
        Mappings with ``type`` ("narrow", Behler's G4; "wide", G5; "ani"), ``eta``, ``zeta``, and ``lambda`` (narrow,
        wide) or ``theta`` in rad and ``shift`` (ani); optionally ``shift``, ``cutoff`` and ``cos_scale``.
    cutoff
        Cutoff radius in A of every function that names none.
    normalized
        Read eta as eta / cutoff^2 (the convention of Amp and ML4Chem).
    pair_factor
        1 sums each pair of neighbours once, 2 twice (as the papers write the sum).
    cutoff_function, gamma
        "cosine", "tanh3" or "polynomial", with the exponent of the last; see `atomcore.features.table.cutoff_keys`.

    Raises
    ------
    ValueError
        A parameter outside its range; the message names the row and what is accepted.

    Notes
    -----
    Columns run over the radial functions (outer) and elements, then the angular functions and element pairs. Do not
    rely on the order: `table` says what each column is, and a model file stores it.
    """

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
    ) -> None:
        names = _check_elements(elements)
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i:]]
        table = []
        for name, functions in (("radial", radial), ("angular", angular)):
            if not isinstance(functions, Sequence) or isinstance(functions, str):
                raise TypeError(f"features: {name} is {functions!r}; accepted: a sequence of mappings, one a function")
        for number, function in enumerate(radial):
            given = _plain(_checked(f"radial[{number}]", "radial", function), cutoff, normalized)
            table += [radial_row(element, **given) for element in names]
        for number, function in enumerate(angular):
            kind, own = _split_type(f"angular[{number}]", function)
            given = _plain(_checked(f"angular[{number}] ({kind})", kind, own), cutoff, normalized)
            if kind == "ani":
                table += [ani_row(pair, prefactor=pair_factor, **given) for pair in pairs]
            else:
                given["lambda_"] = given.pop("lambda", 1.0)
                table += [angular_row(kind, pair, prefactor=pair_factor, **given) for pair in pairs]
        self._set(names, [row | cutoff_keys(cutoff_function, gamma) for row in table])

    def _set(self, elements: tuple[str, ...], table: list[Row]) -> None:
        self.elements = elements
        self.table = table
        self.plan = compile_table(elements, table)

    @classmethod
    def from_table(cls, elements: Sequence[str], table: Sequence[Row]) -> Self:
        """Return the functions of an explicit table (`atomcore.features.table`), e.g. one read from a model file."""
        functions = cls.__new__(cls)
        functions._set(_check_elements(elements), [dict(row) for row in table])
        return functions

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


class Gaussian(SymmetryFunctions):
    """The default set of Amp and ML4Chem: four radial Gaussians and four angular functions for each element (pair).

    eta = 0.05, 0.232, 1.077, 5 (radial) and 0.005 (angular), zeta = 1, 4, lambda = +1, -1, the etas over cutoff^2 when
    ``normalized``.

    Parameters
    ----------
    elements
        Chemical symbols.
    cutoff
        Cutoff radius in A.
    normalized
        Read eta as eta / cutoff^2.
    angular
        "narrow" (with r_jk: Behler's G4, ML4Chem's "G3") or "wide" (without: Behler's G5, ML4Chem's "G4").
    cutoff_function, gamma
        As in `SymmetryFunctions`.
    """

    def __init__(
        self,
        elements: Sequence[str],
        cutoff: float = 6.5,
        *,
        normalized: bool = True,
        angular: str = "narrow",
        cutoff_function: str = "cosine",
        gamma: float = DEFAULT_GAMMA,
    ) -> None:
        if angular not in ("narrow", "wide"):
            raise ValueError(f"angular is {angular!r}; accepted: 'narrow' (Behler's G4), 'wide' (Behler's G5)")
        super().__init__(
            elements,
            radial=[{"eta": eta} for eta in np.logspace(np.log10(0.05), np.log10(5.0), 4)],
            angular=[
                {"type": angular, "eta": 0.005, "zeta": zeta, "lambda": sign}
                for zeta in (1.0, 4.0)
                for sign in (1.0, -1.0)
            ],
            cutoff=cutoff,
            normalized=normalized,
            cutoff_function=cutoff_function,
            gamma=gamma,
        )


class ANI(SymmetryFunctions):
    """Atomic environment vectors (Smith et al., Chem. Sci. 8, 3192 (2017)) in TorchANI's conventions and column order.

    The defaults are those of ANI-1x. Columns: the radial functions of each element, then for each element pair
    (upper triangle in the order of ``elements``) shifts (outer) times angles.

    Parameters
    ----------
    elements
        Chemical symbols.
    radial_cutoff, angular_cutoff
        In A.
    radial_eta, angular_eta
        In 1/A^2.
    radial_shifts, angular_shifts
        In A.
    zeta
        Exponent of the angular functions.
    angles
        Angles theta_s in rad.
    radial_prefactor, cos_scale
        TorchANI's 0.25 on the radial functions and 0.95 in acos(0.95 cos); 1 and 1 give the published formulas.
    cutoff_function, gamma
        As in `SymmetryFunctions`.
    """

    def __init__(
        self,
        elements: Sequence[str],
        *,
        radial_cutoff: float = 5.2,
        radial_eta: float = 16.0,
        radial_shifts: Sequence[float] = _ANI1X_RADIAL_SHIFTS,
        angular_cutoff: float = 3.5,
        angular_eta: float = 8.0,
        angular_shifts: Sequence[float] = (0.9, 1.55, 2.2, 2.85),
        zeta: float = 32.0,
        angles: Sequence[float] = _ANI1X_ANGLES,
        radial_prefactor: float = 0.25,
        cos_scale: float = 0.95,
        cutoff_function: str = "cosine",
        gamma: float = DEFAULT_GAMMA,
    ) -> None:
        names = _check_elements(elements)
        table = [
            radial_row(e, eta=radial_eta, shift=s, cutoff=radial_cutoff, prefactor=radial_prefactor)
            for e in names
            for s in radial_shifts
        ]
        angular = {"eta": angular_eta, "zeta": zeta, "cutoff": angular_cutoff, "cos_scale": cos_scale}
        table += [
            ani_row((a, b), shift=s, theta=t, **angular)
            for i, a in enumerate(names)
            for b in names[i:]
            for s in angular_shifts
            for t in angles
        ]
        self._set(names, [row | cutoff_keys(cutoff_function, gamma) for row in table])

    @classmethod
    def ani1x(cls, elements: Sequence[str] = ("H", "C", "N", "O")) -> "ANI":
        """Return the functions of ANI-1x: 384 columns for H, C, N, O."""
        return cls(elements)

    @classmethod
    def ani2x(cls, elements: Sequence[str] = ("H", "C", "N", "O", "S", "F", "Cl")) -> "ANI":
        """Return the functions of ANI-2x: 1008 columns for H, C, N, O, S, F, Cl."""
        return cls(
            elements,
            radial_cutoff=5.1,
            radial_eta=19.7,
            radial_shifts=[0.8 + 0.26875 * i for i in range(16)],
            angular_eta=12.5,
            angular_shifts=[0.8 + 0.3375 * i for i in range(8)],
            zeta=14.1,
            angles=[(2 * i + 1) * np.pi / 8 for i in range(4)],
        )


def _check_elements(elements: Sequence[str]) -> tuple[str, ...]:
    from ase.data import atomic_numbers

    if isinstance(elements, str):
        raise TypeError(f"elements is the string {elements!r}; accepted: a sequence of symbols such as ['H', 'O']")
    names = tuple(elements)
    unknown = [name for name in names if atomic_numbers.get(name, 0) < 1]
    if not names or unknown or len(set(names)) != len(names):
        raise ValueError(f"elements is {list(names)}; accepted: distinct chemical symbols, at least one")
    return names


def _split_type(what: str, function: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the type of an angular function and its other entries."""
    own = dict(_mapping(what, function))
    kind = own.pop("type", None)
    accepted = [name for name in TYPES if name != "radial"]
    if kind not in accepted:
        raise ValueError(f"features: {what} has type {kind!r}; accepted: {', '.join(accepted)}")
    return kind, own


def _mapping(what: str, function: Any) -> Mapping[str, Any]:
    if not isinstance(function, Mapping):
        raise TypeError(f"features: {what} is {function!r}; accepted: a mapping such as {{'eta': 4.0}}")
    return function


def _checked(what: str, kind: str, function: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a function after checking that it has the keys that its kind needs, and no others."""
    accepted = KEYS[kind] - {"prefactor"} | {"cutoff"}
    given = set(_mapping(what, function))
    for key in sorted(given - accepted, key=str):
        nearest = get_close_matches(str(key), accepted, n=1)
        guess = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        raise ValueError(f"features: {what} has unknown key {key!r}{guess}; accepted: {', '.join(sorted(accepted))}")
    missing = sorted(accepted - _DEFAULTED[kind] - given)
    if missing:
        raise ValueError(f"features: {what} misses {', '.join(missing)}; accepted: {', '.join(sorted(accepted))}")
    return {key: as_number(f"{what} {key}", value) for key, value in function.items()}


def _plain(function: dict[str, float], cutoff: float, normalized: bool) -> dict[str, Any]:
    """Return the function's own numbers: its cutoff, and eta in 1/A^2."""
    own = {"cutoff": cutoff, **function}
    if not normalized:
        return own
    radius = as_number("cutoff", own["cutoff"])
    if not 0 < radius < np.inf:
        raise ValueError(f"features: cutoff is {radius}; accepted: a finite length > 0 in A")
    return {**own, "eta": own["eta"] / radius**2}
