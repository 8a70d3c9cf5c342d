"""Batches of lists, edge vectors and their adjoint, and the list that follows moving atoms (reliability row 14)."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

import atomcore
from atomcore import _core
from tolerances import FLOAT32, PEER, assert_close

CUTOFF = 3.2


def random_batch(rng, sizes) -> list[Atoms]:
    def one(n):
        cell = 4 * np.eye(3) + rng.normal(size=(3, 3))
        return Atoms("H" * n, rng.normal(size=(n, 3)) * 4, cell=cell, pbc=rng.random(3) < 0.7)

    return [one(n) for n in sizes]


def stack(batch):
    """Return positions, cells, pbc and structure_ptr of a batch."""
    pointer = np.cumsum([0, *[len(atoms) for atoms in batch]])
    pbc = np.array([atoms.pbc for atoms in batch]).astype(np.uint8)
    return np.concatenate([a.positions for a in batch]), np.array([np.array(a.cell) for a in batch]), pbc, pointer


@pytest.fixture
def graph():
    """Return the arrays of a batch (with a structure of no atoms) and of its list."""
    positions, cells, pbc, pointer = stack(random_batch(np.random.default_rng(7), [5, 0, 1, 600, 12]))
    return positions, cells, pointer, _core.neighbor_list(positions, cells, pbc, pointer, CUTOFF, 1)


@pytest.mark.parametrize("sizes", [[3, 0, 1, 150, 7, 0], [0], [20] * 40])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_a_batch_is_its_structures_one_by_one(sizes, threads):
    batch = random_batch(np.random.default_rng(len(sizes)), sizes)
    positions, cells, pbc, pointer = stack(batch)
    row_ptr, neighbor, shift = _core.neighbor_list(positions, cells, pbc, pointer, CUTOFF, threads)
    i = np.repeat(np.arange(len(positions)), np.diff(row_ptr))
    alone = [atomcore.neighbor_list("ijS", atoms, CUTOFF) for atoms in batch]
    for s, got in enumerate((i, neighbor, shift)):
        offsets = pointer[:-1] if s < 2 else np.zeros(len(batch), int)
        assert np.array_equal(
            got, np.concatenate([one[s] + offset for one, offset in zip(alone, offsets, strict=True)])
        )


def test_edge_vectors(graph):
    positions, cells, pointer, (row_ptr, j, S) = graph
    i = np.repeat(np.arange(len(positions)), np.diff(row_ptr))
    s = np.repeat(np.arange(len(cells)), np.diff(row_ptr[pointer]))
    expected = positions[j] - positions[i] + np.einsum("ea,eax->ex", S, cells[s])
    D = _core.edge_vectors(positions, cells, pointer, row_ptr, j, S, 1)
    assert_close(D, expected, PEER)
    single = _core.edge_vectors(positions.astype(np.float32), cells.astype(np.float32), pointer, row_ptr, j, S, 1)
    assert single.dtype == np.float32
    assert_close(single, expected, FLOAT32, scale=np.abs(positions).max())


def test_edge_scatter(graph):
    positions, cells, pointer, (row_ptr, j, S) = graph
    g = np.random.default_rng(1).normal(size=(len(j), 3))
    expected_positions, expected_cells = np.zeros_like(positions), np.zeros_like(cells)
    i = np.repeat(np.arange(len(positions)), np.diff(row_ptr))
    np.add.at(expected_positions, j, g)
    np.subtract.at(expected_positions, i, g)
    np.add.at(expected_cells, np.repeat(np.arange(len(cells)), np.diff(row_ptr[pointer])), S[:, :, None] * g[:, None])
    g_positions, g_cells = _core.edge_scatter(g, pointer, row_ptr, j, S, 1)
    assert_close(g_positions, expected_positions, PEER)
    assert_close(g_cells, expected_cells, PEER)
    single = _core.edge_scatter(g.astype(np.float32), pointer, row_ptr, j, S, 1)
    assert [a.dtype for a in single] == [np.float32, np.float32]
    assert_close(single[0], expected_positions, FLOAT32, scale=np.abs(expected_positions).max())
    assert_close(single[1], expected_cells, FLOAT32, scale=np.abs(expected_cells).max())


def test_each_is_the_adjoint_of_the_other(graph):
    positions, cells, pointer, (row_ptr, j, S) = graph
    rng = np.random.default_rng(2)
    v_positions, v_cells = rng.normal(size=positions.shape), rng.normal(size=cells.shape)
    g = rng.normal(size=(len(j), 3))
    v = _core.edge_vectors(v_positions, v_cells, pointer, row_ptr, j, S, 1)
    g_positions, g_cells = _core.edge_scatter(g, pointer, row_ptr, j, S, 1)
    forward, backward = np.vdot(g, v), np.vdot(g_positions, v_positions) + np.vdot(g_cells, v_cells)
    assert_close(backward, forward, PEER, scale=np.abs(g * v).sum())


def test_an_asymmetric_list_scatters_right():
    """Half lists and subsets of edges are lists too: nothing assumes that the reverse edge is there."""
    row_ptr, neighbor = np.array([0, 2, 2, 3]), np.array([1, 2, 2])
    shift = np.array([[0, 0, 0], [0, 0, 0], [0, -1, 0]], np.int32)
    g = np.arange(9.0).reshape(3, 3)
    g_positions, g_cells = _core.edge_scatter(g, np.array([0, 3]), row_ptr, neighbor, shift, 1)
    assert np.array_equal(g_positions, [-g[0] - g[1], g[0], g[1]])
    assert np.array_equal(g_cells, [[[0, 0, 0], -g[2], [0, 0, 0]]])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_thread_count_changes_nothing(graph, dtype):
    positions, cells, pointer, (row_ptr, j, S) = graph
    positions, cells = positions.astype(dtype), cells.astype(dtype)
    g = np.random.default_rng(3).normal(size=(len(j), 3)).astype(dtype)

    def both(threads):
        D = _core.edge_vectors(positions, cells, pointer, row_ptr, j, S, threads)
        return D, *_core.edge_scatter(g, pointer, row_ptr, j, S, threads)

    expected = both(1)
    for threads in (2, 3, 16):
        assert all(np.array_equal(a, b) for a, b in zip(both(threads), expected, strict=True))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("neighbor", [1, 0, 3, 2], "neighbor must name atoms of the centre's structure.*structure 1"),
        ("neighbor", [1, 2, 0, 1], "neighbor must name atoms of the centre's structure.*structure 0"),
        ("neighbor", [1, -1, 2, 2], "neighbor must name"),
        ("neighbor", [1, 0, 2], "shift must hold 9 numbers, got 12"),
        ("row_ptr", [0, 2, 1, 4], "row_ptr must not descend"),
        ("row_ptr", [0, 1, 2, 5], "row_ptr must run from 0 to the number of edges, 4"),
        ("row_ptr", [1, 1, 2, 4], "row_ptr must run from 0"),
        ("structure_ptr", [0, 2, 4], "structure_ptr must end with the number of atoms, 3"),
        ("positions", np.zeros((2, 3)), "positions must hold 9 numbers, got 6"),
        ("cells", np.zeros((1, 3, 3)), "cells must hold 18 numbers, got 9"),
    ],
)
def test_lists_are_checked(name, value, text):
    arguments = {
        "positions": np.zeros((3, 3)),
        "cells": np.zeros((2, 3, 3)),
        "structure_ptr": np.array([0, 2, 3]),
        "row_ptr": np.array([0, 1, 2, 4]),
        "neighbor": np.array([1, 0, 2, 2]),
        "shift": np.zeros((4, 3), np.int32),
    }
    assert _core.edge_vectors(**arguments, n_threads=1).shape == (4, 3)
    arguments[name] = np.array(value)
    with pytest.raises(ValueError, match=text):
        _core.edge_vectors(**arguments, n_threads=1)


def fresh_pairs(atoms, cutoff):
    i, j, S, D = atomcore.neighbor_list("ijSD", atoms, cutoff)
    return np.cumsum([0, *np.bincount(i, minlength=len(atoms))]), j, S, D


def assert_current(neighbors, atoms):
    held = neighbors.row_ptr, neighbors.neighbor, neighbors.shift, neighbors.D
    for mine, fresh in zip(held, fresh_pairs(atoms, neighbors.cutoff), strict=True):
        assert np.array_equal(mine, fresh)
        assert mine.dtype == fresh.dtype


@pytest.mark.parametrize("skin", [0.0, 0.4, 2.0])
def test_two_thousand_hot_steps(skin):
    """Atoms drift, jump by lattice vectors now and then, and the cell breathes: the list is exact at each step."""
    rng = np.random.default_rng(11)
    atoms = bulk("Ar", cubic=True, a=4.2).repeat((2, 1, 1))
    atoms.pbc = (True, True, False)
    velocities = rng.normal(size=(len(atoms), 3)) * 0.02
    neighbors = atomcore.NeighborList(CUTOFF, skin)
    searches = 0
    for step in range(2000):
        velocities += rng.normal(size=velocities.shape) * 0.005 - 0.02 * velocities
        atoms.positions += velocities
        if step % 100 == 50:
            atoms.wrap()
        if step % 300 == 200:
            atoms.set_cell(atoms.cell * (1 + 0.01 * rng.normal()), scale_atoms=True)
        searches += neighbors.update(atoms)
        assert_current(neighbors, atoms)
    assert searches == 2000 if skin == 0.0 else 10 < searches < 2000


def test_what_makes_a_new_search():
    atoms = molecule("CH3CH2OH", cell=[5.0, 6.0, 7.0], pbc=True)
    neighbors = atomcore.NeighborList(CUTOFF, skin=0.5)
    assert neighbors.update(atoms)
    assert not neighbors.update(atoms)

    def moved(atom, by):
        atoms.positions[atom, 2] += by

    changes = {
        "within half the skin": (lambda: moved(3, 0.24), False),
        "further than half the skin": (lambda: moved(3, 0.02), True),
        "a lattice vector": (lambda: moved(0, 7.0), False),
        "less of the cell than of the skin": (lambda: atoms.set_cell([5.0, 6.0, 6.99], scale_atoms=True), False),
        "more of the cell than of the skin": (lambda: atoms.set_cell([5.0, 6.0, 6.0], scale_atoms=True), True),
        "a turned cell": (lambda: atoms.rotate(30, "z", rotate_cell=True), False),
        "periodicity": (lambda: atoms.set_pbc([True, False, True]), True),
        "an atom less": (lambda: atoms.pop(), True),
        "an atom more": (lambda: atoms.append("H"), True),
        "an element": (lambda: atoms.set_atomic_numbers(atoms.numbers[::-1]), False),
        "no atoms": (lambda: atoms.__delitem__(slice(None)), True),
    }
    for name, (change, rebuilt) in changes.items():
        change()
        assert neighbors.update(atoms) == rebuilt, name
        assert_current(neighbors, atoms)


def test_two_atoms_that_close_in_by_just_the_skin():
    """The worst case of the skin test: both move by half the skin, towards each other."""
    atoms = Atoms("H2", [[0.0, 0.0, 0.0], [CUTOFF + 0.5, 0.0, 0.0]])
    neighbors = atomcore.NeighborList(CUTOFF, skin=0.5)
    neighbors.update(atoms)
    for step in np.linspace(0.0, 0.26, 400):
        atoms.positions[:, 0] = step, CUTOFF + 0.5 - step
        neighbors.update(atoms)
        assert_current(neighbors, atoms)


def test_updates_leave_earlier_arrays_and_the_input_alone():
    atoms = bulk("Si")
    neighbors = atomcore.NeighborList(5.0, skin=1.0)
    neighbors.update(atoms)
    before, D = neighbors.D, neighbors.D.copy()
    positions = atoms.positions.copy()
    atoms.positions[0] += 0.1
    assert not neighbors.update(atoms)
    assert np.array_equal(before, D)
    assert np.array_equal(atoms.positions[1], positions[1])
    with pytest.raises(ValueError, match="read-only"):
        neighbors.shift[0] = 1


def test_a_failed_update_keeps_the_list():
    atoms = bulk("Si")
    neighbors = atomcore.NeighborList(5.0, skin=1.0)
    neighbors.update(atoms)
    held = neighbors.neighbor
    broken = atoms.copy()
    broken.positions[1, 1] = np.nan
    with pytest.raises(ValueError, match="positions must be finite"):
        neighbors.update(broken)
    assert neighbors.neighbor is held
    assert not neighbors.update(atoms)
    assert_current(neighbors, atoms)


@pytest.mark.parametrize(("cutoff", "skin"), [(0.0, 0.0), (np.nan, 0.0), (3.0, -0.1), (3.0, np.inf)])
def test_lengths_are_checked(cutoff, skin):
    with pytest.raises(ValueError, match=r"(cutoff|skin) must be .*positive and finite"):
        atomcore.NeighborList(cutoff, skin)
