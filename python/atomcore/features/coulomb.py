"""Coulomb matrices of molecules (Rupp et al., Phys. Rev. Lett. 108, 058301 (2012))."""

import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from atomcore import _core
from atomcore._arrays import as_structure, check_numbers, whole_number
from atomcore.units import length_factors

Float = npt.NDArray[np.float64]
KINDS = ("raw", "sorted", "eigenvalues")
LENGTH_UNITS = {"Angstrom": "Angstrom", "bohr": "Bohr"}  # names here and in units
_DEGENERATE = 1e-8  # relative to the largest eigenvalue


class CoulombMatrix:
    """The Coulomb matrix, C_ii = Z_i^exponent / 2 and C_ij = Z_i Z_j / r_ij, or what does not depend on the order.

    Parameters
    ----------
    kind
        "raw": the lower triangle, row by row, in the order of the atoms; "sorted": the same with rows and columns in
        the order of falling norms of the rows; "eigenvalues": in the order of falling absolute values.
    n_atoms_max
        How many atoms the largest molecule has: smaller ones are padded with zeros, and larger ones refused. By default
        nothing is padded, and molecules of different size have different numbers of features.
    exponent
        2.4 in the paper: Z^2.4 / 2 fits the energies of free atoms in hartree.
    length_unit
        The unit of r: "Angstrom", as in DScribe, ML4Chem and QML, or "bohr", as in the paper.

    Attributes
    ----------
    per_atom : bool
        False: one row of features a structure.
    ordered : bool
        Whether they hold for one molecule with its atoms in one order: raw matrices without padding.

    Notes
    -----
    A sorted matrix has a kink where two rows have the same norm, and an eigenvalue where two are equal: derivatives are
    those of the branch that the structure is on.
    """

    per_atom = False

    def __init__(
        self,
        kind: str = "raw",
        *,
        n_atoms_max: int | None = None,
        exponent: float = 2.4,
        length_unit: str = "Angstrom",
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}; accepted: {', '.join(map(repr, KINDS))}")
        if length_unit not in LENGTH_UNITS:
            raise ValueError(f"length_unit is {length_unit!r}; accepted: {', '.join(map(repr, LENGTH_UNITS))}")
        if not 0 < exponent < np.inf:
            raise ValueError(f"exponent is {exponent}; accepted: a number above 0")
        self.kind, self.exponent, self.length_unit = kind, float(exponent), length_unit
        self.n_atoms_max = None if n_atoms_max is None else whole_number("n_atoms_max", n_atoms_max, 1)

    def __repr__(self) -> str:
        return (
            f"CoulombMatrix({self.kind!r}, n_atoms_max={self.n_atoms_max}, exponent={self.exponent:g}, "
            f"length_unit={self.length_unit!r})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CoulombMatrix) and self.to_metadata() == other.to_metadata()

    def __hash__(self) -> int:
        return hash(tuple(self.to_metadata().values()))

    def labels_for(self, n_atoms: int) -> list[str]:
        """Return the names of the features of structures of so many atoms (with padding: of all)."""
        n = self.n_atoms_max or n_atoms
        if self.kind == "eigenvalues":
            return [f"eigenvalue {k}" for k in range(n)]
        return [f"C({a},{b})" for a, b in zip(*np.tril_indices(n), strict=True)]

    def compute(self, atoms: Any, *, jacobian: bool = False) -> Float | tuple[Float, Float]:
        """Evaluate the features of one molecule.

        Parameters
        ----------
        atoms
            ASE Atoms, or anything with ``numbers``, ``positions``, ``cell`` and ``pbc``; not periodic.
        jacobian
            Return the derivatives as well.

        Returns
        -------
        x : float64 [K]
            K = n (n + 1) / 2, or n for eigenvalues, where n is ``n_atoms_max`` or else the number N of atoms.
        J : float64 [K, N, 3]
            dx/dr, per A; only with ``jacobian=True``.

        Raises
        ------
        ValueError
            A periodic structure, more atoms than ``n_atoms_max``, two atoms at the same place, or malformed input.

        Warns
        -----
        UserWarning
            Derivatives of eigenvalues that are equal: those of one basis of their space, which another may share
            differently (their sum is well defined).
        """
        structure = as_structure(atoms)
        check_numbers(structure.numbers)
        lost = np.flatnonzero(~np.isfinite(structure.positions).all(axis=1))
        if lost.size:
            raise ValueError(f"positions of atom {lost[0]} are not finite")
        if structure.pbc.any():
            raise ValueError(f"pbc is {structure.pbc.tolist()}; accepted: molecules, which are not periodic")
        n = len(structure.numbers)
        if self.n_atoms_max is not None and n > self.n_atoms_max:
            raise ValueError(f"atoms has {n} atoms; accepted: at most {self.n_atoms_max} (n_atoms_max)")
        x, J = _core.structure_descriptor(
            _core.descriptor_kinds.index(f"coulomb_{self.kind}"), self.n_atoms_max or n, self.exponent,
            self.length_in_angstrom, structure.numbers, structure.positions, jacobian,
        )  # fmt: skip
        if J is None:
            return x
        if self.kind == "eigenvalues":
            _warn_of_equal(x[:n])
        return x, J

    @property
    def ordered(self) -> bool:
        """Whether models of these features are of one molecule with its atoms in one order."""
        return self.kind == "raw" and self.n_atoms_max is None

    @property
    def length_in_angstrom(self) -> float:
        """The unit of r in A."""
        return length_factors()[LENGTH_UNITS[self.length_unit]]

    def to_metadata(self) -> dict[str, Any]:
        """Return what a file keeps, for `atomcore.features.from_metadata`."""
        return {
            "kind": "coulomb_matrix",
            "form": self.kind,
            "n_atoms_max": self.n_atoms_max,
            "exponent": self.exponent,
            "length_unit": self.length_unit,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the features that `to_metadata` describes."""
        return cls(
            metadata["form"],
            n_atoms_max=metadata["n_atoms_max"],
            exponent=metadata["exponent"],
            length_unit=metadata["length_unit"],
        )


def _warn_of_equal(eigenvalues: Float) -> None:
    gaps = np.diff(np.sort(eigenvalues))
    equal = int((gaps < _DEGENERATE * np.abs(eigenvalues).max(initial=0.0)).sum())
    if equal:
        warnings.warn(
            f"{equal} eigenvalues of the Coulomb matrix are equal to the one before (a symmetric molecule): their "
            "single derivatives are those of one of many bases",
            stacklevel=3,
        )
