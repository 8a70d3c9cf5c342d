"""Curves for TensorBoard."""

from pathlib import Path
from typing import Any

import lightning

from atomcore.train.callbacks import History


class Board(lightning.Callback):
    """Writes each row of the history as scalars; a callback after `History`."""

    def __init__(self, history: History, folder: Path) -> None:
        self._history, self._folder = history, folder
        self._writer: Any = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Open the file; what a killed run wrote after its last checkpoint does not count."""
        self._writer = _writer_class()(str(self._folder), purge_step=trainer.current_epoch + 1)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Write the row of this epoch, as number of epochs done."""
        for name, value in self._history.rows[-1].items():
            if name not in ("epoch", "step"):
                part, _, what = name.partition("_")
                tag = f"{what}/{part}" if part in ("train", "valid") else name
                self._writer.add_scalar(tag, value, trainer.current_epoch + 1)

    def teardown(self, trainer: lightning.Trainer, pl_module: Any, stage: str) -> None:
        """Close the file, after an exception too."""
        if self._writer is not None:
            self._writer.close()


def check_tensorboard(tensorboard: bool, folder: Path | None) -> None:
    """Raise when the curves cannot be written."""
    if not isinstance(tensorboard, bool):
        raise ValueError(f"tensorboard is {tensorboard!r}; accepted: true, false")
    if not tensorboard:
        return
    if folder is None:
        raise ValueError("tensorboard needs run_dir, the folder to write to")
    _writer_class()


def _writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModuleNotFoundError(
            'tensorboard=True (run.tensorboard=true) needs the package tensorboard: pip install "atomcore[train]"'
        ) from error
    return SummaryWriter
