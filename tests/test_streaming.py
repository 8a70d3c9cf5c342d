"""What the engine does not compute, does not keep and does together: absent elements, memory, batches, Ctrl-C."""

from itertools import combinations

import ase
import numpy as np
import pytest

from atomcore import Calculator
from atomcore.potential import EXTRAPOLATION, PROPERTIES, Evaluator, Potential
from engine_oracle import reference
from helpers import run_python
from model_builder import random_model, ranged
from structures import STRUCTURES, linear, molecule_rattled, small_crystal, water_box
from tolerances import ENGINE, EXACT, assert_close

EVERYTHING = (*PROPERTIES[:3], *EXTRAPOLATION)
ELEMENTS = "HCO"
SUBSETS = ["".join(some) for n in (1, 2, 3) for some in combinations(ELEMENTS, n)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def potential(folder):
    return Potential.load(random_model().write(folder / "model.atomcore"), threads=2)


def with_elements(symbols: str, seed: int = 0) -> ase.Atoms:
    """Return a rattled crystal of these elements only."""
    atoms = small_crystal() * (2, 1, 1)
    atoms.rattle(0.05, seed=seed)
    atoms.symbols[:] = [symbols[i % len(symbols)] for i in range(len(atoms))]
    return atoms


# Elements that a structure does not have


@pytest.mark.parametrize("hidden", [(), (17, 9)], ids=["no hidden layer", "two hidden layers"])
@pytest.mark.parametrize("requires", [(), ("normalized_inputs",)], ids=["plain", "normalised"])
@pytest.mark.parametrize("symbols", SUBSETS)
def test_absent_elements_change_nothing(folder, symbols, requires, hidden):
    """Their features are never computed; the oracle computes them all."""
    model = random_model(requires=requires, hidden=hidden)
    atoms = with_elements(symbols)
    results = Potential.load(model.write(folder / "any.atomcore")).compute(atoms)
    energies, forces = reference(model, atoms)
    assert_close(results["energies"], energies, ENGINE)
    assert_close(results["forces"], forces, ENGINE)


@pytest.mark.parametrize("hidden", [(), (5,)], ids=["no hidden layer", "one hidden layer"])
@pytest.mark.parametrize("requires", [(), ("normalized_inputs",)], ids=["plain", "normalised"])
def test_no_feature_is_left(folder, requires, hidden):
    """Functions of oxygen only, and a structure without: the networks see constants."""
    model = random_model(requires=requires, hidden=hidden)
    table = model.metadata["features"]
    kept = np.array([k for k, row in enumerate(table) if set(row["elements"]) == {"O"} and row["type"] == "radial"])
    model.metadata["features"] = [table[k] for k in kept]
    for x in ELEMENTS:
        prefix = f"features.{x}"
        model.tensors[f"{prefix}.columns"] = np.arange(len(kept))
        for name in ("mean", "scale", "minimum", "maximum"):
            model.tensors[f"{prefix}.{name}"] = model.tensors[f"{prefix}.{name}"][: len(kept)]
        model.tensors[f"networks.0.{x}.0.weight"] = model.tensors[f"networks.0.{x}.0.weight"][:, : len(kept)]
    potential = Potential.load(model.write(folder / "any.atomcore"))
    for symbols in ("CH", "CO"):
        atoms = with_elements(symbols)
        results = potential.compute(atoms)
        energies, forces = reference(model, atoms)
        assert_close(results["energies"], energies, ENGINE)
        assert_close(results["forces"], forces, ENGINE)
    assert not potential.compute(with_elements("CH"))["forces"].any()


def test_more_sets_of_elements_than_are_kept(folder, potential):
    """Sets come and go: results of each stay what they were."""
    elements = ("H", "C", "N", "O")
    large = Potential.load(random_model(elements, reference=(1.0, 2.0, 3.0, 4.0)).write(folder / "four.atomcore"))
    sets = ["".join(some) for n in (1, 2, 3, 4) for some in combinations(elements, n)]
    first = {symbols: large.compute(with_elements(symbols), EVERYTHING) for symbols in sets}
    for symbols in reversed(sets):
        again = large.compute(with_elements(symbols), EVERYTHING)
        for name in EVERYTHING:
            assert_close(again[name], first[symbols][name], EXACT)


@pytest.mark.parametrize("symbols", SUBSETS)
def test_absent_neighbours_are_extrapolation(folder, symbols):
    """Features that training never saw at zero, in a structure where they are zero for want of an element."""
    model = random_model()
    features = ranged(model, [with_elements(ELEMENTS, seed) for seed in range(3)])
    atoms = with_elements(symbols, seed=9)
    found = Potential.load(model.write(folder / "any.atomcore")).compute(atoms, EXTRAPOLATION)
    G = features.compute(atoms)
    for i, x in enumerate(atoms.symbols):
        low, high = (model.tensors[f"features.{x}.{end}"] for end in ("minimum", "maximum"))
        beyond = np.maximum(low - G[i], G[i] - high)
        unit = np.maximum(high - low, 0.01 * (high - low).max())
        outside = beyond > np.maximum(64 * np.finfo(float).eps * np.maximum(abs(low), abs(high)), 1e-6 * unit)
        assert found["extrapolation"][i] == outside.sum()
        assert_close(found["extrapolation_excess"][i], (beyond / unit)[outside].max(initial=0), ENGINE)
        if outside.any():
            assert found["extrapolation_feature"][i] == np.where(outside, beyond / unit, -np.inf).argmax()


# Batches


def mixed_structures() -> list[ase.Atoms]:
    """Return structures of all sizes and periodicities, some of one atom or none."""
    structures = [make() for make in STRUCTURES.values()]
    structures += [ase.Atoms("C"), ase.Atoms(), water_box(5), with_elements("O"), linear()]
    for seed in range(60):
        atoms = molecule_rattled() if seed % 2 else small_crystal()
        atoms.rattle(0.05, seed=seed)
        structures.append(atoms[: 3 + seed % (len(atoms) - 2)])
    return structures


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("members", [1, 3])
def test_a_batch_is_its_structures_one_by_one(folder, precision, members):
    model = random_model(members=members, requires=("ensemble",) if members > 1 else ())
    path = model.write(folder / "any.atomcore")
    names = (*EVERYTHING, "forces_spread", "energy_spread") if members > 1 else EVERYTHING
    structures = mixed_structures()
    one_by_one = [Potential.load(path, precision=precision, threads=1).compute(atoms, names) for atoms in structures]
    for threads in (1, 2, 7):
        together = Potential.load(path, precision=precision, threads=threads).compute_batch(iter(structures), names)
        for found, expected in zip(together, one_by_one, strict=True):
            assert list(found) == list(names)
            for name in names:
                assert_close(found[name], expected[name], EXACT)


def test_stress_in_a_batch(potential):
    crystals = [with_elements(symbols) for symbols in SUBSETS]
    for found, atoms in zip(potential.compute_batch(crystals, ["stress"]), crystals, strict=True):
        assert_close(found["stress"], potential.compute(atoms, ["stress"])["stress"], EXACT)
    assert potential.compute_batch([]) == []


def test_errors_in_a_batch_name_the_structure(potential):
    good, wrong = molecule_rattled(), molecule_rattled()
    wrong.numbers[2] = 7
    with pytest.raises(ValueError, match=r"structure 2: numbers: .* 7 \(N\)"):
        potential.compute_batch([good, good, wrong, good])
    wrong = molecule_rattled()
    wrong.positions[5] = wrong.positions[2]
    with pytest.raises(ValueError, match="structure 1: positions: atoms 2 and 5"):
        potential.compute_batch([good, wrong])
    wrong.positions[5] = np.nan
    with pytest.raises(ValueError, match="structure 3: positions"):
        potential.compute_batch([good, good, good, wrong])
    with pytest.raises(TypeError, match="structure 1: atoms must have an attribute 'positions'"):
        potential.compute_batch([good, "ethanol.xyz"])
    with pytest.raises(ValueError, match="structure 1: stress needs a cell"):
        potential.compute_batch([small_crystal(), good], ["stress"])


# One structure that moves


def test_an_evaluator_gives_the_bits_of_its_potential(potential):
    """Whatever moved before: atoms, by little and far, through the cell, the cell itself, and what the atoms are."""
    random = np.random.default_rng(5)
    evaluator, calculator = Evaluator(potential), Calculator(potential)
    atoms = water_box(5)
    for step in range(60):
        atoms.positions += random.normal(scale=0.03, size=atoms.positions.shape)
        if step % 7 == 3:
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + random.normal(scale=0.01, size=(3, 3))), scale_atoms=True)
        if step % 11 == 5:
            atoms.wrap()
        if step % 13 == 7:
            atoms.positions[step] += atoms.cell[step % 3]
        if step == 31:
            atoms.pbc = (True, False, True)
        if step == 40:
            atoms.numbers[::5] = 6
        if step == 50:
            del atoms[[3, 4]]
        expected = potential.compute(atoms, EVERYTHING)
        for found in (evaluator.compute(atoms, EVERYTHING), calculator.get_property("forces", atoms)):
            if isinstance(found, dict):
                for name in EVERYTHING:
                    assert_close(found[name], expected[name], EXACT)
            else:
                assert_close(found, expected["forces"], EXACT)


