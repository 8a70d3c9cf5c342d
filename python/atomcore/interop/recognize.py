"""Which code a model is of, by what its files hold."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from atomcore._core import AtomcoreError
from atomcore.data.readers.archive import read_archive
from atomcore.data.readers.sgdml import type_of
from atomcore.interop.ani.neurochem import find_info, find_networks
from atomcore.interop.n2p2.keywords import FILE as INPUT

FORMATS = {  # what they are recognized by
    "n2p2": "a folder with input.nn, several of these, or a folder with them (a committee)",
    "neurochem": "an .info file, or a folder with one or with networks/ANN-*.nnf",
    "torchani": "a state dict (.pt, .safetensors)",
    "sgdml": "an npz file with type 'm'",
    "mbgdml": "several of these with comp_ids, or a folder with them",
}
_ATOMCORE = "atomcore"
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LONGEST_HEADER = 1 << 26  # bytes


def recognize(sources: Sequence[Path]) -> str:
    """Return the name of the format, a key of `FORMATS`.

    Raises
    ------
    FileNotFoundError
        There is nothing at a path.
    ValueError
        It is none of these formats; the message says what was looked for.
    """
    for path in sources:
        if not path.exists():
            raise FileNotFoundError(f"source is {str(path)!r}: there is no such file or folder")
    names = {_format_of(path, alone=len(sources) == 1) for path in sources}
    if len(names) == 1 and None not in names:
        return str(names.pop())
    found = sources[0].name if len(sources) == 1 else "sources"
    looked_for = "; ".join(f"{name}: {what}" for name, what in FORMATS.items())
    raise ValueError(f"{found}: no model of a known format; looked for {looked_for}")


def is_model_file(path: Path) -> bool:
    """Return whether a path is a model file of this package."""
    return path.is_file() and _ATOMCORE in (_safetensors_metadata(path) or {})


def _format_of(path: Path, *, alone: bool) -> str | None:
    if path.is_dir():
        return _format_of_folder(path)
    if not path.is_file():
        return None
    if find_info(path) is not None:
        return "neurochem"
    if path.name == INPUT:
        return "n2p2"
    if _is_archive(path):
        if _holds_gdml(path):
            return "sgdml" if alone else "mbgdml"
        return "torchani" if _holds_torch(path) else None
    metadata = _safetensors_metadata(path)
    if metadata is not None:
        return None if _ATOMCORE in metadata else "torchani"
    with path.open("rb") as file:
        return "torchani" if file.read(len(_OLD_TORCH)) == _OLD_TORCH else None


def _format_of_folder(path: Path) -> str | None:
    if (path / INPUT).is_file() or any(path.glob(f"*/{INPUT}")):
        return "n2p2"
    if find_info(path) is not None or find_networks(path) is not None:
        return "neurochem"
    models = gdml_files(path)
    if len(models) == 1 and not _names_components(models[0]):
        return "sgdml"
    return "mbgdml" if models else None


def gdml_files(folder: Path) -> list[Path]:
    """Return the models of sGDML and mbGDML in a folder, other npz files not."""
    return [file for file in sorted(folder.glob("*.npz")) if is_gdml_file(file)]


def is_gdml_file(path: Path) -> bool:
    """Return whether a path is a model of sGDML and mbGDML, perhaps a damaged one."""
    return path.is_file() and _is_archive(path) and _holds_gdml(path)


def _names_components(path: Path) -> bool:
    try:
        return "comp_ids" in read_archive(path, keys=())[1]
    except AtomcoreError:  # a damaged one is left to its reader
        return False


def _is_archive(path: Path) -> bool:
    """Return whether a file begins as a zip archive does; whether it is one, its reader will say."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _holds_gdml(path: Path) -> bool:
    """Return whether an archive is a model of sGDML or mbGDML; a damaged one is left to its reader."""
    try:
        arrays, names = read_archive(path, keys=("type",))
        return type_of(arrays) == "m" if arrays else "R_d_desc_alpha" in names
    except AtomcoreError:
        return path.suffix == ".npz"


def _holds_torch(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return path.suffix == ".pt"


def _safetensors_metadata(path: Path) -> dict[str, str] | None:
    """Return the metadata of a safetensors file, None if it is none."""
    with path.open("rb") as file:
        start = file.read(9)
        length = int.from_bytes(start[:8], "little")
        if len(start) < 9 or start[8:] != b"{" or not 2 <= length <= min(_LONGEST_HEADER, path.stat().st_size):
            return None
        try:
            header = json.loads(b"{" + file.read(length - 1))
        except ValueError:
            return None
    found = header.get("__metadata__", {}) if isinstance(header, dict) else {}
    return found if isinstance(found, dict) else {}
