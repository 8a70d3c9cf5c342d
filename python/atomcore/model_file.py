"""The ``.atomcore`` model file: written here, read and verified by the core.

A model file is a safetensors file. Its metadata hold one JSON text, ``"atomcore"``, which says what the tensors mean,
and in it the SHA-256 of the whole file, computed with the 64 digits of the checksum itself set to zero.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from atomcore import _core
from atomcore._files import replacing

FORMAT_VERSION = (1, 4)
_NO_DIGEST = "0" * 64


def write(path: str | os.PathLike, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write a model file, whole or not at all, and make sure that the core reads it.

    Parameters
    ----------
    path
        The file, replaced if it exists; by convention it ends in ``.atomcore``.
    tensors
        Arrays by name, float32, float64 or int64.
    metadata
        What the tensors mean, as JSON holds it. ``format_version`` and ``sha256`` are filled in.

    Raises
    ------
    ValueError
        The metadata cannot be written as JSON, for instance because of a NaN.
    AtomcoreError
        The core refuses the result: a tensor is missing, has the wrong shape or is not finite. Nothing is written.
    OSError
        The file cannot be written.
    """
    from safetensors.numpy import save

    # the checksum comes first: its digits are then the first run of 64 zeros in the file
    document = {"sha256": _NO_DIGEST, "format_version": list(FORMAT_VERSION)}
    document |= {key: value for key, value in metadata.items() if key not in document}
    text = json.dumps(document, allow_nan=False)
    content = save({name: np.ascontiguousarray(array) for name, array in tensors.items()}, {"atomcore": text})
    digest = hashlib.sha256(content).hexdigest()
    with replacing(path) as temporary:
        temporary.write_bytes(content.replace(_NO_DIGEST.encode(), digest.encode(), 1))
        _core.read_metadata(os.fsencode(temporary))


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """Verify a model file and return its metadata.

    Raises
    ------
    OSError
        The file cannot be read.
    AtomcoreError
        The file is no model file, is damaged, or needs a newer version of atomcore.
    """
    return json.loads(_core.read_metadata(encoded_path(path)))


def read(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Verify a model file and return its metadata and tensors; errors are those of `read_metadata`."""
    from safetensors.numpy import load_file

    return read_metadata(path), load_file(path)


def encoded_path(path: str | os.PathLike) -> bytes:
    """Return the path as the core takes it; a file that is not there is Python's own ``FileNotFoundError``."""
    os.stat(path)
    return os.fsencode(path)
