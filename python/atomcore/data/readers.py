"""Datasets from files: npz with declared units, and everything that ASE reads."""

import io
import logging
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomcore._arrays import as_booleans, as_float64, as_integers
from atomcore._core import AtomcoreError
from atomcore.data.checks import check_consistency
from atomcore.data.dataset import Dataset
from atomcore.data.duplicates import drop_duplicates
from atomcore.units import ACCEPTED, Units, parse_units

if TYPE_CHECKING:
    from ase import Atoms

_log = logging.getLogger("atomcore")
_UNITS = "data.units (units=... in Python, --units of atomcore evaluate)"
_SAMPLES = Path(__file__).parent / "samples"
_PLAIN_VECTORS = ("positions", "momenta", "velocities", "initial_magmoms")
_WITHOUT = "none"  # as a key: do without this label


def load(
    path: str | os.PathLike,
    *,
    units: str | None = None,
    energy_key: str | None = None,
    forces_key: str | None = None,
    index: str | int = ":",
    duplicates: str = "drop",
) -> Dataset:
    """Read structures with their energies and forces.

    Parameters
    ----------
    path : path
        ``.npz`` with ``Z`` (n_atoms,) or (n, max) padded with 0, ``R`` (n, max, 3) and, where known, ``E`` (n,), ``F``
        (n, max, 3), ``N`` (n,) atom counts, ``cell`` (3, 3) or (n, 3, 3), ``pbc`` (3,) or (n, 3); other keys are
        ignored. Any other suffix is read by ASE, whose units are eV and Angstrom.
    units : str, optional
        Units of an npz file, ``"ENERGY, LENGTH"`` or ``"ENERGY, LENGTH, FORCE"``; needed unless the file declares its
        own under the key ``units``.
    energy_key, forces_key : str, optional
        Where the labels are: keys of the npz file in place of ``E`` and ``F``; for ASE keys of ``atoms.info`` and
        ``atoms.arrays`` in place of the attached calculator's results. ``"none"`` does without the label.
    index : str or int
        Which structures to read: ``":"``, ``"-100:"``, ``"::10"``, ``0``.
    duplicates : {"drop", "keep"}
        What to do with structures that repeat an earlier one.

    Returns
    -------
    Dataset
        In eV and Angstrom. Duplicates, missing labels and labels that do not fit together are logged as warnings.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    AtomcoreError
        When the file is damaged or in no known format.
    TypeError, ValueError
        When units, labels or shapes are missing or wrong, or no key was given and labels seem to be there under another
        name; the message names the key and the structure.
    """
    file = _existing(path)
    if duplicates not in ("drop", "keep"):
        raise ValueError(f"duplicates is {duplicates!r}; accepted: 'drop', 'keep'")
    read = _read_npz if file.suffix.lower() == ".npz" else _read_with_ase
    dataset = read(file, units, energy_key, forces_key, _parse_index(index))
    _log.info("%s: read %d structures with %d atoms", file.name, len(dataset), len(dataset.numbers))
    if duplicates == "drop":
        dataset = drop_duplicates(dataset)
    for warning in check_consistency(dataset):
        _log.warning("%s: %s", file.name, warning)
    return dataset


def load_structure(path: str | os.PathLike, *, units: str | None = None) -> "Atoms":
    """Read the last structure of a file, without labels and with what else ASE knows of it, such as constraints.

    Arguments and errors are those of `load`.
    """
    file = _existing(path)
    if file.suffix.lower() == ".npz":
        return _read_npz(file, units, _WITHOUT, _WITHOUT, slice(-1, None))[0]
    return _images(file, units, slice(-1, None))[0]


def sample(name: str) -> Path:
    """Return the path of a data set that the package ships; ``"glycol"`` is the only one."""
    shipped = {file.stem: file for file in sorted(_SAMPLES.glob("*.npz"))}
    if name not in shipped:
        raise ValueError(f"name is {name!r}; accepted: {', '.join(map(repr, shipped))}")
    return shipped[name]


def from_atoms(
    images: "Sequence[Atoms]", *, energy_key: str | None = None, forces_key: str | None = None, source: str = ""
) -> Dataset:
    """Turn ASE Atoms into a dataset.

    Parameters
    ----------
    images : sequence of ase.Atoms
        At least one.
    energy_key, forces_key : str, optional
        Keys of ``atoms.info`` and ``atoms.arrays``; without them the labels come from the attached calculators, as
        they were computed: constraints do not touch them. ``"none"`` does without the label.
    source : str
        Name that messages use.

    Raises
    ------
    TypeError, ValueError
        When there are no structures, or when only some of them have a label, or none has one whose key was given, or
        when no key was given and labels seem to be there under another name.
    """
    if len(images) == 0:
        raise ValueError(f"{source or 'images'} holds no structures")
    pairs = [(atoms, _results(atoms)) for atoms in images]
    found_energies = [_find(atoms.info, computed, energy_key, "energy") for atoms, computed in pairs]
    found_forces = [_find(atoms.arrays, computed, forces_key, "forces") for atoms, computed in pairs]
    energies = _labels("energy", energy_key, found_energies, [()] * len(images))
    forces = _labels("forces", forces_key, found_forces, [(len(atoms), 3) for atoms in images])
    for label, key, values in (("energy", energy_key, energies), ("forces", forces_key, forces)):
        if values is None and key is None:
            _refuse_overlooked(
                source, label, dict.fromkeys(name for atoms in images for name in _candidates(atoms, label))
            )
    return Dataset(
        numbers=np.concatenate([atoms.numbers for atoms in images]),
        positions=np.concatenate([atoms.positions for atoms in images]),
        cells=np.array([atoms.cell.array for atoms in images]),
        pbc=np.array([atoms.pbc for atoms in images]),
        structure_ptr=np.concatenate([[0], np.cumsum([len(atoms) for atoms in images])]),
        energy=None if energies is None else np.array(energies),
        forces=None if forces is None else np.concatenate(forces),
        source=source,
    )


