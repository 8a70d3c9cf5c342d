"""Folders of training runs: what may go where, and what is there at the start."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from atomcore._files import check_folder as check_path
from atomcore._files import remove_leftovers, write_text

LAST = "last.ckpt"
TENSORBOARD = "tensorboard"
_FILES = (LAST, "config.yaml", "log.csv", "metrics.json", "model.atomcore", "split.json")
_RESULTS = (LAST, "model.atomcore", "metrics.json")  # a folder with one of these holds a run
_MEMBERS = "member-[0-9]*"


def member_folder(folder: Path, number: int) -> Path:
    """Folder of one network of an ensemble."""
    return folder / f"member-{number}"


def check_folder(run_dir: str | os.PathLike | None, *, resume: bool, overwrite: bool, members: int) -> Path | None:
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
    check_path("run_dir", folder)
    held = [name for name in _RESULTS if (folder / name).exists()]
    held += [f"{path.parent.name}/{LAST}" for path in sorted(folder.glob(f"{_MEMBERS}/{LAST}"))]
    if held and not resume and not overwrite:
        raise ValueError(
            f"run_dir {str(folder)!r} holds a run already ({', '.join(held)}): continue it with resume "
            "(run.resume=true), replace it with overwrite (run.overwrite=true), or take another folder"
        )
    needed = LAST if members == 1 else f"{member_folder(folder, 0).name}/{LAST}"
    if held and resume and needed not in held:
        raise ValueError(
            f"run_dir {str(folder)!r} has {' and '.join(held)} but no {needed} to continue from: replace the run with "
            "overwrite (run.overwrite=true), or take another folder"
        )
    return folder


def start_folder(folder: Path, split: Any, config: str | None, members: Iterable[Path], *, keep: bool) -> None:
    """Make the folder, and those of ``members``, ready for a new run, or with ``keep`` for one to be continued."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in (folder, *folder.glob(_MEMBERS)):
        for name in _FILES:
            remove_leftovers(part / name)
        if not keep:  # what is left of an older run would be taken for this one's
            _remove_run(part)
    for part in members:
        part.mkdir(exist_ok=True)
    split.save(folder / "split.json")
    if config is not None:
        write_text(folder / "config.yaml", config)


def _remove_run(folder: Path) -> None:
    """Delete what a run has left in ``folder``; without results, files of these names are somebody else's."""
    if any((folder / name).exists() for name in _RESULTS):
        for name in _FILES:
            (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / TENSORBOARD, ignore_errors=True)
