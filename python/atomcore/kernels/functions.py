"""Covariance functions: what two points have to do with each other, by their features.

With d = (x - y) / length, feature by feature, r the 2-norm of d, and p the dot product of x / length and y / length:

=======================  ==============================================================================
class                    k(x, y) / variance
=======================  ==============================================================================
`RBF`                    exp(-r^2 / 2)
`Exponential`            exp(-|x - y| / (2 length^2))                           (ML4Chem's "exponential")
`Laplacian`              exp(-sum |d|), or exp(-r) with ``norm=2``                (ML4Chem's "laplacian")
`Matern`                 exp(-r), (1 + s) exp(-s) with s = sqrt(3) r, (1 + s + s^2 / 3) exp(-s) with
                         s = sqrt(5) r for ``nu`` 0.5, 1.5, 2.5
`RationalQuadratic`      (1 + r^2 / (2 alpha))^-alpha
`Polynomial`             (p + offset)^degree
`Linear`                 p + offset
=======================  ==============================================================================

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapter 4.
"""

from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from atomcore._arrays import whole_number
from atomcore.kernels.covariance import covariance
from atomcore.kernels.points import Points

Length = float | Sequence[float] | npt.NDArray[np.float64]


class Kernel:
    """A covariance function with its hyper-parameters; the classes of this module.

    Kernels are values: two with equal parameters are equal, and nothing changes one but `set_params`, which
    scikit-learn's model selection calls. A call gives the matrix of all pairs of points.
    """

    _shape: ClassVar[str | None] = None  # the name of a positive parameter beside variance and length
    _length_power: ClassVar[int] = 1  # features are divided by a multiple of this power of `length`
    _length_factor: ClassVar[float] = 1.0

    def __init__(self, **given: Any) -> None:
        self._given = given
        self._variance = _positive("variance", given["variance"])
        self._length = _lengths(given["length"])

    def __call__(
        self,
        X: npt.ArrayLike,
        Y: npt.ArrayLike | None = None,
        derivative: int = 0,
        *,
        out: npt.NDArray[np.float64] | None = None,
        threads: int | None = None,
    ) -> npt.NDArray[np.float64]:
        """Return the matrix of covariances of points.

        Parameters
        ----------
        X, Y
            Points as rows [n, K] and [m, K] of features; without Y, those of X with each other, computed once for
            each pair, both halves filled.
        derivative
            0: of values. 1: of values at X with the gradients at Y, dk(x_i, y_j)/dy_j, as [n, m K].
            2: of gradients with gradients, d2k/dx_i dy_j, as [n K, m K].
        out
            Written to and returned: float64, C-contiguous.
        threads
            How many; ``OMP_NUM_THREADS`` or the number of processors by default. The result does not depend on it.

        Raises
        ------
        ValueError
            Numbers of features differ, or do not fit ``length``; features that are not finite; second derivatives of
            a kernel that has none where two points are one.
        """
        if derivative not in (0, 1, 2) or isinstance(derivative, bool):
            raise ValueError(f"derivative is {derivative!r}; accepted: 0, 1, 2")
        A = Points.of_variables(X)
        B = Points.of_variables(Y) if Y is not None else A if derivative == 1 else None
        energies = (derivative < 2, derivative < 1)
        forces = (derivative == 2, derivative > 0)
        return covariance(self, A, B, energies=energies, forces=forces, out=out, threads=threads)

    @property
    def kind(self) -> str:
        """The name of the function in the core."""
        raise NotImplementedError

    @property
    def parameters(self) -> tuple[float, float]:
        """The core's parameters: alpha of ``rational_quadratic``; offset and degree of ``polynomial``."""
        return (0.0, 0.0)

    @property
    def variance(self) -> float:
        """The factor before the function."""
        return self._variance

    @property
    def length(self) -> float | npt.NDArray[np.float64]:
        """The length, or one per feature."""
        return self._length.copy() if self._length.ndim else float(self._length)

    @property
    def smoothness(self) -> int:
        """How often the kernel can be derived where two points are one: training on forces needs 2."""
        return 0 if self.kind in ("matern12", "laplacian") else 2

    def scales(self, n_features: int) -> npt.NDArray[np.float64]:
        """Return what the features are divided by before the core's function of unit length, [n_features].

        Raises
        ------
        ValueError
            There is one length per feature, and not this many.
        """
        if self._length.ndim and len(self._length) != n_features:
            raise ValueError(
                f"length has {len(self._length)} entries for {n_features} features; accepted: a number, one per feature"
            )
        return np.broadcast_to(self._length_factor * self._length**self._length_power, n_features).copy()

    @property
    def theta_names(self) -> list[str]:
        """What the entries of `theta` are the logarithms of."""
        lengths = ["length"] if self._length.ndim == 0 else [f"length[{k}]" for k in range(len(self._length))]
        return ["variance", *lengths, *([self._shape] if self._shape else [])]

    @property
    def theta(self) -> npt.NDArray[np.float64]:
        """Logarithms of the positive hyper-parameters: variance, length or lengths, alpha.

        The offset of a polynomial is none of them: with variance and length every polynomial is reached from any
        positive offset.
        """
        shape = [self._given[self._shape]] if self._shape else []
        return np.log(np.concatenate(([self._variance], np.atleast_1d(self._length), np.array(shape, float))))

    def with_theta(self, theta: npt.ArrayLike) -> Self:
        """Return the same kernel with other hyper-parameters, given as in `theta`."""
        values = np.exp(np.asarray(theta, float))
        names = self.theta_names
        if values.shape != (len(names),):
            raise ValueError(f"theta has shape {values.shape}; accepted: ({len(names)},) for {', '.join(names)}")
        n_lengths = max(1, self._length.size)
        given = {**self._given, "variance": float(values[0])}
        given["length"] = values[1 : 1 + n_lengths] if self._length.ndim else float(values[1])
        if self._shape:
            given[self._shape] = float(values[-1])
        return type(self)(**given)

    def gradient_in_theta(
        self, variance: float, scales: npt.NDArray[np.float64], shape: float
    ) -> npt.NDArray[np.float64]:
        """Return a gradient in `theta` from those in the logarithms of the variance, of `scales` and of alpha."""
        lengths = self._length_power * (scales if self._length.ndim else scales.sum(keepdims=True))
        return np.concatenate(([variance], lengths, [shape] if self._shape else []))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments that this kernel was made with, as scikit-learn's estimators do."""
        return dict(self._given)

    def set_params(self, **parameters: Any) -> Self:
        """Change arguments, as scikit-learn's estimators do; nothing changes if one is refused."""
        unknown = sorted(set(parameters) - set(self._given))
        if unknown:
            raise ValueError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}; accepted: {', '.join(self._given)}"
            )
        self.__dict__.update(type(self)(**{**self._given, **parameters}).__dict__)
        return self

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, Kernel):
            return NotImplemented
        return _plain(self._given) == _plain(other._given)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in _plain(self._given).items())})"


