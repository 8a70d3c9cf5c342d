"""Damage to folders of model files of other codes, as accidents and attackers do it: bytes, lines, words and arrays."""

import bz2
import io
import re
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Files = dict[str, bytes]  # by their paths in a folder

SPECIAL_NUMBERS = (
    0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0, 7.0, 1e-300, 1e300, -1e300, 1e-9, 1e9, 5e-324, 1e154, np.inf, -np.inf, np.nan,
)  # fmt: skip
SPECIAL_INTEGERS = (0, 1, -1, 2, 3, 7, 118, 119, 255, 1000, 2**31, -(2**31), 2**33, 2**63 - 1, -(2**63))
SPECIAL_WORDS = (
    "nan", "inf", "-1", "0", "1e400", "0x10", "1_000", "1e-320", "99999999999999999999", "H", "O", "Xx", "#", "=", "\0",
    "\N{SUPERSCRIPT TWO}", "../x", "", "1.5", "2", "true", "'", "[", "]", "{", "}", ",", "$", "/dev/zero",
)  # fmt: skip
_MOST_BYTES = 200_000  # of an array that damage makes larger


def packed_nnf(text: bytes) -> bytes:
    """Return the file of a network of NeuroChem with this text."""
    return str(len(text)).encode() + b"=\n" + bz2.compress(text)


def damaged(files: Files, random: np.random.Generator) -> Files:
    """Return files with one to three mutations."""
    result = dict(files)
    for _ in range(random.integers(1, 4)):
        name = str(random.choice(sorted(result))) if result else ""
        if random.random() < 0.03:
            _without(result, name, random)
        elif name:
            result[name] = _mutation(name, result[name], random)(result[name], random)
    return result


def _without(files: Files, name: str, random: np.random.Generator) -> None:
    """Remove a file, or exchange the contents of two."""
    if random.random() < 0.5:
        files.pop(name, None)
    elif files:
        other = str(random.choice(sorted(files)))
        files[name], files[other] = files[other], files[name]


def _mutation(name: str, content: bytes, random: np.random.Generator) -> Callable[..., bytes]:
    if random.random() < 0.15:
        return any_bytes
    if name.endswith(".nnf"):
        return _network_text
    if name.endswith(".pt") and random.random() < 0.8:
        return _state_dict
    if zipfile.is_zipfile(io.BytesIO(content)):
        return zipped
    return any_bytes if b"\0" in content[:1000] else words


def any_bytes(content: bytes, random: np.random.Generator) -> bytes:
    """Cut off, append, flip bits, or copy a piece to another place."""
    data = bytearray(content)
    kind = random.integers(5)
    if kind == 0 or not data:
        return bytes(data[: random.integers(len(data) + 1)])
    if kind == 1:
        return bytes(data) + random.bytes(random.integers(1, 20))
    if kind == 2:
        start, stop = sorted(random.integers(0, len(data) + 1, 2))
        place = random.integers(len(data) + 1)
        return bytes(data[:place] + data[start:stop] + data[place:])
    for _ in range(random.integers(1, 5)):
        data[random.integers(len(data))] ^= 1 << random.integers(8)
    return bytes(data)


def words(content: bytes, random: np.random.Generator) -> bytes:
    """Change lines and words of a text."""
    lines = content.decode("latin-1").split("\n")
    at = int(random.integers(len(lines)))
    kind = random.integers(8)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(int(random.integers(len(lines) + 1)), lines[at])
    elif kind == 2:
        other = int(random.integers(len(lines)))
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 3:
        lines = lines[:at]
    else:
        parts = re.split(r"([\s=,\[\]]+)", lines[at])
        k = int(random.integers(len(parts)))
        parts[k] = _other_word(parts[k], lines, random)
        lines[at] = "".join(parts)
    return "\n".join(lines).encode("latin-1", "replace")


