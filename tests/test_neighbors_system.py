"""Neighbour lists as part of a program: instruction sets, memory, threads, signals (rows 14, 34 to 37, 47, 48)."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

import atomcore
from atomcore import _core
from helpers import run_command, run_python
from structures import EVERY_CLASS, water_box

CASES = [
    *((make(), 5.0) for make in EVERY_CLASS.values()),
    (water_box(10), 4.0),
    (water_box(5), 11.0),
    ([make() for make in EVERY_CLASS.values()], 4.3),
]


def unwrapped() -> Atoms:
    atoms = water_box(7)
    atoms.positions += np.random.default_rng(3).integers(-3, 4, (len(atoms), 3)) @ np.array(atoms.cell)
    return atoms


def digest() -> str:
    """Return a fingerprint of every number in the lists of all kinds of structures."""
    found = hashlib.sha256()
    for atoms, cutoff in [*CASES, (unwrapped(), 4.0)]:
        for array in atomcore.neighbor_list("ijSDd", atoms, cutoff):
            found.update(np.ascontiguousarray(array).tobytes())
    moving = atomcore.NeighborList(4.0, skin=0.7)
    atoms = unwrapped()
    for seed in range(3):
        atoms.positions += np.random.default_rng(seed).normal(scale=0.02, size=atoms.positions.shape)
        moving.update(atoms)
        for array in (moving.row_ptr, moving.neighbor, moving.shift, moving.D, moving.d):
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512"])
def test_instruction_sets_agree_bit_for_bit(isa):
    program = "import test_neighbors_system as t\nprint(t.digest())"
    command = [sys.executable, "-c", program]
    paths = {"PYTHONPATH": os.path.dirname(__file__), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        command, env={**os.environ, **paths, "ATOMCORE_ISA": isa}, capture_output=True, text=True, check=False
    )
    if "which this processor does not have" in result.stderr:
        pytest.skip(f"this processor has no {isa}")
    assert result.stdout.strip() == digest(), result.stderr


def test_vectors_are_those_of_the_kernel_bit_for_bit():
    for atoms in (water_box(7), unwrapped()):
        i, j, S, D, d = atomcore.neighbor_list("ijSDd", atoms, 4.0)
        row_ptr = np.searchsorted(i, np.arange(len(atoms) + 1))
        pointer = np.array([0, len(atoms)])
        expected = _core.edge_vectors(atoms.positions, np.array(atoms.cell)[None], pointer, row_ptr, j, S, 1)
        assert np.array_equal(D, expected)
        x, y, z = D.T
        assert np.array_equal(d, np.sqrt(x * x + y * y + z * z))


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_batch_is_its_structures(kind):
    structures = [make() for make in EVERY_CLASS.values()] + [Atoms(), water_box(5)]
    found = atomcore.neighbor_list("ijSDd", kind(structures), 4.3)
    starts = np.cumsum([0, *map(len, structures)])
    singles = [atomcore.neighbor_list("ijSDd", atoms, 4.3) for atoms in structures]
    offsets = np.repeat(starts[:-1], [len(arrays[0]) for arrays in singles])
    for k, array in enumerate(found):
        expected = np.concatenate([arrays[k] for arrays in singles])
        assert np.array_equal(array, expected + offsets if k < 2 else expected)


def test_batches_of_nothing_and_of_what_is_wrong():
    assert [len(array) for array in atomcore.neighbor_list("ijS", [], 3.0)] == [0, 0, 0]
    good = SimpleNamespace(positions=[[0, 0, 0], [1, 0, 0]], cell=np.zeros((3, 3), int), pbc=[0, 0, 0])
    assert len(atomcore.neighbor_list("i", [good, good], 3.0)) == 4
    broken = Atoms("H2", [[0, 0, 0], [0, np.nan, 0]])
    with pytest.raises(ValueError, match=r"positions must be finite and at most 1e100 A, got nan at \[3, 1\]"):
        atomcore.neighbor_list("i", [Atoms("H2"), broken], 3.0)
    with pytest.raises(ValueError, match="cell of structure 1: lattice vector 0 is zero"):
        atomcore.neighbor_list("i", [Atoms("H2"), Atoms("H2", pbc=True)], 3.0)
    with pytest.raises(TypeError, match="atoms must have an attribute 'positions'"):
        atomcore.neighbor_list("i", [Atoms("H2"), None], 3.0)


def test_memory_of_deleted_arrays_is_used_again():
    atoms = water_box(10)
    first = atomcore.neighbor_list("D", atoms, 5.0)
    address, kept = first.ctypes.data, first.copy()
    second = atomcore.neighbor_list("D", atoms, 5.0)
    assert second.ctypes.data != address
    assert np.array_equal(first, kept)
    del first
    third = atomcore.neighbor_list("D", atoms, 5.0)
    assert third.ctypes.data == address
    view = third[5:9]
    del third
    assert atomcore.neighbor_list("D", atoms, 5.0).ctypes.data != address  # a view keeps the memory
    assert np.array_equal(view, kept[5:9])


def test_twenty_thousand_calls_do_not_grow():
    program = """
import resource
import numpy as np
from types import SimpleNamespace
import atomcore
rng = np.random.default_rng(0)
def calls(n):
    for _ in range(n):
        size = int(rng.integers(0, 120))
        atoms = SimpleNamespace(positions=rng.random((size, 3)) * 9, cell=np.eye(3) * 9, pbc=np.array([1, 1, 0], bool))
        atomcore.neighbor_list("ijSDd", atoms, float(rng.uniform(1, 5)))
        followed.update(atoms)