class RBF(Kernel):
    """The squared exponential, also called Gaussian: variance exp(-r^2 / 2).

    Parameters
    ----------
    length
        In the units of the features: a positive number, or one per feature.
    variance
        k(x, x): positive, in the square of the units of what is modelled.
    """

    def __init__(self, length: Length = 1.0, *, variance: float = 1.0) -> None:
        super().__init__(length=length, variance=variance)

    @property
    def kind(self) -> str:
        return "rbf"


class Exponential(Kernel):
    """ML4Chem's "exponential": variance ``exp(-|x - y| / (2 length^2))``, the 2-norm.

    With a length per feature, exp(-sqrt(sum_k ((x_k - y_k) / (2 length_k^2))^2)). It has a cone at zero distance:
    gradients there are 0 by convention, and it can predict forces, but not be trained on them.

    Parameters
    ----------
    length
        In the units of the features: a positive number, or one per feature.
    variance
        k(x, x): positive, in the square of the units of what is modelled.
    """

    _length_power = 2
    _length_factor = 2.0

    def __init__(self, length: Length = 1.0, *, variance: float = 1.0) -> None:
        super().__init__(length=length, variance=variance)

    @property
    def kind(self) -> str:
        return "matern12"


class Laplacian(Kernel):
    """Variance ``exp(-sum_k |x_k - y_k| / length_k)``, or exp(-r) with ``norm=2`` (ML4Chem's "laplacian").

    It has an edge wherever two features are equal: its gradient there is 0 by convention (sign(0) = 0), and it can
    predict forces, but not be trained on them.

    Parameters
    ----------
    length
        In the units of the features: a positive number, or one per feature.
    norm
        1 or 2.
    variance
        k(x, x): positive, in the square of the units of what is modelled.
    """

    def __init__(self, length: Length = 1.0, norm: int = 1, *, variance: float = 1.0) -> None:
        super().__init__(length=length, norm=norm, variance=variance)
        if norm not in (1, 2) or isinstance(norm, bool):
            raise ValueError(f"norm is {norm!r}; accepted: 1, 2")

    @property
    def kind(self) -> str:
        return "laplacian" if self._given["norm"] == 1 else "matern12"


