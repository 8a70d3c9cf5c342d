"""Kernel machines trained, judged and written as a run: what ``atomcore train model=gdml`` does."""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atomcore._files import write_json
from atomcore._progress import speaking
from atomcore.data.split import NAMES, Split, as_split
from atomcore.evaluation import Predictions, evaluate, metrics_table
from atomcore.potential import Potential
from atomcore.train.folder import check_folder, start_folder

SEARCH = "search"  # the folder in a run that holds what was tried


@dataclass(frozen=True, kw_only=True)
class KernelReport:
    """What the training of a kernel machine ends with.

    Attributes
    ----------
    predictions : dict of str to Predictions
        For those of "train", "valid" and "test" that have structures; by the C++ engine.
    description : str
        What the model says of its training.
    search : SearchResult or None
        The settings that were tried.
    model_path, run_dir : Path or None
        Where things were written.
    metrics : dict of str to dict
        Errors of each part; see `atomcore.evaluation.Predictions.metrics`.
    """

    predictions: dict[str, Predictions]
    description: str
    search: Any
    model_path: Path | None
    run_dir: Path | None
    metrics: dict[str, dict[str, float]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", {name: found.metrics() for name, found in self.predictions.items()})

    def to_dict(self) -> dict[str, Any]:
        """Everything that ``metrics.json`` holds."""
        sizes = {name: len(found.n_atoms) for name, found in self.predictions.items()}
        return {**self.metrics, "n_structures": sizes, "training": self.description.splitlines()}

    def __str__(self) -> str:
        sizes = ", ".join(f"{len(found.n_atoms)} {name}" for name, found in self.predictions.items())
        lines = [self.description, f"structures: {sizes}", metrics_table(self.metrics)]
        return "\n".join(lines if self.model_path is None else [*lines, f"model: {self.model_path}"])


def fit_kernel_machine(
    model: Any,
    data: Any,
    *,
    search: Mapping[str, Any] | None = None,
    complete: Callable[[Any], Any] | None = None,
    run_dir: str | os.PathLike | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    progress: bool = True,
    config: str | None = None,
) -> KernelReport:
    """Train a kernel machine on the training part of a data set and judge it on all parts.

    Parameters
    ----------
    model : KernelRidge, GaussianProcess or GDML
        Holds what was trained afterwards; its settings are those that were found where there was a search.
    data : Split or Dataset
        A Dataset is split at random: a tenth for validation, a tenth for test. Without validation structures a search
        leaves out one training structure at a time.
    search : mapping, optional
        For GDML, arguments of `atomcore.train.grid_search` or, with ``n_iter``, of `bayesian_search`: ``sigmas``,
        ``lams`` and so on. The other models search by themselves.
    complete : callable, optional
        Makes of the trained model what is written to the run; by default the model itself.
    run_dir : path, optional
        Folder for ``model.atomcore``, ``metrics.json``, ``split.json``, ``config.yaml`` and, where there was a search,
        ``search``.
    overwrite : bool
        Start anew in a `run_dir` that holds a run already.
    threads : int, optional
        Of the engine that judges the model; by default ``OMP_NUM_THREADS``, or all cores.
    progress : bool
        Show what goes on.
    config : str, optional
        Written to ``config.yaml``: the choices of the calling program.

    Returns
    -------
    KernelReport

    Raises
    ------
    ValueError
        When the folder holds a run already, the data has no energies, or the model refuses it.
    MemoryError
        When a matrix does not fit; nothing has been allocated then.
    """
    folder = check_folder(run_dir, resume=False, overwrite=overwrite, members=1)
    with speaking(progress):
        split = as_split(data)
        if split.dataset.energy is None:
            raise ValueError(
                f"data is {split.dataset!r}; accepted: structures with energies, which models are judged by"
            )
        if folder is not None:
            start_folder(folder, split, config, [], keep=False)
        trained, found = _trained(model, split, search, progress)
        trained.provenance = _provenance(split)
        report = _judged(trained, split, found, folder, threads)
        if folder is not None:
            trained.provenance["errors"] = report.metrics
            (trained if complete is None else complete(trained)).save(folder / "model.atomcore")
            if found is not None:
                found.testing.update(report.metrics.get("test", {}))
                found.save(folder / SEARCH)
            write_json(folder / "metrics.json", report.to_dict())
        return report


def _trained(model: Any, split: Split, search: Mapping[str, Any] | None, progress: bool) -> tuple[Any, Any]:
    """Return the trained model and what a search has found, None without one."""
    if search is None:
        return model.fit(split.train, progress=progress), None
    from atomcore.train.kernel_search import bayesian_search, grid_search

    run = bayesian_search if "n_iter" in search else grid_search
    found = run(model, split.train, split.valid if len(split.valid) else None, progress=progress, **search)
    found.indices.update({name: split.indices[name] for name in NAMES if len(split.indices[name])})
    return found.model, found


def _provenance(split: Split) -> dict[str, Any]:
    return {
        **split.dataset.provenance,
        "n_structures": {name: len(getattr(split, name)) for name in NAMES},
        "split": split.settings,
    }


def _judged(model: Any, split: Split, found: Any, folder: Path | None, threads: int | None) -> KernelReport:
    """Judge the model by the engine that users run."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.atomcore"
        model.save(path)
        potential = Potential.load(path, threads=threads)
    parts = {name: getattr(split, name) for name in NAMES}
    return KernelReport(
        predictions={name: evaluate(potential, part) for name, part in parts.items() if len(part)},
        description=_description(model, found),
        search=found,
        model_path=None if folder is None else folder / "model.atomcore",
        run_dir=folder,
    )


def _description(model: Any, found: Any) -> str:
    lines = [str(model.report)] if hasattr(model, "report") else _hyper_parameters(model)
    if found is not None:
        best, edges = found.best, " and ".join(found.at_boundary)
        lines.append(
            f"{len(found.trials)} settings tried; best: sigma {best.sigma:.4g}, lambda {best.lam:.2g}, "
            f"loss {best.loss:.4g}"
        )
        if edges:
            lines.append(f"warning: {edges} of the best setting at the edge of what was searched: search further there")
    return "\n".join(lines)


def _hyper_parameters(model: Any) -> list[str]:
    """Return what a kernel ridge regression or a Gaussian process has found, or was given, in words."""
    if hasattr(model, "noise_"):
        noise = f"noise: energies {model.noise_:.3g} eV, forces {model.gradient_noise_:.3g} eV/A"
    else:
        noise = f"regularization: energies {model.regularization_:.3g}, forces {model.gradient_regularization_:.3g}"
    lines = [f"{type(model).__name__} with {model.kernel_}", noise]
    if model.search_ is not None:
        found = model.search_
        end = "converged" if found.converged else "not converged"
        name = found.criterion.replace("_", " ")
        lines.append(f"{name} of {found.rows} labels, {found.evaluations} evaluations: {found.value:.5g}, {end}")
    return lines
