"""Any file of structures: one reader a format."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from atomcore.data.checks import check_consistency
from atomcore.data.dataset import Dataset
from atomcore.data.duplicates import drop_duplicates
from atomcore.data.readers.ani import read_ani
from atomcore.data.readers.ase_db import read_sqlite
from atomcore.data.readers.atoms import read_images, read_with_ase
from atomcore.data.readers.cjson import read_cjson
from atomcore.data.readers.json_files import read_json
from atomcore.data.readers.labels import NO_LABELS, Keys, Request
from atomcore.data.readers.npz import read_npz
from atomcore.data.readers.qm7 import read_qm7

if TYPE_CHECKING:
    from ase import Atoms

_log = logging.getLogger("atomcore")
_SAMPLES = Path(__file__).parents[1] / "samples"
# The reader of each suffix; all others are read by ASE.
_READERS: dict[str, Callable[[Path, Request], Dataset]] = {
    ".npz": read_npz,
    ".db": read_sqlite,
    ".cjson": read_cjson,
    ".json": read_json,
    ".mat": read_qm7,
    ".h5": read_ani,
    ".hdf5": read_ani,
}


def load(
    path: str | os.PathLike,
    *,
    units: str | None = None,
    energy_key: str | None = None,
    forces_key: str | None = None,
    stress_key: str | None = None,
    stress_convention: str = "ase",
    charges_key: str | None = None,
    uncertainty_key: str | None = None,
    baseline_energy_key: str | None = None,
    baseline_forces_key: str | None = None,
    baseline_stress_key: str | None = None,
    index: str | int = ":",
    duplicates: str = "drop",
) -> Dataset:
    """Read structures with their energies, forces and further labels.

    Parameters
    ----------
    path : path
        ``.npz`` with ``Z`` (n_atoms,) or (n, max) padded with 0, ``R`` (n, max, 3) and, where known, ``E`` (n,), ``F``
        (n, max, 3), ``stress`` (n, 6) or (n, 3, 3), ``charges`` (n, max), ``uncertainty`` (n,), ``N`` (n,) atom counts,
        ``cell`` (3, 3) or (n, 3, 3), ``pbc`` (3,) or (n, 3), and the texts ``units`` and ``baseline`` (what the labels
        are differences to); other keys are ignored. Any other suffix is read by ASE, whose units are eV and Angstrom.
    units : str, optional
        Units of an npz file, ``"ENERGY, LENGTH"`` or ``"ENERGY, LENGTH, FORCE"``; needed unless the file declares its
        own under the key ``units``. Its stress is in ENERGY/LENGTH^3, charges are in e. Energies of Chemical JSON and
        data of RuNNer and n2p2 need units, too; other formats have their own, which are converted and logged.
    energy_key, forces_key, stress_key, charges_key, uncertainty_key : str, optional
        Where the labels are: keys of the npz file in place of those above; for ASE keys of ``atoms.info``, or of
        ``atoms.arrays`` for forces and charges, or of a data base's key-value pairs and data, in place of the attached
        calculator's results; for other formats their arrays or properties. ``"none"`` does without the
        label. Stress without a key is taken of structures periodic in three directions only.
    stress_convention : {"ase", "vasp"}
        How the stress is written. "ase": tension positive, order xx, yy, zz, yz, xz, xy. "vasp", for numbers copied
        from VASP's output: compression positive, order xx, yy, zz, xy, yz, xz, in kbar whatever the units are. What ASE
        itself reads of VASP's files is in ASE's convention.
    baseline_energy_key, baseline_forces_key, baseline_stress_key : str, optional
        Labels of a second level of theory: the data set then holds differences to it (delta learning). All of energy,
        forces and stress that are read need one.
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
    keys = Keys(
        energy=energy_key,
        forces=forces_key,
        stress=stress_key,
        charges=charges_key,
        uncertainty=uncertainty_key,
        baseline_energy=baseline_energy_key,
        baseline_forces=baseline_forces_key,
        baseline_stress=baseline_stress_key,
        stress_convention=stress_convention,
    )
    dataset = _reader(file)(file, Request(units, keys, _parse_index(index)))
    _log.info(
        "%s: read %d structures with %d atoms; %s%s",
        file.name,
        len(dataset),
        len(dataset.numbers),
        ", ".join(dataset.labels) or "no labels",
        f", less {dataset.baseline}" if dataset.baseline else "",
    )
    if duplicates == "drop":
        dataset = drop_duplicates(dataset)
    for warning in check_consistency(dataset):
        _log.warning("%s: %s", file.name, warning)
    return dataset


def load_structure(path: str | os.PathLike, *, units: str | None = None) -> "Atoms":
    """Read the last structure of a file, without labels and with what else ASE knows of it, such as constraints.

    Arguments and errors are those of `load`.
    """
    file, last = _existing(path), slice(-1, None)
    reader = _reader(file)
    if reader is read_with_ase:
        return read_images(file, units, last)[0]
    return reader(file, Request(units, NO_LABELS, last))[0]


def sample(name: str) -> Path:
    """Return the path of a data set that the package ships, such as ``"glycol"``."""
    shipped = {file.stem: file for file in sorted(_SAMPLES.glob("*.npz"))}
    if name not in shipped:
        raise ValueError(f"name is {name!r}; accepted: {', '.join(map(repr, shipped))}")
    return shipped[name]


def _reader(file: Path) -> Callable[[Path, Request], Dataset]:
    return _READERS.get(file.suffix.lower(), read_with_ase)


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
