"""Neighbour search against exhaustive enumeration and other codes (reliability rows 1 to 9, 13, 17, 18)."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

import atomcore
from atomcore import _core
from helpers import run_command, run_python
from tolerances import PEER, assert_close

SKEW = np.array([[3.0, 0.0, 0.0], [25.0, 3.0, 0.0], [-19.0, 14.0, 3.5]])
NEEDLE = np.array([[6.0, 0.0, 0.0], [6 * np.cos(np.pi / 18), 6 * np.sin(np.pi / 18), 0.0], [0.0, 0.0, 5.0]])
THIN = np.diag([0.5, 7.0, 8.0])


def system(positions, cell=None, pbc=False) -> Atoms:
    positions = np.reshape(positions, (-1, 3))
    return Atoms(np.ones(len(positions), int), positions, cell=cell, pbc=pbc)


def random_system(rng, cell, pbc, n, spread=1.0) -> Atoms:
    """Return atoms spread over ``spread`` cells, or over a box along axes without a vector."""
    open_box = np.where(np.any(cell, axis=1)[:, None], cell, 5.0 * np.eye(3))
    return system((rng.random((n, 3)) - 0.5) * spread @ open_box, cell, pbc)


def enumerate_pairs(atoms, cutoff) -> set[tuple[int, ...]]:
    """Return all (i, j, S) by testing every image that could be within the cutoff, without wrapping or bins."""
    positions, cell = atoms.positions, np.array(atoms.cell)
    if len(positions) == 0:
        return set()
    ranges = [np.zeros(1, int)] * 3
    periodic = np.flatnonzero(atoms.pbc)
    if len(periodic):
        dual = np.linalg.pinv(cell[periodic])
        spread = np.ptp(positions @ dual, axis=0)
        for k, axis in enumerate(periodic):
            most = int(cutoff * np.linalg.norm(dual[:, k]) + spread[k]) + 1
            ranges[axis] = np.arange(-most, most + 1)
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
    pairs = set()
    for i, center in enumerate(positions):
        for j, other in enumerate(positions):
            distance = np.linalg.norm((other - center) + shifts @ cell, axis=1)
            near = (distance < cutoff) & ((i != j) | shifts.any(axis=1))
            pairs |= {(i, j, *shift) for shift in shifts[near].tolist()}
    return pairs


def found_pairs(atoms, cutoff) -> list[tuple[int, ...]]:
    i, j, S = atomcore.neighbor_list("ijS", atoms, cutoff)
    return list(zip(i.tolist(), j.tolist(), *S.T.tolist(), strict=True))


def assert_exact(atoms, cutoff) -> None:
    found = found_pairs(atoms, cutoff)
    assert found == sorted(set(found)), "pairs are doubled or out of order"
    assert set(found) == enumerate_pairs(atoms, cutoff)


@pytest.mark.parametrize("factor", [1.0, 1.7, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("lattice", ["sc", "fcc", "bcc"])
def test_one_atom_and_a_cutoff_beyond_the_cell(lattice, factor):
    atoms = bulk("Ar", lattice, a=2.9)
    assert_exact(atoms, factor * atoms.cell.lengths()[0] * (1 + 1e-9))  # the shell at the cutoff, whatever its rounding


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 1, 0), (0, 1, 1), (1, 0, 0), (0, 0, 1)])
@pytest.mark.parametrize(
    "cell", [SKEW, NEEDLE, THIN, NEEDLE[::-1], -THIN], ids=["skew", "needle", "thin", "left", "minus"]
)
def test_extreme_cells(cell, pbc):
    assert_exact(random_system(np.random.default_rng(3), cell, pbc, 4), 3.3)


def random_case(seed) -> tuple[Atoms, float]:
    print("seed", seed)
    rng = np.random.default_rng(seed)
    cell = rng.normal(size=(3, 3)) * rng.choice([1.5, 3.0, 5.0])
    while abs(np.linalg.det(cell)) < 0.2 * np.prod(np.linalg.norm(cell, axis=1)):
        cell += rng.normal(size=(3, 3))
    atoms = random_system(rng, cell, rng.random(3) < 0.6, rng.integers(1, 12), spread=3.0)
    return atoms, rng.uniform(1.0, 4.5)


@pytest.mark.parametrize("seed", range(40))
def test_random_cells(seed):
    assert_exact(*random_case(seed))


def ase_search(atoms, cutoff):
    from ase.neighborlist import neighbor_list

    return neighbor_list("ijS", atoms, cutoff)


def matscipy_search(atoms, cutoff):
    neighbours = pytest.importorskip("matscipy.neighbours", reason="matscipy is not installed")
    return neighbours.neighbour_list("ijS", atoms, float(cutoff))


def vesin_search(atoms, cutoff):
    vesin = pytest.importorskip("vesin", reason="vesin is not installed")
    search = vesin.NeighborList(cutoff=cutoff, full_list=True)
    return search.compute(atoms.positions, np.array(atoms.cell), atoms.pbc, quantities="ijS")


@pytest.mark.parametrize("search", [ase_search, matscipy_search, vesin_search])
def test_random_cells_in_other_codes(search):
    for seed in range(40):
        atoms, cutoff = random_case(seed)
        i, j, S = search(atoms, cutoff)
        assert set(zip(i.tolist(), j.tolist(), *S.T.tolist(), strict=True)) == set(found_pairs(atoms, cutoff))


@settings(max_examples=60, deadline=None)
@given(
    vectors=st.lists(st.integers(-40, 40), min_size=9, max_size=9),
    pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    grid=st.lists(st.tuples(*[st.integers(-50, 50)] * 3), max_size=5),
)
def test_any_cell(vectors, pbc, grid):
    cell = np.reshape(vectors, (3, 3)) / 8  # eighths: many ties, and distances at the cutoff
    periodic = cell[list(pbc)]
    if np.linalg.matrix_rank(periodic) == len(periodic) and np.sqrt(np.linalg.det(periodic @ periodic.T)) > 1.0:
        assert_exact(system(np.reshape(grid, (-1, 3)) / 8, cell, pbc), 1.5)


@pytest.mark.parametrize("n", [300, 1100])
@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 1, 0), (0, 0, 1), (0, 0, 0)])
def test_large_systems_against_a_tree_over_all_images(n, pbc):
    cell = np.array([[16.0, 0.0, 0.0], [-5.0, 13.0, 1.0], [4.0, -2.0, 14.0]]) * (n / 300) ** (1 / 3)
    atoms = random_system(np.random.default_rng(n), cell, pbc, n, spread=1.7)
    ranges = np.meshgrid(*[np.arange(-3, 4) if periodic else [0] for periodic in pbc], indexing="ij")
    shifts = np.stack(ranges, -1).reshape(-1, 3)
    images = (atoms.positions + (shifts @ cell)[:, None]).reshape(-1, 3)
    near = cKDTree(images).query_ball_point(atoms.positions, 3.1)
    pairs = {(i, image % n, *shifts[image // n]) for i, found in enumerate(near) for image in found}
    found = found_pairs(atoms, 3.1)
    assert found == sorted(found)
    assert set(found) == pairs - {(i, i, 0, 0, 0) for i in range(n)}
    assert len(found) > n


@pytest.mark.parametrize("pbc", [(1, 1, 0), (1, 0, 0), (0, 0, 0)])
def test_vectors_of_open_axes_do_not_matter(pbc):
    rng = np.random.default_rng(5)
    cell = np.array([[4.0, 0.5, 0.0], [-1.0, 5.0, 0.3], [0.0, 1.0, 6.0]])
    atoms = random_system(rng, cell, pbc, 12, spread=2.0)
    expected = found_pairs(atoms, 4.0)
    for replacement in (np.zeros((3, 3)), 100 * rng.normal(size=(3, 3)), cell[[1, 2, 0]], np.full((3, 3), 1e-3)):
        other = system(atoms.positions, np.where(np.array(pbc)[:, None], cell, replacement), pbc)
        assert found_pairs(other, 4.0) == expected


def test_a_left_handed_cell_is_its_right_handed_twin():
    atoms, cutoff = random_system(np.random.default_rng(8), SKEW, True, 5), 4.0
    twin = system(atoms.positions, SKEW[[1, 0, 2]], True)
    swapped = {(i, j, t, s, u) for i, j, s, t, u in found_pairs(twin, cutoff)}
    assert swapped == set(found_pairs(atoms, cutoff))


@pytest.mark.parametrize("turns", [0, 1, -50, 10**6])
def test_atoms_outside_the_cell(turns):
    rng = np.random.default_rng(4)
    cell = np.array([[4.0, 0.0, 0.0], [1.5, 4.5, 0.0], [-1.0, 1.0, 5.0]])
    inside = random_system(rng, cell, True, 9)
    moves = rng.integers(-1, 2, (9, 3)) * turns
    outside = system(inside.positions + moves @ cell, cell, True)
    i, j, S = atomcore.neighbor_list("ijS", outside, 4.2)
    expected = atomcore.neighbor_list("ijS", inside, 4.2)
    order = np.lexsort((*(S + moves[j] - moves[i]).T[::-1], j, i))
    assert all(np.array_equal(a[order], b) for a, b in zip((i, j, S + moves[j] - moves[i]), expected, strict=True))


@pytest.mark.parametrize("nudge", [0.0, 1e-17, -1e-17, 5e-324, -4e-52, 1e-16, -1e-16])
def test_atoms_on_the_faces(nudge):
    grid = np.stack(np.meshgrid(*[[0.0, 1.0, 2.0, 3.0, 4.0]] * 3, indexing="ij"), -1).reshape(
        -1, 3
    )  # 4.0 is an image of 0
    atoms = system(grid + nudge, 4 * np.eye(3), True)
    i, d = atomcore.neighbor_list("id", atoms, 1.2)
    copies = np.prod(np.where(grid % 4 == 0, 2, 1), axis=1)  # how many atoms sit on this site
    steps = np.concatenate((np.eye(3), -np.eye(3)))
    around = np.prod(np.where((grid[:, None] + steps) % 4 == 0, 2, 1), axis=2).sum(axis=1)
    assert np.array_equal(np.bincount(i, minlength=125), copies - 1 + around)
    assert np.all(np.isclose(d, 1.0) | np.isclose(d, 0.0))


@pytest.mark.parametrize("cutoff", [1.0, 1.3, np.sqrt(2.0), 3.0, 5.999999, 0.1])
def test_the_cutoff_itself_is_outside(cutoff):
    def count(distance, axis):
        positions = np.zeros((2, 3))
        positions[1, axis] = distance
        cell = np.diag([9.0 + cutoff] * 3)
        return {len(atomcore.neighbor_list("i", system(positions, cell, p), cutoff)) for p in (True, False)}

    for axis in range(3):
        assert count(cutoff, axis) == {0}
        assert count(np.nextafter(cutoff, 0.0), axis) == {2}
        assert count(np.nextafter(cutoff, np.inf), axis) == {0}


def test_listed_distances_are_below_the_cutoff_where_squares_are_not():
    """The decision is on distances: comparing squares would list some pairs whose distance rounds to the cutoff."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(20000, 3))
    vectors *= 1.3 / np.linalg.norm(vectors, axis=1)[:, None]
    x, y, z = vectors.T
    distance = np.sqrt(x * x + y * y + z * z)
    cutoff = 1.3
    assert ((distance == cutoff) & (x * x + y * y + z * z < cutoff * cutoff)).any()
    atoms = [system([np.zeros(3), v]) for v in vectors[:4000]]
    near = [len(atomcore.neighbor_list("d", a, cutoff)) == 2 for a in atoms]
    assert near == (distance[:4000] < cutoff).tolist()


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("pbc", [False, True])
def test_nothing_to_find(n, pbc):
    atoms = system(np.zeros((n, 3)), 9 * np.eye(3), pbc)
    i, j, S, D, d = atomcore.neighbor_list("ijSDd", atoms, 5.0)
    assert [a.shape for a in (i, j, S, D, d)] == [(0,), (0,), (0, 3), (0, 3), (0,)]
    assert [a.dtype for a in (i, j, S, D, d)] == [np.int64, np.int64, np.int32, np.float64, np.float64]


