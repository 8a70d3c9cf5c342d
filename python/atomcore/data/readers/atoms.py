"""Data sets from ASE Atoms, and from files that ASE reads."""

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomcore._arrays import as_float64
from atomcore._core import AtomcoreError
from atomcore.data.dataset import LABELS, Dataset
from atomcore.data.readers.labels import (
    BASELINES,
    UNITS,
    WITHOUT,
    Keys,
    Request,
    advising,
    as_stress,
    less_baselines,
    mention_stress,
    refuse_overlooked,
)
from atomcore.units import Units, parse_units

if TYPE_CHECKING:
    from ase import Atoms

_OF_RUNNER = "runnerdata"  # ASE's name of the format of RuNNer and n2p2, whose files do not say their units
_PLAIN_VECTORS = ("positions", "momenta", "velocities", "initial_magmoms")


def from_atoms(
    images: "Sequence[Atoms]",
    *,
    energy_key: str | None = None,
    forces_key: str | None = None,
    stress_key: str | None = None,
    stress_convention: str = "ase",
    charges_key: str | None = None,
    uncertainty_key: str | None = None,
    baseline_energy_key: str | None = None,
    baseline_forces_key: str | None = None,
    baseline_stress_key: str | None = None,
    source: str = "",
) -> Dataset:
    """Turn ASE Atoms into a dataset.

    Parameters
    ----------
    images : sequence of ase.Atoms
        At least one.
    energy_key, forces_key, stress_key, charges_key, uncertainty_key : str, optional
        Keys of ``atoms.info``, for forces and charges of ``atoms.arrays``; without them the labels come from the
        attached calculators, as they were computed (constraints do not touch them), or else from what has the name of
        the label. ``"none"`` does without the label.
    stress_convention, baseline_energy_key, baseline_forces_key, baseline_stress_key : str, optional
        As in :func:`atomcore.data.load`.
    source : str
        Name that messages use.

    Raises
    ------
    TypeError, ValueError
        When there are no structures, or when only some of them have a label, or none has one whose key was given, or
        when no key was given and labels seem to be there under another name.
    """
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
    if hasattr(images, "calc"):  # its parts are single atoms
        raise TypeError(f"images is {images!r}; accepted: several ase.Atoms, such as [atoms]")
    images = list(images)
    for i, atoms in enumerate(images):
        if not hasattr(atoms, "calc"):
            raise TypeError(f"images[{i}] is a {type(atoms).__name__}; accepted: ase.Atoms")
    return dataset_of(images, keys, source)


def dataset_of(images: "Sequence[Atoms]", keys: Keys, source: str) -> Dataset:
    """Turn ASE Atoms into a dataset with the labels of these keys; errors are those of `from_atoms`."""
    if len(images) == 0:
        raise ValueError(f"{source or 'images'} holds no structures")
    pairs = [(atoms, _results(atoms)) for atoms in images]
    found = {name: _label(name, pairs, keys) for name in (*LABELS, *BASELINES)}
    for label in ("energy", "forces"):
        if found[label] is None and keys.of(label) is None:
            refuse_overlooked(
                source, label, dict.fromkeys(name for atoms in images for name in _candidates(atoms, label))
            )
    if found["stress"] is None and keys.stress is None:
        mention_stress(source, _own(images[0], per_atom=False))
    labels, baseline = less_baselines(source, found, keys, _baseline(images, source))
    return Dataset(
        numbers=np.concatenate([atoms.numbers for atoms in images]),
        positions=np.concatenate([atoms.positions for atoms in images]),
        cells=np.array([atoms.cell.array for atoms in images]),
        pbc=np.array([atoms.pbc for atoms in images]),
        structure_ptr=np.concatenate([[0], np.cumsum([len(atoms) for atoms in images])]),
        baseline=baseline,
        source=source,
        **labels,
    )


def read_with_ase(file: Path, request: Request) -> Dataset:
    """Read any file that ASE reads."""
    return dataset_of(read_images(file, request.units, request.index), request.keys, file.name)


def read_images(file: Path, units: str | None, index: slice) -> "list[Atoms]":
    """Return at least one structure of a file that ASE reads."""
    from ase.io import iread
    from ase.io.formats import filetype

    with _reading(file):
        of_runner = filetype(str(file)) == _OF_RUNNER
    if not of_runner:
        check_ase_units(file, units)
    options = _runner_options(file, units) if of_runner else {}
    with _reading(file):
        images = list(iread(file, index=index, do_not_split_by_at_sign=True, **options))
    if not images:
        raise ValueError(f"{file.name} holds no structures")
    return images


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # ASE's readers raise whatever their parsing runs into
        raise AtomcoreError(f"{file.name} cannot be read by ASE: {type(error).__name__}: {error}") from error


def check_ase_units(file: Path, units: str | None) -> None:
    """Raise unless no units were given, or those in which ASE reads everything."""
    if units is not None and parse_units(units) != Units(1.0, 1.0, 1.0):
        raise ValueError(
            f"units is {units!r}, but {file.name} is read by ASE, which gives eV and Angstrom; accepted: "
            "'eV, Angstrom' or nothing"
        )