def _existing(path: str | os.PathLike) -> Path:
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"path is {str(path)!r}: there is no such file")
    return file


def _parse_index(index: str | int) -> slice:
    """Return the slice that ``index`` stands for; a single number becomes a slice of one."""
    from ase.io.formats import string2index

    try:
        parsed = string2index(index) if isinstance(index, str) else index
    except ValueError:
        parsed = None
    if isinstance(parsed, slice):
        return parsed
    if not isinstance(parsed, int) or isinstance(parsed, bool):
        raise ValueError(f"index is {index!r}; accepted: a whole number or a slice such as ':', '-100:', '::10'")
    return slice(parsed, parsed + 1 or None)


def _read_with_ase(
    file: Path, units: str | None, energy_key: str | None, forces_key: str | None, index: slice
) -> Dataset:
    return from_atoms(_images(file, units, index), energy_key=energy_key, forces_key=forces_key, source=file.name)


def _images(file: Path, units: str | None, index: slice) -> "list[Atoms]":
    """Return at least one structure of a file that ASE reads."""
    from ase.io import iread

    if units is not None and parse_units(units) != Units(1.0, 1.0, 1.0):
        raise ValueError(
            f"units is {units!r}, but {file.name} is read by ASE, which gives eV and Angstrom; accepted: "
            "'eV, Angstrom' or nothing"
        )
    try:
        images = list(iread(file, index=index, do_not_split_by_at_sign=True))
    except Exception as error:  # ASE's readers raise whatever their parsing runs into
        raise AtomcoreError(f"{file.name} cannot be read by ASE: {type(error).__name__}: {error}") from error
    if not images:
        raise ValueError(f"{file.name} holds no structures")
    return images


def _labels(
    label: str, key: str | None, values: list[Any], shapes: Sequence[tuple[int, ...]]
) -> list[np.ndarray] | None:
    """Return one checked label a structure, or None where nothing has any and none was asked for."""
    missing = [i for i, value in enumerate(values) if value is None]
    if key == _WITHOUT or (key is None and len(missing) == len(values)):
        return None
    if missing:
        raise ValueError(
            f"{label} is missing in structure {missing[0]} ({len(missing)} of {len(values)} have none; "
            f"{label}_key is {key!r}, looked for {key or label!r})"
        )
    return [as_float64(f"{label} of structure {i}", values[i], shapes[i]) for i in range(len(values))]


def _find(own: dict[str, Any], computed: dict[str, Any], key: str | None, default: str) -> Any:
    """Return a label by its key, first of the structure's own; without a key what was computed counts first."""
    if key is not None:
        return own.get(key, computed.get(key))
    return computed.get(default, own.get(default))


def _results(atoms: "Atoms") -> dict[str, Any]:
    """Return the results of the attached calculator, or nothing where they belong to an earlier state of the atoms."""
    computed_for = getattr(atoms.calc, "atoms", None)
    # ASE's own check_state takes as long as reading the file.
    if computed_for is None or not (
        np.array_equal(computed_for.positions, atoms.positions)
        and np.array_equal(computed_for.numbers, atoms.numbers)
        and np.array_equal(computed_for.cell.array, atoms.cell.array)
        and np.array_equal(computed_for.pbc, atoms.pbc)
    ):
        return {}
    return atoms.calc.results


def _candidates(atoms: "Atoms", label: str) -> list[str]:
    """Return the keys of a structure under which labels might be."""
    if label == "energy":
        return [key for key, value in atoms.info.items() if isinstance(value, float) and "energy" in key.lower()]
    return [
        key
        for key, value in atoms.arrays.items()
        if key not in _PLAIN_VECTORS and value.dtype.kind == "f" and value.shape == (len(atoms), 3)
    ]


def _refuse_overlooked(source: str, label: str, candidates: Iterable[str]) -> None:
    """Raise where labels seem to have another name: a model would silently be trained or judged without them."""
    there = ", ".join(map(repr, candidates))
    if there:
        raise ValueError(
            f"{source or 'images'}: no {label} found, but {there}: name it by {label}_key, or do without {label} by "
            f"{label}_key={_WITHOUT!r}"
        )


