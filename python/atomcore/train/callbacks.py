"""What happens around the steps: moving average of the weights, log, progress."""

import csv
import io
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping

from atomcore._files import write_text
from atomcore._progress import Progress
from atomcore.train.losses import ERROR_NAMES

_COLUMNS = (
    "epoch",
    "step",
    "learning_rate",
    *(f"{part}_{name}" for part in ("train", "valid") for name in ("loss", *ERROR_NAMES.values())),
)

_SHOWN = {"energy": "meV/atom", "forces": "meV/A", "stress": "meV/A^3", "charges": "me"}


class WeightAverage(lightning.Callback):
    """Exponential moving average of the weights: it is validated, and the best one so far is remembered.

    The decay grows from 0.1 to its value over the first steps, so that the starting weights are soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._average: list[torch.Tensor] = []
        self._best: list[torch.Tensor] = []
        self._best_loss = float("inf")
        self.best_epoch: int | None = None

    def setup(self, trainer: lightning.Trainer, pl_module: Any, stage: str) -> None:
        """Start from the weights as they are; a checkpoint replaces them afterwards."""
        self._average = [weight.clone() for weight in _weights(pl_module)]

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, *_: Any) -> None:
        """Follow the weights."""
        decay = min(self._decay, trainer.global_step / (9.0 + trainer.global_step))
        torch._foreach_lerp_(self._average, _weights(pl_module), 1.0 - decay)

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Validate the average."""
        self._exchange(pl_module)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Bring the weights back and note whether the average is the best so far."""
        self._exchange(pl_module)
        loss = pl_module.valid_sums.summary(pl_module.options.weights())["loss"]
        if loss < self._best_loss:
            self._best_loss = loss
            self.keep(trainer.current_epoch)

    def keep(self, epoch: int) -> None:
        """Take the average as it is for the best one."""
        self.best_epoch = epoch
        self._best = [weight.clone() for weight in self._average]

    def load_best(self, pl_module: Any) -> None:
        """Give the model the best average, or the latest when nothing was validated."""
        for weight, value in zip(_weights(pl_module), self._best or self._average, strict=True):
            weight.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """State for the checkpoint."""
        return {
            "average": self._average,
            "best": self._best,
            "best_loss": self._best_loss,
            "best_epoch": self.best_epoch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""
        self._average, self._best = state_dict["average"], state_dict["best"]
        self._best_loss, self.best_epoch = state_dict["best_loss"], state_dict["best_epoch"]

    def _exchange(self, pl_module: Any) -> None:
        for weight, average in zip(_weights(pl_module), self._average, strict=True):
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)


class Patience(EarlyStopping):
    """Early stopping that a resumed run may wait longer with, or less long, than its checkpoint did."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of a checkpoint, but not its patience."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Do not go on with a resumed run that had waited long enough."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class Convergence(lightning.Callback):
    """Stops when all errors that have a goal are below it, and keeps the weights of that epoch.

    A callback after `History`, whose last row it looks at; that way it also knows when a resumed run has nothing to do.
    """

    def __init__(self, goal: dict[str, float], history: "History", average: WeightAverage) -> None:
        self._goal, self._history, self._average = goal, history, average

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Do not go on with a resumed run that has converged."""
        trainer.should_stop = trainer.should_stop or self._reached(pl_module)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Look at the errors of this epoch."""
        if self._reached(pl_module):
            self._average.keep(trainer.current_epoch)
            trainer.should_stop = True

    def _reached(self, pl_module: Any) -> bool:
        part = pl_module.monitor.removesuffix("_loss")
        row = self._history.rows[-1] if self._history.rows else {}
        return all(row.get(f"{part}_{name}", float("inf")) < value for name, value in self._goal.items())


class KeepState(Checkpoint):
    """Writes the checkpoint at every validation and at the end of training; Lightning calls it after the others."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Write the state after this epoch."""
        done = trainer.current_epoch + 1
        if trainer.should_stop or done == trainer.max_epochs or done % pl_module.options.validate_every == 0:
            trainer.save_checkpoint(self._path)


class History(lightning.Callback):
    """A row of numbers each epoch, kept in the checkpoint and written to ``log.csv`` as a whole.

    Written from the checkpointed state, the log of a resumed run has neither gaps nor repeated epochs.
    """

    def __init__(self, path: Path | None) -> None:
        self.rows: list[dict[str, float]] = []
        self._path = path

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Note the epoch; a state with infinite weights ends the run before it is checkpointed."""
        train = pl_module.finish_epoch()
        row: dict[str, float] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        row |= {f"train_{name}": value for name, value in train.items()}
        options = pl_module.options
        due = (trainer.current_epoch + 1) % options.validate_every == 0
        if due and len(pl_module.valid_loader):
            errors = pl_module.valid_sums.summary(options.weights())
            row |= {f"valid_{name}": value for name, value in errors.items()}
        self.rows.append(row)
        if due:
            self._write()

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Write the last rows."""
        self._write()

    def state_dict(self) -> dict[str, Any]:
        """State for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""
        self.rows = state_dict["rows"]

    def _write(self) -> None:
        if self._path is None:
            return
        text = io.StringIO()
        learned = {name.removeprefix("train_") for row in self.rows for name in row}
        columns = [name for name in _COLUMNS if name.removeprefix("train_").removeprefix("valid_") in learned]
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self._path, text.getvalue())


class ShowProgress(lightning.Callback):
    """Epochs done, and the errors of the last one."""

    def __init__(self, history: History, label: str, *, enabled: bool) -> None:
        self._history, self._label, self._enabled = history, label, enabled
        self._progress: Progress | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Show the bar."""
        total = trainer.max_epochs or 0
        self._progress = Progress(total, f"{self._label}, epoch", start=trainer.current_epoch, enabled=self._enabled)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        assert self._progress is not None
        if self._progress.due():
            done = trainer.current_epoch + (batch_idx + 1) / len(pl_module.train_loader)
            self._progress.update(done, self._text())

    def teardown(self, trainer: lightning.Trainer, pl_module: Any, stage: str) -> None:
        """Show the last state, after an exception too."""
        if self._progress is not None:
            self._progress.close(trainer.current_epoch, self._text())

    def _text(self) -> str:
        if not self._history.rows:
            return ""
        row = self._history.rows[-1]
        part = "valid" if "valid_loss" in row else "train"
        shown = [
            f"{name} {1000 * row[key]:.3g} {unit}"
            for name, unit in _SHOWN.items()
            if (key := f"{part}_{ERROR_NAMES[name]}") in row
        ]
        return f"{part}: {', '.join(shown)}"


def _weights(pl_module: Any) -> list[torch.Tensor]:
    return [weight.detach() for weight in pl_module.model.networks.parameters()]
