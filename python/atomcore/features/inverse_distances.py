"""Inverse distances of all pairs of atoms: the features of GDML models and of kernels on molecules."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from atomcore._arrays import COINCIDENT, Structure, as_structure

Float = npt.NDArray[np.float64]
IMAGES = ("shortest", "fractional")


class InverseDistances:
    """1 / r of every pair of atoms, for structures that all have the same atoms in the same order.

    Pairs stand in the order (1, 0), (2, 0), (2, 1), (3, 0), ..., as in sGDML.

    Parameters
    ----------
    image
        Which image of the second atom counts in a periodic structure: "shortest", the nearest one in any cell, or
        "fractional", that of the rounded fractional coordinates as in sGDML, which is not the nearest in a skewed cell
        and needs three periodic directions. Both are discontinuous where two images are equally far: the cell should
        be larger than twice the largest distance that matters.

    Attributes
    ----------
    per_atom : bool
        False: one row of features a structure.
    ordered : bool
        True: they say nothing about elements, and hold for one molecule with its atoms in one order.
    """

    per_atom = False
    ordered = True

    def __init__(self, *, image: str = "shortest") -> None:
        if image not in IMAGES:
            raise ValueError(f"image is {image!r}; accepted: {', '.join(map(repr, IMAGES))}")
        self.image = image

    def __repr__(self) -> str:
        return f"InverseDistances(image={self.image!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InverseDistances) and self.image == other.image

    def __hash__(self) -> int:
        return hash(self.image)

    def labels_for(self, n_atoms: int) -> list[str]:
        """Return the names of the features of structures of so many atoms."""
        return [f"1/r({a},{b})" for a, b in zip(*np.tril_indices(n_atoms, -1), strict=True)]

    def compute(self, atoms: Any, *, jacobian: bool = False) -> Float | tuple[Float, Float]:
        """Evaluate the features of one structure.

        Parameters
        ----------
        atoms
            ASE Atoms, or anything with ``numbers``, ``positions``, ``cell`` and ``pbc``.
        jacobian
            Return the derivatives as well.

        Returns
        -------
        x : float64 [K]
            1/A, K = N (N - 1) / 2.
        J : float64 [K, N, 3]
            dx/dr in 1/A^2; only with ``jacobian=True``.

        Raises
        ------
        ValueError
            Two atoms are at the same place, or malformed input.
        """
        structure = as_structure(atoms)
        a, b = np.tril_indices(len(structure.numbers), -1)
        d = self._nearest(structure.positions[a] - structure.positions[b], structure)
        distance = pair_lengths(d, a, b)
        x = 1.0 / distance
        if not jacobian:
            return x
        gradient = d * (x**3)[:, None]  # in the atom b
        J = np.zeros((len(x), len(structure.numbers), 3))
        pair = np.arange(len(x))
        J[pair, a], J[pair, b] = -gradient, gradient
        return x, J

    def _nearest(self, d: Float, structure: Structure) -> Float:
        """Return the differences of positions [pairs, 3] between the images that count."""
        pbc, cell = structure.pbc, structure.cell
        if not pbc.any():
            return d
        if not np.linalg.matrix_rank(cell[pbc]) == pbc.sum():
            raise ValueError(f"cell is {cell.tolist()}; accepted: independent vectors in the periodic directions")
        if self.image == "fractional":
            if not pbc.all():
                raise ValueError(
                    f"pbc is {pbc.tolist()}; accepted with image='fractional': three periodic directions, or none"
                )
            return d - np.round(np.linalg.solve(cell.T, d.T).T) @ cell
        from ase.geometry import find_mic

        return find_mic(d, np.where(pbc[:, None], cell, 0.0), pbc)[0]  # which makes the others orthogonal

    def to_metadata(self) -> dict[str, Any]:
        """Return what a file keeps, for `atomcore.features.from_metadata`."""
        return {"kind": "inverse_distances", "image": self.image}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the features that `to_metadata` describes."""
        return cls(image=metadata["image"])


def pair_lengths(d: Float, a: npt.NDArray[np.intp], b: npt.NDArray[np.intp]) -> Float:
    """Return the lengths of the vectors d [pairs, 3] between atoms a and b, none of which may be zero."""
    length = np.linalg.norm(d, axis=1)
    wrong = ~((length >= COINCIDENT) & np.isfinite(length))  # a NaN is wrong, too
    if wrong.any():
        pair = int(wrong.argmax())
        if np.isfinite(length[pair]):
            raise ValueError(f"atoms {b[pair]} and {a[pair]} are at the same place (less than {COINCIDENT} A apart)")
        raise ValueError(f"positions of atoms {b[pair]} and {a[pair]} are not finite")
    return length