def test_coincident_atoms_are_listed():
    i, j, d = atomcore.neighbor_list("ijd", system(np.ones((2, 3)), 9 * np.eye(3), True), 3.0)
    assert (i.tolist(), j.tolist(), d.tolist()) == ([0, 1], [1, 0], [0.0, 0.0])


def test_quantities():
    atoms, cutoff = random_case(2)
    i, j, S, D, d = atomcore.neighbor_list("ijSDd", atoms, cutoff)
    assert len(i) > 0
    assert_close(D, atoms.positions[j] - atoms.positions[i] + S @ np.array(atoms.cell), PEER)
    assert_close(d, np.linalg.norm(D, axis=1), PEER)
    assert d.max() < cutoff
    again = atomcore.neighbor_list("dj", atoms, cutoff)
    assert np.array_equal(again[0], d)
    assert np.array_equal(again[1], j)
    assert np.array_equal(atomcore.neighbor_list("i", atoms, cutoff), i)


def test_both_directions_of_a_pair_are_exactly_opposite():
    for seed in range(8):
        i, j, S, D = atomcore.neighbor_list("ijSD", *random_case(seed))
        back = np.lexsort((*(-S).T[::-1], i, j))
        for forward, backward in ((i, j[back]), (j, i[back]), (S, -S[back]), (D, -D[back])):
            assert np.array_equal(forward, backward)


