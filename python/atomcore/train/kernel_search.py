"""The settings of a GDML model, sigma and lambda, chosen together."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore._arrays import as_float64, whole_number
from atomcore._files import replacing, write_json, write_text
from atomcore._progress import Progress
from atomcore.data import Dataset
from atomcore.models.gdml import GDML, Iterative
from atomcore.models.gdml.fit import Trainer
from atomcore.train.kernel_losses import Loss, as_loss, mae, rmse
from atomcore.train.surrogate import Acquisition, propose

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """One pair of settings and its errors.

    Attributes
    ----------
    sigma, lam : float
    loss : float
        Infinite where the covariance was not positive definite.
    energy_mae, energy_rmse : float or None
        In eV; None where energies play no part.
    forces_mae, forces_rmse : float
        In eV/A.
    """

    sigma: float
    lam: float
    loss: float
    energy_mae: float | None
    energy_rmse: float | None
    forces_mae: float
    forces_rmse: float


@dataclass(frozen=True, eq=False)
class SearchResult:
    """A model with the best settings, and everything that was tried.

    Attributes
    ----------
    model : GDML
        Trained with the settings of the smallest loss.
    trials : tuple of Trial
        In the order that they were made.
    best : Trial
    at_boundary : tuple of str
        Which of "sigma" and "lam" are at the edge of what was searched.
    indices : dict of str to ndarray
        Of the structures of "train", "valid" and "test" in the data set they were taken from, where somebody says so.
    testing : dict
        Errors of the best model on other structures, where somebody has computed them.
    """

    model: GDML
    trials: tuple[Trial, ...]
    at_boundary: tuple[str, ...]
    indices: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    testing: dict[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> Trial:
        """The trial with the smallest loss."""
        return min(self.trials, key=lambda trial: trial.loss)

    def save(self, folder: str | os.PathLike) -> None:
        """Write ``training.json``, ``valid.csv`` and the indices ``train_idxs.npy`` and so on into a folder.

        Energies are in eV and forces in eV/A.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        ordered = sorted(self.trials, key=lambda trial: (trial.sigma, trial.lam))
        write_json(target / "training.json", self._summary(ordered))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["sigma", "lambda", "loss", "e_mae", "e_rmse", "f_mae", "f_rmse"])
        for t in ordered:
            values = (t.sigma, t.lam, t.loss, t.energy_mae, t.energy_rmse, t.forces_mae, t.forces_rmse)
            writer.writerow(["" if value is None else repr(float(value)) for value in values])
        write_text(target / "valid.csv", text.getvalue())
        for name, chosen in self.indices.items():
            with replacing(target / f"{name}_idxs.npy") as temporary:
                np.save(temporary, chosen)

    def _summary(self, trials: Sequence[Trial]) -> dict[str, Any]:
        usable = [trial for trial in trials if np.isfinite(trial.loss)]
        of_energy = [trial for trial in usable if trial.energy_mae is not None]
        validation: dict[str, Any] = {
            "sigmas": [trial.sigma for trial in usable],
            "lambdas": [trial.lam for trial in usable],
            "losses": [trial.loss for trial in usable],
            "force": {"mae": [t.forces_mae for t in usable], "rmse": [t.forces_rmse for t in usable]},
            "energy": {"mae": [t.energy_mae for t in of_energy], "rmse": [t.energy_rmse for t in of_energy]},
        }
        content: dict[str, Any] = {
            "units": {"energy": "eV", "force": "eV/A"},
            "model": {"sigma": self.best.sigma, "lambda": self.best.lam, "n_symm": len(self.model.permutations)},
            "training": {},
            "validation": validation,
        }
        for part, name in (("training", "train"), ("validation", "valid")):
            if name in self.indices:
                content[part]["idxs"] = self.indices[name].tolist()
        return content | ({"testing": self.testing} if self.testing else {})


