"""Time of neighbour lists beside vesin and matscipy: full lists with i, j, S, D, d in double.

Liquid water in a periodic box, and the uracil dimer of S22 without one. "Reused": our arrays go back to the pool before
the next call, vesin gives views of its own memory (copy=False). "Fresh": the results of all calls are kept, vesin
copies. The batch is 256 molecules in one call of ours, and a call each for the peers. Skin: 1 A, atoms that move by
less, so that nothing is searched again. One thread, and the ratios of our own times with two, and of a million atoms to
a hundred thousand at 4 A (10 would be linear; the limit is 12).
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import matscipy.neighbours
import numpy as np
import vesin
from ase import Atoms

import atomcore
from common import CPUS, Call, compare, interleave, pin, report, spread
from systems import uracil_dimer, water_box

PEERS = ("vesin", "matscipy")
Row = dict[str, object]


def plain(atoms: Atoms) -> SimpleNamespace:
    """Return the arrays of a structure without what ASE's objects cost."""
    return SimpleNamespace(positions=atoms.positions.copy(), cell=np.array(atoms.cell), pbc=atoms.pbc.copy())


def ours(atoms: Any, cutoff: float, threads: int = 1) -> tuple[np.ndarray, ...]:
    return atomcore.neighbor_list("ijSDd", atoms, cutoff, threads=threads)


def vesins(atoms: SimpleNamespace, cutoff: float, *, copy: bool = False, skin: float = 0.0) -> Call:
    search = vesin.NeighborList(cutoff=cutoff, full_list=True, n_threads=1, **({"skin": skin} if skin else {}))
    points, periodic = atoms.positions, bool(atoms.pbc.all())
    box = atoms.cell if periodic else np.zeros((3, 3))
    return lambda: search.compute(points=points, box=box, periodic=periodic, quantities="ijSDd", copy=copy)


def matscipys(atoms: SimpleNamespace, cutoff: float) -> Call:
    cell = atoms.cell if atoms.pbc.all() else 60 * np.eye(3)
    arguments = {"positions": atoms.positions, "cell": cell, "pbc": list(atoms.pbc), "cutoff": cutoff}
    return lambda: matscipy.neighbours.neighbour_list("ijSDd", **arguments)


def assert_same(found: tuple[np.ndarray, ...], expected: Any) -> None:
    """Raise unless both hold the same pairs, and their distances agree; the peers may list them in any order."""
    i, j, S, _, d = (np.asarray(array) for array in expected)
    order = np.lexsort((*np.asarray(S, np.int64).T[::-1], j, i))
    for ours, theirs in zip(found[:3], (i, j, S), strict=True):
        if not np.array_equal(ours, theirs[order]):
            raise SystemExit("the pairs are not those of the peer")
    if not np.allclose(found[4], d[order], rtol=0.0, atol=1e-10):
        raise SystemExit("the distances are not those of the peer")


def reused(case: str, atoms: SimpleNamespace, cutoff: float) -> list[Row]:
    peers = {"vesin": vesins(atoms, cutoff), "matscipy": matscipys(atoms, cutoff)}

    def check() -> None:
        for peer in peers.values():
            assert_same(ours(atoms, cutoff), peer())

    return compare(case, check, partial(ours, atoms, cutoff), peers)


def fresh(case: str, atoms: SimpleNamespace, cutoff: float, repeats: int = 7) -> list[Row]:
    """Keep all results: every call needs memory that it did not have before.

    The system has had that memory: on a virtual machine the first touch of a page can take longer than both searches,
    and is no code's doing.
    """
    pin()
    touched = [np.ones(2**24) for _ in range(3 * repeats)]
    del touched
    codes: dict[str, Call] = {"atomcore": partial(ours, atoms, cutoff), "vesin": vesins(atoms, cutoff, copy=True)}
    times: dict[str, list[float]] = {name: [] for name in codes}
    kept = []
    for _ in range(repeats):
        for name, call in codes.items():
            start = time.perf_counter()
            kept.append(call())
            times[name].append(1e6 * (time.perf_counter() - start))
    own, theirs = times.values()
    ratio = statistics.median(theirs) / statistics.median(own)
    row = {"case": case, "atomcore, us": spread(own), "peer": "vesin", "peer, us": spread(theirs)}
    return [row | {"ratio": f"{ratio:.2f}", "of minima": f"{min(theirs) / min(own):.2f}"}]


