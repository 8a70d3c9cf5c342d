"""Several processes that train one model, started by torchrun: who they are, and their sums."""

import os
from typing import NamedTuple

import numpy as np
import torch
from torch import distributed

from atomcore._core import AtomcoreError


class Ranks(NamedTuple):
    """This process and how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def share(self, structures: np.ndarray) -> np.ndarray:
        """This process's part of ``structures``; it may be empty."""
        return structures[self.rank :: self.size]

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over the processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        """Values of all processes, stacked."""
        result = [torch.empty_like(values) for _ in range(self.size)]
        if self.size == 1:
            return values[None]
        distributed.all_gather(result, values)
        return torch.stack(result)

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.size > 1:
            distributed.barrier()


def join() -> Ranks:
    """Find the other processes where torchrun has started several (``WORLD_SIZE``).

    Raises
    ------
    atomcore.AtomcoreError
        When this torch has no distributed package.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return Ranks()
    if not distributed.is_available():
        raise AtomcoreError("WORLD_SIZE asks for several processes, but this torch is built without torch.distributed")
    if not distributed.is_initialized():
        distributed.init_process_group("gloo")
    return Ranks(distributed.get_rank(), distributed.get_world_size())