class Matern(Kernel):
    """The kernels of Matern with ``nu`` 0.5, 1.5 or 2.5: functions of r that can be derived 0, 1 or 2 times.

    Parameters
    ----------
    length
        In the units of the features: a positive number, or one per feature.
    nu
        0.5, 1.5 or 2.5. The first can predict forces, but not be trained on them.
    variance
        k(x, x): positive, in the square of the units of what is modelled.
    """

    def __init__(self, length: Length = 1.0, nu: float = 2.5, *, variance: float = 1.0) -> None:
        super().__init__(length=length, nu=nu, variance=variance)
        if nu not in (0.5, 1.5, 2.5):
            raise ValueError(f"nu is {nu!r}; accepted: 0.5, 1.5, 2.5")

    @property
    def kind(self) -> str:
        return {0.5: "matern12", 1.5: "matern32", 2.5: "matern52"}[self._given["nu"]]


class RationalQuadratic(Kernel):
    """A sum of `RBF` kernels of many lengths: variance (1 + r^2 / (2 alpha))^-alpha.

    Parameters
    ----------
    length
        In the units of the features: a positive number, or one per feature.
    alpha
        How much the lengths differ: positive; `RBF` is the limit of large ones.
    variance
        k(x, x): positive, in the square of the units of what is modelled.
    """

    _shape = "alpha"

    def __init__(self, length: Length = 1.0, alpha: float = 1.0, *, variance: float = 1.0) -> None:
        super().__init__(length=length, alpha=alpha, variance=variance)
        _positive("alpha", alpha)

    @property
    def kind(self) -> str:
        return "rational_quadratic"

    @property
    def parameters(self) -> tuple[float, float]:
        return (float(self._given["alpha"]), 0.0)


class Polynomial(Kernel):
    """Variance (p + offset)^degree, p the dot product of the features divided by the lengths; offset at least 0.

    Parameters
    ----------
    degree
        A whole number from 1 to 64.
    offset
        A number from 0.
    length
        In the units of the features: a positive number, or one per feature.
    variance
        The factor before the function: positive.
    """

    def __init__(self, degree: int = 2, offset: float = 1.0, length: Length = 1.0, *, variance: float = 1.0) -> None:
        super().__init__(degree=degree, offset=offset, length=length, variance=variance)
        if whole_number("degree", degree, 1) > 64:
            raise ValueError(f"degree is {degree!r}; accepted: whole numbers from 1 to 64")
        _number("offset", offset, positive=False)

    @property
    def kind(self) -> str:
        return "polynomial"

    @property
    def parameters(self) -> tuple[float, float]:
        return (float(self._given["offset"]), float(self._given["degree"]))


class Linear(Kernel):
    """Variance (p + offset), p the dot product of the features divided by the lengths; offset at least 0.

    Parameters
    ----------
    offset
        A number from 0.
    length
        In the units of the features: a positive number, or one per feature.
    variance
        The factor before the function: positive.
    """

    def __init__(self, offset: float = 0.0, length: Length = 1.0, *, variance: float = 1.0) -> None:
        super().__init__(offset=offset, length=length, variance=variance)
        _number("offset", offset, positive=False)

    @property
    def kind(self) -> str:
        return "polynomial"

    @property
    def parameters(self) -> tuple[float, float]:
        return (float(self._given["offset"]), 1.0)


def _number(name: str, value: Any, positive: bool) -> float:
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else float("nan")
    if not (0 < number < np.inf if positive else 0 <= number < np.inf):
        raise ValueError(f"{name} is {value!r}; accepted: {'positive numbers' if positive else 'numbers from 0'}")
    return number


def _positive(name: str, value: Any) -> float:
    return _number(name, value, positive=True)


def _lengths(value: Any) -> npt.NDArray[np.float64]:
    """Return a length as an array without axes, or lengths as one with an axis."""
    if np.ndim(value) == 0:
        return np.array(_positive("length", value.item() if isinstance(value, np.ndarray) else value))
    lengths = np.array(value, float)
    if lengths.ndim != 1 or not lengths.size or not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError(f"length is {value!r}; accepted: a positive number, or one per feature")
    return lengths


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    """Return arguments as Python numbers and lists, which compare and print."""
    return {name: np.asarray(value).tolist() for name, value in given.items()}
