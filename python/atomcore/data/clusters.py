"""Sets of a few molecules ("clusters"): found in structures, cut out of them, and boxes to cut them from."""

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from atomcore import _core
from atomcore._arrays import as_float64, as_integers, as_structure, whole_number
from atomcore._threads import resolve_threads
from atomcore.data.dataset import Dataset
from atomcore.data.entities import Components, Entities

if TYPE_CHECKING:
    from ase import Atoms

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_MEASURES = ("none", "centre_distance_sum", "largest_atom_distance")


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """Which sets of entities count.

    Parameters
    ----------
    measure : {"centre_distance_sum", "largest_atom_distance"}
        The sum over entities of the distance of their centre of mass from the centre of mass of all, or the largest
        distance of two atoms, those of one entity included; in Angstrom. (mbGDML's ``com_distance_sum`` and
        ``max_atom_pair_dist``.)
    cutoff : float
        Sets count whose measure is below it, in Angstrom.
    lower : float
        And above this.
    width : float
        In Angstrom. Over this distance from a bound the factor of a set falls smoothly from 1 to 0, so that energies
        are continuous, with two continuous derivatives in the measure. (The largest atom distance has a kink where
        another pair of atoms becomes the farthest: forces are continuous with the centre distance sum only.) With 0
        energies jump there, and forces do not know it.

    Raises
    ------
    ValueError
        When the measure is unknown, the bounds leave nothing between them, or are less than twice the width apart.
    """

    measure: str
    cutoff: float = np.inf
    lower: float = -np.inf
    width: float = 0.0

    def __post_init__(self) -> None:
        if self.measure not in _MEASURES[1:]:
            raise ValueError(f"measure is {self.measure!r}; accepted: {', '.join(map(repr, _MEASURES[1:]))}")
        for name in ("cutoff", "lower", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or np.isnan(value):
                raise ValueError(f"{name} is {value!r}; accepted: numbers in Angstrom")
            object.__setattr__(self, name, float(value))
        if not self.cutoff > max(self.lower, 0.0):
            raise ValueError(f"cutoff is {self.cutoff}; accepted: above 0 and above lower, {self.lower}")
        bounds = int(np.isfinite([self.cutoff, self.lower]).sum())
        room = self.cutoff - self.lower if bounds == 2 else self.cutoff
        if not 0 <= self.width < np.inf or (self.width > 0 and not (bounds and bounds * self.width <= room)):
            raise ValueError(f"width is {self.width}; accepted: 0, or what fits between finite bounds")

    @cached_property
    def core(self) -> _core.TupleCriterion:
        """What the core reads."""
        return _core.TupleCriterion(_MEASURES.index(self.measure), self.lower, self.cutoff, self.width)

    def __reduce__(self) -> tuple[Any, ...]:
        return _criterion, (self.measure, self.cutoff, self.lower, self.width)


def _criterion(measure: str, cutoff: float, lower: float, width: float) -> Criterion:
    return Criterion(measure=measure, cutoff=cutoff, lower=lower, width=width)


class FoundSets(NamedTuple):
    """Sets of entities of one structure, with their images; n entities each, in the order of the components."""

    entities: Int64  # [T, n]
    shifts: npt.NDArray[np.int32]  # [T, n, 3], in lattice vectors
    values: Float64  # [T], of the measure of the criterion in Angstrom
    factors: Float64  # [T], of the criterion
    positions: Float64  # [T, n_atoms, 3] in Angstrom, in one piece

    def subset(self, chosen: Int64) -> "FoundSets":
        """Return the sets with these indices."""
        return FoundSets(
            self.entities[chosen],
            self.shifts[chosen],
            self.values[chosen],
            self.factors[chosen],
            self.positions[chosen],
        )


def find_sets(
    atoms: Any,
    entities: Entities,
    components: Sequence[str],
    criterion: Criterion | None = None,
    *,
    threads: int | None = None,
) -> FoundSets:
    """Find the sets of entities that have certain components and fulfil a criterion.

    Each set is found once, whatever the order of its entities in the structure. In periodic cells the entities of a set
    may be images, of one entity too: nothing depends on how large the cell is.

    Parameters
    ----------
    atoms
        An ``ase.Atoms`` or alike.
    entities : Entities
        Of these atoms.
    components : sequence of str
        One for each entity of a set.
    criterion : Criterion, optional
        By default all sets, which needs a structure without periodicity.

    Raises
    ------
    ValueError
        When a component is unknown, the entities are not of these atoms, or all sets are asked of a periodic structure.
    """
    wanted = entities.components.indices(components)
    n_atoms = len(entities.components.numbers_of(components))
    found = entities.components.core.tuples(
        *structure_arguments(atoms, entities), wanted, core_criterion(criterion), resolve_threads(threads)
    )
    return FoundSets(*found[:4], found[4].reshape(-1, n_atoms, 3))


_Arguments = tuple[Float64, Float64, npt.NDArray[np.bool_], npt.NDArray[np.int32], Int64, Int64, npt.NDArray[np.int32]]


def structure_arguments(atoms: Any, entities: Entities) -> _Arguments:
    """Return what the core reads of a structure and its entities."""
    positions, cell, pbc, numbers = as_structure(atoms)
    if len(numbers) != len(entities.atom):
        raise ValueError(f"entities are those of {len(entities.atom)} atoms; the structure has {len(numbers)}")
    return positions, cell, pbc, numbers, entities.ptr, entities.atom, entities.component


def core_criterion(criterion: Criterion | None) -> _core.TupleCriterion:
    """Return what the core reads, of no criterion too."""
    return _core.TupleCriterion(0, -np.inf, np.inf, 0.0) if criterion is None else criterion.core


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Clusters:
    """Clusters of the same components, and where they come from.

    Parameters
    ----------
    dataset : Dataset
        A structure a cluster: the atoms of its entities one after the other, without periodicity. Labels are total
        energies, or what n entities add to those of fewer (`atomcore.data.remove_lower_orders`).
    kinds : Components
    components : tuple of str
        Of the entities of each cluster.
    source : array_like of int, shape (n_clusters,)
        Which structure each cluster was cut from.
    entities : array_like of int, shape (n_clusters, n)
        Which entities of that structure.
    shifts : array_like of int, shape (n_clusters, n, 3), optional
        In which image each stands, in lattice vectors.
    """

    dataset: Dataset
    kinds: Components
    components: tuple[str, ...]
    source: Int64
    entities: Int64
    shifts: Int64 | None = None

    def __post_init__(self) -> None:
        n, order = len(self.dataset), len(self.components)
        numbers = self.kinds.numbers_of(self.components)
        if not np.array_equal(self.dataset.numbers, np.tile(numbers, n)):
            raise ValueError(f"dataset has structures of other atoms than the components {self.components}")
        object.__setattr__(self, "source", as_integers("source", self.source, (n,)))
        object.__setattr__(self, "entities", as_integers("entities", self.entities, (n, order)))
        shifts = np.zeros((n, order, 3), np.int64) if self.shifts is None else self.shifts
        object.__setattr__(self, "shifts", as_integers("shifts", shifts, (n, order, 3)))

    def __len__(self) -> int:
        return len(self.dataset)

    def __repr__(self) -> str:
        return f"<Clusters {' + '.join(self.components)}: {self.dataset!r}>"

    @property
    def order(self) -> int:
        """Number of entities of a cluster."""
        return len(self.components)

    @cached_property
    def sizes(self) -> list[int]:
        """Numbers of atoms of the entities of a cluster."""
        return [len(self.kinds[name]) for name in self.components]

    def with_labels(self, energy: Any, forces: Any = None) -> "Clusters":
        """Return the same clusters with energies [n_clusters] in eV and forces [n_clusters, n_atoms, 3] in eV/A."""
        rows = None if forces is None else np.asarray(forces, dtype=np.float64).reshape(-1, 3)
        return replace(self, dataset=replace(self.dataset, energy=energy, forces=rows))

    def labelled(self, potential: Any) -> "Clusters":
        """Return the same clusters with the energies and forces of a potential.

        Parameters
        ----------
        potential
            Anything with ``energy_forces(atoms)`` in eV and eV/A, or an ASE calculator.
        """
        energies, forces = np.empty(len(self)), np.empty((len(self), sum(self.sizes), 3))
        for s, atoms in enumerate(self.dataset):
            energies[s], forces[s] = energy_forces(potential, atoms)
        return self.with_labels(energies, forces)

    def subset(self, indices: Any) -> "Clusters":
        """Return the clusters with these indices, in this order."""
        chosen = as_integers("indices", indices, ("n",))
        return replace(
            self,
            dataset=self.dataset.subset(chosen),
            source=self.source[chosen],
            entities=self.entities[chosen],
            shifts=None if self.shifts is None else self.shifts[chosen],
        )


def energy_forces(potential: Any, atoms: "Atoms") -> tuple[float, Float64]:
    """Return energy in eV and forces [N, 3] in eV/A of a structure by whatever computes them.

    Raises
    ------
    TypeError
        When the potential has neither ``energy_forces`` nor is an ASE calculator.
    """
    if hasattr(potential, "energy_forces"):
        energy, forces = potential.energy_forces(atoms)
    elif hasattr(potential, "get_potential_energy") and hasattr(potential, "get_forces"):
        energy, forces = potential.get_potential_energy(atoms), potential.get_forces(atoms)
    else:
        raise TypeError(
            f"potential is {type(potential).__name__}; accepted: what has energy_forces(atoms), or an ASE calculator"
        )
    return float(energy), as_float64("forces", forces, (len(atoms), 3))


def cut_clusters(
    frames: Iterable[Any],
    components: Sequence[str],
    *,
    kinds: Mapping[str, Any] | None = None,
    entities: Entities | None = None,
    criterion: Criterion | None = None,
    per_frame: int | None = None,
    seed: int = 0,
) -> Clusters:
    """Cut clusters out of structures: frames of a trajectory, or a packed box.

    Parameters
    ----------
    frames : iterable of ase.Atoms
        Structures, periodic ones too; molecules may be cut by the borders of the cell. A `Dataset` is one.
    components : sequence of str
        One name for each entity of a cluster: ``("h2o", "h2o")`` for dimers.
    kinds : mapping, optional
        As for `Components`: molecules are found by their bonds in each frame.
    entities : Entities, optional
        Instead, of all frames.
    criterion : Criterion, optional
        Which sets of entities to take.
    per_frame : int, optional
        How many clusters of each frame to draw, without replacement; by default, and where there are fewer, all.
    seed : int
        Of these draws.

    Returns
    -------
    Clusters
        Without labels.

    Raises
    ------
    ValueError
        When both or none of `kinds` and `entities` are given, a frame has a molecule of none of the kinds, or no frame
        has such a cluster.
    """
    if (kinds is None) == (entities is None):
        raise ValueError("kinds or entities must be given, and not both")
    if per_frame is not None:
        whole_number("per_frame", per_frame, 1)
    rng = np.random.default_rng(whole_number("seed", seed, 0))
    found, sources = [], []
    for s, atoms in enumerate(frames):
        own = entities if entities is not None else Entities.bonded(atoms, kinds)
        sets = find_sets(atoms, own, components, criterion)
        n = len(sets.entities)
        if per_frame is not None and per_frame < n:
            sets = sets.subset(np.sort(rng.choice(n, per_frame, replace=False)))
        found.append(sets)
        sources.append(np.full(len(sets.entities), s))
    known = entities.components if entities is not None else Components(kinds or {})
    return _clusters(found, sources, known, tuple(components))


def _clusters(found: list[FoundSets], sources: list[Int64], kinds: Components, components: tuple[str, ...]) -> Clusters:
    n = sum(len(sets.entities) for sets in found)
    if n == 0:
        raise ValueError(f"no frame has a cluster of {', '.join(components)} that fulfils the criterion")
    numbers = kinds.numbers_of(components)
    dataset = Dataset(
        numbers=np.tile(numbers, n),
        positions=np.concatenate([sets.positions.reshape(-1, 3) for sets in found]),
        cells=np.zeros((n, 3, 3)),
        pbc=np.zeros((n, 3), bool),
        structure_ptr=np.arange(n + 1) * len(numbers),
    )
    return Clusters(
        dataset=dataset,
        kinds=kinds,
        components=components,
        source=np.concatenate(sources),
        entities=np.concatenate([sets.entities for sets in found]),
        shifts=np.concatenate([sets.shifts for sets in found]).astype(np.int64),
    )


def pack_box(
    molecules: "Sequence[Atoms]", counts: Sequence[int], box: Any, *, distance: float = 2.0, seed: int = 1
) -> "Atoms":
    """Fill a box with molecules by the program packmol.

    Parameters
    ----------
    molecules : sequence of ase.Atoms
        One of each kind.
    counts : sequence of int
        How many of each.
    box : array_like, shape (3,)
        Edges of the box, periodic in the result, in Angstrom. Half of `distance` stays free along each border.
    distance : float
        That atoms of different molecules keep at least, in Angstrom.
    seed : int
        Of the packing; at least 1.

    Returns
    -------
    ase.Atoms
        The molecules one after the other.

    Raises
    ------
    FileNotFoundError
        Without packmol.
    ValueError
        When an argument makes no sense.
    RuntimeError
        When packmol finds no packing; the message ends with what it says.
    """
    edges = as_float64("box", box, (3,))
    numbers = [whole_number("counts", count, 1) for count in counts]
    whole_number("seed", seed, 1)
    if len(numbers) != len(molecules) or not numbers:
        raise ValueError(f"counts has {len(numbers)} numbers for {len(molecules)} molecules; accepted: one for each")
    if not 0 < distance < edges.min():
        raise ValueError(
            f"distance is {distance!r}; accepted: above 0 and below the edges of the box, {edges.tolist()}"
        )
    program = shutil.which("packmol")
    if program is None:
        raise FileNotFoundError(
            "packmol is not installed; `conda install -c conda-forge packmol` or `pip install packmol`"
        )
    return _packed(program, list(molecules), numbers, edges, float(distance), seed)


def _packed(
    program: str, molecules: "list[Atoms]", counts: list[int], edges: Float64, distance: float, seed: int
) -> "Atoms":
    import subprocess

    from ase import Atoms
    from ase.io import read, write

    margin = distance / 2
    with tempfile.TemporaryDirectory() as folder:
        lines = [f"tolerance {distance}", "filetype xyz", f"seed {seed}", "output packed.xyz"]
        for k, (atoms, count) in enumerate(zip(molecules, counts, strict=True)):
            write(Path(folder) / f"{k}.xyz", Atoms(atoms.numbers, atoms.positions), format="xyz", fmt="%22.15f")
            inside = " ".join(f"{x:.10g}" for x in (margin, margin, margin, *(edges - margin)))
            lines += [f"structure {k}.xyz", f"  number {count}", f"  inside box {inside}", "end structure"]
        result = subprocess.run(
            [program], input="\n".join(lines) + "\n", cwd=folder, capture_output=True, text=True, check=False
        )
        path = Path(folder) / "packed.xyz"
        if result.returncode != 0 or not path.exists():
            raise RuntimeError(f"packmol found no packing: {(result.stdout + result.stderr).strip()[-500:]}")
        packed = Atoms(read(path, format="xyz"))
    packed.set_cell(edges)
    packed.pbc = True
    return packed
