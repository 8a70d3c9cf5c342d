"""Permutations of atoms that leave a molecule what it is, found from geometries.

Graph matching of pairs of geometries, made consistent along a minimum spanning tree (Chmiela, Sauceda, Mueller and
Tkatchenko, Nat. Commun. 9, 3887 (2018)).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomcore._arrays import as_integers
from atomcore._progress import Progress

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

LARGEST_SAMPLE = 1000  # geometries: every pair of them is matched
LARGEST_GROUP = 1000  # permutations: time of training and prediction grows with them
_PLANAR = 1e-3  # of the largest singular value: a flatter molecule is its own mirror image


@dataclass(frozen=True)
class Generator:
    """A permutation that pairs of geometries show.

    Attributes
    ----------
    permutation : tuple of int
        Atom ``a`` of one geometry is like atom ``permutation[a]`` of the other.
    n_pairs : int
        Neighbouring geometries of the tree that differ by it.
    n_mirrored : int
        Those of them where one geometry is closer to the mirror image of the other.
    """

    permutation: tuple[int, ...]
    n_pairs: int
    n_mirrored: int


@dataclass(frozen=True, eq=False)
class Symmetry:
    """A group of permutations and where it comes from.

    Attributes
    ----------
    permutations : ndarray of int64, shape (P, N)
        Rows list atom indices, in ascending order, the identity first.
    generators : tuple of Generator
        What the group was made of; empty where it was given.
    dropped : tuple of Generator
        Permutations that contradict longer cycles and were left out because the group was too large with them.
    n_geometries : int
        How many were compared; 0 where the group was given.
    """

    permutations: Int64
    generators: tuple[Generator, ...] = ()
    dropped: tuple[Generator, ...] = ()
    n_geometries: int = 0

    def __len__(self) -> int:
        return len(self.permutations)

    def describe(self, numbers: npt.NDArray[np.integer]) -> str:
        """Return the group in words: its order, which atoms of each element exchange, and what to doubt."""
        from ase.data import chemical_symbols

        origin = f"found in {self.n_geometries} geometries" if self.n_geometries else "given"
        lines = [f"symmetry: {len(self)} permutation{'s' if len(self) > 1 else ''}, {origin}"]
        for number in np.unique(numbers):
            sets = [list(o) for o in orbits(self.permutations) if numbers[o[0]] == number and len(o) > 1]
            if sets:
                lines.append(f"  {chemical_symbols[number]}: atoms {', '.join(map(str, sets))} exchange")
        for generator in self.generators:
            if generator.n_mirrored:
                lines.append(
                    f"  {_cycles(generator.permutation)}: {generator.n_mirrored} of {generator.n_pairs} pairs of "
                    "geometries that show it are mirror images: distances alone cannot tell them apart"
                )
        for generator in self.dropped:
            lines.append(f"  {_cycles(generator.permutation)} left out: the group would be too large with it")
        return "\n".join(lines)


def orbits(permutations: Int64) -> list[tuple[int, ...]]:
    """Return the sets of atoms that the permutations exchange, each ascending, by their first atom."""
    return sorted({tuple(np.unique(column).tolist()) for column in permutations.T})


def check_group(permutations: object, numbers: npt.NDArray[np.integer], name: str = "symmetries") -> Symmetry:
    """Return permutations that a user gives under some name, sorted; raise unless they are a group of like atoms.

    Raises
    ------
    ValueError
        When a row is no permutation of the atoms or exchanges elements, or when the composition of two is missing.
    """
    n = len(numbers)
    rows = np.unique(as_integers(name, permutations, ("P", n)), axis=0)
    for row in rows:
        if not np.array_equal(np.sort(row), np.arange(n)):
            raise ValueError(f"{name} has the row {row.tolist()}; accepted: permutations of 0 to {n - 1}")
        if not np.array_equal(numbers[row], numbers):
            raise ValueError(f"{name} has the row {row.tolist()}, which exchanges atoms of different elements")
    known = {row.tobytes() for row in rows}
    if not len(rows) or np.arange(n).tobytes() not in known:
        raise ValueError(f"{name} lacks the identity; accepted: a group of permutations")
    for first in rows:
        for second, both in zip(rows, first[rows], strict=True):
            if both.tobytes() not in known:
                raise ValueError(
                    f"{name} has {first.tolist()} and {second.tolist()} but not {both.tolist()}, what one after the "
                    "other does; accepted: a group of permutations"
                )
    return Symmetry(rows)


def close_group(generators: list[tuple[int, ...]], n_atoms: int, limit: int = LARGEST_GROUP) -> Int64 | None:
    """Return the group that permutations generate, sorted, or None where it has more than ``limit`` elements."""
    identity = tuple(range(n_atoms))
    group, newest = {identity}, [identity]
    while newest:
        made = {tuple(element[a] for a in generator) for element in newest for generator in generators}
        newest = list(made - group)
        group.update(newest)
        if len(group) > limit:
            return None
    return np.array(sorted(group), dtype=np.int64)


def find_symmetry(
    positions: Float64,
    numbers: npt.NDArray[np.integer],
    *,
    lattice: Float64 | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Symmetry:
    """Find the permutations of atoms that geometries of one molecule show.

    Every pair of geometries (of at most 1000, drawn with ``seed``) is matched by assigning the eigenvectors of their
    distance matrices to each other; the matches along the minimum spanning tree generate the group.

    Parameters
    ----------
    positions : ndarray, shape (M, N, 3)
        In Angstrom.
    numbers : ndarray of int, shape (N,)
        Atomic numbers.
    lattice : ndarray, shape (3, 3), optional
        Lattice vectors as rows, in Angstrom, for distances to the nearest image.

    Returns
    -------
    Symmetry
        Only permutations that the geometries realise are in it: few geometries may show a subgroup.

    Raises
    ------
    ValueError
        When the group has more than 1000 elements even without permutations that contradict longer cycles.
    """
    if len(positions) > LARGEST_SAMPLE:
        chosen = np.random.default_rng(seed).choice(len(positions), LARGEST_SAMPLE, replace=False)
        positions = positions[np.sort(chosen)]
    generators = _tree_permutations(positions, numbers, lattice, progress)
    n = len(numbers)
    group, dropped = close_group([g.permutation for g in generators], n), []
    if group is None:
        dropped = _contradicting(generators)
        generators = [g for g in generators if g not in dropped]
        group = close_group([g.permutation for g in generators], n)
    if group is None:
        raise ValueError(
            f"symmetries is True, but the permutations found generate more than {LARGEST_GROUP}: give those that "
            "matter as symmetries=[[...], ...], or use symmetries=False"
        )
    return Symmetry(group, tuple(generators), tuple(dropped), len(positions))


def _tree_permutations(
    positions: Float64, numbers: npt.NDArray[np.integer], lattice: Float64 | None, progress: bool
) -> list[Generator]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    count, n = len(positions), len(numbers)
    distances = _distances(positions, lattice)
    vectors = np.abs(np.linalg.eigh(distances)[1][:, :, ::-1])
    other = numbers[:, None] != numbers[None, :]
    weights = np.zeros((count, count))
    matches = np.tile(np.arange(n, dtype=np.uint16), (count, count, 1))
    bar = Progress(count, "symmetry", enabled=progress)
    for i in range(count - 1):
        later = slice(i + 1, None)
        weights[i, later], matches[i, later] = _match(distances[i], distances[later], vectors[i], vectors[later], other)
        bar.update(i + 1)
    bar.close(count)
    np.maximum(weights, np.finfo(float).tiny, out=weights, where=np.triu(np.ones_like(weights, bool), 1))
    tree = minimum_spanning_tree(csr_array(weights)).tocoo()
    found: dict[tuple[int, ...], list[bool]] = {}
    for i, j in zip(*np.sort(np.array([tree.row, tree.col]), axis=0), strict=True):
        permutation = tuple(matches[i, j].tolist())
        if permutation != tuple(range(n)):
            found.setdefault(permutation, []).append(_is_mirrored(positions[i][list(permutation)], positions[j]))
    return [Generator(p, len(mirrored), sum(mirrored)) for p, mirrored in sorted(found.items())]


def _match(
    first: Float64, others: Float64, vectors: Float64, other_vectors: Float64, foreign: npt.NDArray[np.bool_]
) -> tuple[Float64, Int64]:
    """Return how far geometries are from the first one, and the permutations of its atoms that bring it closest."""
    from scipy.optimize import linear_sum_assignment

    cost = -(vectors @ other_vectors.transpose(0, 2, 1))
    cost += foreign * np.abs(cost).max(axis=(1, 2), keepdims=True)
    permutations = np.empty(cost.shape[:2], dtype=np.int64)
    for k, matrix in enumerate(cost):
        rows, columns = linear_sum_assignment(matrix)
        permutations[k, columns] = rows
    before = np.linalg.norm(first - others, axis=(1, 2))
    after = np.linalg.norm(first[permutations[:, :, None], permutations[:, None, :]] - others, axis=(1, 2))
    better = (after < before) & ~np.isclose(after, before)
    identity = np.arange(len(first))
    # An assignment may still pair different elements where that is the lesser evil: no symmetry.
    better &= ~foreign[permutations, identity].any(axis=1)
    return np.where(better, after, before), np.where(better[:, None], permutations, identity)


def _distances(positions: Float64, lattice: Float64 | None) -> Float64:
    D = positions[:, :, None] - positions[:, None]
    if lattice is not None:
        D -= np.rint(D @ np.linalg.inv(lattice)) @ lattice
    return np.linalg.norm(D, axis=3)


def _is_mirrored(a: Float64, b: Float64) -> bool:
    """Whether ``a`` can be laid onto the mirror image of ``b`` better than onto ``b`` (Kabsch)."""
    product = (a - a.mean(axis=0)).T @ (b - b.mean(axis=0))
    sizes = np.linalg.svd(product, compute_uv=False)
    return bool(sizes[2] > _PLANAR * sizes[0] and np.linalg.det(product) < 0)


def _nontrivial_cycles(permutation: tuple[int, ...]) -> list[tuple[int, ...]]:
    cycles, seen = [], set()
    for start in range(len(permutation)):
        cycle, atom = [], start
        while atom not in seen:
            seen.add(atom)
            cycle.append(atom)
            atom = permutation[atom]
        if len(cycle) > 1:
            cycles.append(tuple(cycle))
    return cycles


def _cycles(permutation: tuple[int, ...]) -> str:
    return "".join("(" + " ".join(map(str, cycle)) + ")" for cycle in _nontrivial_cycles(permutation))


def _contradicting(generators: list[Generator]) -> list[Generator]:
    """Return those with a cycle that shares an atom with a longer cycle of any of them."""
    longest: dict[int, int] = {}
    for generator in generators:
        for cycle in _nontrivial_cycles(generator.permutation):
            for atom in cycle:
                longest[atom] = max(longest.get(atom, 0), len(cycle))
    return [
        g
        for g in generators
        if any(longest[atom] > len(cycle) for cycle in _nontrivial_cycles(g.permutation) for atom in cycle)
    ]


def pair_permutations(permutations: Int64) -> Int64:
    """Return what permutations of atoms [P, N] do to the pairs (1, 0), (2, 0), (2, 1), ...: [P, N (N - 1) / 2]."""
    a, b = np.tril_indices(permutations.shape[1], -1)
    high = np.maximum(permutations[:, a], permutations[:, b])
    low = np.minimum(permutations[:, a], permutations[:, b])
    return high * (high - 1) // 2 + low