followed = atomcore.NeighborList(4.0, skin=0.5)
def resident():
    return 4096 * int(open("/proc/self/statm").read().split()[1])
calls(4000)
before = resident()
calls(20000)
print(resident() - before)
"""
    assert int(run_python(program)) < 5_000_000


def test_python_threads_get_what_one_gets():
    structures = [water_box(n) for n in (5, 6, 7)]
    expected = [atomcore.neighbor_list("ijSD", atoms, 4.0) for atoms in structures]
    failures = []

    def work(seed):
        for turn in range(200):
            k = (seed + turn) % 3
            found = atomcore.neighbor_list("ijSD", structures[k], 4.0, threads=1 + turn % 3)
            if not all(np.array_equal(a, b) for a, b in zip(found, expected[k], strict=True)):
                failures.append((seed, turn))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not failures


def test_a_fork_while_others_search():
    program = """
import os, signal, threading
import numpy as np
from ase import Atoms
import atomcore
atoms = Atoms("H2000", np.random.default_rng(0).random((2000, 3)) * 25)
expected = atomcore.neighbor_list("D", atoms, 4.0)
stop = False
def work():
    while not stop:
        atomcore.neighbor_list("D", atoms, 4.0, threads=2)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os._exit(0 if np.array_equal(atomcore.neighbor_list("D", atoms, 4.0, threads=2), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0
stop = True
for thread in threads: thread.join()
print("done")
"""
    assert run_command([sys.executable, "-W", "ignore", "-c", program], timeout=120) == "done\n"


def test_a_long_search_is_interrupted():
    """All atoms but one are in one bin, so that every pair is tested."""
    program = """
import sys, time
import numpy as np
from ase import Atoms
import atomcore
n = 600_000
crowd = np.random.default_rng(0).random((n, 3)) * 200
crowd[0] = 1e9
atoms = Atoms(np.ones(n, int), crowd)
print("searching", flush=True)
try:
    atomcore.neighbor_list("i", atoms, 0.5, threads=int(sys.argv[1]))
    print("nothing stopped it")
except KeyboardInterrupt:
    small = atoms[1:20]
    small.positions *= 0.01
    print("stopped", len(atomcore.neighbor_list("i", small, 1e3)))
"""
    for threads in ("1", "2"):
        process = subprocess.Popen([sys.executable, "-c", program, threads], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "searching\n"
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        printed, _ = process.communicate(timeout=60)
        assert printed == f"stopped {19 * 18}\n"
        assert time.monotonic() - start < 2.0


@pytest.mark.parametrize("skin", [0.4, 1.0])
def test_wrapping_and_a_breathing_cell_need_few_searches(skin):
    """Hot dynamics whose cell shears and breathes a little every step, wrapped all the time."""
    rng = np.random.default_rng(7)
    atoms = water_box(6)
    neighbors, searches = atomcore.NeighborList(3.6, skin), 0
    cell = np.array(atoms.cell)
    for step in range(300):
        strain = 0.003 * np.sin(0.2 * step) * np.array([[1.0, 0.5, 0.0], [0.0, -0.7, 0.2], [0.1, 0.0, 0.4]])
        atoms.set_cell(cell @ (np.eye(3) + strain), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.008, size=atoms.positions.shape)
        if step % 3:
            atoms.wrap()
        elif step % 5 == 0:
            atoms.positions += rng.integers(-2, 3, (len(atoms), 3)) @ np.array(atoms.cell)
        searches += neighbors.update(atoms)
        i, j, S, D, d = atomcore.neighbor_list("ijSDd", atoms, 3.6)
        assert np.array_equal(np.repeat(np.arange(len(atoms)), np.diff(neighbors.row_ptr)), i)
        for ours, expected in ((neighbors.neighbor, j), (neighbors.shift, S), (neighbors.D, D), (neighbors.d, d)):
            assert np.array_equal(ours, expected)
    assert 1 < searches < 60


def test_the_threads_of_a_followed_list_change_nothing():
    atoms = water_box(12)
    lists = [atomcore.NeighborList(3.6, 0.5, threads=threads) for threads in (1, 2, 5)]
    for seed in range(3):
        atoms.positions += np.random.default_rng(seed).normal(scale=0.03, size=atoms.positions.shape)
        for neighbors in lists:
            neighbors.update(atoms)
        for name in ("row_ptr", "neighbor", "shift", "D", "d"):
            first, *others = (getattr(neighbors, name) for neighbors in lists)
            assert all(np.array_equal(first, other) for other in others)


@pytest.mark.long
def test_a_million_atoms_take_two_kilobytes_each():
    program = """
import resource
import numpy as np
from atomcore import _core
rng = np.random.default_rng(0)
grid = 2.16 * np.stack(np.meshgrid(*[np.arange(100)] * 3, indexing="ij"), -1).reshape(-1, 3)
r = grid + rng.uniform(-0.5, 0.5, grid.shape)
cell, pbc, pointer = 216.0 * np.eye(3)[None], np.ones((1, 3), np.uint8), np.array([0, len(r)])
del grid
peak = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
_core.neighbor_list(r, cell, pbc, pointer, 6.0, 1)
print((peak() - before) / len(r))
"""
    bytes_per_atom = float(run_command([sys.executable, "-c", program]))
    assert bytes_per_atom < 2000