def _read_npz(file: Path, units: str | None, energy_key: str | None, forces_key: str | None, index: slice) -> Dataset:
    energy_name, forces_name = energy_key or "E", forces_key or "F"
    arrays, names = _open_npz(file, ("Z", "R", "N", "cell", "pbc", "units", energy_name, forces_name))
    for label, stem, name, key in (
        ("energy", "energ", energy_name, energy_key),
        ("forces", "forc", forces_name, forces_key),
    ):
        if key is None and name not in arrays:
            _refuse_overlooked(file.name, label, [other for other in names if stem in other.lower()])
    asked = [key for key in (energy_key, forces_key) if key is not None and key != _WITHOUT]
    for key in ("Z", "R", *asked):
        if key not in arrays:
            raise ValueError(f"{file.name} has no array {key!r}; it has {', '.join(map(repr, names)) or 'none'}")
    factors = _npz_units(file, arrays.pop("units", None), units)
    positions = as_float64("R", arrays["R"], ("n", "n_atoms", 3))
    n, width = positions.shape[:2]
    if n == 0:
        raise ValueError(f"{file.name} holds no structures: R has shape {positions.shape}")
    numbers, used = _npz_numbers(arrays["Z"], arrays.get("N"), n, width)
    cells, pbc = _npz_cells(arrays, n)
    energy, forces = arrays.get(energy_name), arrays.get(forces_name)
    dataset = Dataset(
        numbers=numbers[used],
        positions=positions[used] * factors.length,
        cells=cells * factors.length,
        pbc=pbc,
        structure_ptr=np.concatenate([[0], np.cumsum(used.sum(axis=1))]),
        energy=None if energy is None else as_float64(energy_name, energy, (n,)) * factors.energy,
        forces=None if forces is None else as_float64(forces_name, forces, (n, width, 3))[used] * factors.force,
        source=file.name,
    )
    chosen = np.arange(n)[index]
    if chosen.size == 0:
        raise ValueError(f"index {index} takes none of the {n} structures of {file.name}")
    return dataset if chosen.size == n and index.step is None else dataset.subset(chosen)


def _open_npz(file: Path, keys: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return those of the arrays that are there, and the names of all.

    Nothing is unpickled and checksums are verified before parsing.
    """
    arrays, names = {}, []
    try:
        with zipfile.ZipFile(file) as archive:
            _check_table_of_contents(file, archive)
            for name in archive.namelist():
                # Opening compares the name with the table of contents, so that no array is missed for a damaged name.
                with archive.open(name) as member:
                    names.append(key := name.removesuffix(".npy"))
                    if key in keys:
                        arrays[key] = _parse_npy(file, key, io.BytesIO(member.read()))
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


def _parse_npy(file: Path, key: str, content: io.BytesIO) -> np.ndarray:
    try:
        return np.lib.format.read_array(content, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise AtomcoreError(f"array {key!r} of {file.name} cannot be read: {error}") from error


def _npz_units(file: Path, declared: np.ndarray | None, given: str | None) -> Units:
    if declared is not None:
        text = str(declared)
        if given is not None and parse_units(given) != parse_units(text):
            raise ValueError(f"{_UNITS} is {given!r}, but {file.name} declares {text!r}")
        return parse_units(text)
    if given is None:
        raise ValueError(f"{_UNITS} is missing: {file.name} does not say its units; accepted: {ACCEPTED}")
    return parse_units(given)


def _npz_numbers(z: np.ndarray, counts: np.ndarray | None, n: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return atomic numbers [n, width] and which of them are atoms and not padding."""
    if z.ndim == 1:
        numbers = np.broadcast_to(as_integers("Z", z, (width,)), (n, width))
        n_atoms = np.full(n, width)
    else:
        numbers = as_integers("Z", z, (n, width))
        # Padding stands at the end of a row; a zero before an atom stays an atom and is refused by Dataset.
        n_atoms = np.where(numbers.any(axis=1), width - np.argmax(numbers[:, ::-1] != 0, axis=1), 0)
    if counts is not None:
        declared = as_integers("N", counts, (n,))
        wrong = np.flatnonzero(declared != n_atoms)
        if wrong.size:
            i = wrong[0]
            raise ValueError(f"N is {declared[i]} for structure {i}, but Z has {n_atoms[i]} atoms there")
    return numbers, np.arange(width) < n_atoms[:, None]


def _npz_cells(arrays: dict[str, np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cells [n, 3, 3] and pbc [n, 3]; both keys or neither must be there."""
    if "cell" not in arrays and "pbc" not in arrays:
        return np.zeros((n, 3, 3)), np.zeros((n, 3), bool)
    for key, other in (("cell", "pbc"), ("pbc", "cell")):
        if key not in arrays:
            raise ValueError(f"array {key!r} is missing, though {other!r} is there: periodicity needs both")
    cell, pbc = arrays["cell"], arrays["pbc"]
    cells = as_float64("cell", cell, (3, 3) if cell.ndim == 2 else (n, 3, 3))
    flags = as_booleans("pbc", pbc, (3,) if pbc.ndim == 1 else (n, 3))
    return np.broadcast_to(cells, (n, 3, 3)), np.broadcast_to(flags, (n, 3))
