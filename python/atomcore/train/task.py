"""The training loop's steps as Lightning sees them."""

import math
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch

from atomcore._core import AtomcoreError
from atomcore.train.batches import Graph, chunks
from atomcore.train.cache import Source
from atomcore.train.losses import PER_ATOM, TERMS, Errors, Labels, Sums, batch_errors, loss_of
from atomcore.train.optimizers import make_optimizer, make_schedule
from atomcore.train.options import Options
from atomcore.train.parallel import Ranks

# A loss this many times larger than at the start is a diverged run, though still finite in the precision at hand.
_DIVERGED = 1e8
_ADVICE = "try a smaller learning_rate"


class TrainingError(AtomcoreError):
    """Training cannot go on: the loss has diverged."""


class Material(NamedTuple):
    """What training steps need of the data: the whole set as tables, and the structures of two parts.

    Attributes
    ----------
    graph : Graph
    source : Source
    labels : Labels
    train, valid : ndarray of int
        `valid` may be empty.
    """

    graph: Graph
    source: Source
    labels: Labels
    train: np.ndarray
    valid: np.ndarray


class Task(lightning.LightningModule):
    """A model, its training data and how a step goes.

    The data loaders are plain ranges of batch numbers: the structures of a batch follow from (seed, epoch) alone, which
    is what makes a resumed run equal to an uninterrupted one. Of several processes each takes its share of a batch that
    is so many times larger, and divides by the counts of the whole batch: the mean of their gradients is that of one
    process.

    Parameters
    ----------
    model : BehlerParrinello
        Prepared.
    material : Material
    options : Options
    identity : dict
        What a checkpoint must agree with to be continued.
    ranks : Ranks
    """

    def __init__(
        self, model: Any, material: Material, options: Options, identity: dict[str, Any], ranks: Ranks | None = None
    ) -> None:
        super().__init__()
        self.model, self.material, self.options, self.identity = model, material, options, identity
        self.ranks = Ranks() if ranks is None else ranks
        n_train = len(material.train)
        self._batch_size = n_train if options.optimizer == "lbfgs" else options.batch_size * self.ranks.size
        # No weight gradients in validation: larger pieces fit.
        self._valid_batches = chunks(material.valid, 4 * options.batch_size * self.ranks.size)
        self.train_loader = range(math.ceil(n_train / self._batch_size))
        self.valid_loader = range(len(self._valid_batches))
        self.monitor = "valid_loss" if len(self.valid_loader) else "train_loss"
        self.train_sums, self.valid_sums = Sums(), Sums()
        self._batches: list[np.ndarray] = []
        self._first_loss: float | None = None
        self._first_evaluation = True  # of a step: L-BFGS has several

    def on_train_epoch_start(self) -> None:
        """Deal the training structures into the batches of this epoch."""
        generator = np.random.default_rng([self.options.seed, self.current_epoch])
        self._batches = chunks(generator.permutation(self.material.train), self._batch_size)
        self.train_sums = Sums()

    def on_train_batch_start(self, *_: Any) -> None:
        """Note that a step begins."""
        self._first_evaluation = True

    def training_step(self, index: int) -> torch.Tensor:
        """Loss of batch ``index``; its gradient is times the number of processes, since these average gradients."""
        whole = self._batches[index]
        pieces = chunks(self.ranks.share(whole), self.options.batch_size) or [whole[:0]]
        counts = self.material.labels.counts(whole)
        loss = self._loss(pieces[0], counts) if len(pieces) == 1 else self._summed(pieces, counts)
        total = self.ranks.sum(loss.detach().double())
        if self._first_evaluation:
            self._check(float(total), pieces, index)
        self._first_evaluation = False
        if self.ranks.size == 1:
            return loss
        # The value is that of all processes: the line search of L-BFGS must take the same way in each.
        return total.to(loss.dtype) + self.ranks.size * (loss - loss.detach())

    def _loss(self, structures: np.ndarray, counts: dict[str, int]) -> torch.Tensor:
        """What ``structures`` add to the loss of a batch with ``counts``."""
        errors = self._errors(structures, differentiable=True)
        if self._first_evaluation:
            self.train_sums.add(errors)
        return loss_of(errors, self.options.weights(self.current_epoch), counts)

    def _summed(self, pieces: list[np.ndarray], counts: dict[str, int]) -> torch.Tensor:
        """Loss of all pieces together, whose graphs are not kept: its gradient is summed piece by piece."""
        weights = self._weights()
        gradient = [torch.zeros_like(weight) for weight in weights]
        value = torch.zeros_like(weights[0].flatten()[:1].sum())
        for piece in pieces:
            loss = self._loss(piece, counts)
            torch._foreach_add_(gradient, torch.autograd.grad(loss, weights))
            value = value + loss.detach()
        linear = torch.stack([(g * weight).sum() for g, weight in zip(gradient, weights, strict=True)]).sum()
        return value + (linear - linear.detach())

    def _errors(self, structures: np.ndarray, *, differentiable: bool) -> Errors:
        material = self.material
        batch = material.graph.batch(structures)
        return batch_errors(self.model, material.source, material.labels, batch, differentiable=differentiable)

    def on_validation_epoch_start(self) -> None:
        """Start the sums."""
        self.valid_sums = Sums()

    def validation_step(self, index: int) -> None:
        """Add the errors of a validation batch."""
        with torch.enable_grad():  # forces are derivatives
            self.valid_sums.add(self._errors(self.ranks.share(self._valid_batches[index]), differentiable=False))

    def on_validation_epoch_end(self) -> None:
        """Hand the validation loss to early stopping and the plateau schedule."""
        self.ranks.sum(self.valid_sums.values)
        loss = self.valid_sums.summary(self.options.weights())["loss"]
        if not loss <= self._limit():  # true for NaN
            raise TrainingError(
                f"training diverged in epoch {self.current_epoch}: the validation loss is {loss:.3g}; {_ADVICE}."
            )
        self.log("valid_loss", loss)

    def finish_epoch(self) -> dict[str, float]:
        """Loss and errors of the epoch; raises for weights that are not finite, which must not be kept."""
        for name, weight in self.model.networks.named_parameters():
            if not torch.isfinite(weight).all():
                raise TrainingError(
                    f"training diverged in epoch {self.current_epoch}: the weights {name} are not finite after batch "
                    f"{len(self._batches) - 1}; {_ADVICE}."
                )
        self.ranks.sum(self.train_sums.values)
        summary = self.train_sums.summary(self.options.weights())
        self.log("train_loss", summary["loss"])
        return summary

    def backward(self, loss: torch.Tensor, *_: Any, **__: Any) -> None:
        """Differentiate in the weights only: the inputs require gradients too, but only for the forces."""
        loss.backward(inputs=self._weights())

    def _weights(self) -> list[torch.Tensor]:
        return [weight for weight in self.model.networks.parameters() if weight.requires_grad]

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule."""
        optimizer = make_optimizer(self.model.networks.named_parameters(), self.options)
        steps = len(self.train_loader)
        schedule = make_schedule(optimizer, self.options, steps_per_epoch=steps, monitor=self.monitor)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _check(self, loss: float, pieces: list[np.ndarray], index: int) -> None:
        """Raise when the loss is not finite or has blown up, and name the structure that is to blame."""
        if self._first_loss is None and math.isfinite(loss):
            self._first_loss = loss
        if not loss <= self._limit():  # true for NaN
            raise TrainingError(
                f"training diverged in epoch {self.current_epoch}, batch {index}: the loss is {loss:.3g}, the largest "
                f"error is that of structure {self._culprit(pieces)}; {_ADVICE}, or look for wrong labels there."
            )

    def _limit(self) -> float:
        return _DIVERGED * ((self._first_loss or 0.0) + sum(self.options.weights(0).values()))

    def _culprit(self, pieces: list[np.ndarray]) -> int:
        """Index into the data set of the structure with the largest error, or with one that is not a number."""
        worst = torch.tensor([-1.0, -1.0], dtype=torch.float64)
        for piece in pieces:
            if len(piece):
                size = _sizes(self._errors(piece, differentiable=False))
                position = int(size.argmax())
                if size[position] > worst[0]:
                    worst = torch.tensor([float(size[position]), float(piece[position])], dtype=torch.float64)
        everyone = self.ranks.gather(worst)
        return int(everyone[everyone[:, 0].argmax(), 1])

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


def _sizes(errors: Errors) -> torch.Tensor:
    """Largest error of each structure [B]; infinite where it is not a number."""
    size = torch.zeros(int(errors.owner.max()) + 1, dtype=torch.float32)  # whatever the default type is
    for name in TERMS:
        error = getattr(errors, name)
        if error is not None:
            largest = torch.nan_to_num(error.detach().float().abs(), nan=math.inf).view(len(error), -1).amax(dim=1)
            owner = errors.owner if name in PER_ATOM else torch.arange(len(error))
            size = size.scatter_reduce(0, owner, largest, "amax")
    return size
