"""What a training run ends with."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atomcore.evaluation import ChargePredictions, Predictions, metrics_table


@dataclass(frozen=True, kw_only=True)
class Report:
    """Errors and history of a finished training run.

    Attributes
    ----------
    predictions : dict of str to Predictions or ChargePredictions
        For those of "train", "valid" and "test" that have structures; by the C++ engine, in double.
    history : list of dict
        A row an epoch, as in ``log.csv``; energies in eV/atom, forces in eV/A.
    best_epoch : int or None
        The epoch whose weights were kept: that of the smallest validation loss.
    model_path, run_dir : Path or None
        Where things were written.
    """

    predictions: dict[str, Predictions | ChargePredictions]
    history: list[dict[str, float]]
    best_epoch: int | None
    model_path: Path | None
    run_dir: Path | None
    metrics: dict[str, dict[str, float]] = field(init=False)

    def __post_init__(self) -> None:
        errors = {name: predictions.metrics() for name, predictions in self.predictions.items()}
        object.__setattr__(self, "metrics", errors)

    @property
    def train(self) -> dict[str, float] | None:
        """Errors on the training part; see `atomcore.evaluation.Predictions.metrics` for the keys."""
        return self.metrics.get("train")

    @property
    def valid(self) -> dict[str, float] | None:
        """Errors on the validation part, None when it is empty."""
        return self.metrics.get("valid")

    @property
    def test(self) -> dict[str, float] | None:
        """Errors on the test part, None when it is empty."""
        return self.metrics.get("test")

    def to_dict(self) -> dict[str, Any]:
        """Everything that ``metrics.json`` holds."""
        sizes = {name: len(predictions.n_atoms) for name, predictions in self.predictions.items()}
        return {**self.metrics, "n_structures": sizes, "epochs": len(self.history), "best_epoch": self.best_epoch}

    def __str__(self) -> str:
        sizes = ", ".join(f"{len(p.n_atoms)} {name}" for name, p in self.predictions.items())
        best = "" if self.best_epoch is None else f", best after epoch {self.best_epoch + 1}"
        text = f"{len(self.history)} epochs{best}; structures: {sizes}\n{metrics_table(self.metrics)}"
        return text if self.model_path is None else f"{text}\nmodel: {self.model_path}"
