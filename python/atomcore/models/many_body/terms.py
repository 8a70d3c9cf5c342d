"""What a many-body expansion is made of: models of n molecules, and what they say of each set."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore import _core
from atomcore.data.clusters import Criterion, core_criterion, energy_forces
from atomcore.data.entities import Components, Entities

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_TOGETHER = 4096  # sets that a potential is handed at a time


@dataclass(frozen=True, eq=False, kw_only=True)
class Term:
    """What one model adds to the energy of each set of n molecules.

    Parameters
    ----------
    components : sequence of str
        Names of the n molecules, in the order in which the model has their atoms. The order does not matter in the
        structures that are computed.
    model
        A `GDML` or its record (the fast way), a `Potential` or a model with ``compute_batch``, anything with
        ``energy_forces(atoms)`` in eV and eV/A, or an ASE calculator. It must not depend on the order of molecules of
        the same component, which are handed to it in the order of the structure.
    criterion : Criterion, optional
        Which sets count; by default all.
    """

    components: tuple[str, ...]
    model: Any
    criterion: Criterion | None = None

    def __post_init__(self) -> None:
        if isinstance(self.components, str) or not len(self.components):
            raise ValueError(f"components is {self.components!r}; accepted: a sequence of names, one a molecule")
        object.__setattr__(self, "components", tuple(self.components))
        if self.criterion is not None and not isinstance(self.criterion, Criterion):
            raise TypeError(f"criterion is {type(self.criterion).__name__}; accepted: a Criterion or None")

    @property
    def order(self) -> int:
        """The number of molecules."""
        return len(self.components)

    @property
    def is_trained(self) -> bool:
        """Whether the model can predict."""
        try:
            self.record  # noqa: B018
        except ValueError:  # what untrained kernel models say
            return False
        return True

    @property
    def record(self) -> Any:
        """The numbers of a GDML model, or None for other models."""
        own = getattr(self.model, "record", self.model)
        return own if hasattr(own, "derivative_coefficients") else None


@dataclass(frozen=True, eq=False, kw_only=True)
class TermValues:
    """What one term says of each set of molecules, the factor of its criterion included.

    Parameters
    ----------
    components : tuple of str
    structure : ndarray of int, shape (T,)
        In which structure each set is.
    entities : ndarray of int, shape (T, n)
        In the order of the components.
    shifts : ndarray of int, shape (T, n, 3)
        In which image each entity stands, in lattice vectors.
    values : ndarray, shape (T,)
        Of the measure of the criterion, in Angstrom.
    positions : ndarray, shape (T, n_atoms, 3)
        In Angstrom, in one piece.
    energies : ndarray, shape (T,)
        In eV.
    forces : ndarray, shape (T, n_atoms, 3)
        In eV/A.
    """

    components: tuple[str, ...]
    structure: Int64
    entities: Int64
    shifts: Int64
    values: Float64
    positions: Float64
    energies: Float64
    forces: Float64

    @property
    def order(self) -> int:
        """The number of molecules of a set."""
        return len(self.components)


def total(values: Iterable[TermValues], entities: Sequence[Entities]) -> tuple[Float64, list[Float64]]:
    """Add up what terms say of sets of molecules.

    Parameters
    ----------
    values : iterable of TermValues
        Of :meth:`ManyBody.predict_decomposed`, all of them or those of some orders.
    entities : sequence of Entities
        Of each structure.

    Returns
    -------
    energies : ndarray, shape (n_structures,)
        In eV.
    forces : list of ndarray, shape (n_atoms, 3)
        In eV/A, of each structure.
    """
    energies = np.zeros(len(entities))
    forces = [np.zeros((len(own.atom), 3)) for own in entities]
    for own in values:
        np.add.at(energies, own.structure, own.energies)
        for s in range(len(entities)):
            mine = own.structure == s
            if mine.any():
                np.add.at(forces[s], atoms_of(own.entities[mine], entities[s]), own.forces[mine])
    return energies, forces


def core_term(term: Term, components: Components) -> tuple[list[int], _core.TupleCriterion, _core.TupleModel]:
    expected = components.numbers_of(term.components)
    if not np.array_equal(term.record.numbers, expected):
        raise ValueError(
            f"the model of {'+'.join(term.components)} has the atomic numbers {term.record.numbers.tolist()}; its "
            f"components have {expected.tolist()}"
        )
    return components.indices(term.components), core_criterion(term.criterion), _tuple_model(term.record)


def _tuple_model(record: Any) -> _core.TupleModel:
    none = np.empty(0)
    return _core.TupleModel.gdml(
        sigma=record.sigma,
        scale=record.scale,
        constant=record.constant,
        lattice=none if record.lattice is None else record.lattice,
        descriptors=record.descriptors,
        derivative_coefficients=record.derivative_coefficients,
        energy_coefficients=none if record.energy_coefficients is None else record.energy_coefficients,
        permutations=record.permutations,
    )


def evaluated(term: Term, numbers: npt.NDArray[np.int32], positions: Float64, threads: int) -> tuple[Float64, Float64]:
    """Return energies [T] and gradients [T, n_atoms, 3] of sets by whatever the model of the term is."""
    if term.record is not None:
        return _tuple_model(term.record).evaluate(positions, threads)
    from ase import Atoms

    energies, gradients = np.empty(len(positions)), np.empty(positions.shape)
    for begin in range(0, len(positions), _TOGETHER):
        images = [Atoms(numbers, own) for own in positions[begin : begin + _TOGETHER]]
        if hasattr(term.model, "compute_batch"):
            results = term.model.compute_batch(images, ("energy", "forces"))
            found = [(own["energy"], own["forces"]) for own in results]
        else:
            found = [energy_forces(term.model, atoms) for atoms in images]
        for t, (energy, forces) in enumerate(found, begin):
            energies[t], gradients[t] = energy, np.negative(forces)
    if not (np.isfinite(energies).all() and np.isfinite(gradients).all()):
        raise ValueError(f"the model of {'+'.join(term.components)} gives energies or forces that are not finite")
    return energies, gradients


def atoms_of(sets: Int64, entities: Entities) -> Int64:
    """Return the atoms [T, n_atoms] of one and more sets of entities [T, n] that have the same components."""
    columns = []
    for members in sets.T:
        size = int(entities.ptr[members[0] + 1] - entities.ptr[members[0]])
        columns.append(entities.atom[entities.ptr[members][:, None] + np.arange(size)])
    return np.concatenate(columns, axis=1)
