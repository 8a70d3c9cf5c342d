"""The arrays of an npz file, checksums verified, and never through a pickle module."""

import io
import os
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError

# Turns the rest of an object array's member, behind its header, into the array.
ObjectReader = Callable[[bytes], Any]


def read_archive(
    file: Path, keys: Collection[str] | None = None, objects: ObjectReader | None = None
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return those of the arrays that are there, and the names of all.

    Parameters
    ----------
    file : Path
        An npz file.
    keys : collection of str, optional
        Which arrays to read; by default all.
    objects : callable, optional
        Reads arrays of Python objects, which NumPy stores as pickles; without it they are refused. What it raises as
        ValueError is reported with the name of the array.

    Raises
    ------
    AtomcoreError
        When the file is damaged, or none, or an array is of a kind that is not read.
    """
    arrays, names = {}, []
    try:
        with zipfile.ZipFile(file) as archive:
            _check_table_of_contents(file, archive)
            for name in archive.namelist():
                # Opening compares the name with the table of contents, so that no array is missed for a damaged name.
                with archive.open(name) as member:
                    names.append(key := name.removesuffix(".npy"))
                    if keys is None or key in keys:
                        arrays[key] = _parse_npy(file, key, io.BytesIO(member.read()), objects)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        UnicodeError,
    ) as error:
        raise AtomcoreError(f"{file.name} is damaged or no npz file: {error}") from error
    return arrays, names


def _check_table_of_contents(file: Path, archive: zipfile.ZipFile) -> None:
    """Raise unless the archive lists as many members as its end record says: a damaged length hides the last ones."""
    with file.open("rb") as handle:
        handle.seek(-12 - len(archive.comment), os.SEEK_END)
        declared = int.from_bytes(handle.read(2), "little")
    if declared != len(archive.infolist()):
        raise zipfile.BadZipFile(f"{len(archive.infolist())} of {declared} arrays are listed")


def _parse_npy(file: Path, key: str, content: io.BytesIO, objects: ObjectReader | None) -> np.ndarray:
    try:
        if objects is not None and _holds_objects(content):
            return objects(content.read())
        content.seek(0)
        array = np.lib.format.read_array(content, allow_pickle=False)
        letters = np.frombuffer(array.tobytes(), array.dtype.str[0] + "u4") if array.dtype.kind == "U" else np.zeros(0)
        if (letters > sys.maxunicode).any():
            raise ValueError("it holds texts that are none")
        return array
    except (ValueError, EOFError, MemoryError, tokenize.TokenError) as error:
        raise AtomcoreError(f"array {key!r} of {file.name} cannot be read: {error}") from error


def _holds_objects(content: io.BytesIO) -> bool:
    """Whether an array of Python objects begins here; ``content`` is left behind the header."""
    version = np.lib.format.read_magic(content)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    return version in read_header and read_header[version](content)[2].hasobject
