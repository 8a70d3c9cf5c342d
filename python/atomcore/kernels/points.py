"""Where kernels are evaluated: features of structures, row by row, and how these change with coordinates."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from atomcore import _core
from atomcore._arrays import as_float64, as_integers

Float64 = npt.NDArray[np.float64]


class Points:
    """Rows of features, grouped into structures, with what is needed for gradients.

    The covariance of two structures is the sum over all pairs of their rows of the same element. Descriptors of whole
    structures have one row a structure; the atomic decomposition (L K L^T) has one row an atom.

    Parameters
    ----------
    X
        Features [n, K].
    elements
        Atomic numbers (or other labels) of the rows [n]: the covariance of rows with different ones is 0. Without
        them all rows are of one kind.
    structure_ptr
        Rows structure_ptr[s] to structure_ptr[s + 1] belong to structure s, [S + 1]. By default each row is a
        structure.
    jacobian
        For each structure the derivatives of its features in its own m_s variables, e.g. three coordinates an atom:
        arrays [n_s, K, m_s], in which axes of coordinates [n_s, K, N_s, 3] count as one. They are not copied when
        they are float64 and contiguous.

    Raises
    ------
    ValueError
        Shapes that do not fit each other, or numbers that are not finite.
    """

    def __init__(
        self,
        X: npt.ArrayLike,
        elements: npt.ArrayLike | None = None,
        structure_ptr: npt.ArrayLike | None = None,
        jacobian: Sequence[npt.ArrayLike] | npt.NDArray[Any] | None = None,
    ) -> None:
        self.X: Float64 = as_float64("X", X, ("n", "K"))
        _check_finite("X", self.X)
        n = len(self.X)
        self.elements = None if elements is None else as_integers("elements", elements, (n,), np.int32)
        pointer = np.arange(n + 1) if structure_ptr is None else structure_ptr
        self.structure_ptr = as_integers("structure_ptr", pointer, ("S + 1",))
        bounds = self.structure_ptr
        if not len(bounds) or bounds[0] != 0 or bounds[-1] != n or (np.diff(bounds) < 0).any():
            raise ValueError(f"structure_ptr must rise from 0 to the number of rows, {n}, got {bounds.tolist()[:10]}")
        self.jacobian: list[Float64] | None = None
        self._of_variables = False
        if jacobian is not None:
            if len(jacobian) != self.n_structures:
                raise ValueError(f"jacobian has {len(jacobian)} entries for {self.n_structures} structures")
            self.jacobian = [self._block(s, block) for s, block in enumerate(jacobian)]

    @classmethod
    def of_variables(cls, X: npt.ArrayLike) -> Self:
        """Return points of a plain function: each row [K] is a structure, and its features are its variables."""
        points = cls(X)
        points._of_variables = True
        return points

    @property
    def n_features(self) -> int:
        """K."""
        return self.X.shape[1]

    @property
    def n_structures(self) -> int:
        """S."""
        return len(self.structure_ptr) - 1

    @property
    def has_gradients(self) -> bool:
        """Whether the derivatives of the features are known."""
        return self._of_variables or self.jacobian is not None

    @property
    def gradient_ptr(self) -> npt.NDArray[np.int64]:
        """Where the gradient of each structure begins among those of all [S + 1]: m_s numbers each."""
        if self._of_variables:
            return np.arange(self.n_structures + 1, dtype=np.int64) * self.n_features
        if self.jacobian is None:
            raise ValueError("these points have no jacobian, which gradients need")
        return np.cumsum([0, *(block.shape[2] for block in self.jacobian)], dtype=np.int64)

    def jacobian_of(self, s: int) -> Float64:
        """Return the derivatives of the features of structure s, [n_s, K, m_s]."""
        if self._of_variables:
            return np.eye(self.n_features)[None]
        if self.jacobian is None:
            raise ValueError("these points have no jacobian, which gradients need")
        return self.jacobian[s]

    @cached_property
    def core(self) -> Any:
        """The same for the core."""
        blocks: list[Float64 | None] = [None] * self.n_structures if self._of_variables else []
        gradient_ptr = self.gradient_ptr if self.has_gradients else None
        return _core.PointSet(self.X, self.elements, self.structure_ptr, gradient_ptr, self.jacobian or blocks)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "core"}  # which is made anew

    def n_observations(self, energies: bool, forces: bool) -> int:
        """Return how many energies and numbers in gradients there are."""
        return (self.n_structures if energies else 0) + (int(self.gradient_ptr[-1]) if forces else 0)

    def _block(self, s: int, block: npt.ArrayLike) -> Float64:
        name = f"jacobian[{s}]"
        rows = int(self.structure_ptr[s + 1] - self.structure_ptr[s])
        array = np.asarray(block)
        if array.ndim == 4:
            array = array.reshape(*array.shape[:2], -1)
        array = as_float64(name, array, ("rows of the structure", "K", "m"))
        if array.shape[:2] != (rows, self.n_features):
            raise ValueError(f"{name} has shape {array.shape}; accepted: ({rows}, {self.n_features}, m)")
        _check_finite(name, array)
        return array


def _check_finite(name: str, array: Float64) -> None:
    if not np.isfinite(array).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {array[first]} at {first}")
