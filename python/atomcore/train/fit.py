"""``fit``: from a model and data to a trained model and a report."""

import contextlib
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from atomcore._files import remove_leftovers, write_json, write_text
from atomcore._progress import speaking
from atomcore._threads import resolve_threads
from atomcore.data import Dataset, Split, reference_energies
from atomcore.evaluation import evaluate
from atomcore.potential import Potential
from atomcore.train.batches import Graph
from atomcore.train.cache import make_source
from atomcore.train.callbacks import History, KeepState, Patience, ShowProgress, WeightAverage
from atomcore.train.checkpoints import LAST, CheckedCheckpointIO
from atomcore.train.losses import Labels
from atomcore.train.options import Options
from atomcore.train.report import Report
from atomcore.train.statistics import output_scale, statistics
from atomcore.train.task import Task, TrainingError, check_identity

_log = logging.getLogger("atomcore")
_FILES = (LAST, "config.yaml", "log.csv", "metrics.json", "model.atomcore", "split.json")
_RESULTS = (LAST, "model.atomcore", "metrics.json")  # a folder with one of these holds a run
_FREE = ("max_epochs", "early_stopping", "cache")  # options that may change when a run is continued
_PARTS = ("train", "valid", "test")


def fit(
    model: Any,
    data: Any,
    *,
    run_dir: str | os.PathLike | None = None,
    resume: bool = False,
    overwrite: bool = False,
    threads: int | None = None,
    progress: bool = True,
    config: str | None = None,
    **options: Any,
) -> Report:
    """Train ``model`` on energies and, where there are, forces.

    Parameters
    ----------
    model : BehlerParrinello
        Scaling, reference energies and weights are set here; afterwards it holds the best (averaged) weights.
    data : Split or Dataset
        A Dataset is split at random: a tenth for validation, a tenth for test.
    run_dir : path, optional
        Folder for checkpoint (``last.ckpt``), ``log.csv``, ``split.json``, ``metrics.json`` and ``model.atomcore``.
        Nothing is written without it.
    resume : bool
        Continue the run in `run_dir`, bit for bit as if it had never stopped; start one if there is none. The order of
        the batches and the log go on. `max_epochs`, `early_stopping` and `cache` may differ from before, nothing else;
        give `schedule_epochs` to a run whose `max_epochs` may grow.
    overwrite : bool
        Start anew in a `run_dir` that holds a run already; not together with `resume`.
    threads : int, optional
        Default ``OMP_NUM_THREADS``, or all cores.
    progress : bool
        Show what goes on.
    config : str, optional
        Written to ``config.yaml`` in `run_dir` when training starts: the choices of the calling program.
    **options
        See `Options`, for instance ``max_epochs=200, batch_size=32, learning_rate=5e-3, forces_weight=1.0``.

    Returns
    -------
    Report

    Raises
    ------
    TypeError, ValueError
        For an unknown or unsuitable option, data without energies, or a checkpoint that does not belong to this run
        or has more epochs than `max_epochs`.
    TrainingError
        When the loss diverges or is not a number; the last good checkpoint stays.
    """
    choices = Options.from_keywords(options)
    folder = _check_folder(run_dir, resume=resume, overwrite=overwrite)
    with speaking(progress), _torch_threads(resolve_threads(threads)):
        split = _as_split(data)
        identity = _identity(model, split, choices)
        checkpoint = folder / LAST if folder is not None and resume and (folder / LAST).exists() else None
        if checkpoint is not None:
            _check_checkpoint(CheckedCheckpointIO().load_checkpoint(checkpoint), identity, choices.max_epochs)
        task = _make_task(model, split, choices, identity)
        if folder is not None:  # from here on nothing in the input can be wrong
            _start_folder(folder, split, config, keep=checkpoint)
        average, history = _run(task, folder, checkpoint, progress=progress)
        average.load_best(task)
        return _finish(model, split, average, history, folder, threads)


def _check_folder(run_dir: str | os.PathLike | None, *, resume: bool, overwrite: bool) -> Path | None:
    """Raise when the run may not go where it is told to; change nothing there."""
    for name, value in (("resume", resume), ("overwrite", overwrite)):
        if not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}; accepted: true, false")
    if resume and overwrite:
        raise ValueError("resume and overwrite are both true; accepted: one of them, to continue or to start anew")
    if run_dir is None:
        if resume:
            raise ValueError("resume needs run_dir, the folder of the run to continue")
        return None
    if not isinstance(run_dir, str | os.PathLike) or not os.fspath(run_dir):
        raise ValueError(f"run_dir is {run_dir!r}; accepted: the path of a folder, such as 'run'")
    folder = Path(run_dir)
    held = [name for name in _RESULTS if (folder / name).exists()]
    if held and not resume and not overwrite:
        raise ValueError(
            f"run_dir {str(folder)!r} holds a run already ({', '.join(held)}): continue it with resume "
            "(run.resume=true), replace it with overwrite (run.overwrite=true), or take another folder"
        )
    if held and resume and LAST not in held:
        raise ValueError(
            f"run_dir {str(folder)!r} has {' and '.join(held)} but no {LAST} to continue from: replace the run with "
            "overwrite (run.overwrite=true), or take another folder"
        )
    return folder


def _check_checkpoint(checkpoint: dict[str, Any], identity: dict[str, Any], max_epochs: int) -> None:
    check_identity(checkpoint, identity)
    finished = checkpoint["epoch"] + 1
    if max_epochs < finished:
        raise ValueError(
            f"max_epochs is {max_epochs}, but the run to resume has {finished} epochs already; accepted: {finished} "
            "or more"
        )


