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
import torch

from atomcore._files import write_json
from atomcore._progress import speaking
from atomcore._threads import resolve_threads
from atomcore.evaluation import evaluate
from atomcore.potential import Potential
from atomcore.train.callbacks import Convergence, History, KeepState, Patience, ShowProgress, WeightAverage
from atomcore.train.checkpoints import LAST, CheckedCheckpointIO
from atomcore.train.folder import check_checkpoint, check_folder, start_folder
from atomcore.train.options import Options
from atomcore.train.parallel import Ranks
from atomcore.train.prepare import as_split, make_material
from atomcore.train.report import Report
from atomcore.train.task import Task, TrainingError

_FREE = ("max_epochs", "early_stopping", "convergence", "cache")  # options that may change when a run is continued
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
    """Train ``model`` on energies and, where there are, forces; on stress when `stress_weight` says so.

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
        the batches and the log go on. `max_epochs`, `early_stopping`, `convergence` and `cache` may differ from before,
        nothing else; give `schedule_epochs` to a run whose `max_epochs` may grow.
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
    folder = check_folder(run_dir, resume=resume, overwrite=overwrite, members=1)
    with speaking(progress), _torch_threads(resolve_threads(threads)):
        split = as_split(data)
        identity = _identity(model, split, choices)
        checkpoint = folder / LAST if folder is not None and resume and (folder / LAST).exists() else None
        if checkpoint is not None:
            check_checkpoint(checkpoint, identity, choices.max_epochs)
        material = make_material(model, split, choices, Ranks())
        task = Task(model, material, choices, identity)
        if folder is not None:  # from here on nothing in the input can be wrong
            start_folder(folder, split, config, (), keep=checkpoint is not None)
        average, history = _run(task, folder, checkpoint, progress=progress)
        average.load_best(task)
        return _finish(model, split, average, history, folder, threads)


def _identity(model: Any, split: Any, options: Options) -> dict[str, Any]:
    """What must be the same when a run is continued."""
    choices = {name: value for name, value in options.to_dict().items() if name not in _FREE}
    if options.has_length:
        choices["schedule_epochs"] = options.length
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
    average = WeightAverage(0.0 if options.optimizer == "lbfgs" else options.ema_decay)
    history = History(None if folder is None else folder / "log.csv")
    callbacks: list[lightning.Callback] = [average, history, ShowProgress(history, "training", enabled=progress)]
    if options.early_stopping is not None:
        patience = max(options.early_stopping // options.validate_every, 1)
        callbacks.append(Patience(task.monitor, patience=patience, check_finite=False))
    if options.convergence is not None:
        callbacks.append(Convergence(options.convergence, history, average))
    if folder is not None:
        callbacks.append(KeepState(folder / LAST))
    with _quiet_lightning(), tempfile.TemporaryDirectory() as scratch:
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=options.max_epochs,
            gradient_clip_val=None if options.optimizer == "lbfgs" else options.gradient_clip,
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
