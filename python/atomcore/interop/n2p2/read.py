"""Folders of n2p2 as networks of symmetry functions."""

import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase.data import atomic_numbers

from atomcore._core import AtomcoreError
from atomcore.features.table import Row
from atomcore.interop.n2p2.committee import committee
from atomcore.interop.n2p2.functions import Function, checked_row, read_cutoff, read_function
from atomcore.interop.n2p2.keywords import FILE, FUNCTIONS, GENERATION, NORMALIZATION, InputFile, check_count
from atomcore.interop.n2p2.scaling import FILE as SCALING_FILE
from atomcore.interop.n2p2.scaling import Rule, Scaling, read_scaling
from atomcore.interop.n2p2.text import Line
from atomcore.interop.n2p2.weights import Architectures, file_name, read_layers
from atomcore.interop.networks import UNBOUNDED, Layer, NetworkModel
from atomcore.interop.text import reading
from atomcore.units import ACCEPTED, Units, parse_units

CITATION = "Singraber, Behler and Dellago, J. Chem. Theory Comput. 15, 1827 (2019), and the paper of these networks"
_SECOND_GENERATION = ("2G-HDNNP", "2G", "2")


def read_model(path: str | os.PathLike | Sequence[str | os.PathLike], units: str | None = None) -> NetworkModel:
    """Read a potential of n2p2 (or of RuNNer, as far as n2p2 reads it).

    Parameters
    ----------
    path : path or sequence of paths
        A folder with ``input.nn``, ``scaling.data`` and one ``weights.ZZZ.data`` an element. Of a committee, several of
        them, a folder that holds them, or one with ``input.nn`` and ``scaling.data`` whose subfolders hold the weights;
        members of one folder stand in the order of their names.
    units : str
        ``"ENERGY, LENGTH"`` of the folder, such as ``"hartree, bohr"``: its files do not say.

    Returns
    -------
    NetworkModel
        In eV and Angstrom. Functions stand in n2p2's order of each element; those that elements share stand once.

    Raises
    ------
    OSError
        A file cannot be read.
    ValueError
        `units` is missing or unknown.
    AtomcoreError
        The folder holds something that cannot be read or is not supported; the message names file, line and what.

    Notes
    -----
    Where an atom sees images of itself within the cutoff, n2p2's forces are not the gradient of its energy; these are.

    References
    ----------
    A. Singraber, J. Behler, C. Dellago, J. Chem. Theory Comput. 15, 1827 (2019); M. P. Bircher, A. Singraber,
    C. Dellago, Mach. Learn.: Sci. Technol. 2, 035026 (2021) (functions of compact support).
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    if not paths:
        raise ValueError("path is an empty sequence; accepted: at least one folder")
    folders = [member for one in paths for member in _member_folders(Path(one))]
    if units is None:
        raise _undeclared(folders[0][0] / FILE)
    factors = energy_and_length(units)
    members = []
    for settings, weights in folders:
        with reading(weights.name) if len(folders) > 1 else nullcontext():
            members.append(_read_member(settings, weights, factors))
    names = [weights.name for _, weights in folders]
    provenance = {"converted": "n2p2", "source": ", ".join(names), "units": units, "citation": CITATION}
    return replace(committee(members, names), provenance=provenance)


def _member_folders(given: Path) -> list[tuple[Path, Path]]:
    """Return for each member the folders of its settings and of its weights."""
    path = given.absolute()  # which has a name where the path is "."
    if path.name == FILE and path.is_file():
        path = path.parent
    if not path.is_dir():
        raise NotADirectoryError(f"path is {str(given)!r}; accepted: a folder with {FILE}")
    inside = sorted((folder for folder in path.iterdir() if folder.is_dir()), key=_natural)
    if (path / FILE).is_file():
        own = [folder for folder in inside if _has_weights(folder)]
        if _has_weights(path) or not own:
            return [(path, path)]
        return [(path, folder) for folder in own]
    members = [folder for folder in inside if (folder / FILE).is_file()]
    if not members:
        raise FileNotFoundError(f"path is {str(given)!r}, where there is no {FILE}, nor in folders within")
    for folder in inside:
        if folder not in members and _has_weights(folder):
            raise FileNotFoundError(f"{folder.name} has weights and no {FILE}, which {members[0].name} beside it has")
    return [(folder, folder) for folder in members]


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("weights.*.data"))


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a key by which member2 comes before member10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", path.name)]


def energy_and_length(units: str) -> Units:
    """Return the factors of ``"ENERGY, LENGTH"``."""
    factors = parse_units(units)
    if not np.isclose(factors.force, factors.energy / factors.length, rtol=1e-12, atol=0.0):
        raise ValueError(f"units is {units!r}; accepted for n2p2: forces in units of energy over length")
    return factors


def _undeclared(file: Path) -> ValueError:
    comments = file.read_bytes().decode("utf-8", "replace")
    named = re.findall(r"^\s*[#!]+\s*((?:Length|Energy) unit\s*:\s*\S+)", comments, re.MULTILINE)
    hint = f" (a comment there says {', '.join(' '.join(text.split()) for text in named)})" if named else ""
    return ValueError(f"units is missing: files of n2p2 do not say their units{hint}; accepted: {ACCEPTED}")


class _Entry(NamedTuple):
    line: Line
    function: Function
    row: Row


def _read_member(settings: Path, weights: Path, units: Units) -> NetworkModel:
    file = InputFile(settings)
    _check_generation(file)
    symbols = _elements(file)
    entries = _read_functions(file, symbols, units.length)
    scalings = read_scaling(settings, Rule(file), [len(entries[x]) for x in symbols])
    described = Architectures(file, symbols)
    architectures = {x: described.of(x) for x in symbols}
    table = {entry.function.key: entry.row for x in symbols for entry in entries[x]}
    position = {key: i for i, key in enumerate(table)}
    columns, kept, networks = {}, {}, {}
    for x, scaling in zip(symbols, scalings, strict=True):
        layers = read_layers(weights / file_name(atomic_numbers[x]), architectures[x], len(entries[x]))
        own = [position[entry.function.key] for entry in entries[x]]
        columns[x], first, copies = np.unique(own, return_index=True, return_inverse=True)
        _check_copies([entry.line for entry in entries[x]], scaling, first, copies)
        networks[x] = [_merged(layers[0], copies), *layers[1:]]
        kept[x] = scaling.of(first)
    reference, scale = _energies(file, symbols, units.energy)
    return NetworkModel(
        elements=symbols,
        table=list(table.values()),
        columns=columns,
        mean={x: kept[x].mean for x in symbols},
        scale={x: kept[x].scale for x in symbols},
        minimum={x: _spread(kept[x].minimum, columns[x], len(table), -UNBOUNDED) for x in symbols},
        maximum={x: _spread(kept[x].maximum, columns[x], len(table), UNBOUNDED) for x in symbols},
        networks=[networks],
        activations={x: architectures[x].activations for x in symbols},
        reference=reference,
        energy_scale=scale,
    )


def _spread(values: np.ndarray, columns: np.ndarray, n: int, elsewhere: float) -> np.ndarray:
    """Return the end of the ranges of all functions; those of other elements are never outside."""
    result = np.full(n, elsewhere)
    result[columns] = values
    return result


def _check_copies(lines: Sequence[Line], scaling: Scaling, first: np.ndarray, copies: np.ndarray) -> None:
    """Raise unless lines that repeat a function of the same element scale it alike."""
    for i, original in enumerate(first[copies].tolist()):
        if scaling.row(i) != scaling.row(original):
            raise lines[i].error(
                f"this repeats the function of line {lines[original].number}, and {SCALING_FILE} has another range, "
                "mean or sigma for it; accepted: the same ones"
            )


def _merged(layer: Layer, copies: np.ndarray) -> Layer:
    """Return the first layer with one column for each function, however often it was repeated."""
    weight, bias = layer
    merged = np.zeros((len(bias), copies.max() + 1))
    np.add.at(merged.T, copies, weight.T)
    return merged, bias


def _check_generation(file: InputFile) -> None:
    for line in file.lines(*GENERATION):
        check_count(line, 1, 1)
        if line.words[1] not in _SECOND_GENERATION:
            raise line.error(
                f"{line.words[0]} is {line.words[1]!r}, another kind of network; accepted: "
                f"{', '.join(_SECOND_GENERATION)}"
            )
    for line in file.lines("nn_type_short"):
        check_count(line, 1, 1)
        if line.whole("nn_type_short", 1) != 1:
            raise line.error(f"nn_type_short is {line.words[1]}, a pair network; accepted: 1")
    for line in file.lines("cutoff_alpha"):
        check_count(line, 1, 1)
        if line.float("cutoff_alpha", 1) != 0:
            raise line.error("cutoff_alpha is RuNNer's; accepted: 0, or the second value of cutoff_type")


def _elements(file: InputFile) -> tuple[str, ...]:
    """Return the elements in n2p2's order, by atomic number."""
    line = file.line("elements", 1, 118)
    symbols = line.words[1:]
    for symbol in symbols:
        if atomic_numbers.get(symbol, 0) < 1:
            raise line.error(f"{symbol!r} is no chemical symbol")
    if len(set(symbols)) != len(symbols):
        raise line.error("an element stands there twice")
    count = file.line("number_of_elements")
    if count.whole("number_of_elements", 1) != len(symbols):
        raise count.error(
            f"number_of_elements is {count.words[1]}, but elements in line {line.number} has {len(symbols)}"
        )
    return tuple(sorted(symbols, key=lambda symbol: atomic_numbers[symbol]))