def _start_folder(folder: Path, split: Any, config: str | None, *, keep: Path | None) -> None:
    """Make the folder ready for a new run, or for the one whose checkpoint is ``keep``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        remove_leftovers(folder / name)
    if keep is None:
        for name in _RESULTS:  # what is left of an older run would be taken for this one's
            (folder / name).unlink(missing_ok=True)
    split.save(folder / "split.json")
    if config is not None:
        write_text(folder / "config.yaml", config)


def _as_split(data: Any) -> Any:
    if isinstance(data, Split):
        return data
    if not isinstance(data, Dataset):
        raise TypeError(f"data is a {type(data).__name__}; accepted: Dataset (see atomcore.data.load), Split")
    part = len(data) // 10
    split = data.split(valid=part, test=part, seed=0)
    _log.info("No split given: %d structures for training, %d validation, %d test, at random (seed 0).",
              len(data) - 2 * part, part, part)  # fmt: skip
    return split


def _make_task(model: Any, split: Any, options: Options, identity: dict[str, Any]) -> Task:
    """Set the model's scaling and gather what the training steps need."""
    data, train = split.dataset, split.indices["train"]
    if data.energy is None:
        raise ValueError("data has no energies to learn from")
    reference = _references(model, split.train, options)
    graph = Graph(data, model.features.numbers, model.features.cutoff)
    atomic = reference[graph.species]
    residual = data.energy - np.add.reduceat(atomic, data.structure_ptr[:-1])  # double: total energies are large
    forces = data.forces if options.forces_weight > 0 else None
    dtype = getattr(torch, options.precision)
    scale = output_scale(residual[train], graph.n_atoms[train], split.train.forces)
    model.prepare(statistics(model.features, graph, train, reference, scale), dtype)
    spread = np.unique(np.linspace(0, len(split.train) - 1, 3).astype(int))
    model.examples = [split.train[int(i)] for i in spread]
    source = make_source(model, graph, dtype, cache=options.cache, with_jacobian=forces is not None)
    labels = Labels.make(residual, forces, graph.n_atoms, dtype)
    return Task(model, source, labels, graph, train, split.indices["valid"], options, identity)


def _references(model: Any, train: Any, options: Options) -> np.ndarray:
    """Reference energies in eV in the order of the model's elements."""
    found = dict(zip(train.elements, reference_energies(train, options.reference_energies), strict=True))
    return np.array([found.get(x, 0.0) for x in model.elements])


def _identity(model: Any, split: Any, options: Options) -> dict[str, Any]:
    """What must be the same when a run is continued."""
    choices = {name: value for name, value in options.to_dict().items() if name not in _FREE}
    if options.schedule in ("cosine", "exponential"):  # the others have no length
        choices["schedule_epochs"] = options.schedule_epochs or options.max_epochs
    return {
        "data": split.dataset.sha256,
        "split": json.dumps({name: indices.tolist() for name, indices in split.indices.items()}),
        "features": json.dumps([list(model.elements), model.features.table]),
        "networks": f"{model.hidden} {model.activation} seed {model.seed}",
        **choices,
        "reference_energies": json.dumps(options.reference_energies, sort_keys=True, default=float),
    }


def _run(task: Task, folder: Path | None, checkpoint: Path | None, *, progress: bool) -> tuple[WeightAverage, History]:
    options = task.options
    average = WeightAverage(options.ema_decay)
    history = History(None if folder is None else folder / "log.csv")
    callbacks: list[lightning.Callback] = [average, history, ShowProgress(history, enabled=progress)]
    if options.early_stopping is not None:
        monitor = "valid_loss" if len(task.valid_loader) else "train_loss"
        patience = max(options.early_stopping // options.validate_every, 1)
        callbacks.append(Patience(monitor, patience=patience, check_finite=False))
    if folder is not None:
        callbacks.append(KeepState(folder / LAST))
    with _quiet_lightning(), tempfile.TemporaryDirectory() as scratch:
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=options.max_epochs,
            gradient_clip_val=options.gradient_clip,
            check_val_every_n_epoch=options.validate_every,
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


def _has_checkpoint(folder: Path | None) -> bool:
    return folder is not None and (folder / LAST).exists()


def _finish(
    model: Any, split: Any, average: WeightAverage, history: History, folder: Path | None, threads: int | None
) -> Report:
    """Judge the exported model with the engine that users run, and write what there is to keep."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.atomcore"
        model.save(path)
        potential = Potential.load(path, threads=threads)
    parts = {name: getattr(split, name) for name in _PARTS}
    report = Report(
        predictions={name: evaluate(potential, part) for name, part in parts.items() if len(part)},
        history=history.rows,
        best_epoch=average.best_epoch,
        model_path=None if folder is None else folder / "model.atomcore",
        run_dir=folder,
    )
    model.provenance = {
        "source": split.dataset.source,
        "data_sha256": split.dataset.sha256,
        "n_structures": {name: len(part) for name, part in parts.items()},
        "split": split.settings,
        "errors": report.metrics,
    }
    if folder is not None:
        model.save(folder / "model.atomcore")
        write_json(folder / "metrics.json", report.to_dict())
    return report


@contextlib.contextmanager
def _torch_threads(count: int) -> Iterator[None]:
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
            yield
    finally:
        logger.setLevel(before)