def batch(case: str, atoms: SimpleNamespace, cutoff: float, count: int) -> list[Row]:
    """Compare one call for a batch with a call for each of its structures."""

    def each(call: Call) -> Callable[[], None]:
        def run() -> None:
            for _ in range(count):
                call()

        return run

    def check() -> None:
        one, all_ = ours(atoms, cutoff), ours([atoms] * count, cutoff)
        if not np.array_equal(np.tile(one[4], count), all_[4]):
            raise SystemExit("the batch is not its structures")

    peers = {"vesin": each(vesins(atoms, cutoff)), "matscipy": each(matscipys(atoms, cutoff))}
    return compare(case, check, partial(ours, [atoms] * count, cutoff), peers)


def followed(case: str, atoms: SimpleNamespace, cutoff: float) -> list[Row]:
    """Compare lists that are measured again while their skin lasts; atoms tremble by 0.01 A."""
    search = atomcore.NeighborList(cutoff, skin=1.0, threads=1)
    search.update(atoms)
    rest = atoms.positions.copy()
    places = [rest + np.random.default_rng(seed).uniform(-0.01, 0.01, rest.shape) for seed in range(8)]
    peer = vesins(atoms, cutoff, skin=1.0)
    turn = {"ours": 0, "vesin": 0}

    def move(whose: str) -> None:
        turn[whose] += 1
        atoms.positions[:] = places[turn[whose] % len(places)]

    def update() -> None:
        move("ours")
        if search.update(atoms):
            raise SystemExit("nothing was to be searched again")

    def theirs() -> Any:
        move("vesin")
        return peer()

    def check() -> None:
        update()
        i = np.repeat(np.arange(len(rest)), np.diff(search.row_ptr))
        assert_same((i, search.neighbor, search.shift, search.D, search.d), peer())

    return compare(case, check, update, {"vesin": theirs})


def two_threads(case: str, atoms: SimpleNamespace, cutoff: float) -> list[Row]:
    if len(CPUS) < 2:
        return []
    pin(2)
    codes: dict[str, Call] = {name: partial(ours, atoms, cutoff, n) for name, n in (("two", 2), ("one", 1))}
    times = {name: [1e6 * t for t in values] for name, values in interleave(codes, 5.0).items()}
    two, one = times["two"], times["one"]
    ratio = statistics.median(one) / statistics.median(two)
    row = {"case": case, "atomcore, us": spread(two), "peer": "atomcore, one thread", "peer, us": spread(one)}
    return [row | {"ratio": f"{ratio:.2f}", "of minima": f"{min(one) / min(two):.2f}"}]


def growth(case: str) -> list[Row]:
    """Compare a million atoms with a hundred thousand."""
    few, many = (plain(water_box(side)) for side in (32, 69))
    codes: dict[str, Call] = {"few": partial(ours, few, 4.0), "many": partial(ours, many, 4.0)}
    times = {name: [1e6 * t for t in values] for name, values in interleave(codes, 8.0).items()}
    scale = 10 * len(few.positions) / len(many.positions)
    ratios = [scale * of(times["many"]) / of(times["few"]) for of in (statistics.median, min)]
    case += f": {ratios[0]:.1f} times that of a tenth of the atoms (of minima {ratios[1]:.1f})"
    return [
        {"case": case, "atomcore, us": spread(times["many"]), "peer": "", "peer, us": "", "ratio": "", "of minima": ""}
    ]


def main() -> None:
    molecule = plain(uracil_dimer())
    small, large = plain(water_box(4)), plain(water_box(16))
    shuffled = plain(water_box(16))
    shuffled.positions = np.random.default_rng(0).permutation(shuffled.positions)
    rows = [
        *reused("24 atoms, open, 5.2 A", molecule, 5.2),
        *batch("256 x 24 atoms, open, 5.2 A", molecule, 5.2, 256),
        *reused("water 192, 6 A", small, 6.0),
        *reused("water 12288, 6 A, reused", large, 6.0),
        *reused("water 12288 in random order, 6 A, reused", shuffled, 6.0),
        *fresh("water 12288, 6 A, fresh", large, 6.0),
        *followed("water 12288, 6 A, skin 1 A", large, 6.0),
        *growth("water 985 527, 4 A"),
        *two_threads("water 12288, 6 A, two threads", plain(water_box(16)), 6.0),
    ]
    report("neighbors", rows, PEERS)


if __name__ == "__main__":
    main()
