"""Gaussian process regression."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from atomcore.models._kernel_labels import non_negative
from atomcore.models._kernel_machine import KernelMachine
from atomcore.models._kernel_search import GivenNoise, Labels

_NOISE = 1e-3  # of the deviation of the labels, where neither a number is given nor one searched for


class GaussianProcess(KernelMachine):
    """Gaussian process regression on rows of numbers or on structures; energies, gradients or both.

    Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapters 2 and 5. Derivative
    observations enter through the Jacobian of the features, and forces, their variance included, come from the same
    model as energies.

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
    noise, gradient_noise : float, optional
        Standard deviations of the noise of values and of derivatives: eV and eV/A for structures. With atomic kernels
        the noise of an energy is ``noise`` times the square root of the number of atoms, as errors of independent
        atoms add up. A number stays as it is; None is found by the search, or 0.001 of the spread of the labels
        without one. With inducing points, noise variances that the search found are multiplied by the factor that
        maximizes the variational bound (Titsias 2009), both by the same, unless one of them is given.
    mean : {"elements", "constant", "zero"}, optional
        What is taken off first, by least squares: an energy for each atom of an element (the default for
        structures), one constant (the default for rows of numbers), or nothing.
    scaling : {"soft", "standard", "none"}
        Features of structures are divided by the square root of their standard deviation over the training data, by
        the deviation, or not at all; rows of numbers are never scaled.
    search : {"marginal_likelihood", "leave_one_out", "cross_validation"}, optional
        Criterion that lengths, variance, alpha and the noise that is not given are found by; None takes all as given.
        Left-out errors are those of whole points or structures, in closed form (Rasmussen and Williams, section
        5.4.2; five folds for cross-validation).
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
    noise_, gradient_noise_ : float
        Standard deviations in use.
    search_ : Search or None
        Value, convergence and cost of the search.
    """

    _has_variance = True

    def __init__(
        self,
        kernel: Any = None,
        *,
        features: Any = None,
        atomic: bool | None = None,
        labels: Sequence[str] | None = None,
        noise: float | None = None,
        gradient_noise: float | None = None,
        mean: str | None = None,
        scaling: str = "soft",
        search: str | None = "marginal_likelihood",
        starts: int = 3,
        search_rows: int = 1000,
        inducing: int | None = None,
        selection: str = "farthest_point",
        jitter: float = 1e-10,
        seed: int = 0,
    ) -> None:
        self.kernel, self.features, self.atomic, self.labels = kernel, features, atomic, labels
        self.noise, self.gradient_noise = noise, gradient_noise
        self.mean, self.scaling, self.search, self.starts, self.search_rows = mean, scaling, search, starts, search_rows
        self.inducing, self.selection, self.jitter, self.seed = inducing, selection, jitter, seed

    @property
    def noise_(self) -> float:
        """Standard deviation of the noise of energies (with ``atomic`` kernels: per square root of the atoms)."""
        return float(np.sqrt(self._noise[0]))

    @property
    def gradient_noise_(self) -> float:
        """Standard deviation of the noise of derivatives."""
        return float(np.sqrt(self._noise[1]))

    def _given_noise(self) -> GivenNoise:
        energy = None if self.noise is None else non_negative("noise", self.noise) ** 2
        other = None if self.gradient_noise is None else non_negative("gradient_noise", self.gradient_noise) ** 2
        return energy, other

    def _default_noise(self, labels: Labels) -> tuple[float, float]:
        found = []
        for given, rows in zip(self._given_noise(), (labels.is_energy, ~labels.is_energy), strict=True):
            spread = labels.values[rows].std() if rows.any() else 0.0
            found.append((_NOISE * (spread or 1.0)) ** 2 if given is None else given)
        return found[0], found[1]