def _runner_options(file: Path, units: str | None) -> dict[str, Any]:
    """Return how ASE reads such data in these units; without being told it takes all for atomic ones."""
    from ase.io.runner.runneratoms import Units as RunnerUnits

    known = {parse_units("hartree, bohr"): RunnerUnits.ATOMIC, Units(1.0, 1.0, 1.0): RunnerUnits.ASE}
    accepted = "accepted for data of RuNNer and n2p2: 'hartree, bohr', 'eV, Angstrom'"
    if units is None:
        raise ValueError(f"{UNITS} is missing: {file.name} does not say its units; {accepted}")
    if parse_units(units) not in known:
        raise ValueError(f"units is {units!r}; {accepted}")
    return {"input_units": known[parse_units(units)]}


def _label(name: str, pairs: "list[tuple[Atoms, dict[str, Any]]]", keys: Keys) -> np.ndarray | None:
    """Return a label, or a baseline of one, of all structures, or None where nothing has any and none was asked for."""
    kind, key = name.removeprefix("baseline_"), keys.of(name)
    if key == WITHOUT or (name in BASELINES and key is None):
        return None
    label = LABELS[kind]
    values = [_find(_own(atoms, label.per_atom), computed, key, kind) for atoms, computed in pairs]
    if name == "stress" and key is None:  # some calculators give numbers for open directions, too
        values = [value if atoms.pbc.all() else None for (atoms, _), value in zip(pairs, values, strict=True)]
        if keys.stress_convention != "ase" and any("stress" in computed for _, computed in pairs):
            raise ValueError(
                f"stress_convention is {keys.stress_convention!r}, but the stress that ASE has read or computed is in "
                "ASE's convention; where it was copied from VASP's output all the same, say so by stress_key='stress'"
            )
    missing = [i for i, value in enumerate(values) if value is None]
    if key is None and len(missing) == len(values):
        return None
    if missing:
        raise ValueError(
            f"{name} is missing in structure {missing[0]} ({len(missing)} of {len(values)} have none; "
            f"{name}_key is {key!r}, looked for {key or kind!r}); do without by {kind}_key={WITHOUT!r}"
        )
    shapes = [((len(atoms),) if label.per_atom else ()) + label.shape for atoms, _ in pairs]
    with advising(kind):
        if kind == "stress":
            return _stress(name, values, keys.stress_convention)
        rows = [as_float64(f"{name} of structure {i}", value, shapes[i]) for i, value in enumerate(values)]
    return np.concatenate(rows) if label.per_atom else np.array(rows)


def _stress(name: str, values: list[Any], convention: str) -> np.ndarray:
    """Return stress [n, 6] of six numbers, nine, or a matrix a structure, which may be written out as text."""
    rows = []
    for i, value in enumerate(values):
        numbers: Any = value.split() if isinstance(value, str) else value
        try:
            array = np.array(numbers, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.zeros(0)
        if array.shape not in ((6,), (9,), (3, 3)):
            given = " ".join(repr(value).split())
            raise ValueError(f"{name} of structure {i} is {given}; accepted: six numbers or a 3 x 3 matrix")
        rows.append(array if array.size == 6 else array.reshape(3, 3))
    if len({row.shape for row in rows}) > 1:
        raise ValueError(f"{name} has six numbers in some structures and a 3 x 3 matrix in others")
    return as_stress(name, np.array(rows), len(rows), convention, 1.0)


def _baseline(images: "Sequence[Atoms]", source: str) -> str:
    """Return what the structures say their labels are differences to, as :meth:`Dataset.save` writes it."""
    found = [atoms.info.get("baseline") for atoms in images]
    names = {name if isinstance(name, str) else "" for name in found}  # a number is somebody else's
    if len(names) > 1:
        raise ValueError(f"{source or 'images'}: 'baseline' is not the same in all structures: {sorted(names)}")
    return names.pop()


def _own(atoms: "Atoms", per_atom: bool) -> Mapping[str, Any]:
    """Return what a structure carries by name, of its atoms or as a whole, with the columns of ASE's data bases."""
    columns = [atoms.info[name] for name in ("data", "key_value_pairs") if isinstance(atoms.info.get(name), dict)]
    return ChainMap(atoms.arrays if per_atom else atoms.info, *reversed(columns))


def _find(own: Mapping[str, Any], computed: dict[str, Any], key: str | None, default: str) -> Any:
    """Return a label by its key, first of the structure's own; without a key what was computed counts first."""
    if key is not None:
        return own.get(key, computed.get(key))
    return computed.get(default, own.get(default))


def _results(atoms: "Atoms") -> dict[str, Any]:
    """Return the results of the attached calculator, or nothing where they belong to an earlier state of the atoms."""
    computed_for = getattr(atoms.calc, "atoms", None)
    # ASE's own check_state takes as long as reading the file.
    if computed_for is None or not (
        np.array_equal(computed_for.positions, atoms.positions, equal_nan=True)
        and np.array_equal(computed_for.numbers, atoms.numbers)
        and np.array_equal(computed_for.cell.array, atoms.cell.array, equal_nan=True)
        and np.array_equal(computed_for.pbc, atoms.pbc)
    ):
        return {}
    return atoms.calc.results


def _candidates(atoms: "Atoms", label: str) -> list[str]:
    """Return the keys of a structure under which labels might be."""
    if label == "energy":
        own = _own(atoms, per_atom=False)
        return [key for key, value in own.items() if isinstance(value, float) and "energy" in key.lower()]
    return [
        key
        for key, value in atoms.arrays.items()
        if key not in _PLAIN_VECTORS and value.dtype.kind == "f" and value.shape == (len(atoms), 3)
    ]
