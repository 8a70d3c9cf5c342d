"""Kernel ridge regression."""

from collections.abc import Sequence
from typing import Any

from atomcore.models._kernel_labels import non_negative
from atomcore.models._kernel_machine import KernelMachine
from atomcore.models._kernel_search import GivenNoise, Labels


class KernelRidge(KernelMachine):
    """Kernel ridge regression: ``f(x) = mean(x) + sum_m c_m k(x, x_m)`` with ``(K + regularization) c = y - mean``.

    On rows of numbers or on structures, with energies, gradients or both; the mean of a `GaussianProcess`, without its
    variance.

    Parameters
    ----------
    kernel : kernel from `atomcore.kernels`, optional
        By default an `RBF` with one length, of the scale of the data. With ``search`` its values do not matter, only
        what it is and whether it has one length or one for each feature.
    features : feature object, optional
        From `atomcore.features`: needed for structures, and for these only.
    atomic : bool, optional
        Kernels between atoms of one element, summed over the atoms of both structures (L K L^T; Bartok and Csanyi, Int.
        J. Quantum Chem. 115, 1051 (2015)): the order of atoms does not matter, and structures may be of any size. False
        joins the features of atoms in their order. By default what the features are made for.
    labels : sequence of "energy", "forces", optional
        What to train on: by default all that the data has. Trained on forces alone, energies set the mean function.
    regularization, gradient_regularization : float
        What is added to the diagonal for values and for derivatives, in units of the kernel's variance. With atomic
        kernels energies have ``regularization`` times the number of atoms. The second is by default the first. With
        ``search`` both are found, whatever is given; with inducing points they are then multiplied by the factor that
        maximizes the variational bound (Titsias 2009).
    mean : {"elements", "constant", "zero"}, optional
        What is taken off first, by least squares: an energy for each atom of an element (the default for
        structures), one constant (the default for rows of numbers), or nothing.
    scaling : {"soft", "standard", "none"}
        Features of structures are divided by the square root of their standard deviation over the training data, by
        the deviation, or not at all; rows of numbers are never scaled.
    search : {"leave_one_out", "cross_validation"}, optional
        Criterion that lengths, alpha and the regularization are found by; None takes them as they are given.
        Left-out errors are those of whole points or structures, in closed form (Rasmussen and Williams, section
        5.4.2, for one; five folds for cross-validation).
    starts : int
        Minima that the search follows, from the best of a dozen starts around the scale of the data.
    search_rows : int
        Labels that the search sees: structures drawn at random where there are more.
    inducing : int, optional
        How many points stand for all training data; memory then goes with their square instead of the square of
        the labels, and training time with the labels. By default none: exact.
    selection : {"farthest_point", "random", "cur", "k_means"}
        How inducing points are chosen among the training atoms.
    jitter : float
        What is added to the diagonal of the covariance of inducing points, as a share of its mean.
    seed : int
        Of all random choices.

    Attributes
    ----------
    kernel_ : kernel with the values in use
    regularization_, gradient_regularization_ : float
        Numbers in use.
    search_ : Search or None
        Value, convergence and cost of the search.
    """

    _criteria = ("leave_one_out", "cross_validation")  # without a variance there is no likelihood

    def __init__(
        self,
        kernel: Any = None,
        *,
        features: Any = None,
        atomic: bool | None = None,
        labels: Sequence[str] | None = None,
        regularization: float = 1e-8,
        gradient_regularization: float | None = None,
        mean: str | None = None,
        scaling: str = "soft",
        search: str | None = None,
        starts: int = 3,
        search_rows: int = 1000,
        inducing: int | None = None,
        selection: str = "farthest_point",
        jitter: float = 1e-10,
        seed: int = 0,
    ) -> None:
        self.kernel, self.features, self.atomic, self.labels = kernel, features, atomic, labels
        self.regularization, self.gradient_regularization = regularization, gradient_regularization
        self.mean, self.scaling, self.search, self.starts, self.search_rows = mean, scaling, search, starts, search_rows
        self.inducing, self.selection, self.jitter, self.seed = inducing, selection, jitter, seed

    @property
    def regularization_(self) -> float:
        """What was added to the diagonal for energies."""
        return self._noise[0]

    @property
    def gradient_regularization_(self) -> float:
        """What was added to the diagonal for derivatives."""
        return self._noise[1]

    def _given_noise(self) -> GivenNoise:
        return None, None  # a search finds both

    def _default_noise(self, labels: Labels) -> tuple[float, float]:
        own = non_negative("regularization", self.regularization)
        other = self.gradient_regularization
        return own, own if other is None else non_negative("gradient_regularization", other)