@pytest.mark.parametrize("n", [40, 2500])
def test_thread_count_changes_nothing(n):
    rng = np.random.default_rng(n)
    atoms = random_system(rng, np.eye(3) * (n / 0.1) ** (1 / 3), (1, 1, 0), n)
    expected = atomcore.neighbor_list("ijSD", atoms, 4.0, threads=1)
    for threads in (2, 3, 5, 16):
        found = atomcore.neighbor_list("ijSD", atoms, 4.0, threads=threads)
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("convert", [np.float32, ">f8", np.int64])
def test_input_of_other_types_is_the_converted_input(convert):
    positions = np.random.default_rng(0).integers(0, 9, (30, 3)).astype(convert)
    positions.flags.writeable = False
    given_as = SimpleNamespace(positions=positions, cell=np.diag([9, 9, 9]), pbc=np.array([1, 0, 1]))
    before = positions.tobytes()
    expected = atomcore.neighbor_list("ijSD", system(positions.astype(float), 9 * np.eye(3), (1, 0, 1)), 2.5)
    for a, b in zip(atomcore.neighbor_list("ijSD", given_as, 2.5), expected, strict=True):
        assert np.array_equal(a, b)
    assert positions.tobytes() == before


BAD_CALLS = [
    ("atomcore.neighbor_list('ijk', a, 3.0)", "ValueError", "'ijSDd', got 'k'"),
    ("atomcore.neighbor_list('', a, 3.0)", "ValueError", "'ijSDd'"),
    ("atomcore.neighbor_list('i', a, 0.0)", "ValueError", "cutoff must be positive and finite, got 0.0"),
    ("atomcore.neighbor_list('i', a, -1)", "ValueError", "cutoff must be positive"),
    ("atomcore.neighbor_list('i', a, float('nan'))", "ValueError", "cutoff must be positive"),
    ("atomcore.neighbor_list('i', a, float('inf'))", "ValueError", "cutoff must be positive"),
    ("atomcore.neighbor_list('i', a, [3.0])", "TypeError", "cutoff must be a number"),
    ("atomcore.neighbor_list('i', a, 3.0, threads=0)", "ValueError", "threads must be"),
    (
        "a.positions[1, 2] = float('nan')",
        "ValueError",
        "positions must be finite and at most 1e100 A, got nan at [1, 2]",
    ),
    (
        "a.positions[2, 0] = float('inf')",
        "ValueError",
        "positions must be finite and at most 1e100 A, got inf at [2, 0]",
    ),
    ("a.positions *= 1e200", "ValueError", "positions must be finite and at most 1e100 A, got "),
    ("a.cell[1, 1] = float('nan')", "ValueError", "cell must be finite and at most 1e100 A, got nan at [1, 1]"),
    ("a.pbc = True", "ValueError", "lattice vector 0 is zero, but pbc[0] is true"),
    ("a.cell = [[1, 2, 3], [2, 4, 6], [0, 0, 9]]; a.pbc = True", "ValueError", "cell is singular"),
    ("a.cell = [[1, 0, 0], [1, 1e-14, 0], [0, 0, 9]]; a.pbc = [1, 1, 0]", "ValueError", "cell is singular"),
    ("a.cell = [9, 9, 9]; a.pbc = True; a.positions[0, 0] = 1e13", "ValueError", "image shifts"),
    ("a.cell = [1e-3, 1e-3, 1e-3]; a.pbc = True", "MemoryError", "neighbor list of about 1.02e+12 pairs"),
    ("a.cell = [1e-9, 9, 9]; a.pbc = [1, 0, 0]", "ValueError", "image shifts"),
]