class _Objective:
    """Loss of settings: on a validation set, or leaving one structure out at a time."""

    def __init__(self, model: GDML, train: Dataset, valid: Dataset | None, loss: str | Loss):
        refuse_checkpoint(model)
        self.trainer = Trainer(model, train, progress=False)
        self.model, self.valid, self.loss = model, valid, as_loss(loss)
        self.trials = list[Trial]()

    def __call__(self, sigma: float, lam: float, *, keep: bool = False) -> Trial:
        try:
            energy, forces = self._errors(sigma, lam, keep)
        except np.linalg.LinAlgError:
            energy, forces = None, np.array([[[np.inf]]])
        value = np.inf
        if np.isfinite(forces).all():
            value = self.loss(np.full(len(forces), np.nan) if energy is None else energy, forces)
            if np.isnan(value):
                raise ValueError(
                    "loss is NaN; accepted: numbers, and where there are no errors of energies (no labels, or "
                    "structures left out without energies='constraints') losses of forces alone"
                )
        e_mae, e_rmse = (None, None) if energy is None else (mae(energy), rmse(energy))
        trial = Trial(sigma, lam, value, e_mae, e_rmse, mae(forces), rmse(forces))
        self.trials.append(trial)
        return trial

    def _errors(self, sigma: float, lam: float, keep: bool) -> tuple[Float64 | None, Float64]:
        if self.valid is None:
            return self.trainer.leave_one_out(sigma, lam, keep=keep)
        energy, forces = self._model(sigma, lam, keep=keep, report=False).predict(self.valid)
        label = None if self.model.energies is None else self.valid.energy
        if self.valid.forces is None:
            raise ValueError("valid has no forces; accepted: data sets with forces")
        return None if label is None else energy - label, forces - self.valid.forces.reshape(forces.shape)

    def _model(self, sigma: float, lam: float, *, keep: bool, report: bool) -> GDML:
        settings = {"sigma": sigma, "lam": lam, "symmetries": self.trainer.symmetry.permutations}
        model = GDML(**{**self.model.get_params(), **settings})
        return model.adopt(self.trainer.solve(sigma, lam, keep=keep, report=report))

    def result(self, sigma_range: tuple[float, float], lam_range: tuple[float, float]) -> SearchResult:
        """Train with the best settings; say which of them are at the edge of a range that is more than a point."""
        best = min(self.trials, key=lambda trial: trial.loss)
        if not np.isfinite(best.loss):
            raise np.linalg.LinAlgError("no settings gave a positive definite covariance; accepted: larger lams")
        ranges = {"sigma": (best.sigma, sigma_range), "lam": (best.lam, lam_range)}
        edges = tuple(name for name, (value, (low, high)) in ranges.items() if low < high and value in (low, high))
        return SearchResult(self._model(best.sigma, best.lam, keep=False, report=True), tuple(self.trials), edges)


def grid_search(
    model: GDML,
    train: Dataset,
    valid: Dataset | None = None,
    *,
    sigmas: Any,
    lams: Any = (1e-10,),
    loss: str | Loss = "forces_rmse",
    progress: bool = True,
) -> SearchResult:
    """Try all pairs of settings and train with the best: the true minimum of the grid.

    The covariance is computed once for each sigma, whatever the number of lambdas.

    Parameters
    ----------
    model : GDML
        Whose other settings count; it is not changed.
    train : Dataset
    valid : Dataset, optional
        What the loss is computed on. Without it, the errors of each training structure when it is left out: in closed
        form from one factor, for the analytic solver.
    sigmas, lams : array_like
        Above zero.
    loss : {"forces_rmse", "forces_mse", "energy_and_forces_mse"} or callable
        See `atomcore.train.kernel_losses`.
    progress : bool

    Returns
    -------
    SearchResult

    Raises
    ------
    ValueError
        When a setting is not above zero.
    numpy.linalg.LinAlgError
        When the covariance is positive definite nowhere.
    """
    grid = [_positive("sigmas", sigmas), _positive("lams", lams)]
    objective = _Objective(model, train, valid, loss)
    bar = Progress(grid[0].size * grid[1].size, "grid", enabled=progress)
    for sigma in grid[0]:
        for lam in grid[1]:
            trial = objective(float(sigma), float(lam), keep=grid[1].size > 1)
            bar.update(len(objective.trials), f"sigma {sigma:.4g}, lambda {lam:.1e}: loss {trial.loss:.4g}")
    bar.close(len(objective.trials))
    return objective.result((grid[0][0], grid[0][-1]), (grid[1][0], grid[1][-1]))


