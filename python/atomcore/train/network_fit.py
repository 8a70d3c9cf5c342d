"""``fit``: from a model and data to a trained model and a report."""

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from atomcore._files import write_json
from atomcore._progress import speaking
from atomcore._threads import resolve_threads
from atomcore.data.split import as_split
from atomcore.evaluation import evaluate
from atomcore.models import BehlerParrinello, Ensemble
from atomcore.potential import Potential
from atomcore.train.board import check_tensorboard
from atomcore.train.callbacks import History, WeightAverage
from atomcore.train.checkpoints import check_checkpoint
from atomcore.train.folder import LAST, check_folder, member_folder, start_folder
from atomcore.train.grades import grade_matrices
from atomcore.train.loop import Display, run_task, torch_threads
from atomcore.train.options import Options
from atomcore.train.parallel import Ranks, join
from atomcore.train.prepare import make_material
from atomcore.train.report import Report
from atomcore.train.task import Material, Task
from atomcore.train.transfer import fingerprint, frozen

_FREE = ("max_epochs", "early_stopping", "convergence", "cache")  # options that may change when a run is continued
_PARTS = ("train", "valid", "test")
_BAGGING = 1  # beside the seed: drawn apart from the batches


def fit(
    model: Any,
    data: Any,
    *,
    run_dir: str | os.PathLike | None = None,
    resume: bool = False,
    overwrite: bool = False,
    bagging: bool = False,
    tensorboard: bool = False,
    threads: int | None = None,
    progress: bool = True,
    config: str | None = None,
    **options: Any,
) -> Report:
    """Train ``model`` on energies and, where there are, forces; on stress when `stress_weight` says so.

    A program that ``torchrun --nproc-per-node N`` starts several times trains one model with all its processes:
    `batch_size` is that of each, and only the first one writes.

    Parameters
    ----------
    model : BehlerParrinello or Ensemble
        Scaling, reference energies and weights are set here; afterwards it holds the best (averaged) weights. The
        members of an ensemble are trained one after the other on the same features; member m deals its batches with the
        seed of the options plus m. With ``transfer=True`` training goes on from the model as it is, see `Options`.
    data : Split or Dataset
        A Dataset is split at random: a tenth for validation, a tenth for test.
    run_dir : path, optional
        Folder for checkpoint (``last.ckpt``), ``log.csv``, ``split.json``, ``metrics.json`` and ``model.atomcore``.
        Nothing is written without it. Checkpoints and logs of an ensemble are in ``member-0``, ``member-1``, ...
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
    bagging : bool
        Draw the training structures of each member of an ensemble with replacement.
    tensorboard : bool
        Write the rows of the log to ``tensorboard`` in `run_dir`, too.
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
    ModuleNotFoundError
        When `tensorboard` is true and the package is not there.
    TrainingError
        When the loss diverges or is not a number; the last good checkpoint stays.
    """
    choices = Options.from_keywords(options)
    _check_model(model, bagging)
    folder = check_folder(run_dir, resume=resume, overwrite=overwrite, members=len(model.members))
    check_tensorboard(tensorboard, folder)
    ranks = join()
    with speaking(progress and ranks.first), torch_threads(resolve_threads(threads)):
        split = as_split(data)
        members = _members(model, split, choices, folder, ranks, bagging=bagging)
        for member in members:
            if resume and member.checkpoint is not None:
                check_checkpoint(member.checkpoint, member.identity, choices.max_epochs)
        material = make_material(model, split, choices, ranks)
        ranks.wait()  # until all have looked at the folder
        if folder is not None and ranks.first:  # from here on nothing in the input can be wrong
            folders = [member.folder for member in members if member.folder is not None]
            start_folder(folder, split, config, folders, keep=resume)
        ranks.wait()
        with frozen(model, choices.freeze):
            courses = [
                _train(member, material, ranks, tensorboard=tensorboard, progress=progress) for member in members
            ]
        if len(model.members) == 1:
            model.grades = grade_matrices(model, material, progress=progress and ranks.first)
        return _finish(model, split, courses, folder, threads, ranks)