# Memory, and an end before the end

PREPARE = """
import resource, signal, time
import numpy as np
from ase.build import bulk
from atomcore.potential import Potential
potential = Potential.load({path!r}, threads={threads})
"""


def script(path, body: str, threads: int = 1) -> str:
    return PREPARE.format(path=str(path), threads=threads) + body


@pytest.mark.parametrize("threads", [1, 4])
def test_memory_of_many_atoms(folder, threads):
    """Beyond positions, list and forces an evaluation takes less than 1 kB an atom."""
    path = random_model(cutoff=3.0).write(folder / "short.atomcore")
    out = run_python(
        script(
            path,
            """
atoms = bulk("C", "diamond", a=3.57, cubic=True) * (25, 25, 20)
pairs = 16 * len(atoms)  # within 3 A in diamond
def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
forces = potential.energy_forces(atoms)[1]
known = 8 * len(atoms) + 20 * pairs + 2 * forces.nbytes + atoms.positions.nbytes
print(len(atoms), (peak() - before - known) / len(atoms))
""",
            threads,
        )
    )
    n, beyond = out.split()
    assert int(n) == 100000
    assert float(beyond) < 1000


@pytest.mark.parametrize("batch", [False, True], ids=["one structure", "a batch"])
def test_ctrl_c_stops_a_long_evaluation(folder, batch):
    path = random_model(cutoff=6.0).write(folder / "long.atomcore")
    argument = "[small] * 40000" if batch else "large"
    out = run_python(
        script(
            path,
            f"""
small = bulk("C", "diamond", a=3.57, cubic=True)
large = small * (20, 20, 20)
expected = potential.energy_forces(small)
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.5)
start = time.perf_counter()
try:
    potential.{"compute_batch" if batch else "compute"}({argument})
    print("it came to its end")
except KeyboardInterrupt:
    print(time.perf_counter() - start)
found = potential.energy_forces(small)
assert found[0] == expected[0] and np.array_equal(found[1], expected[1])
""",
        )
    )
    assert 0.4 < float(out) < 2.5


def test_many_calls_leave_no_memory_behind(folder):
    path = random_model().write(folder / "model.atomcore")
    out = run_python(
        script(
            path,
            """
structures = [bulk("C", "diamond", a=3.57, cubic=True) * (n, 1, 1) for n in range(1, 13)]
def resident():
    return 4096 * int(open("/proc/self/statm").read().split()[1])
def run(times):
    for i in range(times):
        potential.compute(structures[i % len(structures)])
        if i % 10 == 0:
            potential.compute_batch(structures[: i % len(structures)])
run(100)
before = resident()
run(1000)
print((resident() - before) / 1e6)
""",
        )
    )
    assert float(out) < 5
