"""Gaussian process regression."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from atomcore.models._kernel_labels import non_negative
from atomcore.models._kernel_machine import KernelMachine
from atomcore.models._kernel_search import Labels

_NOISE = 1e-3  # of the deviation of the labels, where neither a number is given nor one searched for


class GaussianProcess(KernelMachine):
    """Gaussian process regression."""

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

    def _given_noise(self, labels: Labels) -> tuple[float, float]:
        given = (("noise", self.noise, labels.is_energy), ("gradient_noise", self.gradient_noise, ~labels.is_energy))
        return tuple(
            (_NOISE * float(labels.values[rows].std(initial=1.0))) ** 2
            if value is None
            else non_negative(name, value) ** 2
            for name, value, rows in given
        )