def test_bad_input_is_refused_by_name_and_nothing_crashes():
    """In a process of its own, so that a crash shows."""
    program = """
import atomcore
from ase.build import molecule
for line in {lines!r}:
    a = molecule("H2O")
    try:
        exec(line)
        atomcore.neighbor_list("ijSDd", a, 3.0)
        print("nothing raised")
    except Exception as error:
        print(type(error).__name__, error)
"""
    printed = run_python(program.format(lines=[call for call, _, _ in BAD_CALLS]))
    for (call, error, text), line in zip(BAD_CALLS, printed.splitlines(), strict=True):
        assert line.startswith(error), (call, line)
        assert text in line, (call, line)


def test_open_axes_of_almost_no_thickness():
    """In a process of its own, so that a search without end is stopped."""
    program = """
import numpy as np
from ase import Atoms
import atomcore
for thickness in (5e-324, 1e-309, 1e-300, 1e-13, 0.0):
    for n in (2, 90):  # without bins and with
        for axis in range(3):
            line, flat = np.zeros((n, 3)), np.zeros((n, 3))
            line[:, axis - 1] = flat[:, axis - 1] = np.arange(n)
            line[1::2, axis] = thickness
            for pbc in (False, np.arange(3) == (axis + 1) % 3):
                both = [Atoms(f"H{n}", r, cell=np.diag([7.0] * 3), pbc=pbc) for r in (line, flat)]
                found, expected = (atomcore.neighbor_list("ijS", atoms, 3.5) for atoms in both)
                assert len(found[0]) >= 2, (thickness, n, axis)
                assert all(np.array_equal(a, b) for a, b in zip(found, expected)), (thickness, n, axis)
print("all found")
"""
    assert run_python(program) == "all found\n"


