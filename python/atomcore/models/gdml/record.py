"""A trained GDML model as numbers: what files and the engine hold."""

from dataclasses import dataclass, replace

import numpy as np

from atomcore._arrays import as_float64, as_integers, check_numbers
from atomcore.models.gdml.symmetry import check_group


@dataclass(frozen=True, eq=False, kw_only=True)
class GdmlRecord:
    """What a GDML model is; the arrays are checked.

    The energy of a geometry with the inverse distances x is ``constant + scale * sum over training points j and
    permutations p of [c_j k(x, p z_j) + p v_j . dk/dz(x, p z_j)]`` with the Matern 5/2 kernel of length `sigma`.

    Parameters
    ----------
    numbers : array_like of int, shape (N,)
        Atomic numbers, in the order that geometries must have.
    sigma : float
        In 1/Angstrom.
    scale : float
        In eV.
    constant : float
        In eV.
    lattice : array_like, shape (3, 3), optional
        Lattice vectors as rows, in Angstrom.
    descriptors : array_like, shape (M, N (N - 1) / 2)
        Inverse distances z_j in 1/Angstrom, of the pairs (1, 0), (2, 0), (2, 1), ...
    derivative_coefficients : array_like, shape (M, N (N - 1) / 2)
        v_j.
    energy_coefficients : array_like, shape (M,), optional
        c_j, where the model was trained on energies too.
    permutations : array_like of int, shape (P, N)
        A group.
    """

    numbers: np.ndarray
    sigma: float
    scale: float
    constant: float
    lattice: np.ndarray | None = None
    descriptors: np.ndarray
    derivative_coefficients: np.ndarray
    energy_coefficients: np.ndarray | None = None
    permutations: np.ndarray

    def __post_init__(self) -> None:
        numbers = as_integers("numbers", self.numbers, ("N",), np.int32)
        check_numbers(numbers)
        n = len(numbers)
        pairs = n * (n - 1) // 2
        arrays = {
            "numbers": numbers,
            "descriptors": as_float64("descriptors", self.descriptors, ("M", pairs)),
            "permutations": as_integers("permutations", self.permutations, ("P", n)),
        }
        check_group(arrays["permutations"], numbers, "permutations")
        points = len(arrays["descriptors"])
        shapes = {"derivative_coefficients": (points, pairs), "energy_coefficients": (points,), "lattice": (3, 3)}
        for name, shape in shapes.items():
            if (values := getattr(self, name)) is not None:
                arrays[name] = as_float64(name, values, shape)
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds values that are not finite")
            object.__setattr__(self, name, array)
        for name in ("sigma", "scale", "constant"):
            value = float(getattr(self, name))
            if not np.isfinite(value) or (name != "constant" and value <= 0):
                raise ValueError(
                    f"{name} is {value!r}; accepted: finite numbers{'' if name == 'constant' else ' above 0'}"
                )
            object.__setattr__(self, name, value)

    def shifted(self, constant: float) -> "GdmlRecord":
        """Return the same model with another constant."""
        return replace(self, constant=constant)
