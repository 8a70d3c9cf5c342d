"""ANI networks in the format of NeuroChem: a folder of constants, self energies and binary weights."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from atomcore._core import AtomcoreError
from atomcore.features import ANI
from atomcore.interop.ani._networks import check_hartree, network_model
from atomcore.interop.ani._nnf import read_atomic_network
from atomcore.interop.ani._text import LONGEST, as_count, as_number
from atomcore.interop.networks import NetworkModel
from atomcore.interop.text import read_text, reading

HARTREE = 27.211386245988  # eV, CODATA 2018
_MOST_NETWORKS = 1000
_CUTOFFS = {"Rcr": "radial_cutoff", "Rca": "angular_cutoff"}
_ONE_NUMBER = {"EtaR": "radial_eta", "Zeta": "zeta", "EtaA": "angular_eta"}  # lists of one
_LISTS = {"ShfR": "radial_shifts", "ShfA": "angular_shifts", "ShfZ": "angles"}
_CONSTANTS = _CUTOFFS | _ONE_NUMBER | _LISTS  # names here
_FIXED = {"DESC": "ANI_NORMAL", "TM": "1", "CG": "0", "RP": "0", "AC": "0"}  # what they may say, where they stand


def read_neurochem(
    path: str | os.PathLike,
    *,
    networks: Sequence[int] | None = None,
    constants: str | os.PathLike | None = None,
    self_energies: str | os.PathLike | None = None,
    single_precision_constants: bool = False,
    hartree: float = HARTREE,
) -> NetworkModel:
    """Read ANI networks in the format of NeuroChem.

    Parameters
    ----------
    path : path
        An ``.info`` file, which names everything else, a folder with one, or the folder of a single network (that has
        ``networks/ANN-H.nnf`` and so on).
    networks : sequence of int, optional
        Which networks of an ensemble, from 0; by default all.
    constants, self_energies : path, optional
        The ``.params`` and the ``.dat`` file of a single network; by default the only ones in its folder or the one
        above.
    single_precision_constants : bool
        Round constants and self energies to single precision, as TorchANI does even where it computes in double.
    hartree : float
        In eV; 1 in the files.

    Returns
    -------
    NetworkModel
        In eV and Angstrom, without ranges of the features, which the format does not have.

    Raises
    ------
    FileNotFoundError
        A file that is needed is not there.
    AtomcoreError
        A file is damaged, or has something that is not known here; the message names file and entry.
    ValueError
        `networks` or `hartree` are none, or constants of a single network are not to be found.

    Notes
    -----
    The weights have no checksum: a file of the right size whose numbers are finite is taken for what it says.
    """
    check_hartree(hartree, HARTREE)
    files = _files(Path(path), networks, constants, self_energies)
    elements, numbers = read_constants(files.constants)
    if single_precision_constants:
        numbers = {key: value if key in _CUTOFFS.values() else _rounded(value) for key, value in numbers.items()}
    try:
        features = ANI(elements, **numbers)
    except ValueError as error:
        raise AtomcoreError(f"{files.constants.name} makes no sense: {error}") from error
    energies = _read_self_energies(files.self_energies, elements)
    members = []
    for folder in files.folders:
        with reading("/".join(folder.absolute().parts[-2:])):
            found = {x: read_atomic_network(folder / f"ANN-{x}.nnf", x, features.n_features) for x in elements}
        members.append(found)
    provenance = {
        "converted": "NeuroChem",
        "source": files.source,
        "single_precision_constants": single_precision_constants,
    }
    energies = _rounded(energies) if single_precision_constants else energies
    return network_model(features, members, energies, hartree, provenance)


class _Files(NamedTuple):
    source: str  # in words
    constants: Path
    self_energies: Path
    folders: list[Path]  # of networks


def find_info(path: Path) -> Path | None:
    """Return the ``.info`` file that ``path`` is or has, if any."""
    if path.suffix == ".info":
        return path
    found = sorted(path.glob("*.info")) if path.is_dir() else []
    if len(found) > 1:
        raise ValueError(
            f"{path.name} has {', '.join(file.name for file in found)}; accepted: one .info file, by its name"
        )
    return found[0] if found else None


def find_networks(path: Path) -> Path | None:
    """Return the folder with the networks of a single model, which ``path`` is or has, if any."""
    for folder in (path, path / "networks"):
        if folder.is_dir() and any(folder.glob("ANN-*.nnf")):
            return folder
    return None


def _files(source: Path, networks: Sequence[int] | None, constants: Any, self_energies: Any) -> _Files:
    """Return which files to read."""
    info = find_info(source)
    if info is not None:
        if constants is not None or self_energies is not None:
            raise ValueError(
                f"constants and self_energies are for a single network; accepted with {info.name}, which names its "
                "own: None"
            )
        return _of_ensemble(info, networks)
    if networks is not None:
        raise ValueError(f"networks is {networks!r}, but {source.name} is no .info file; accepted: None")
    folder = find_networks(source)
    if folder is None:
        raise FileNotFoundError(f"{source.name} is no .info file and has no networks/ANN-*.nnf")
    single = folder.parent if folder.name == "networks" else folder
    return _Files(
        single.name,
        _only(single, "constants", ".params", constants),
        _only(single, "self_energies", ".dat", self_energies),
        [folder],
    )


def _only(folder: Path, what: str, suffix: str, given: Any) -> Path:
    """Return the given file, or the only one with this suffix in the folder or the one above."""
    if given is not None:
        return Path(given)
    for place in (folder, folder.resolve().parent):
        found = sorted(place.glob(f"*{suffix}"))
        if len(found) == 1:
            return found[0]
        if found:
            break
    names = ", ".join(file.name for file in found) or "none"
    raise ValueError(f"{what} is missing, and beside {folder.name} there is not one {suffix} file but {names}")


def _of_ensemble(info: Path, networks: Sequence[int] | None) -> _Files:
    """Return the files that an ``.info`` names in its first four lines."""
    lines = [line.strip() for line in read_text(info, LONGEST).splitlines() if line.strip()]
    if len(lines) != 4:
        raise AtomcoreError(
            f"{info.name} has {len(lines)} lines; accepted: four, the files of constants and self energies, the "
            "folder of a network without its number, and how many networks there are"
        )
    count = as_count(f"{info.name}, line 4", lines[3])
    if not 1 <= count <= _MOST_NETWORKS:
        raise AtomcoreError(f"{info.name} says that there are {count} networks; accepted: 1 to {_MOST_NETWORKS}")
    chosen = list(range(count)) if networks is None else list(networks)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(count)):
        raise ValueError(f"networks is {networks!r}; accepted: some of 0 to {count - 1}, each once")
    folder = info.parent
    folders = [folder / f"{lines[2]}{m}" / "networks" for m in chosen]
    source = f"{info.name}, network{'s' * (len(chosen) > 1)} {', '.join(map(str, chosen))}"
    return _Files(source, folder / lines[0], folder / lines[1], folders)


def read_constants(path: Path) -> tuple[list[str], dict[str, Any]]:
    """Return the elements of a ``.params`` file, and its numbers as `ANI` takes them."""
    elements: list[str] = []
    numbers: dict[str, Any] = {}
    for line in read_text(path, LONGEST).splitlines():
        if not line.strip():
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        where = f"{path.name}: {key}"
        if not equals or key not in (*_CONSTANTS, *_FIXED, "Atyp"):
            raise AtomcoreError(f"{path.name} has {line!r}; accepted: {', '.join((*_CONSTANTS, *_FIXED, 'Atyp'))}")
        if _CONSTANTS.get(key, key) in numbers:
            raise AtomcoreError(f"{path.name} has {key} twice")
        if key in _FIXED:
            if value != _FIXED[key]:
                raise AtomcoreError(f"{where} is {value!r}; accepted: {_FIXED[key]}")
            numbers[key] = value
        elif key == "Atyp":
            elements = numbers[key] = _listed(where, value)
        elif key in _CUTOFFS:
            numbers[_CUTOFFS[key]] = as_number(where, value)
        else:
            values = [as_number(where, text) for text in _listed(where, value)]
            if key in _ONE_NUMBER and len(values) != 1:
                raise AtomcoreError(f"{where} has {len(values)} numbers; accepted: one")
            numbers[_CONSTANTS[key]] = values[0] if key in _ONE_NUMBER else values
    missing = [key for key in (*_CONSTANTS, "Atyp") if _CONSTANTS.get(key, key) not in numbers]
    if missing:
        raise AtomcoreError(f"{path.name} has no {missing[0]}")
    return elements, {key: numbers[key] for key in _CONSTANTS.values()}


def _listed(where: str, text: str) -> list[str]:
    """Return the items of a list in brackets."""
    if not (text.startswith("[") and text.endswith("]")):
        raise AtomcoreError(f"{where} is {text!r}; accepted: a list in brackets")
    return [item.strip() for item in text[1:-1].split(",")]


def _read_self_energies(path: Path, elements: Sequence[str]) -> list[float]:
    """Return the self energies of all elements in their order, in hartree."""
    found: dict[str, float] = {}
    for line in read_text(path, LONGEST).splitlines():
        if not line.strip():
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        expected = f"{elements[len(found)]},{len(found)}" if len(found) < len(elements) else "the end"
        if not equals or name != expected:
            raise AtomcoreError(f"{path.name} has {line!r} where {expected} belongs, by the Atyp of the constants")
        found[name] = as_number(f"{path.name}: {name}", value)
    if len(found) != len(elements):
        raise AtomcoreError(f"{path.name} has {len(found)} self energies; accepted: {len(elements)}, one an element")
    return list(found.values())


def _rounded(values: Any) -> Any:
    """Return a number or a list of numbers in single precision."""
    return np.float64(np.float32(values)).tolist()