class _Member(NamedTuple):
    """A network to train: the only one, or one of an ensemble."""

    model: Any
    label: str
    options: Options
    train: np.ndarray
    folder: Path | None
    identity: dict[str, Any]

    @property
    def checkpoint(self) -> Path | None:
        """What there is to continue from."""
        return self.folder / LAST if self.folder is not None and (self.folder / LAST).exists() else None


def _members(
    model: Any, split: Any, options: Options, folder: Path | None, ranks: Ranks, *, bagging: bool
) -> list[_Member]:
    members, train = [], split.indices["train"]
    for m, network in enumerate(model.members):
        choices = replace(options, seed=options.seed + m)
        identity = _identity(network, split, choices, ranks)
        where, label, drawn = folder, "training", train
        if len(model.members) > 1:
            where = None if folder is None else member_folder(folder, m)
            label = f"training network {m + 1} of {len(model.members)}"
            identity["bagging"] = bagging
        if bagging:
            drawn = np.sort(np.random.default_rng([choices.seed, _BAGGING]).choice(train, len(train)))
        members.append(_Member(network, label, choices, drawn, where, identity))
    return members


def _check_model(model: Any, bagging: bool) -> None:
    if not isinstance(model, BehlerParrinello | Ensemble):
        raise TypeError(f"model is a {type(model).__name__}; accepted: BehlerParrinello, Ensemble")
    if not isinstance(bagging, bool):
        raise ValueError(f"bagging is {bagging!r}; accepted: true, false")
    if bagging and len(model.members) == 1:
        raise ValueError("bagging is true, but there is one network; accepted with an Ensemble (ensemble.members=4)")


def _train(
    member: _Member, material: Material, ranks: Ranks, *, tensorboard: bool, progress: bool
) -> tuple[WeightAverage, History]:
    """Train one network, which has the best weights afterwards."""
    task = Task(member.model, material._replace(train=member.train), member.options, member.identity, ranks)
    display = Display(member.label, tensorboard=tensorboard and ranks.first, progress=progress and ranks.first)
    average, history = run_task(task, member.folder, member.checkpoint, display)
    average.load_best(task)
    return average, history


def _identity(model: Any, split: Any, options: Options, ranks: Ranks) -> dict[str, Any]:
    """What must be the same when a run is continued."""
    choices = {name: value for name, value in options.to_dict().items() if name not in _FREE}
    if options.has_length:
        choices["schedule_epochs"] = options.length
    kind = f"{'shared ' if model.shared else ''}{model.input_scaling} {model.target}"
    return {
        "data": split.dataset.sha256,
        "split": json.dumps({name: indices.tolist() for name, indices in split.indices.items()}),
        "features": json.dumps([list(model.elements), model.features.table]),
        "networks": f"{model.hidden} {model.activation} {kind} seed {model.seed}",
        "processes": ranks.size,
        **choices,
        "reference_energies": json.dumps(options.reference_energies, sort_keys=True, default=float),
        "start": fingerprint(model) if options.transfer else "",
    }


def _finish(
    model: Any,
    split: Any,
    courses: list[tuple[WeightAverage, History]],
    folder: Path | None,
    threads: int | None,
    ranks: Ranks,
) -> Report:
    """Judge the exported model with the engine that users run, and write what there is to keep."""
    parts = {name: getattr(split, name) for name in _PARTS}
    model.provenance = {  # before anything is judged: what was known of an earlier training holds no longer
        **split.dataset.provenance,
        "n_structures": {name: len(part) for name, part in parts.items()},
        "split": split.settings,
    }
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.atomcore"
        model.save(path)
        potential = Potential.load(path, threads=threads)
    report = Report(
        predictions={name: evaluate(potential, part) for name, part in parts.items() if len(part)},
        histories=[history.rows for _, history in courses],
        best_epochs=[average.best_epoch for average, _ in courses],
        model_path=None if folder is None else folder / "model.atomcore",
        run_dir=folder,
    )
    model.provenance["errors"] = report.metrics
    if folder is not None and ranks.first:
        model.save(folder / "model.atomcore")
        write_json(folder / "metrics.json", report.to_dict())
    ranks.wait()
    return report
