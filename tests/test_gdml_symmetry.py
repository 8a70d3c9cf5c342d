"""The permutations of atoms that geometries show."""

import itertools

import numpy as np
import pytest

from atomcore.models.gdml import find_symmetry
from atomcore.models.gdml.symmetry import check_group, close_group, orbits, pair_permutations
from gdml_data import AMMONIA, METHANOL, WATER, shaken
from helpers import shared_data


def group_of(positions, numbers, **settings):
    return find_symmetry(np.asarray(positions), np.asarray(numbers), progress=False, **settings)


def as_set(permutations):
    return {tuple(row) for row in np.asarray(permutations).tolist()}


def wreath(units, sets):
    """Permutations of equal units (each a list of atoms), times those within each unit's sets of positions."""
    inner = [list(range(len(units[0])))]
    for members in sets:
        inner = [
            [order.get(a, a) for a in first]
            for first in inner
            for order in (dict(zip(members, p, strict=True)) for p in itertools.permutations(members))
        ]
    found = set()
    for order in itertools.permutations(range(len(units))):
        for choice in itertools.product(inner, repeat=len(units)):
            row = [0] * sum(map(len, units))
            for to, (source, within) in enumerate(zip(order, choice, strict=True)):
                for a, b in enumerate(within):
                    row[units[to][a]] = units[source][b]
            found.add(tuple(row))
    return found


@pytest.mark.parametrize(
    ("molecule", "sets", "order"), [(WATER, [(1, 2)], 2), (METHANOL, [(3, 4, 5)], 6), (AMMONIA, [(1, 2, 3)], 6)]
)
def test_groups_of_molecules(molecule, sets, order):
    numbers, _ = molecule
    expected = wreath([list(range(len(numbers)))], sets)
    found = group_of(shaken(*molecule, 40, permutations=sorted(expected), amplitude=0.03), numbers)
    assert as_set(found.permutations) == expected
    assert len(found) == order
    assert found.permutations[0].tolist() == list(range(len(numbers)))


def test_water_dimers_and_trimers_of_the_shared_set():
    dimers = np.load(shared_data("water_mp2/2h2o_2body.npz"))
    two = [[0, 1, 2], [3, 4, 5]]
    assert as_set(group_of(dimers["R"], dimers["Z"]).permutations) == wreath(two, [(1, 2)])
    hexamers = np.load(shared_data("water_mp2/6h2o.npz"))
    cut = [[3 * w + a for w in waters for a in range(3)] for waters in itertools.combinations(range(6), 3)]
    trimers = hexamers["R"][:, cut].reshape(-1, 9, 3)
    found = group_of(trimers, hexamers["Z"][:9])
    assert as_set(found.permutations) == wreath([*two, [6, 7, 8]], [(1, 2)])
    assert len(found) == 48
    assert "H: atoms [1, 2, 4, 5, 7, 8] exchange" in found.describe(hexamers["Z"][:9])


def test_groups_beyond_a_hundred_permutations():
    numbers = (6, 1, 1, 1, 1, 1)
    swaps = [(0, 2, 1, 3, 4, 5), (0, 2, 3, 4, 5, 1)]
    assert len(close_group(swaps, len(numbers))) == 120
    assert close_group([(1, 0, *range(2, 8)), (*range(1, 8), 0)], 8) is None  # 40320
    assert orbits(close_group(swaps, 6)) == [(0,), (1, 2, 3, 4, 5)]


def test_no_symmetry_without_evidence():
    bent = np.array(METHANOL[1]) + 0.3 * np.random.default_rng(0).standard_normal((6, 3))  # nothing is alike
    found = group_of(shaken(METHANOL[0], bent, 30, amplitude=0.02), METHANOL[0])
    assert found.permutations.tolist() == [list(range(6))]
    assert "1 permutation, found in 30 geometries" in found.describe(np.array(METHANOL[0]))
    alone = group_of(shaken(*WATER, 1), WATER[0])
    assert len(alone) == 1


def test_copies_of_a_geometry_do_not_hide_others():
    a = np.array(METHANOL[1]) + 0.02 * np.random.default_rng(1).standard_normal((6, 3))
    found = group_of([a, a, a[[0, 1, 2, 4, 3, 5]], a], METHANOL[0])
    assert as_set(found.permutations) == {(0, 1, 2, 3, 4, 5), (0, 1, 2, 4, 3, 5)}


def test_mirror_images_are_named():
    rng = np.random.default_rng(3)
    a = np.array(METHANOL[1]) + 0.1 * rng.standard_normal((6, 3))
    mirrored = (a * [1, 1, -1])[[0, 1, 2, 3, 5, 4]]
    found = group_of([a, mirrored], METHANOL[0])
    assert [(g.n_pairs, g.n_mirrored) for g in found.generators] == [(1, 1)]
    assert "mirror images" in found.describe(np.array(METHANOL[0]))
    turned = a[[0, 1, 2, 4, 5, 3]] @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
    turned *= np.sign(np.linalg.det(np.linalg.lstsq(a[[0, 1, 2, 4, 5, 3]], turned, rcond=None)[0]))
    assert [g.n_mirrored for g in group_of([a, turned], METHANOL[0]).generators] == [0]


def test_symmetry_in_a_periodic_cell():
    lattice = np.array([[4.0, 0, 0], [0.5, 4.2, 0], [0, 0.3, 4.1]])
    positions = shaken(*WATER, 20, permutations=[(0, 1, 2), (0, 2, 1)], amplitude=0.03)
    positions[::2, 1] += lattice[0]  # the same atom in another image
    assert len(group_of(positions, WATER[0], lattice=lattice)) == 2


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([[0, 1, 2], [0, 1, 1]], "accepted: permutations of 0 to 2"),
        ([[0, 1, 2], [1, 0, 2]], "exchanges atoms of different elements"),
        ([[0, 2, 1]], "lacks the identity"),
        ([[0, 1]], "must have shape"),
    ],
)
def test_permutations_that_are_no_symmetry_are_refused(rows, text):
    with pytest.raises(ValueError, match=text):
        check_group(rows, np.array(WATER[0]))


def test_permutations_that_are_no_group_are_refused():
    with pytest.raises(ValueError, match=r"but not \[0, 3, 1, 2\]"):
        check_group([[0, 1, 2, 3], [0, 2, 3, 1]], np.array(AMMONIA[0]))


def test_pairs_are_permuted_as_inverse_distances_are():
    rng = np.random.default_rng(0)
    r, p = rng.standard_normal((5, 3)), rng.permutation(5)
    a, b = np.tril_indices(5, -1)

    def distances(positions):
        return np.linalg.norm(positions[a] - positions[b], axis=1)

    assert np.array_equal(distances(r[p]), distances(r)[pair_permutations(p[None])[0]])