def _read_functions(file: InputFile, symbols: Sequence[str], length: float) -> dict[str, list[_Entry]]:
    """Return the functions of each element, sorted as n2p2 does."""
    ending = read_cutoff(file)
    found: dict[str, list[_Entry]] = {x: [] for x in symbols}
    for line in file.lines(*FUNCTIONS):
        centre, function = read_function(line, symbols)
        found[centre].append(_Entry(line, function, checked_row(line, function, symbols, ending, length)))
    for x, functions in found.items():
        if not functions:
            raise AtomcoreError(f"{FILE} has no symmetry function for {x}")
        functions.sort(key=lambda entry: entry.function.key)
    return found


def _energies(file: InputFile, symbols: Sequence[str], unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return reference energies and scale in eV."""
    given = [key for key in NORMALIZATION if file.has(key)]
    if given and len(given) != len(NORMALIZATION):
        raise file.line(given[0]).error(f"{', '.join(NORMALIZATION)} go together; here is only {', '.join(given)}")
    for key in given[1:]:
        if not file.number(key, 1.0) > 0:
            raise file.line(key).error(f"{key} is {file.number(key, 1.0)}; accepted: a number > 0")
    offsets = dict.fromkeys(symbols, 0.0)
    seen: set[str] = set()
    for line in file.lines("atom_energy"):
        check_count(line, 2, 2)
        x = line.words[1]
        if x not in offsets or x in seen:
            raise line.error(f"atom_energy of {x!r}; accepted: once for each of {', '.join(symbols)}")
        seen.add(x)
        offsets[x] = line.float("atom_energy", 2)
    mean, factor = file.number("mean_energy", 0.0), file.number("conv_energy", 1.0)
    reference = np.array([(mean + offsets[x]) * unit for x in symbols])
    return reference, np.full(len(symbols), unit / factor)
