"""Energies and forces of clusters, divided into what n molecules add to those of fewer.

With the total energy E(S) of a set of molecules, its n-body energy is what remains of it without the n-body energies of
all smaller sets in it, ``e(S) = E(S) - sum of e(T) over T in S, T not S``, so that ``E(S) = sum of e(T) over T in S``.
The same holds for forces.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from atomcore.data.clusters import Clusters

_Key = tuple[int, tuple[tuple[int, ...], ...]]  # structure; entity and shift of each member
_Values = tuple[float, npt.NDArray[np.float64] | None]


def remove_lower_orders(clusters: Clusters, lower: Sequence[Clusters]) -> Clusters:
    """Return clusters with what is left of energies and forces without those of smaller sets.

    Parameters
    ----------
    clusters : Clusters
        With energies, and maybe forces.
    lower : sequence of Clusters
        The n-body energies (and forces) of smaller sets in the same structures; of each component and mixture of them.

    Raises
    ------
    ValueError
        When labels are missing, a smaller set is not among the lower ones, or is there twice.
    """
    return _combined(clusters, lower, -1.0)


def add_lower_orders(clusters: Clusters, lower: Sequence[Clusters]) -> Clusters:
    """Return clusters with total energies and forces from n-body ones: undoes :func:`remove_lower_orders`."""
    return _combined(clusters, lower, 1.0)


def decompose(clusters: Sequence[Clusters]) -> list[Clusters]:
    """Return n-body energies and forces from total ones.

    Parameters
    ----------
    clusters : sequence of Clusters
        With total energies: of single entities, of pairs and so on, cut from the same structures.

    Returns
    -------
    list of Clusters
        In the order given.

    Raises
    ------
    ValueError
        As for :func:`remove_lower_orders`.
    """
    done: dict[int, Clusters] = {}
    for k in sorted(range(len(clusters)), key=lambda k: clusters[k].order):
        lower = [own for own in done.values() if own.order < clusters[k].order]
        done[k] = remove_lower_orders(clusters[k], lower)
    return [done[k] for k in range(len(clusters))]


def _combined(clusters: Clusters, lower: Sequence[Clusters], sign: float) -> Clusters:
    known = _by_key(lower)
    if clusters.dataset.energy is None:
        raise ValueError("clusters has no energies; accepted: clusters with labels")
    with_forces = clusters.dataset.forces is not None
    energy = np.array(clusters.dataset.energy)
    n_atoms = sum(clusters.sizes)
    forces = np.array(clusters.dataset.forces).reshape(-1, n_atoms, 3) if with_forces else None
    starts = np.concatenate([[0], np.cumsum(clusters.sizes)])
    for s in range(len(clusters)):
        for chosen in _smaller(clusters.order):
            key, order = _key_of(clusters, s, chosen)
            if key not in known:
                raise ValueError(
                    f"lower has no labels of entities {[clusters.entities[s, k].item() for k in chosen]} of structure "
                    f"{clusters.source[s]}, which cluster {s} has"
                )
            own_energy, own_forces = known[key]
            energy[s] += sign * own_energy
            if forces is None:
                continue
            if own_forces is None:
                raise ValueError("lower has no forces, but clusters has")
            rows = np.concatenate([np.arange(starts[chosen[k]], starts[chosen[k] + 1]) for k in order])
            forces[s, rows] += sign * own_forces
    return clusters.with_labels(energy, forces)


def _smaller(n: int) -> Iterator[tuple[int, ...]]:
    for order in range(1, n):
        yield from combinations(range(n), order)


def _key_of(clusters: Clusters, s: int, chosen: Sequence[int]) -> tuple[_Key, list[int]]:
    """Return what names a set of entities in any order and wherever it stands, and the order of its name."""
    assert clusters.shifts is not None
    members = [(int(clusters.entities[s, k]), *map(int, clusters.shifts[s, k])) for k in chosen]
    order = sorted(range(len(members)), key=members.__getitem__)
    origin = members[order[0]][1:]
    moved = tuple(
        (members[k][0], *(members[k][1 + x] - origin[x] for x in range(3)))  # a set stays itself in other cells
        for k in order
    )
    return (int(clusters.source[s]), moved), order


def _by_key(lower: Sequence[Clusters]) -> dict[_Key, _Values]:
    """Return energies and forces, atoms in the order of the key, of all sets."""
    known: dict[_Key, _Values] = {}
    for clusters in lower:
        if clusters.dataset.energy is None:
            raise ValueError("lower has no energies; accepted: clusters with labels")
        n_atoms = sum(clusters.sizes)
        starts = np.concatenate([[0], np.cumsum(clusters.sizes)])
        forces = clusters.dataset.forces
        for s in range(len(clusters)):
            key, order = _key_of(clusters, s, range(clusters.order))
            if key in known:
                raise ValueError(f"lower has entities {clusters.entities[s].tolist()} of structure {key[0]} twice")
            own = None
            if forces is not None:
                rows = np.concatenate([np.arange(starts[k], starts[k + 1]) for k in order])
                own = forces[s * n_atoms : (s + 1) * n_atoms][rows]
            known[key] = float(clusters.dataset.energy[s]), own
    return known
