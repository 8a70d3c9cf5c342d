"""Everything about a training run that can be chosen, with its checks."""

import difflib
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from atomcore._arrays import as_plain

OPTIMIZERS = ("adamw", "adam", "amsgrad", "adagrad", "lbfgs")
SCHEDULES = ("cosine", "exponential", "step", "multistep", "plateau", "none")
PRECISIONS = ("float32", "float64")
# Errors of what can be learned, of the energy, forces, stress and charges.
CRITERIA = ("energy_rmse_per_atom", "forces_rmse", "stress_rmse", "charges_rmse")
_LEARNING_RATES = {"adamw": 5e-3, "adam": 5e-3, "amsgrad": 5e-3, "adagrad": 2e-2, "lbfgs": 1.0}
_WEIGHTED = ("energy", "forces", "stress")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Choices of `fit`; each is a keyword of it.

    The loss of a batch is ``energy_weight * mean_s(w_s (dE_s / n_s)^2) + forces_weight * mean_{i,x}(w_s dF_ix^2) +
    stress_weight * mean_{s,k}(w_s (V_s dS_sk / n_s)^2)``, with ``dE_s`` the error of the energy of structure s in eV,
    ``n_s`` its number of atoms, ``V_s`` its volume in A^3, ``dF_ix`` the error of a force component in eV/A and
    ``dS_sk`` that of one of the six stress components in eV/A^3. ``w_s`` is 1, or ``1 / uncertainty_s^2`` over its mean
    in the training part where the data has uncertainties. A model of charges has the loss ``mean_i(w_s dq_i^2)``.

    Parameters
    ----------
    max_epochs : int
    batch_size : int
        Structures in a mini-batch; they are dealt anew each epoch. L-BFGS steps on the whole training part and takes
        so many structures at once into memory.
    energy_weight, forces_weight, stress_weight : float
        Of the terms of the loss. Without forces in the data the second term is absent.
    final_energy_weight, final_forces_weight, final_stress_weight : float, optional
        A weight with a final value goes there in equal ratios from epoch to epoch, over `schedule_epochs`. The losses
        of log, early stopping and choice of the best epoch always have the final weights, to be comparable.
    optimizer : {"adamw", "adam", "amsgrad", "adagrad", "lbfgs"}
        "lbfgs" takes up to 20 iterations with a line search an epoch, without clipping and moving average.
    learning_rate : float, optional
        Default 5e-3; 2e-2 for "adagrad", 1 for "lbfgs".
    weight_decay : float
        Decoupled in "adamw", a part of the gradient in "adam", "amsgrad" and "adagrad", absent in "lbfgs"; biases do
        not decay.
    schedule : {"cosine", "exponential", "step", "multistep", "plateau", "none"}
        How the learning rate falls: the first two to ``final_learning_rate`` times its start, the others by
        `decay_factor`: "step" every `decay_every` epochs, "multistep" after the epochs `decay_after`, "plateau"
        whenever the validation loss has not improved for ``plateau_patience`` epochs.
    schedule_epochs : int, optional
        Length of the cosine and exponential schedules and of changing weights; default `max_epochs`. Give it when a run
        is meant to be continued with a larger `max_epochs`.
    decay_after : sequence of int
        Rising numbers of epochs.
    warmup_epochs : float
        The learning rate rises linearly over these first epochs, but not with "plateau".
    early_stopping : int, optional
        Stop when the validation loss has not improved for so many epochs.
    convergence : dict, optional
        Stop when validation errors are below these values, all of them, e.g. ``{"forces_rmse": 0.05}``; of
        energy_rmse_per_atom, forces_rmse, stress_rmse, charges_rmse in eV/atom, eV/A, eV/A^3, e. The weights of that
        epoch are kept. Without a validation part the training errors count.
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
    transfer : bool
        Start from the weights, scaling and references of the model, one that was loaded for instance. References are
        shifted to the new labels by least squares, and the ranges of the features grow to those of the new data.
    freeze : sequence of int
        With `transfer`: layers of the networks that stay as they are; 0 is the first.

    Raises
    ------
    ValueError
        For a value out of range, by name.
    """

    max_epochs: int = 200
    batch_size: int = 32
    energy_weight: float = 30.0
    forces_weight: float = 1.0
    stress_weight: float = 0.0
    final_energy_weight: float | None = None
    final_forces_weight: float | None = None
    final_stress_weight: float | None = None
    optimizer: str = "adamw"
    learning_rate: float | None = None
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    schedule_epochs: int | None = None
    final_learning_rate: float = 1e-2
    decay_factor: float = 0.5
    decay_every: int = 50
    decay_after: tuple[int, ...] = (100, 150)
    plateau_patience: int = 10
    warmup_epochs: float = 1.0
    early_stopping: int | None = None
    convergence: dict[str, float] | None = None
    gradient_clip: float | None = 10.0
    ema_decay: float = 0.99
    validate_every: int = 1
    precision: str = "float32"
    cache: bool | None = None
    seed: int = 0
    reference_energies: dict[str, float] | None = None
    transfer: bool = False
    freeze: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self):  # what a checkpoint notes must be plain
            object.__setattr__(self, field.name, as_plain(getattr(self, field.name)))
        self._check_choices()
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", _LEARNING_RATES[self.optimizer])
        for name in ("max_epochs", "batch_size", "validate_every", "plateau_patience", "decay_every"):
            self._check(name, _whole(getattr(self, name), 1), "a whole number of at least 1")
        for name in ("schedule_epochs", "early_stopping"):
            value = getattr(self, name)
            self._check(name, value is None or _whole(value, 1), "a whole number of at least 1, or None")
        self._check("seed", _whole(self.seed, 0), "a whole number of at least 0")
        for name in ("weight_decay", "warmup_epochs"):
            self._check(name, _real(getattr(self, name), 0.0), "a finite number of at least 0")
        self._check_weights()
        self._check("learning_rate", _positive(self.learning_rate), "a number above 0")
        clip = self.gradient_clip
        self._check("gradient_clip", clip is None or _positive(clip), "a number above 0, or None")
        for name in ("final_learning_rate", "decay_factor"):
            value = getattr(self, name)
            self._check(name, _positive(value) and value <= 1, "a fraction in (0, 1]")
        self._check("ema_decay", _real(self.ema_decay, 0.0) and self.ema_decay < 1, "a number in [0, 1)")
        self._check("cache", self.cache is None or isinstance(self.cache, bool), "True, False or None")
        self._check("transfer", isinstance(self.transfer, bool), "true, false")
        self._check("freeze", self.transfer or not self.freeze, "layers with transfer only")

    def _check_choices(self) -> None:
        choices = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "precision": PRECISIONS}
        for name, accepted in choices.items():
            self._check(name, getattr(self, name) in accepted, f"one of {', '.join(accepted)}")
        for name, minimum in (("decay_after", 1), ("freeze", 0)):
            values = getattr(self, name)
            good = isinstance(values, list | tuple) and all(_whole(value, minimum) for value in values)
            good = good and list(values) == sorted(set(values))
            self._check(name, good, f"a list of rising whole numbers from {minimum}")
            object.__setattr__(self, name, tuple(values))
        goal = self.convergence
        good = isinstance(goal, dict) and bool(goal) and all(k in CRITERIA and _positive(v) for k, v in goal.items())
        self._check("convergence", goal is None or good, f"numbers above 0 under {', '.join(CRITERIA)}, or None")

    def _check_weights(self) -> None:
        for name in _WEIGHTED:
            start, end = f"{name}_weight", f"final_{name}_weight"
            self._check(start, _real(getattr(self, start), 0.0), "a finite number of at least 0")
            if getattr(self, end) is not None:
                self._check(end, _positive(getattr(self, end)), "a number above 0, or None")
                self._check(start, getattr(self, start) > 0, f"a number above 0 where there is a {end}")
        total = sum(getattr(self, f"{name}_weight") for name in _WEIGHTED)
        self._check("energy_weight", total > 0, "a number above 0, as the other weights are 0, too")

    def _check(self, name: str, good: bool, accepted: str) -> None:
        if not good:
            raise ValueError(f"{name} is {getattr(self, name)!r}; accepted: {accepted}")

    @property
    def length(self) -> int:
        """Epochs over which schedules run."""
        return self.schedule_epochs or self.max_epochs

    @property
    def has_length(self) -> bool:
        """Whether the course of the run depends on `length`."""
        changing = any(getattr(self, f"final_{name}_weight") is not None for name in _WEIGHTED)
        return changing or self.schedule in ("cosine", "exponential")

    def weights(self, epoch: int | None = None) -> dict[str, float]:
        """Weights of the terms of the loss in an epoch, counted from 0; without it the final ones."""
        done = 1.0 if epoch is None else min(epoch / max(self.length - 1, 1), 1.0)
        result = {"charges": 1.0}
        for name in _WEIGHTED:
            start, end = getattr(self, f"{name}_weight"), getattr(self, f"final_{name}_weight")
            result[name] = start if end is None else start * (end / start) ** done
        return result

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


def _positive(value: Any) -> bool:
    return _real(value, 0.0) and value > 0