def bayesian_search(
    model: GDML,
    train: Dataset,
    valid: Dataset | None = None,
    *,
    sigmas: tuple[float, float] = (1.0, 100.0),
    lams: tuple[float, float] = (1e-12, 1e-6),
    init_points: int = 10,
    n_iter: int = 15,
    acquisition: Acquisition | None = None,
    loss: str | Loss = "forces_rmse",
    seed: int = 0,
    progress: bool = True,
) -> SearchResult:
    """Look for the best settings where they are continuous, by a Gaussian process over their logarithms.

    Parameters
    ----------
    model, train, valid, loss, progress
        As in `grid_search`.
    sigmas, lams : (float, float)
        Smallest and largest value; the same twice holds a setting fixed.
    init_points : int
        Trials spread over the range (Latin hypercube) before the process guides.
    n_iter : int
        Trials after that.
    acquisition : Acquisition, optional
        What the next trial makes largest; expected improvement by default.
    seed : int

    Returns
    -------
    SearchResult
        Of exactly ``init_points + n_iter`` trials.
    """
    sigmas, lams = _range("sigmas", sigmas), _range("lams", lams)
    bounds = np.log(np.array([sigmas, lams]))
    count = whole_number("init_points", init_points, 1)
    total = count + whole_number("n_iter", n_iter, 0)
    rng = np.random.default_rng(whole_number("seed", seed, 0))
    objective = _Objective(model, train, valid, loss)
    bar = Progress(total, "search", enabled=progress)
    strata = np.stack([rng.permutation(count) for _ in bounds], axis=1)
    points = list(bounds[:, 0] + (strata + rng.random(strata.shape)) / count * np.ptp(bounds, axis=1))
    while len(objective.trials) < total:
        done = len(objective.trials)
        if done >= len(points):
            losses = np.array([trial.loss for trial in objective.trials])
            points.append(propose(np.array(points), losses, bounds, acquisition or Acquisition(), rng))
        sigma, lam = np.clip(np.exp(points[done]), *np.exp(bounds.T))
        trial = objective(float(sigma), float(lam))
        bar.update(done + 1, f"sigma {sigma:.4g}, lambda {lam:.1e}: loss {trial.loss:.4g}")
    bar.close(total)
    return objective.result(sigmas, lams)


def refuse_checkpoint(model: GDML) -> None:
    """Raise ValueError where the iterative solver has a checkpoint: the file is of one training, and here are many."""
    if isinstance(model.solver, Iterative) and model.solver.checkpoint is not None:
        raise ValueError(
            f"solver has the checkpoint {os.fspath(model.solver.checkpoint)!r}, which is of one training; accepted "
            "where there are many: an Iterative without"
        )


def _positive(name: str, values: Any) -> Float64:
    array = np.unique(as_float64(name, np.atleast_1d(values), ("n",)))
    if not array.size or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"{name} is {np.asarray(values).tolist()}; accepted: numbers above 0")
    return array


def _range(name: str, values: tuple[float, float]) -> tuple[float, float]:
    low, high = as_float64(name, values, (2,)).tolist()
    if not 0 < low <= high < np.inf:
        raise ValueError(f"{name} is {values!r}; accepted: a smallest and a largest number, both above 0")
    return low, high