def _other_word(word: str, lines: list[str], random: np.random.Generator) -> str:
    kind = random.integers(5)
    if kind == 0:
        return str(random.choice(SPECIAL_WORDS))
    if kind == 1:
        others = random.choice(lines).split() or [""]
        return str(random.choice(others))
    if kind == 2:
        return word + " " + word
    try:
        number = float(word)
    except ValueError:
        return word[: len(word) // 2]
    if kind == 3:
        return repr(float(random.choice(SPECIAL_NUMBERS)))
    return repr(float(random.choice([-number, 2 * number, number + 1, number - 1])))


def zipped(content: bytes, random: np.random.Generator) -> bytes:
    """Change one member of a zip archive: an array where it is one, its bytes otherwise."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # an archive that is damaged already, in one of many ways
        return any_bytes(content, random)
    if not members:
        return content
    name = str(random.choice(sorted(members)))
    kind = random.integers(12)
    if kind == 0:
        del members[name]
    elif kind == 1:
        other = str(random.choice(sorted(members)))
        members[name], members[other] = members[other], members[name]
    elif name.endswith(".npy") and kind < 11:
        members[name] = _other_array(members[name], random)
    else:
        members[name] = any_bytes(members[name], random)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return out.getvalue()


def _other_array(content: bytes, random: np.random.Generator) -> bytes:
    out = io.BytesIO()
    try:
        np.save(out, changed(np.load(io.BytesIO(content), allow_pickle=False), random), allow_pickle=False)
    except Exception:  # objects, or no array any more, in one of many ways
        return any_bytes(content, random)
    return out.getvalue()


def changed(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return an array with another number, shape, size or type."""
    kind = random.integers(8)
    if kind == 0:
        with np.errstate(all="ignore"):
            return array.astype(random.choice(["<f4", "<f8", "<i8", "<i4", ">f8", "<f2", "?", "<c16", "U3", "S2"]))
    if kind == 1:
        return array[None] if random.random() < 0.5 else np.ravel(array)
    if kind == 2 and array.ndim:
        axis = int(random.integers(array.ndim))
        return np.take(array, np.arange(random.integers(array.shape[axis] + 1)), axis=axis)
    if kind == 3 and array.ndim and array.nbytes < _MOST_BYTES:
        return np.concatenate([array, array], axis=int(random.integers(array.ndim)))
    if kind == 4:
        return array.T
    return _other_entry(array.copy(), random)


def _other_entry(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if array.size == 0:
        return array
    flat = array.reshape(-1)
    at = int(random.integers(flat.size))
    values: Any = {"f": SPECIAL_NUMBERS, "i": SPECIAL_INTEGERS, "U": SPECIAL_WORDS}.get(array.dtype.kind)
    if values is None:
        return array
    value = values[int(random.integers(len(values)))]
    if flat.dtype.kind == "i":
        value = np.clip(value, np.iinfo(flat.dtype).min, np.iinfo(flat.dtype).max)
    with np.errstate(all="ignore"):
        flat[at] = value
    return flat.reshape(array.shape)


def _network_text(content: bytes, random: np.random.Generator) -> bytes:
    """Change the compressed text of a network of NeuroChem."""
    try:
        return packed_nnf(words(bz2.decompress(content.partition(b"\n")[2]), random))
    except (OSError, ValueError):
        return any_bytes(content, random)


def _state_dict(content: bytes, random: np.random.Generator) -> bytes:
    """Change a tensor of a state dict, or the names of two."""
    import torch

    try:
        state = torch.load(io.BytesIO(content), weights_only=True)
        names = sorted(state) or [""]
    except Exception:  # it is damaged already, in one of many ways
        return any_bytes(content, random)
    name, other = (str(random.choice(names)) for _ in range(2))
    kind = random.integers(6)
    if name not in state:
        return any_bytes(content, random)
    if kind == 0:
        del state[name]
    elif kind == 1:
        state[name], state[other] = state[other], state[name]
    elif kind == 2:
        state[name.replace("0", "1") if random.random() < 0.5 else name + "x"] = state.pop(name)
    else:
        array = changed(state[name].numpy(), random)
        if array.dtype.kind not in "fiub" or array.dtype.byteorder == ">":
            return zipped(content, random)
        state[name] = torch.from_numpy(np.ascontiguousarray(array)) if array.ndim else torch.tensor(array[()])
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()
