"""The training loop's steps as Lightning sees them."""

import math
from typing import Any

import lightning
import numpy as np
import torch

from atomcore._core import AtomcoreError
from atomcore.train.batches import Graph, MiniBatch, chunks
from atomcore.train.cache import Source
from atomcore.train.losses import Errors, Labels, batch_errors, loss_of
from atomcore.train.options import Options

# A loss this many times larger than at the start is a diverged run, though still finite in the precision at hand.
_DIVERGED = 1e8
_ADVICE = "try a smaller learning_rate"


class TrainingError(AtomcoreError):
    """Training cannot go on: the loss has diverged."""


class Sums:
    """Squared errors summed over batches, in double."""

    def __init__(self) -> None:
        self.energy = self.forces = 0.0
        self.n_energy = self.n_forces = 0

    def add(self, errors: Errors) -> None:
        """Take in a batch."""
        self.energy += float(errors.energy.detach().double().square().sum())
        self.n_energy += errors.energy.numel()
        if errors.forces is not None:
            self.forces += float(errors.forces.detach().double().square().sum())
            self.n_forces += errors.forces.numel()

    def summary(self, options: Options) -> dict[str, float]:
        """Loss over everything summed, and root mean square errors in eV/atom and eV/A."""
        energy = self.energy / max(self.n_energy, 1)
        forces = self.forces / max(self.n_forces, 1)
        result = {"loss": options.energy_weight * energy + options.forces_weight * forces}
        result["energy_rmse_per_atom"] = math.sqrt(energy)
        if self.n_forces:
            result["forces_rmse"] = math.sqrt(forces)
        return result


