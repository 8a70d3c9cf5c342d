"""One training run: Lightning's trainer with our callbacks."""

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.strategies import DDPStrategy

from atomcore.train.board import Board
from atomcore.train.callbacks import Convergence, History, KeepState, Patience, ShowProgress, WeightAverage
from atomcore.train.checkpoints import CheckedCheckpointIO
from atomcore.train.folder import LAST, TENSORBOARD
from atomcore.train.parallel import Ranks
from atomcore.train.task import Task, TrainingError


class Display(NamedTuple):
    """What a run shows: the label of the bar, whether there is one, and whether there are curves for TensorBoard."""

    label: str
    tensorboard: bool
    progress: bool


def run_task(
    task: Task, folder: Path | None, checkpoint: Path | None, display: Display
) -> tuple[WeightAverage, History]:
    """Train; the weights are the last ones afterwards, the best ones are in the average.

    Parameters
    ----------
    task : Task
    folder : Path or None
        Where checkpoint and log go.
    checkpoint : Path or None
        What to continue from.
    display : Display

    Raises
    ------
    TrainingError
        When the run diverges.
    KeyboardInterrupt
        When the user ends it; the message says how to go on.
    """
    average, history, callbacks = _callbacks(task, folder, display)
    with _quiet_lightning(), tempfile.TemporaryDirectory() as scratch:
        trainer = lightning.Trainer(
            accelerator="cpu",
            **_processes(task.ranks),
            max_epochs=task.options.max_epochs,
            gradient_clip_val=None if task.options.optimizer == "lbfgs" else task.options.gradient_clip,
            check_val_every_n_epoch=task.options.validate_every,
            num_sanity_val_steps=0,
            inference_mode=False,
            use_distributed_sampler=False,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=folder is not None,
            callbacks=callbacks,
            plugins=[CheckedCheckpointIO()],
            default_root_dir=folder or scratch,
        )
        valid = task.valid_loader if len(task.valid_loader) else None
        try:
            trainer.fit(task, task.train_loader, valid, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as ended:  # what Lightning makes of Ctrl-C; a library must not end its caller
            hint = ("resume (run.resume=true) continues the run",) if _has_checkpoint(folder) else ()
            raise KeyboardInterrupt(*hint) from ended
        except TrainingError as error:
            if _has_checkpoint(folder):
                raise TrainingError(f"{error} The last checkpoint is kept.") from error
            raise
    return average, history


def _callbacks(
    task: Task, folder: Path | None, display: Display
) -> tuple[WeightAverage, History, list[lightning.Callback]]:
    options = task.options
    average = WeightAverage(0.0 if options.optimizer == "lbfgs" else options.ema_decay)
    history = History(folder / "log.csv" if folder is not None and task.ranks.first else None)
    callbacks: list[lightning.Callback] = [
        average,
        history,
        ShowProgress(history, display.label, enabled=display.progress),
    ]
    if options.early_stopping is not None:
        patience = max(options.early_stopping // options.validate_every, 1)
        callbacks.append(Patience(task.monitor, patience=patience, check_finite=False))
    if options.convergence is not None:
        callbacks.append(Convergence(options.convergence, history, average))
    if display.tensorboard and folder is not None:
        callbacks.append(Board(history, folder / TENSORBOARD))
    if folder is not None:
        callbacks.append(KeepState(folder / LAST))
    return average, history, callbacks


def _processes(ranks: Ranks) -> dict[str, Any]:
    """Arguments of the trainer that say how many processes there are."""
    if ranks.size == 1:
        return {"devices": 1}
    local = int(os.environ.get("LOCAL_WORLD_SIZE", ranks.size))
    strategy = DDPStrategy(process_group_backend="gloo", broadcast_buffers=False)
    return {"devices": local, "num_nodes": ranks.size // local, "strategy": strategy}


def _has_checkpoint(folder: Path | None) -> bool:
    return folder is not None and (folder / LAST).exists()


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning's notes about hardware, folders and data loaders, none of which apply here."""
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", "Grad strides do not match")  # of weights with one row: no matter
            yield
    finally:
        logger.setLevel(before)
