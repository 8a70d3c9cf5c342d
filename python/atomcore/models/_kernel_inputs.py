"""What kernel machines are given, rows of numbers or structures, as points in the space of features."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from atomcore._arrays import as_float64
from atomcore.data import Dataset, from_atoms
from atomcore.data.references import compositions
from atomcore.features import Jacobian
from atomcore.kernels import Points

SCALINGS = {"none": 0.0, "soft": 0.5, "standard": 1.0}  # features are divided by this power of their deviation
_SMALLEST_SCALE = 1e-6  # of the largest: features that change less are constant, and would become noise


def is_structures(X: Any) -> bool:
    """Whether this is a data set, ASE Atoms or a sequence of those, and not an array."""
    if isinstance(X, Dataset) or hasattr(X, "positions"):
        return True
    return isinstance(X, Sequence | np.ndarray) and len(X) > 0 and hasattr(X[0], "positions")


def as_dataset(X: Any, *, labels: bool) -> Dataset:
    """Return structures as a data set; without ``labels`` those they carry are left out."""
    if isinstance(X, Dataset):
        return X
    if not isinstance(X, Iterable):
        raise TypeError(f"X is {X!r}; accepted: Dataset, ase.Atoms, or a sequence of ase.Atoms")
    images: list[Any] = [X] if hasattr(X, "positions") else list(X)
    return from_atoms(images) if labels else from_atoms(images, energy_key="none", forces_key="none")


class ArrayInputs:
    """Rows of numbers: each is a point, and derivatives are in its coordinates."""

    def __init__(self, X: Any) -> None:
        self.n_features = self.rows(X).shape[1]

    def rows(self, X: Any) -> np.ndarray:
        """Return X [n, D] checked."""
        width = getattr(self, "n_features", "D")
        rows = as_float64("X", X, ("n", width))
        if not rows.size:
            raise ValueError(f"X has shape {rows.shape}; accepted: at least one row and one column")
        if not np.isfinite(rows).all():
            wrong = int(np.argwhere(~np.isfinite(rows))[0, 0])
            raise ValueError(f"X has a value that is not finite in row {wrong}")
        return rows

    def take(self, X: Any) -> np.ndarray:
        """Return the rows of X."""
        return self.rows(X)

    def part(self, X: np.ndarray, chosen: Any) -> np.ndarray:
        """Return some of the rows."""
        return X[chosen]

    def points(self, X: np.ndarray, *, jacobian: bool) -> Points:
        """Return one point a row."""
        return Points.of_variables(X) if jacobian else Points(X)

    def n_derivatives(self, X: np.ndarray) -> np.ndarray:
        """Number of derivatives of each row."""
        return np.full(len(X), X.shape[1])

    def n_atoms(self, X: np.ndarray) -> np.ndarray:
        """A row counts as one atom."""
        return np.ones(len(X), np.int64)

    def design(self, X: np.ndarray, mean: str) -> np.ndarray:
        """Columns [n, q] whose combination is the mean function."""
        return np.ones((len(X), 0 if mean == "zero" else 1))


class StructureInputs:
    """Structures: a point an atom (kernels of atoms, summed) or one for the whole structure.

    Features are scaled by their standard deviation over the training data, for the atoms of each element by itself, as
    `SCALINGS` say; unless they are left as they are, those that do not change are left out.
    """

    def __init__(self, features: Any, atomic: bool | None, scaling: str, dataset: Dataset) -> None:
        if isinstance(features, type) or not hasattr(features, "compute"):
            raise TypeError(f"features is {features!r}; accepted: a feature object, such as InverseDistances()")
        per_atom = getattr(features, "per_atom", True)
        if atomic and not per_atom:
            raise ValueError(
                f"atomic is True, but {features!r} describes whole structures; accepted: features of atoms, or "
                "atomic=False"
            )
        self.features, self.per_atom = features, per_atom
        self.atomic = per_atom if atomic is None else bool(atomic)
        self.elements = tuple(dataset.elements)
        self.template = None
        if getattr(features, "ordered", per_atom and not self.atomic):
            self.template = dataset.numbers[: dataset.structure_ptr[1]].copy()
        self.scale: dict[int, np.ndarray] = {}
        self._check(dataset)
        self.n_features = 0
        raw = self._raw(dataset, jacobian=False)
        self.n_features = raw.X.shape[1]
        kinds = self._kinds(raw)
        for z in np.unique(kinds):
            self.scale[int(z)] = _scale(raw.X[kinds == z], scaling)

    def take(self, X: Any) -> Dataset:
        """Return structures as a data set after checking that the model knows them."""
        dataset = as_dataset(X, labels=False)
        self._check(dataset)
        return dataset

    def part(self, X: Dataset, chosen: Any) -> Dataset:
        """Return some of the structures."""
        return X.subset(chosen)

    def points(self, X: Dataset, *, jacobian: bool) -> Points:
        """Return scaled features, and their derivatives in the positions, of the structures."""
        raw = self._raw(X, jacobian=jacobian)
        scale = np.stack([self.scale[int(z)] for z in self._kinds(raw)])
        jacobians = None
        if raw.jacobian is not None:
            ptr = raw.structure_ptr
            jacobians = [scale[ptr[s] : ptr[s + 1], :, None] * J for s, J in enumerate(raw.jacobian)]
        return Points(raw.X * scale, raw.elements, raw.structure_ptr, jacobians)

    def n_derivatives(self, X: Dataset) -> np.ndarray:
        """Number of coordinates of each structure."""
        return 3 * X.n_atoms

    def n_atoms(self, X: Dataset) -> np.ndarray:
        """Number of atoms of each structure."""
        return X.n_atoms

    def design(self, X: Dataset, mean: str) -> np.ndarray:
        """Columns [n, q] whose combination is the mean function: how many atoms of each element, one, or none."""
        if mean != "elements":
            return np.ones((len(X), 0 if mean == "zero" else 1))
        counts = np.zeros((len(X), len(self.elements)))
        counts[:, [self.elements.index(symbol) for symbol in X.elements]] = compositions(X)
        return counts

    def _check(self, dataset: Dataset) -> None:
        unknown = [symbol for symbol in dataset.elements if symbol not in self.elements]
        if unknown:
            raise ValueError(
                f"structures have the elements {', '.join(unknown)}; this model knows: {', '.join(self.elements)}"
            )
        if self.template is None:
            return
        for s in range(len(dataset)):
            numbers = dataset.numbers[dataset.structure_ptr[s] : dataset.structure_ptr[s + 1]]
            if not np.array_equal(numbers, self.template):
                raise ValueError(
                    f"structure {s} has the atomic numbers {numbers.tolist()}; features in the order of the atoms "
                    f"({self.features!r}) need those of the first training structure: {self.template.tolist()}"
                )

    def _raw(self, dataset: Dataset, *, jacobian: bool) -> Points:
        rows, jacobians = [], []
        for atoms in dataset:
            computed = self.features.compute(atoms, jacobian=jacobian)
            x, J = computed if jacobian else (computed, None)
            rows.append(self._flat(np.asarray(x)))
            width = self.n_features or rows[0].shape[1]
            if rows[-1].shape[1] != width:
                raise ValueError(
                    f"structure {len(rows) - 1} has {rows[-1].shape[1]} features, the first one in training {width}; "
                    "accepted: features whose number does not depend on the structure (CoulombMatrix: n_atoms_max)"
                )
            if jacobian:
                jacobians.append(_dense(J, rows[-1].shape, 3 * len(atoms), joined=not self.atomic))
        X = np.concatenate(rows)
        ptr = dataset.structure_ptr if self.atomic else np.arange(len(dataset) + 1)
        return Points(X, dataset.numbers if self.atomic else None, ptr, jacobians if jacobian else None)

    @staticmethod
    def _kinds(points: Points) -> np.ndarray:
        """What is scaled alike: atoms of an element, or (0) all structures."""
        return np.zeros(len(points.X), np.int64) if points.elements is None else points.elements

    def _flat(self, x: np.ndarray) -> np.ndarray:
        return x if self.atomic else x.reshape(1, -1)


def _dense(J: Any, shape: tuple[int, int], m: int, *, joined: bool) -> np.ndarray:
    """Return a Jacobian as an array [points, features, m]."""
    dense = J.to_numpy() if isinstance(J, Jacobian) else np.asarray(J)
    return dense.reshape(*((1, shape[1]) if joined else shape), m)


def _scale(X: np.ndarray, scaling: str) -> np.ndarray:
    """Return what features are multiplied by."""
    if not SCALINGS[scaling]:
        return np.ones(X.shape[1])
    deviation = X.std(axis=0)
    used = deviation > _SMALLEST_SCALE * max(deviation.max(initial=0.0), np.finfo(float).tiny)
    return np.where(used, np.where(used, deviation, 1.0) ** -SCALINGS[scaling], 0.0)
