"""Optimisers and schedules of the learning rate."""

import bisect
import math
from collections.abc import Iterable
from typing import Any

import torch

from atomcore.train.options import Options


def make_optimizer(named: Iterable[tuple[str, torch.nn.Parameter]], options: Options) -> torch.optim.Optimizer:
    """Optimiser of those of the ``named`` weights that are not frozen; biases do not decay."""
    weights = [(name, weight) for name, weight in named if weight.requires_grad]
    rate: Any = options.learning_rate
    if options.optimizer == "lbfgs":
        return torch.optim.LBFGS([weight for _, weight in weights], lr=rate, line_search_fn="strong_wolfe")
    groups: Any = [
        {"params": [weight for name, weight in weights if not name.endswith("bias")]},
        {"params": [weight for name, weight in weights if name.endswith("bias")], "weight_decay": 0.0},
    ]
    decay: Any = {"lr": rate, "weight_decay": options.weight_decay}
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, fused=True, **decay)
    if options.optimizer == "adagrad":
        return torch.optim.Adagrad(groups, **decay)
    return torch.optim.Adam(groups, amsgrad=options.optimizer == "amsgrad", **decay)


def make_schedule(
    optimizer: torch.optim.Optimizer, options: Options, *, steps_per_epoch: int, monitor: str
) -> dict[str, Any]:
    """Schedule of the learning rate, as Lightning takes it.

    Parameters
    ----------
    optimizer : Optimizer
    options : Options
    steps_per_epoch : int
    monitor : str
        The loss that "plateau" watches.
    """
    if options.schedule == "plateau":
        assert options.learning_rate is not None
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            factor=options.decay_factor,
            patience=max(options.plateau_patience // options.validate_every, 1),
            min_lr=options.final_learning_rate * options.learning_rate,
        )
        return {"scheduler": plateau, "monitor": monitor, "frequency": options.validate_every}
    warmup = options.warmup_epochs * steps_per_epoch
    total = options.length * steps_per_epoch

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        epoch = step // steps_per_epoch
        if options.schedule == "step":
            return options.decay_factor ** (epoch // options.decay_every)
        if options.schedule == "multistep":
            return options.decay_factor ** bisect.bisect_right(options.decay_after, epoch)
        done = min((step - warmup) / max(total - warmup, 1), 1.0)
        low = options.final_learning_rate
        if options.schedule == "cosine":
            return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done))
        return low**done if options.schedule == "exponential" else 1.0

    return {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor), "interval": "step"}
