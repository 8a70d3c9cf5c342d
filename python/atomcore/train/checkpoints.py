"""Checkpoints that survive a killed process and that show when a bit of them has changed."""

import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO

from atomcore._files import replacing
from atomcore.train.task import check_identity

# PyTorch's reader does not check the sums inside its archives, hence a digest in front of them.
_MAGIC = b"atomcore checkpoint 1\n"
_DIGEST = hashlib.sha256().digest_size


class CheckedCheckpointIO(CheckpointIO):
    """Writes atomically with a SHA-256 in front; reads tensors and plain values only, never pickled code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint to ``path``."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        payload = buffer.getvalue()
        with replacing(path) as temporary:
            temporary.write_bytes(_MAGIC + hashlib.sha256(payload).digest() + payload)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Read a checkpoint; one that is damaged or of another kind raises ValueError."""
        content = Path(path).read_bytes()
        head, payload = content[: len(_MAGIC)], content[len(_MAGIC) + _DIGEST :]
        if head != _MAGIC:
            raise ValueError(f"{os.path.basename(path)} is not a checkpoint of this version of atomcore")
        if hashlib.sha256(payload).digest() != content[len(_MAGIC) : len(_MAGIC) + _DIGEST]:
            raise ValueError(f"{os.path.basename(path)} is damaged: its content does not match its checksum")
        try:
            return torch.load(io.BytesIO(payload), map_location=map_location, weights_only=True)
        except pickle.UnpicklingError as error:
            raise ValueError(f"{os.path.basename(path)} holds more than tensors and plain values") from error

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


def check_checkpoint(path: Path, identity: dict[str, Any], max_epochs: int) -> None:
    """Raise unless the checkpoint belongs to the run that ``identity`` describes and has at most ``max_epochs``."""
    checkpoint = CheckedCheckpointIO().load_checkpoint(path)
    check_identity(checkpoint, identity)
    finished = checkpoint["epoch"] + 1
    if max_epochs < finished:
        raise ValueError(
            f"max_epochs is {max_epochs}, but the run to resume has {finished} epochs already; accepted: {finished} "
            "or more"
        )
