"""Many-body expansions: the energy of molecules from models of one, two, three of them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore import _core
from atomcore._arrays import as_structure
from atomcore._threads import resolve_threads
from atomcore._voigt import VOIGT
from atomcore.data.clusters import Clusters, core_criterion, find_sets, structure_arguments
from atomcore.data.dataset import Dataset
from atomcore.data.entities import Components, Entities
from atomcore.models.many_body.terms import Term, TermValues, atoms_of, core_term, evaluated

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

PROPERTIES = ("energy", "forces", "energies", "stress", "orders")
_DEFAULT = ("energy", "forces", "energies")

Scaling = Mapping[int, float | Mapping[int, float]]


class ManyBody:
    """The energy of molecules as a sum over sets of them (Maldonado et al., Digital Discovery 2, 871 (2023)).

    ``E = sum over terms of the sum over sets of molecules of factor * E_term(set)``: one-body terms give total energies
    of single molecules, n-body terms what n molecules add to the energies of fewer. Each set of molecules counts once,
    whatever their order in the structure. In periodic cells the members of a set are images of molecules, chosen by the
    criterion alone: cells may be small, skewed, or periodic in one direction.

    Parameters
    ----------
    terms : sequence of Term
    components : mapping, optional
        From names to formulas in the order of the atoms of the models (``{"h2o": "OHH"}``). By default taken from the
        GDML models of single molecules.
    threads : int, optional
        ``OMP_NUM_THREADS``, or all processors, by default. Results do not depend on it, to the last bit.

    Attributes
    ----------
    provenance : dict
        How it was trained, for the file.

    Raises
    ------
    ValueError, TypeError
        When a component is unknown, a model has other atoms than its components, or was trained in a periodic cell.
    """

    def __init__(
        self, terms: Sequence[Term], components: Mapping[str, Any] | None = None, *, threads: int | None = None
    ):
        self.terms = tuple(terms)
        if not self.terms:
            raise ValueError("terms is empty; accepted: at least one Term")
        for term in self.terms:
            if not isinstance(term, Term):
                raise TypeError(f"terms holds a {type(term).__name__}; accepted: Term alone")
        self.components = _components(self.terms, components)
        self.provenance: dict[str, Any] = {}
        self._threads = resolve_threads(threads)
        self._records: list[Any] = []  # of which the compiled sum is
        self._compiled: list[int] = []
        if all(term.is_trained for term in self.terms):
            self._compile()

    def _compile(self) -> _core.ManyBodyModel:
        """Return the sum over the terms that the core knows, anew where a model has been trained since."""
        for term in self.terms:
            if not term.is_trained:
                raise ValueError(f"the model of {'+'.join(term.components)} is not trained; call fit first")
        records = [term.record for term in self.terms]
        if len(records) != len(self._records) or any(a is not b for a, b in zip(records, self._records, strict=True)):
            self._compiled = [t for t, record in enumerate(records) if record is not None]
            rows = [core_term(self.terms[t], self.components) for t in self._compiled]
            self._sum, self._records = _core.ManyBodyModel(self.components.records(), rows), records
        return self._sum

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (self.terms, self.components, self._threads, self.provenance)

    def __repr__(self) -> str:
        return f"<ManyBody {', '.join('+'.join(term.components) for term in self.terms)}>"

    def fit(self, clusters: Sequence[Clusters], *, progress: bool = True) -> "ManyBody":
        """Train the models of the terms, which must have ``fit``.

        Parameters
        ----------
        clusters : sequence of Clusters
            One for each term, of the same components: with n-body energies and forces, from
            :func:`atomcore.data.decompose` or :meth:`remove_from`.
        progress : bool
            Whether to show bars.

        Returns
        -------
        ManyBody
            This model.

        Raises
        ------
        ValueError, TypeError
            When clusters and terms do not belong together, or as the models raise.
        """
        by_components = {own.components: own for own in clusters}
        if len(clusters) != len(self.terms) or any(term.components not in by_components for term in self.terms):
            raise ValueError(
                f"clusters has {', '.join('+'.join(own.components) for own in clusters) or 'nothing'}; accepted: one "
                f"for each term, {', '.join('+'.join(term.components) for term in self.terms)}"
            )
        for term in self.terms:
            if not hasattr(term.model, "fit"):
                raise TypeError(f"the model of {'+'.join(term.components)} has no fit; accepted: kernel models")
        for term in self.terms:
            term.model.fit(by_components[term.components].dataset, progress=progress)
        return self

    @property
    def max_order(self) -> int:
        """The largest number of molecules of a term."""
        return max(term.order for term in self.terms)

    def entities(self, atoms: Any) -> Entities:
        """Divide atoms into molecules as :meth:`compute` does by default: they stand one after the other.

        Raises
        ------
        ValueError
            When they do not; `Entities.bonded` and `Entities.from_ids` serve other structures.
        """
        return Entities.consecutive(as_structure(atoms).numbers, self.components)

    def energy_forces(self, atoms: Any) -> tuple[float, Float64]:
        """Compute the energy in eV and the forces [N, 3] in eV/A."""
        results = self.compute(atoms, ("energy", "forces"))
        return results["energy"], results["forces"]

    def compute(
        self,
        atoms: Any,
        properties: Sequence[str] | None = None,
        *,
        entities: Entities | None = None,
        scaling: Scaling | None = None,
    ) -> dict[str, Any]:
        """Compute properties of one structure.

        Parameters
        ----------
        atoms
            An ``ase.Atoms`` or alike.
        properties
            Any of ``"energy"`` (eV), ``"forces"`` ([N, 3], eV/A), ``"energies"`` ([N], eV, each set shares its energy
            evenly among its atoms), ``"stress"`` ([6], eV/A^3, ASE's sign and order) and ``"orders"`` ([n], eV, the
            sums over sets of 1, 2, ... molecules); by default the first three.
        entities : Entities, optional
            The molecules; by default atoms of each stand together, in the order of its component.
        scaling : mapping, optional
            Alchemical scaling: from entities to a factor between 0 and 1 for all sets of two and more that they are in,
            or to a mapping from orders to factors. Factors of the entities of a set are multiplied.

        Returns
        -------
        dict
            The asked properties.

        Raises
        ------
        ValueError, TypeError
            When the atoms do not fit the components, two atoms of a set are at one place, a term without cutoff meets a
            periodic structure, or an argument makes no sense.
        """
        asked = _checked(properties)
        own = self._entities(atoms, entities)
        structure = as_structure(atoms)
        if "stress" in asked and not structure.pbc.all():
            raise ValueError(f"stress needs a cell that is periodic in three directions, got pbc {structure.pbc}")
        factors = self._factors(scaling, own)
        derivatives = not {"forces", "stress"}.isdisjoint(asked)
        terms, energies, gradient, strain = self._sums(atoms, own, factors, derivatives)
        results: dict[str, Any] = {"energy": float(terms.sum()), "energies": energies, "orders": self._by_order(terms)}
        if "forces" in asked:
            results["forces"] = np.negative(gradient)
        if "stress" in asked:
            results["stress"] = (0.5 * (strain + strain.T))[VOIGT] / abs(np.linalg.det(structure.cell))
        return {name: results[name] for name in asked}

    def predict(self, structures: Any, *, entities: Entities | None = None) -> tuple[Float64, Float64]:
        """Compute energies [n] in eV and forces in eV/A of several structures.

        Parameters
        ----------
        structures
            A `Dataset`, `Clusters`, or a list of structures.
        entities : Entities, optional
            Of all of them.

        Returns
        -------
        tuple of arrays
            Forces [n_atoms, 3] of one structure after the other.
        """
        results = [self.compute(atoms, ("energy", "forces"), entities=entities) for atoms in _several(structures)]
        forces = [own["forces"] for own in results] or [np.empty((0, 3))]
        return np.array([own["energy"] for own in results]), np.concatenate(forces)

    def predict_decomposed(self, structures: Any, *, entities: Entities | None = None) -> list[TermValues]:
        """Compute what each term says of each set of molecules; :func:`total` adds it up.

        Parameters
        ----------
        structures
            One structure, a `Dataset`, or a list of structures.
        entities : Entities, optional
            Of all of them.

        Returns
        -------
        list of TermValues
            One for each term.
        """
        several = list(_several(structures))
        owners = [self._entities(atoms, entities) for atoms in several]
        return [self._values(term, several, owners) for term in self.terms]

    def remove_from(self, clusters: Clusters) -> Clusters:
        """Return clusters with what is left of their energies and forces without the predictions of this model.

        With a model of all lower orders that leaves the n-body energies to train the next term on.
        """
        if clusters.dataset.energy is None:
            raise ValueError("clusters has no energies; accepted: clusters with labels")
        ids = np.repeat(np.arange(clusters.order), clusters.sizes)
        own = Entities.from_ids(clusters.kinds.numbers_of(clusters.components), ids, clusters.components)
        energy, forces = self.predict(clusters.dataset, entities=own)
        labels = clusters.dataset.forces
        return clusters.with_labels(clusters.dataset.energy - energy, None if labels is None else labels - forces)

    def save(self, path: str | os.PathLike) -> None:
        """Write the expansion to a ``.atomcore`` file, which `Potential`, `Calculator` and the command line take.

        Raises
        ------
        TypeError
            When the model of a term is neither a GDML model nor a `Potential` nor has ``save``.
        """
        from atomcore.export import save_many_body

        save_many_body(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "ManyBody":
        """Read an expansion that :meth:`save` wrote."""
        from atomcore.export import load_many_body

        return load_many_body(path)

    def _entities(self, atoms: Any, entities: Entities | None) -> Entities:
        return self.entities(atoms) if entities is None else entities.named(self.components)

    def _factors(self, scaling: Scaling | None, entities: Entities) -> Float64 | None:
        """Return the factor of each term [n_terms] and entity [E]."""
        if scaling is None:
            return None
        if not isinstance(scaling, Mapping):
            raise TypeError(f"scaling is {type(scaling).__name__}; accepted: a mapping from entities to factors")
        factors = np.ones((len(self.terms), len(entities)))
        for entity, value in scaling.items():
            if isinstance(entity, bool) or not isinstance(entity, int | np.integer) or not 0 <= entity < len(entities):
                raise ValueError(f"scaling has the entity {entity!r}; accepted: 0 to {len(entities) - 1}")
            by_order = value if isinstance(value, Mapping) else dict.fromkeys(range(2, self.max_order + 1), value)
            for order, factor in by_order.items():
                real = isinstance(factor, int | float | np.number)
                if order not in range(1, self.max_order + 1) or not (real and 0 <= factor <= 1):
                    raise ValueError(
                        f"scaling of entity {entity} has the factor {factor!r} for order {order!r}; accepted: 0 to 1, "
                        f"for orders 1 to {self.max_order}"
                    )
                for t, term in enumerate(self.terms):
                    if term.order == order:
                        factors[t, entity] = factor
        return factors

    def _sums(
        self, atoms: Any, entities: Entities, factors: Float64 | None, derivatives: bool
    ) -> tuple[Float64, Float64, Float64, Float64]:
        """Return energies of the terms, of the atoms, and the derivatives in positions and strain."""
        compiled = self._compile()
        scaling = np.empty(0) if factors is None else np.ascontiguousarray(factors[self._compiled])
        found = compiled.compute(*structure_arguments(atoms, entities), scaling, derivatives, self._threads)
        terms = np.zeros(len(self.terms))
        terms[self._compiled], energies, gradient, strain = found
        for t, term in enumerate(self.terms):
            if t in self._compiled:
                continue
            values = self._values(term, [atoms], [entities])
            scale = np.ones(len(values.energies)) if factors is None else factors[t][values.entities].prod(axis=1)
            if not len(values.energies):
                continue
            terms[t] = (scale * values.energies).sum()
            rows = atoms_of(values.entities, entities)
            share = scale * values.energies / rows.shape[1]
            np.add.at(energies, rows, share[:, None])
            if derivatives:
                slopes = -scale[:, None, None] * values.forces
                np.add.at(gradient, rows, slopes)
                strain = strain + np.einsum("tax,tay->xy", values.positions, slopes)
        return terms, energies, gradient, strain

    def _values(self, term: Term, structures: list[Any], entities: list[Entities]) -> TermValues:
        found = [
            find_sets(atoms, own, term.components, term.criterion, threads=self._threads)
            for atoms, own in zip(structures, entities, strict=True)
        ]
        if not found:
            raise ValueError("structures is empty; accepted: at least one")
        positions = np.concatenate([own.positions for own in found])
        energies, gradients = evaluated(term, self.components.numbers_of(term.components), positions, self._threads)
        wanted, criterion = self.components.indices(term.components), core_criterion(term.criterion)
        self.components.core.apply(wanted, criterion, positions, energies, gradients)
        return TermValues(
            components=term.components,
            structure=np.repeat(np.arange(len(found)), [len(own.entities) for own in found]),
            entities=np.concatenate([own.entities for own in found]),
            shifts=np.concatenate([own.shifts for own in found]).astype(np.int64),
            values=np.concatenate([own.values for own in found]),
            positions=positions,
            energies=energies,
            forces=np.negative(gradients, out=gradients),
        )

    def _by_order(self, terms: Float64) -> Float64:
        orders = np.zeros(self.max_order)
        np.add.at(orders, [term.order - 1 for term in self.terms], terms)
        return orders


def _remade(terms: tuple[Term, ...], components: Components, threads: int, provenance: dict[str, Any]) -> ManyBody:
    model = ManyBody(terms, components, threads=threads)
    model.provenance = provenance
    return model


def _components(terms: Sequence[Term], given: Mapping[str, Any] | None) -> Components:
    if given is not None:
        return given if isinstance(given, Components) else Components(given)
    own = {term.components[0]: term.record.numbers.tolist() for term in terms if term.order == 1 and term.record}
    missing = sorted({name for term in terms for name in term.components} - set(own))
    if missing:
        raise ValueError(
            f"components is None, but no GDML model of a single molecule says what {missing[0]!r} is; accepted: a "
            "mapping from names to formulas"
        )
    return Components(own)


def _several(structures: Any) -> Iterable[Any]:
    if isinstance(structures, Clusters):
        return structures.dataset
    if isinstance(structures, Dataset):
        return structures
    return [structures] if hasattr(structures, "positions") else structures


def _checked(properties: Sequence[str] | None) -> tuple[str, ...]:
    if properties is None:
        return _DEFAULT
    if isinstance(properties, str):
        raise TypeError(f"properties must be a sequence of names, got the string {properties!r}")
    unknown = [name for name in properties if name not in PROPERTIES]
    if unknown:
        raise ValueError(f"properties must be among {', '.join(PROPERTIES)}, got {', '.join(map(repr, unknown))}")
    return tuple(properties)
