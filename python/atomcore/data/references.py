"""Reference energies of the elements."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from atomcore.data.dataset import Dataset


def reference_energies(dataset: Dataset, given: dict[str, float] | None = None) -> np.ndarray:
    """Return the energy per atom of each element that explains the total energies best.

    Everything is in double precision. Where the compositions do not determine the energies (one composition only, say),
    the solution of smallest norm is taken.

    Parameters
    ----------
    dataset : Dataset
        With energies, unless all elements are given.
    given : dict, optional
        Energies in eV that are known, by symbol; the others are fitted to what remains. Elements that the dataset does
        not have are ignored.

    Returns
    -------
    numpy.ndarray, shape (n_elements,)
        In eV, in the order of ``dataset.elements``.

    Raises
    ------
    ValueError
        When a key is no symbol, a value is not finite, or energies are needed and absent.
    """
    known = _check_given({} if given is None else given)
    free = np.array([symbol not in known for symbol in dataset.elements])
    energies = np.array([known.get(symbol, 0.0) for symbol in dataset.elements])
    if not free.any():
        return energies
    if dataset.energy is None:
        missing = [symbol for symbol in dataset.elements if symbol not in known]
        raise ValueError(f"the dataset has no energies to fit references of {', '.join(missing)} to; give them all")
    counts = compositions(dataset)
    remaining = dataset.energy - counts @ energies
    energies[free] = np.linalg.lstsq(counts[:, free], remaining, rcond=None)[0]
    return energies


def compositions(dataset: Dataset) -> np.ndarray:
    """Return how many atoms of each of ``dataset.elements`` the structures have, float64 (n_structures, n_elements)."""
    numbers, species = np.unique(dataset.numbers, return_inverse=True)
    owner = np.repeat(np.arange(len(dataset)), dataset.n_atoms)
    counts = np.bincount(owner * len(numbers) + species, minlength=len(dataset) * len(numbers))
    return counts.reshape(len(dataset), len(numbers)).astype(np.float64)


def _check_given(given: Any) -> dict[str, float]:
    from ase.data import atomic_numbers

    if not isinstance(given, Mapping):
        raise ValueError(
            f"reference_energies: given is {given!r}; accepted: energies in eV by symbol, such as {{H: -13.6}}"
        )
    for symbol, energy in given.items():
        if symbol not in atomic_numbers or symbol == "X":
            raise ValueError(f"reference_energies: given has the key {symbol!r}; accepted: symbols of elements")
        if isinstance(energy, bool) or not isinstance(energy, Real) or not math.isfinite(energy):
            raise ValueError(f"reference_energies: given[{symbol!r}] is {energy!r}; accepted: finite energies in eV")
    return {symbol: float(energy) for symbol, energy in given.items()}
