"""The network of one element in the format of NeuroChem: an ``.nnf`` file and the weights beside it.

The file is a compressed text of a fixed grammar, which is parsed and never evaluated.
"""

import bz2
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atomcore._core import AtomcoreError
from atomcore.interop.ani._networks import CELU, IDENTITY, Layer
from atomcore.interop.ani._text import LONGEST, as_count
from atomcore.interop.text import read_content

_ACTIVATIONS = {"9": CELU, "6": IDENTITY}
_USED = ("nodes", "activation", "type", "blocksize", "btchnorm", "weights", "biases")
_OF_TRAINING = ("dropout", "dropset", "maskupdate", "maxnorm", "norm", "normupdate", "l2norm", "l2valu")
_HEADER = re.compile(rb"([0-9]{1,7})=\n")
_ENTRY = re.compile(r"([A-Za-z0-9]+)=([^;]*);")
_NUMBERS_FILE = re.compile(r"FILE:([A-Za-z0-9._-]+)\[([0-9]{1,9})\]")


def read_atomic_network(path: Path, element: str, inputs: int) -> list[Layer]:
    """Return the layers of the network of one element, which must take this number of inputs.

    Raises
    ------
    FileNotFoundError, AtomcoreError
        As for `read_neurochem`.
    """
    layers, size = [], inputs
    blocks = _blocks(path, element, inputs)
    for number, block in enumerate(blocks, 1):
        layers.append(_layer(path, f"{path.name}, layer {number}", block, size))
        size = len(layers[-1].bias)
    if not layers:
        raise AtomcoreError(f"{path.name} has no layers")
    if layers[-1].activation != IDENTITY or size != 1:
        raise AtomcoreError(
            f"{path.name} ends in {size} nodes with the activation {layers[-1].activation}; accepted: one node, "
            f"activation 6 ({IDENTITY})"
        )
    return layers


def _text_of(path: Path) -> str:
    """Return the text of an nnf file, which is never larger than it says nor than `LONGEST`."""
    content = read_content(path, LONGEST)
    header = _HEADER.match(content)
    if header is None:
        raise AtomcoreError(f"{path.name} does not begin with its length; accepted: networks of NeuroChem")
    length = int(header[1])
    if length > LONGEST:
        raise AtomcoreError(f"{path.name} says that its text has {length} bytes; accepted: at most {LONGEST}")
    stream = bz2.BZ2Decompressor()
    try:
        text = stream.decompress(content[header.end() :], length + 1)
        if not stream.eof and len(text) == length:  # the end mark is still to be read
            text += stream.decompress(b"", 1)
        if not stream.eof or len(text) != length or stream.unused_data:
            raise AtomcoreError(f"{path.name} is damaged: its text does not have the {length} bytes that it says")
        return text.removesuffix(b"\0").decode("ascii")  # of C, which counts it
    except (OSError, EOFError, ValueError) as error:
        raise AtomcoreError(f"{path.name} is damaged: {error}") from error


def _blocks(path: Path, element: str, inputs: int) -> Iterator[dict[str, str]]:
    """Yield the entries of each layer."""
    lines = iter([line.strip() for line in _text_of(path).splitlines() if line.strip()])
    for expected in (f"inputsize={inputs};", f"atom_net {element} $"):
        found = next(lines, "the end")
        if found != expected:
            raise AtomcoreError(f"{path.name} has {found!r} where {expected!r} belongs")
    for number, line in enumerate(lines, 1):
        if line == "$":
            break
        if line != "layer [":
            raise AtomcoreError(f"{path.name} has {line!r} where layer {number} or the end belongs")
        yield _entries(lines, f"{path.name}, layer {number}")
    else:
        raise AtomcoreError(f"{path.name} ends early: '$' is missing")
    surplus = next(lines, None)
    if surplus is not None:
        raise AtomcoreError(f"{path.name} has {surplus!r} behind its end")


def _entries(lines: Iterator[str], where: str) -> dict[str, str]:
    """Return the entries of a layer up to its bracket."""
    entries: dict[str, str] = {}
    for line in lines:
        if line == "]":
            break
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            raise AtomcoreError(f"{where} has {line!r}; accepted: key=value;")
        key, value = entry[1], entry[2]
        if key not in _USED + _OF_TRAINING:
            raise AtomcoreError(f"{where} has {key!r}; accepted: {', '.join(_USED + _OF_TRAINING)}")
        if key in entries:
            raise AtomcoreError(f"{where} has {key!r} twice")
        entries[key] = value
    else:
        raise AtomcoreError(f"{where} has no end")
    missing = [key for key in _USED if key not in entries]
    if missing:
        raise AtomcoreError(f"{where} has no {missing[0]!r}")
    return entries


def _layer(path: Path, where: str, entries: dict[str, str], inputs: int) -> Layer:
    for key in ("type", "btchnorm"):
        if entries[key] != "0":
            raise AtomcoreError(f"{where} has {key}={entries[key]}; accepted: 0")
    if entries["activation"] not in _ACTIVATIONS:
        known = ", ".join(f"{number} ({name})" for number, name in _ACTIVATIONS.items())
        raise AtomcoreError(f"{where} has activation={entries['activation']}; accepted: {known}")
    nodes, blocksize = (as_count(f"{where}: {key}", entries[key]) for key in ("nodes", "blocksize"))
    if blocksize != inputs or nodes < 1:
        raise AtomcoreError(
            f"{where} makes {nodes} nodes of {blocksize}; accepted: at least one, of the {inputs} that it gets"
        )
    weight = _numbers(path, where, entries["weights"], nodes * inputs).reshape(nodes, inputs)
    return Layer(weight, _numbers(path, where, entries["biases"], nodes), _ACTIVATIONS[entries["activation"]])


def _numbers(path: Path, where: str, text: str, count: int) -> np.ndarray:
    """Return the numbers of a binary file, float32 [count]."""
    named = _NUMBERS_FILE.fullmatch(text)
    if named is None or named[1].startswith("."):
        raise AtomcoreError(f"{where} has {text!r}; accepted: FILE:name[count], a file in the same folder")
    file = path.with_name(named[1])
    if int(named[2]) != count:
        raise AtomcoreError(f"{where} has {named[2]} numbers in {file.name}; accepted: {count}, as its nodes need")
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file.name!r}, which {where} names")
    if file.stat().st_size != 4 * count:
        raise AtomcoreError(f"{file.name} has {file.stat().st_size} bytes; accepted: {4 * count}, as {where} says")
    numbers = np.frombuffer(file.read_bytes(), "<f4")
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise AtomcoreError(f"{file.name} holds numbers that are not finite; accepted: finite ones")
    return numbers
