"""Kernel ridge regression."""

from collections.abc import Sequence
from typing import Any

from atomcore.models._kernel_labels import non_negative
from atomcore.models._kernel_machine import KernelMachine
from atomcore.models._kernel_search import Labels


class KernelRidge(KernelMachine):
    """Kernel ridge regression: ``f(x) = mean + sum_m c_m k(x, x_m)`` with ``(K + regularization) c = y - mean``."""

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

    def _given_noise(self, labels: Labels) -> tuple[float, float]:
        own = non_negative("regularization", self.regularization)
        other = self.gradient_regularization
        return own, own if other is None else non_negative("gradient_regularization", other)