class Task(lightning.LightningModule):
    """A model, its training data and how a step goes.

    The data loaders are plain ranges of batch numbers: the structures of a batch follow from (seed, epoch) alone, which
    is what makes a resumed run equal to an uninterrupted one.

    Parameters
    ----------
    model : BehlerParrinello
        Prepared.
    source : Source
    labels : Labels
        Of the whole data set.
    graph : Graph
        Of the whole data set.
    train, valid : ndarray of int
        Structures of the two parts; `valid` may be empty.
    options : Options
    identity : dict
        What a checkpoint must agree with to be continued.
    """

    def __init__(
        self,
        model: Any,
        source: Source,
        labels: Labels,
        graph: Graph,
        train: np.ndarray,
        valid: np.ndarray,
        options: Options,
        identity: dict[str, Any],
    ) -> None:
        super().__init__()
        self.model, self.options, self.identity = model, options, identity
        self._source, self._labels, self._graph = source, labels, graph
        self._train_structures = train
        self._valid_batches = chunks(valid, 4 * options.batch_size)  # no weight gradients: larger pieces fit
        self.train_loader = range(math.ceil(len(train) / options.batch_size))
        self.valid_loader = range(len(self._valid_batches))
        self.train_sums, self.valid_sums = Sums(), Sums()
        self._batches: list[np.ndarray] = []
        self._first_loss: float | None = None

    def on_train_epoch_start(self) -> None:
        """Deal the training structures into the batches of this epoch."""
        generator = np.random.default_rng([self.options.seed, self.current_epoch])
        self._batches = chunks(generator.permutation(self._train_structures), self.options.batch_size)
        self.train_sums = Sums()

    def training_step(self, index: int) -> torch.Tensor:
        """Loss of batch ``index``."""
        batch = self._graph.batch(self._batches[index])
        errors = batch_errors(self.model, self._source, self._labels, batch, differentiable=True)
        loss = loss_of(errors, self.options.energy_weight, self.options.forces_weight)
        self._check(float(loss.detach()), errors, batch, index)
        self.train_sums.add(errors)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start the sums."""
        self.valid_sums = Sums()

    def validation_step(self, index: int) -> None:
        """Add the errors of a validation batch."""
        batch = self._graph.batch(self._valid_batches[index])
        with torch.enable_grad():  # forces are derivatives
            errors = batch_errors(self.model, self._source, self._labels, batch, differentiable=False)
        self.valid_sums.add(errors)

    def on_validation_epoch_end(self) -> None:
        """Hand the validation loss to early stopping and the plateau schedule."""
        loss = self.valid_sums.summary(self.options)["loss"]
        if not loss <= self._limit():  # true for NaN
            raise TrainingError(
                f"training diverged in epoch {self.current_epoch}: the validation loss is {loss:.3g}; {_ADVICE}."
            )
        self.log("valid_loss", loss)

    def backward(self, loss: torch.Tensor, *_: Any, **__: Any) -> None:
        """Differentiate in the weights only: the inputs require gradients too, but only for the forces."""
        loss.backward(inputs=list(self.model.networks.parameters()))

    def configure_optimizers(self) -> Any:
        """AdamW, biases without decay, and the schedule."""
        options = self.options
        named = list(self.model.networks.named_parameters())
        groups = [
            {"params": [p for name, p in named if name.endswith("weight")], "weight_decay": options.weight_decay},
            {"params": [p for name, p in named if name.endswith("bias")], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)
        return {"optimizer": optimizer, "lr_scheduler": self._schedule(optimizer)}

    def _schedule(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        options = self.options
        if options.schedule == "plateau":
            scheduler: Any = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer,
                factor=0.5,
                patience=max(options.plateau_patience // options.validate_every, 1),
                min_lr=options.final_learning_rate * options.learning_rate,
            )
            monitor = "valid_loss" if len(self.valid_loader) else "train_loss"
            return {"scheduler": scheduler, "monitor": monitor, "frequency": options.validate_every}
        steps_per_epoch = len(self.train_loader)
        warmup = options.warmup_epochs * steps_per_epoch
        total = (options.schedule_epochs or options.max_epochs) * steps_per_epoch

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            done = min((step - warmup) / max(total - warmup, 1), 1.0)
            if options.schedule == "cosine":
                low = options.final_learning_rate
                return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done))
            return options.final_learning_rate**done if options.schedule == "exponential" else 1.0

        return {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor), "interval": "step"}

    def check_weights(self) -> None:
        """Raise when a weight is not finite: such a state must not become the last checkpoint."""
        for name, weight in self.model.networks.named_parameters():
            if not torch.isfinite(weight).all():
                raise TrainingError(
                    f"training diverged in epoch {self.current_epoch}: the weights {name} are not finite after batch "
                    f"{len(self._batches) - 1}; {_ADVICE}."
                )

    def _check(self, loss: float, errors: Errors, batch: MiniBatch, index: int) -> None:
        """Raise when the loss is not finite or has blown up, and name the structure that is to blame."""
        if self._first_loss is None and math.isfinite(loss):
            self._first_loss = loss
        if not loss <= self._limit():  # true for NaN
            raise TrainingError(
                f"training diverged in epoch {self.current_epoch}, batch {index}: the loss is {loss:.3g}, the largest "
                f"error is that of structure {_culprit(errors, batch)}; {_ADVICE}, or look for wrong labels there."
            )

    def _limit(self) -> float:
        return _DIVERGED * ((self._first_loss or 0.0) + self.options.energy_weight + self.options.forces_weight)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note what the run is."""
        checkpoint["atomcore"] = {"identity": self.identity, "first_loss": self._first_loss}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what the run knew of itself."""
        self._first_loss = checkpoint["atomcore"]["first_loss"]


def check_identity(checkpoint: dict[str, Any], identity: dict[str, Any]) -> None:
    """Raise ValueError unless the checkpoint comes from the run that ``identity`` describes."""
    kept = checkpoint["atomcore"]["identity"]
    for name, value in identity.items():
        if kept.get(name) != value:
            values = f"{name} is {kept.get(name)}, here it is {value}"
            raise ValueError(
                f"the checkpoint belongs to another run: its {values if len(values) < 100 else f'{name} is different'}"
                "; resume with the same choices or take another run_dir"
            )


def _culprit(errors: Errors, batch: MiniBatch) -> int:
    """Index into the data set of the structure with the largest error, or with one that is not a number."""
    size = errors.energy.detach().abs()
    if errors.forces is not None:
        rows = errors.forces.detach().abs().amax(dim=1)
        size = size.scatter_reduce(0, batch.owner, rows, "amax")
    return int(batch.structures[torch.nan_to_num(size, nan=math.inf).argmax()])
