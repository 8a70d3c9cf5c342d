"""Structures that occur more than once."""

import hashlib
import logging
from dataclasses import replace

import numpy as np

from atomcore.data.dataset import Dataset

_log = logging.getLogger("atomcore")
# Two labels of one structure that differ by more than this (eV) are a contradiction and not rounding.
_SAME_ENERGY = 1e-6


def drop_duplicates(dataset: Dataset) -> Dataset:
    """Return the dataset with the first of every set of equal structures.

    Equal are structures with bitwise the same elements, positions, periodicity and, in periodic directions, lattice
    vectors, in the same order of atoms; labels do not count. The number of those dropped is logged and kept as
    ``n_duplicates``; duplicates whose energies differ are warned about.
    """
    first: dict[bytes, int] = {}
    original = np.array([first.setdefault(key, i) for i, key in enumerate(_keys(dataset))], dtype=np.int64)
    kept = np.flatnonzero(original == np.arange(len(original)))
    n_duplicates = len(dataset) - len(kept)
    if n_duplicates == 0:
        return dataset
    _log.warning(
        "%s: %d of %d structures repeat an earlier one and were dropped", dataset.source, n_duplicates, len(dataset)
    )
    if dataset.energy is not None:
        difference = np.abs(dataset.energy - dataset.energy[original])
        worst = int(np.argmax(difference))
        if difference[worst] > _SAME_ENERGY:
            _log.warning(
                "%s: %d of the repeated structures have another energy than the one kept; structures %d and %d are "
                "equal but differ by %.3g eV: the labels contradict each other",
                dataset.source,
                int((difference > _SAME_ENERGY).sum()),
                int(original[worst]),
                worst,
                difference[worst],
            )
    return replace(dataset.subset(kept), n_duplicates=n_duplicates)


def _keys(dataset: Dataset) -> list[bytes]:
    """Return one hash for each structure."""
    cells, keys = dataset.relevant_cells, []
    for i, (start, stop) in enumerate(zip(dataset.structure_ptr[:-1], dataset.structure_ptr[1:], strict=True)):
        digest = hashlib.blake2b(dataset.numbers[start:stop].tobytes(), digest_size=20)
        digest.update(dataset.positions[start:stop].tobytes())
        digest.update(cells[i].tobytes())
        digest.update(dataset.pbc[i].tobytes())
        keys.append(digest.digest())
    return keys