def test_threads_that_cannot_start_are_done_without():
    """In a process of its own: threads get a stack larger than the address space that is left."""
    program = """
import resource, threading
import numpy as np
from ase import Atoms
import atomcore
atoms = Atoms("H2000", np.random.default_rng(0).random((2000, 3)) * 25)
expected = atomcore.neighbor_list("ijSD", atoms, 3.0, threads=1)
in_use = 4096 * int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (in_use + 400_000_000, resource.RLIM_INFINITY))
try:
    threading.Thread(target=print).start()
    print("threads start")
except RuntimeError:
    found = atomcore.neighbor_list("ijSD", atoms, 3.0, threads=16)
    print(all(np.array_equal(a, b) for a, b in zip(found, expected)))
"""
    printed = run_command(["sh", "-c", 'ulimit -s 1000000 && exec "$@"', "sh", sys.executable, "-c", program])
    if "threads start" in printed:
        pytest.skip("this system does not limit the address space")
    assert printed == "True\n"


def test_structure_ptr_is_checked():
    arrays = np.zeros((2, 3)), np.eye(3)[None], np.zeros((1, 3), np.uint8)
    for pointer, text in (([0], "end with"), ([1, 2], "start with 0"), ([0, 3], "end with"), ([0, 3, 2], "descend")):
        with pytest.raises(ValueError, match=f"structure_ptr must .*{text}"):
            _core.neighbor_list(*arrays, np.array(pointer), 3.0, 1)
    with pytest.raises(ValueError, match="cells must hold 18 numbers, got 9"):
        _core.neighbor_list(*arrays, np.array([0, 1, 2]), 3.0, 1)
    bad = np.array([[0.0, 0.0, 0.0], [0.0, np.nan, 0.0]])
    with pytest.raises(ValueError, match=r"positions must be finite and at most 1e100 A, got nan at \[1, 1\]"):
        _core.neighbor_list(bad, np.zeros((2, 3, 3)), np.zeros((2, 3), np.uint8), np.array([0, 1, 2]), 3.0, 1)
    pbc = np.array([[0, 0, 0], [0, 0, 1]], np.uint8)
    with pytest.raises(ValueError, match="cell of structure 1: lattice vector 2 is zero"):
        _core.neighbor_list(arrays[0], np.zeros((2, 3, 3)), pbc, np.array([0, 1, 2]), 3.0, 1)
