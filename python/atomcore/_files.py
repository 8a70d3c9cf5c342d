"""Files that are either written whole or not at all."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Give the name of a temporary file that takes the place of ``path`` when the block ends without an error.

    The temporary file lies in the same folder, is synced to disk and renamed; after an error it is removed and what
    was at ``path`` is untouched. The suffix is kept, since some writers choose the format by it.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path is {str(path)!r}, but there is no folder {str(target.parent)!r}")
    if target.is_dir():
        raise IsADirectoryError(f"path is {str(path)!r}, which is a folder; accepted: the name of a file")
    temporary = target.with_name(_temporary_name(target, str(os.getpid())))
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(name: str, path: str | os.PathLike) -> None:
    """Raise unless ``path``, the value of ``name``, is a folder or can become one."""
    folder = Path(path)
    for part in (folder, *folder.parents):
        if part.exists():
            if not part.is_dir():
                raise ValueError(f"{name} is {str(path)!r}, but {str(part)!r} is no folder")
            return


def _temporary_name(target: Path, process: str) -> str:
    return f".{target.stem}.{process}.tmp{target.suffix}"


def remove_leftovers(path: str | os.PathLike) -> None:
    """Delete the temporary files of processes that were killed while they wrote ``path``, and nothing else."""
    target = Path(path)
    name = re.compile(re.escape(_temporary_name(target, "\0")).replace(re.escape("\0"), r"\d+"))
    for file in target.parent.glob(".*"):
        if name.fullmatch(file.name) and file.is_file() and not file.is_symlink():
            file.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write plain values as JSON, whole or not at all; NaN and infinity raise ValueError."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
