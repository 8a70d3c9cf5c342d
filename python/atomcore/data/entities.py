"""Molecules in a structure ("entities"): which atoms belong together, and of what kind each is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore import _core
from atomcore._arrays import LARGEST_NUMBER, as_integers, as_structure, check_numbers
from atomcore.neighbors import neighbor_list

Int64 = npt.NDArray[np.int64]

_BOND = 1.25  # of the sum of the covalent radii: hydrogen bonds are longer, stretched bonds are shorter


class Components(Mapping[str, tuple[int, ...]]):
    """Kinds of molecules: the atomic numbers of each, in the order in which its atoms come.

    Parameters
    ----------
    components : mapping
        From names to a formula in the order of the atoms (``{"h2o": "OHH"}``) or to atomic numbers.

    Raises
    ------
    TypeError, ValueError
        When there is none, a name is empty, or a formula or number is unknown.
    """

    def __init__(self, components: Mapping[str, Any]):
        if not isinstance(components, Mapping) or not components:
            raise TypeError(f"components is {components!r}; accepted: a mapping from names to formulas, not empty")
        self._numbers: dict[str, tuple[int, ...]] = {}
        for name, atoms in components.items():
            if not isinstance(name, str) or not name:
                raise ValueError(f"components has the name {name!r}; accepted: texts that are not empty")
            self._numbers[name] = _as_numbers(name, atoms)

    def __getitem__(self, name: str) -> tuple[int, ...]:
        if name not in self._numbers:
            raise KeyError(f"component {name!r} is unknown; accepted: {', '.join(map(repr, self._numbers))}")
        return self._numbers[name]

    def __iter__(self) -> Any:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Components) and list(self.items()) == list(other.items())

    def __hash__(self) -> int:
        return hash(tuple(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Components, (self._numbers,)  # the core's object cannot be copied

    def __repr__(self) -> str:
        return f"Components({self._numbers!r})"

    def indices(self, names: Sequence[str]) -> list[int]:
        """Return the places of components with these names.

        Raises
        ------
        ValueError
            When a name is unknown, or there is none.
        """
        if isinstance(names, str) or not len(names):
            raise ValueError(f"components is {names!r}; accepted: a sequence of names")
        known = list(self)
        for name in names:
            if name not in self._numbers:
                raise ValueError(f"component {name!r} is unknown; accepted: {', '.join(map(repr, known))}")
        return [known.index(name) for name in names]

    def numbers_of(self, names: Sequence[str]) -> npt.NDArray[np.int32]:
        """Return the atomic numbers of a set of entities, one after the other."""
        known = list(self)
        return np.concatenate([np.array(self[known[c]], np.int32) for c in self.indices(names)])

    def records(self) -> list[tuple[str, list[int], list[float]]]:
        """Return what the core reads: names, atomic numbers and masses."""
        from ase.data import atomic_masses

        return [(name, list(own), [float(atomic_masses[z]) for z in own]) for name, own in self.items()]

    @cached_property
    def core(self) -> _core.ManyBodyModel:
        """An expansion of these components without terms, which knows how to divide and search."""
        return _core.ManyBodyModel(self.records(), [])


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Entities:
    """The entities of a structure; entity ``e`` has the atoms ``atom[ptr[e]:ptr[e + 1]]``, in this order.

    Made by :meth:`consecutive`, :meth:`bonded` or :meth:`from_ids`.

    Parameters
    ----------
    components : Components
    ptr : array_like of int, shape (n_entities + 1,)
    atom : array_like of int, shape (n_atoms,)
        Each atom once.
    component : array_like of int, shape (n_entities,)
        Which of the components each entity is.
    """

    components: Components
    ptr: Int64
    atom: Int64
    component: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        ptr = as_integers("ptr", self.ptr, ("n_entities + 1",))
        atom = as_integers("atom", self.atom, ("n_atoms",))
        component = as_integers("component", self.component, (max(len(ptr) - 1, 0),), np.int32)
        if not len(ptr) or ptr[0] != 0 or ptr[-1] != len(atom) or (np.diff(ptr) < 1).any():
            raise ValueError(f"ptr must ascend from 0 to the number of atoms, {len(atom)}")
        if not np.array_equal(np.sort(atom), np.arange(len(atom))):
            raise ValueError("atom must hold each atom once")
        if component.size and not 0 <= component.min() <= component.max() < len(self.components):
            raise ValueError(f"component has {component.max()}; accepted: 0 to {len(self.components) - 1}")
        for name, array in (("ptr", ptr), ("atom", atom), ("component", component)):
            own = array.copy()
            own.flags.writeable = False
            object.__setattr__(self, name, own)

    @classmethod
    def consecutive(cls, numbers: Any, components: Mapping[str, Any]) -> "Entities":
        """Divide atoms into molecules that stand one after the other.

        Parameters
        ----------
        numbers : array_like of int, shape (n_atoms,)
            Atomic numbers.
        components : mapping
            As for `Components`, all different.

        Raises
        ------
        ValueError
            When an atom begins no component, or two components have the same atoms.
        """
        kinds = _as_components(components)
        _refuse_alike(kinds)
        ptr, atom, component = kinds.core.consecutive(as_integers("numbers", numbers, ("n_atoms",), np.int32))
        return cls(components=kinds, ptr=ptr, atom=atom, component=component)

    @classmethod
    def bonded(cls, atoms: Any, components: Mapping[str, Any] | None = None, *, scale: float = _BOND) -> "Entities":
        """Find molecules by their bonds, across the borders of periodic cells.

        Parameters
        ----------
        atoms
            An ``ase.Atoms`` or alike.
        components : mapping, optional
            As for `Components`, all different; otherwise made from what is found and named by the formula (``"H2O"``).
        scale : float
            Atoms are bonded that are closer than ``scale`` times the sum of their covalent radii.

        Raises
        ------
        ValueError
            When a molecule is none of the components, or has their atoms in another order.
        """
        structure = as_structure(atoms)
        check_numbers(structure.numbers)
        if not len(structure.numbers) and components is None:
            raise ValueError("atoms has no atoms, and components is None; accepted: at least one of both")
        members = _molecules(structure, scale)
        if components is None:
            kinds = _named_by_formula([structure.numbers[own] for own in members])
        else:
            kinds = _as_components(components)
            _refuse_alike(kinds)
        known = {own: c for c, own in enumerate(kinds.values())}
        component = []
        for e, own in enumerate(members):
            order = tuple(int(z) for z in structure.numbers[own])
            if order not in known:
                raise ValueError(_unknown_molecule(e, own, order, kinds))
            component.append(known[order])
        ptr = np.concatenate([[0], np.cumsum([len(own) for own in members])]).astype(np.int64)
        atom = np.concatenate([*members, np.empty(0, np.int64)])
        return cls(components=kinds, ptr=ptr, atom=atom, component=np.array(component, np.int32))

    @classmethod
    def from_ids(cls, numbers: Any, entity_ids: Any, comp_ids: Sequence[str]) -> "Entities":
        """Take the division that mbGDML's files hold.

        Parameters
        ----------
        numbers : array_like of int, shape (n_atoms,)
            Atomic numbers.
        entity_ids : array_like of int, shape (n_atoms,)
            To which entity each atom belongs, from 0 on.
        comp_ids : sequence of str, length n_entities
            Names of the components.

        Raises
        ------
        ValueError
            When an entity has no atoms or no name, or entities of one name have different atoms.
        """
        own = as_integers("numbers", numbers, ("n_atoms",), np.int32)
        ids = as_integers("entity_ids", entity_ids, (len(own),))
        names = [str(name) for name in comp_ids]
        counts = np.bincount(ids[(ids >= 0) & (ids < len(names))], minlength=len(names))
        if counts.sum() != len(ids) or (counts == 0).any():
            raise ValueError(
                f"entity_ids has {sorted(set(ids.tolist()))} for {len(names)} names in comp_ids; accepted: each of 0 "
                f"to {len(names) - 1}"
            )
        atom = np.argsort(ids, kind="stable")
        ptr = np.concatenate([[0], np.cumsum(counts)])
        kinds: dict[str, tuple[int, ...]] = {}
        for e, name in enumerate(names):
            order = tuple(int(z) for z in own[atom[ptr[e] : ptr[e + 1]]])
            if kinds.setdefault(name, order) != order:
                raise ValueError(
                    f"entity {e} has the atoms {order}; entities before it of the name {name!r} have {kinds[name]}"
                )
        components = Components(kinds)
        component = np.array(components.indices(names), np.int32)
        return cls(components=components, ptr=ptr, atom=atom, component=component)

    def __len__(self) -> int:
        return len(self.component)

    def __repr__(self) -> str:
        counts = np.bincount(self.component, minlength=len(self.components))
        return f"<Entities {', '.join(f'{n} {name}' for name, n in zip(self.components, counts, strict=True))}>"

    @cached_property
    def entity_ids(self) -> Int64:
        """To which entity each atom belongs, shape (n_atoms,)."""
        ids = np.empty(len(self.atom), np.int64)
        ids[self.atom] = np.repeat(np.arange(len(self)), np.diff(self.ptr))
        return ids

    @cached_property
    def comp_ids(self) -> tuple[str, ...]:
        """Name of the component of each entity."""
        names = list(self.components)
        return tuple(names[c] for c in self.component)

    def atoms_of(self, entity: int) -> Int64:
        """Return the atoms of an entity, in the order of its component."""
        return self.atom[self.ptr[entity] : self.ptr[entity + 1]]

    def named(self, components: Components) -> "Entities":
        """Return the same division in terms of other components: all that occur must be there, with the same atoms."""
        if components == self.components:
            return self
        place = {name: c for c, name in enumerate(components)}
        names = list(self.components)
        for c in np.unique(self.component):
            name = names[c]
            if name not in place:
                raise ValueError(f"entities has the component {name!r}; accepted: {', '.join(map(repr, components))}")
            if components[name] != self.components[name]:
                raise ValueError(
                    f"component {name!r} has the atoms {self.components[name]} there; accepted: {components[name]}"
                )
        component = np.array([place.get(names[c], -1) for c in self.component], np.int32)
        return Entities(components=components, ptr=self.ptr, atom=self.atom, component=component)

    def whole(self, atoms: Any) -> npt.NDArray[np.float64]:
        """Return positions [n_atoms, 3] in Angstrom with every molecule in one piece, each where its first atom is.

        Raises
        ------
        ValueError
            When neighbouring atoms of a molecule are half the cell apart or more.
        """
        positions, cell, pbc, numbers = as_structure(atoms)
        found = np.array(positions)
        for c in np.unique(self.component):
            criterion = _core.TupleCriterion(0, -np.inf, np.inf, 0.0)
            entity, _, _, _, own = self.components.core.tuples(
                positions, cell, pbc, numbers, self.ptr, self.atom, self.component, [int(c)], criterion, 1
            )
            for e, rows in zip(entity[:, 0], own, strict=True):
                found[self.atoms_of(e)] = rows
        return found


def _as_components(components: Mapping[str, Any]) -> Components:
    return components if isinstance(components, Components) else Components(components)


def _as_numbers(name: str, atoms: Any) -> tuple[int, ...]:
    from ase.data import atomic_numbers
    from ase.symbols import string2symbols

    if isinstance(atoms, str):
        try:
            numbers = [atomic_numbers[symbol] for symbol in string2symbols(atoms)]
        except (KeyError, ValueError):
            raise ValueError(f"component {name!r} has the formula {atoms!r}, which is none") from None
    else:
        numbers = as_integers(f"component {name!r}", atoms, ("n_atoms",)).tolist()
    if not numbers or not all(1 <= z <= LARGEST_NUMBER for z in numbers):
        raise ValueError(f"component {name!r} has the atomic numbers {numbers}; accepted: at least one from 1 to 118")
    return tuple(numbers)


def _refuse_alike(components: Components) -> None:
    seen: dict[tuple[int, ...], str] = {}
    for name, numbers in components.items():
        if numbers in seen:
            raise ValueError(
                f"components {seen[numbers]!r} and {name!r} have the same atoms: only entity_ids can tell them apart"
            )
        seen[numbers] = name


def _molecules(structure: Any, scale: float) -> list[Int64]:
    """Return the atoms of each molecule, ascending; molecules by their first atom."""
    from ase.data import covalent_radii

    if not 0 < scale < 10:
        raise ValueError(f"scale is {scale!r}; accepted: above 0, 1.25 is common")
    radii = scale * covalent_radii[structure.numbers]
    root = np.arange(len(radii))
    if len(radii):
        i, j, d = neighbor_list("ijd", _Points(structure), cutoff=float(2 * radii.max()))
        bonded = d < radii[i] + radii[j]
        root = _joined(root, i[bonded], j[bonded])
    _, first, which = np.unique(root, return_index=True, return_inverse=True)
    order = np.argsort(which, kind="stable")
    return [own.astype(np.int64) for own in np.split(order, np.cumsum(np.bincount(which))[:-1])] if len(first) else []


class _Points:
    """What the neighbour search reads of a structure."""

    def __init__(self, structure: Any):
        self.positions, self.cell, self.pbc = structure.positions, structure.cell, structure.pbc


def _joined(root: Int64, i: Int64, j: Int64) -> Int64:
    """Return the smallest atom that each atom is connected to."""
    while True:
        before = root.copy()
        np.minimum.at(root, i, root[j])
        root = root[root]
        if np.array_equal(root, before):
            return root


def _named_by_formula(molecules: list[npt.NDArray[np.int32]]) -> Components:
    """Return a component for each order of atoms that occurs; several of one formula get a number."""
    from ase.data import chemical_symbols
    from ase.formula import Formula

    names: dict[tuple[int, ...], str] = {}
    for own in molecules:
        order = tuple(int(z) for z in own)
        if order in names:
            continue
        formula = format(Formula("".join(chemical_symbols[z] for z in order)), "hill")
        same = sum(name.split("-")[0] == formula for name in names.values())
        names[order] = formula if not same else f"{formula}-{same + 1}"
    return Components({name: order for order, name in names.items()})


def _unknown_molecule(entity: int, atoms: Int64, order: tuple[int, ...], components: Components) -> str:
    from ase.data import chemical_symbols

    text = " ".join(chemical_symbols[z] for z in order)
    same = [name for name, own in components.items() if sorted(own) == sorted(order)]
    hint = f"{same[0]!r} has them in another order" if same else f"it is none of {', '.join(map(repr, components))}"
    return f"the molecule of atoms {atoms[:8].tolist()} (entity {entity}) is {text}: {hint}"
