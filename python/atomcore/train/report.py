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
    histories : list of list of dict
        For each network of an ensemble, or for the only one, a row an epoch, as in ``log.csv``; energies in eV/atom,
        forces in eV/A, stress in eV/A^3, charges in e.
    best_epochs : list of int or None
        For each the epoch whose weights were kept: that of the smallest validation loss, or the one that reached
        `convergence`. None where nothing was validated: the last weights were kept.
    model_path, run_dir : Path or None
        Where things were written.
    """

    predictions: dict[str, Predictions | ChargePredictions]
    histories: list[list[dict[str, float]]]
    best_epochs: list[int | None]
    model_path: Path | None
    run_dir: Path | None
    metrics: dict[str, dict[str, float]] = field(init=False)

    def __post_init__(self) -> None:
        errors = {name: predictions.metrics() for name, predictions in self.predictions.items()}
        object.__setattr__(self, "metrics", errors)

    @property
    def history(self) -> list[dict[str, float]]:
        """Of the only network, or of the first one of an ensemble."""
        return self.histories[0]

    @property
    def best_epoch(self) -> int | None:
        """Of the only network, or of the first one of an ensemble."""
        return self.best_epochs[0]

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
        epochs: list[Any] = [len(rows) for rows in self.histories]
        of_networks: dict[str, Any] = {"epochs": epochs, "best_epoch": self.best_epochs}
        if len(epochs) == 1:
            of_networks = {"epochs": epochs[0], "best_epoch": self.best_epoch}
        return {**self.metrics, "n_structures": sizes, **of_networks}

    def __str__(self) -> str:
        sizes = ", ".join(f"{len(p.n_atoms)} {name}" for name, p in self.predictions.items())
        lines = [
            f"{len(rows)} epochs" + ("" if best is None else f", best after epoch {best + 1}")
            for rows, best in zip(self.histories, self.best_epochs, strict=True)
        ]
        if len(lines) > 1:
            lines = [f"network {m}: {line}" for m, line in enumerate(lines)]
        lines[-1] += f"; structures: {sizes}"
        lines.append(metrics_table(self.metrics))
        return "\n".join(lines if self.model_path is None else [*lines, f"model: {self.model_path}"])
