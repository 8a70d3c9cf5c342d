"""Everything about a training run that can be chosen, with its checks."""

import difflib
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from atomcore.data._validate import as_plain

SCHEDULES = ("cosine", "exponential", "plateau", "none")
PRECISIONS = ("float32", "float64")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Choices of `fit`; each is a keyword of it.

    The loss of a batch is ``energy_weight * mean_s((dE_s / n_s)^2) + forces_weight * mean_{i,x}(dF_ix^2)``, with
    ``dE_s`` the error of the energy of structure s in eV, ``n_s`` its number of atoms and ``dF_ix`` the error of a
    force component in eV/A.

    Parameters
    ----------
    max_epochs : int
    batch_size : int
        Structures in a mini-batch; they are dealt anew each epoch.
    energy_weight, forces_weight : float
        Of the two terms of the loss. Without forces in the data the second term is absent.
    learning_rate, weight_decay : float
        Of AdamW; biases do not decay.
    schedule : {"cosine", "exponential", "plateau", "none"}
        How the learning rate falls, to ``final_learning_rate`` times its start; "plateau" halves it whenever the
        validation loss has not improved for ``plateau_patience`` epochs.
    schedule_epochs : int, optional
        Length of the cosine or exponential schedule; default `max_epochs`. Give it when a run is meant to be continued
        with a larger `max_epochs`.
    warmup_epochs : float
        The learning rate rises linearly over these first epochs.
    early_stopping : int, optional
        Stop when the validation loss has not improved for so many epochs.
    gradient_clip : float, optional
        Largest norm of the gradient.
    ema_decay : float
        Of the moving average of the weights, which is what gets validated and saved; 0 switches it off.
    validate_every : int
        Epochs between validations, checkpoints and lines of the log.
    precision : {"float32", "float64"}
        Of the networks and of the features they see; reference energies are always handled in double.
    cache : bool, optional
        Keep features and their Jacobian between epochs. By default they are kept when they take at most half of the
        free memory.
    seed : int
        Of the order of the mini-batches.
    reference_energies : dict, optional
        Element symbol to energy in eV; by default a least-squares fit to the training part.

    Raises
    ------
    ValueError
        For a value out of range, by name.
    """

    max_epochs: int = 200
    batch_size: int = 32
    energy_weight: float = 30.0
    forces_weight: float = 1.0
    learning_rate: float = 5e-3
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    schedule_epochs: int | None = None
    final_learning_rate: float = 1e-2
    plateau_patience: int = 10
    warmup_epochs: float = 1.0
    early_stopping: int | None = None
    gradient_clip: float | None = 10.0
    ema_decay: float = 0.99
    validate_every: int = 1
    precision: str = "float32"
    cache: bool | None = None
    seed: int = 0
    reference_energies: dict[str, float] | None = None

    def __post_init__(self) -> None:
        for field in fields(self):  # what a checkpoint notes must be plain
            object.__setattr__(self, field.name, as_plain(getattr(self, field.name)))
        for name in ("max_epochs", "batch_size", "validate_every", "plateau_patience"):
            self._check(name, _whole(getattr(self, name), 1), "a whole number of at least 1")
        for name in ("schedule_epochs", "early_stopping"):
            value = getattr(self, name)
            self._check(name, value is None or _whole(value, 1), "a whole number of at least 1, or None")
        self._check("seed", _whole(self.seed, 0), "a whole number of at least 0")
        for name in ("energy_weight", "forces_weight", "weight_decay", "warmup_epochs"):
            self._check(name, _real(getattr(self, name), 0.0), "a finite number of at least 0")
        self._check("energy_weight", self.energy_weight + self.forces_weight > 0, "a weight; both are zero")
        self._check("learning_rate", _real(self.learning_rate, 0.0) and self.learning_rate > 0, "a number above 0")
        clip = self.gradient_clip
        self._check("gradient_clip", clip is None or (_real(clip, 0.0) and clip > 0), "a number above 0, or None")
        final = self.final_learning_rate
        self._check("final_learning_rate", _real(final, 0.0) and 0 < final <= 1, "a fraction in (0, 1]")
        self._check("ema_decay", _real(self.ema_decay, 0.0) and self.ema_decay < 1, "a number in [0, 1)")
        self._check("cache", self.cache is None or isinstance(self.cache, bool), "True, False or None")
        self._check("schedule", self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}")
        self._check("precision", self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}")

    def _check(self, name: str, good: bool, accepted: str) -> None:
        if not good:
            raise ValueError(f"{name} must be {accepted}; got {getattr(self, name)!r}")

    @classmethod
    def from_keywords(cls, keywords: dict[str, Any]) -> "Options":
        """Build from keywords; an unknown one raises TypeError and names the nearest."""
        names = [field.name for field in fields(cls)]
        for name in keywords:
            if name not in names:
                near = difflib.get_close_matches(name, names, 1, 0.0)[0]
                raise TypeError(f"fit has no option {name!r}; did you mean {near!r}?")
        return cls(**keywords)

    def to_dict(self) -> dict[str, Any]:
        """All choices as plain values."""
        return asdict(self)


def _whole(value: Any, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def _real(value: Any, minimum: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and minimum <= value < math.inf
