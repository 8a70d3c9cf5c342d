"""Data sets from objects of pymatgen, which is needed only here."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from atomcore.data.dataset import Dataset
from atomcore.data.readers.atoms import from_atoms

if TYPE_CHECKING:
    from ase import Atoms


def from_pymatgen(objects: Iterable[Any], **settings: Any) -> Dataset:
    """Turn pymatgen's structures, molecules or computed entries into a dataset.

    Parameters
    ----------
    objects : iterable of Structure, Molecule or ComputedStructureEntry
        In eV and Angstrom. The energy of an entry is its uncorrected one; what its ``data`` or the ``properties`` of a
        structure hold can be named by ``stress_key`` and so on, site properties by ``forces_key`` and ``charges_key``.
    **settings
        Keywords of :func:`atomcore.data.from_atoms`.

    Raises
    ------
    ModuleNotFoundError
        Without pymatgen.
    TypeError, ValueError
        As `from_atoms`, and for structures whose sites are not fully occupied.
    """
    return from_atoms([_atoms(item) for item in objects], **settings)


def _atoms(item: Any) -> "Atoms":
    from pymatgen.io.ase import AseAtomsAdaptor

    structure = getattr(item, "structure", item)  # of an entry
    if not hasattr(structure, "site_properties"):
        raise TypeError(
            f"objects has {item!r}; accepted: Structure, Molecule and ComputedStructureEntry, which has a structure"
        )
    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    if structure is not item:
        atoms.info |= {**item.data, "energy": float(item.uncorrected_energy)}
    return atoms
