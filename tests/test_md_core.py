"""Molecular dynamics of exported models in the compiled loop: the physics, and how it stops."""

import contextlib
import importlib
import sys

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.constraints import FixAtoms
from ase.io import read
from ase.io.extxyz import write_extxyz

from atomcore import AtomcoreError, Calculator, Potential
from atomcore.calculators import ExtrapolationError
from atomcore.md import block_mean, core_run, energy_drift, simulate
from atomcore.md.files import FrameFile
from pair_model import crystal, pair_model
from structures import slab, water_crystal
from tolerances import INVARIANT, REVERSED, ROUNDING, assert_close

simulation = importlib.import_module("atomcore.md.simulate")  # the module, which the function hides
FILES = ("trajectory.extxyz", "energies.csv")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return pair_model().write(tmp_path_factory.mktemp("md") / "pair.atomcore")


def run(atoms, folder, **choices):
    return simulate(atoms, folder, **{"ps": 0.05, "dt": 1.0, "progress": False} | choices)


@contextlib.contextmanager
def drawing(draw):
    """Draw velocities by ``draw(atoms)``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "draw_velocities", lambda atoms, *_: draw(atoms))
        yield


def contents(folder):
    return [(folder / name).read_bytes() for name in FILES]


@pytest.mark.parametrize("masses", [None, "heavy hydrogen"])
def test_velocity_verlet_is_that_of_ase(model, tmp_path, masses):
    atoms = [crystal(model) for _ in range(2)]
    if masses is not None:
        for each in atoms:
            each.set_masses(np.linspace(1.0, 60.0, len(each)))
    core = run(atoms[0], tmp_path / "core", frame_interval=5.0)
    ase = run(atoms[1], tmp_path / "ase", frame_interval=5.0, engine="ase")
    assert len(core.time) == 51
    for name in ("time", "potential", "kinetic", "temperature", "extrapolation_excess"):
        assert_close(getattr(core, name), getattr(ase, name), ROUNDING)
    assert_close(atoms[0].positions, atoms[1].positions, ROUNDING)
    assert_close(atoms[0].get_velocities(), atoms[1].get_velocities(), ROUNDING)
    frames = [read(tmp_path / folder / FILES[0], ":") for folder in ("core", "ase")]
    assert len(frames[0]) == len(frames[1]) == 11
    for one, other in zip(*frames, strict=True):
        assert one.arrays.keys() == other.arrays.keys()
        assert one.calc.results.keys() == other.calc.results.keys()
        assert_close(one.get_stress(), other.get_stress(), INVARIANT)
    header = [(tmp_path / folder / FILES[1]).read_text().splitlines()[0] for folder in ("core", "ase")]
    assert header[0] == header[1]


SMALL = {
    "one atom": Atoms("O"),
    "pair": Atoms("OC", [[0, 0, 0], [0, 0, 2.3]]),
    "beyond the cutoff": Atoms("OC", [[0, 0, 0], [0, 0, 9.0]]),
    "slab": bulk("C", "fcc", a=3.3, cubic=True) * (2, 2, 1),
    "thin cell": bulk("C", "fcc", a=3.3),
}
SMALL["slab"].pbc = (True, True, False)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_small_and_open_structures_run(model, tmp_path, name, ensemble):
    atoms = [SMALL[name].copy() for _ in range(2)]
    for each, engine in zip(atoms, ("auto", "ase"), strict=True):
        each.calc = Calculator(model)
        result = run(each, tmp_path, ps=0.02, ensemble=ensemble, engine=engine, seed=2**70)
        assert np.isfinite(result.temperature).all()
        assert len(result.time) == 21
    if ensemble == "nve":
        assert_close(atoms[0].positions, atoms[1].positions, ROUNDING)
    assert np.abs(atoms[0].positions - SMALL[name].positions).max() > 1e-3


def test_what_the_loop_cannot_run_goes_through_ase(model):
    class Own(Calculator):
        pass

    atoms = crystal(model)
    assert core_run.suits(atoms, "nve")
    assert core_run.suits(atoms, "langevin")
    assert not core_run.suits(atoms, "npt")
    held = atoms.copy()
    held.calc, held.constraints = atoms.calc, [FixAtoms([0])]
    assert not core_run.suits(held, "nve")
    atoms.calc = Own(model)
    assert not core_run.suits(atoms, "nve")
    atoms.calc = None
    assert not core_run.suits(atoms, "nve")


@pytest.mark.parametrize("make", [slab, water_crystal])
def test_frames_are_as_ase_writes_them(tmp_path, make):
    atoms = make()
    n = len(atoms)
    atoms.set_momenta(np.linspace(-1, 1e4, 3 * n).reshape(n, 3))
    atoms.set_tags(range(n))
    atoms.set_array("flag", np.arange(n) % 2 == 0)
    atoms.set_array("one", np.linspace(0, 1, n)[:, None])
    atoms.set_array("word", np.array(["ab", "c"] * n)[:n])
    atoms.info |= {"energy": -1.5e-7, "stress": np.arange(9.0).reshape(3, 3), "note": "two words", "n": 3}
    with (tmp_path / "ase").open("w") as file:
        write_extxyz(file, [atoms, atoms])
    frames = FrameFile(tmp_path / "own")
    frames.add(atoms)
    frames.add(atoms)
    frames.close()
    assert (tmp_path / "own").read_bytes() == (tmp_path / "ase").read_bytes()
    assert frames.size == (tmp_path / "own").stat().st_size


def test_energy_is_conserved_as_the_square_of_the_step_and_time_runs_backwards(model, tmp_path):
    fluctuations = []
    for dt in (4.0, 2.0):
        atoms = crystal(model)
        result = run(atoms, tmp_path, ps=2.0, dt=dt, temperature=200.0)
        drift = energy_drift(result.time, result.total_per_atom)
        assert drift.standard_error < 0.05
        assert abs(drift.slope) < 4 * drift.standard_error + 1e-3  # meV/atom/ps
        line = np.polyval(np.polyfit(result.time, result.total_per_atom, 1), result.time)
        fluctuations.append(np.std(result.total_per_atom - line))
    assert 3.6 < fluctuations[0] / fluctuations[1] < 4.4

    start, momenta = atoms.get_positions(), atoms.get_momenta()
    with drawing(lambda atoms: None):
        for _ in range(2):
            run(atoms, tmp_path, ps=1.0, dt=2.0)
            atoms.set_momenta(-atoms.get_momenta())
    assert np.abs(read(tmp_path / FILES[0], 0).positions - start).max() > 0.1
    assert_close(atoms.positions, start, REVERSED)
    assert_close(atoms.get_momenta(), momenta, REVERSED)


def test_momentum_is_conserved(model, tmp_path):
    atoms = crystal(model)
    run(atoms, tmp_path, ps=1.0)
    assert_close(atoms.get_momenta().sum(axis=0), np.zeros(3), INVARIANT)


def test_langevin_dynamics_have_the_distribution_of_the_temperature(model, tmp_path):
    """Kinetic energies have the mean and the variance of 3N squared normal deviates, for light and heavy atoms."""
    atoms, temperature = crystal(model), 200.0
    atoms.set_masses(np.where(atoms.symbols == "O", 40.0, 12.0))
    choices = {"dt": 1.0, "friction": 0.05, "temperature": temperature, "frame_interval": 20.0, "seed": 4}
    result = run(atoms, tmp_path, ps=20.0, ensemble="langevin", equilibrate=1.0, **choices)
    mean, error = block_mean(result.temperature)
    assert error < 4.0
    assert abs(mean - temperature) < 4 * error
    spread = temperature * np.sqrt(2 / (3 * len(atoms)))
    assert 0.9 < result.temperature.std() / spread < 1.1
    momenta = np.array([frame.get_momenta() for frame in read(tmp_path / FILES[0], ":")])
    per_atom = np.mean(momenta**2, axis=(0, 2)) / (atoms.get_masses() * units.kB * temperature)
    for symbol in ("C", "O"):
        assert abs(per_atom[atoms.symbols == symbol].mean() - 1) < 0.05
    assert np.abs(momenta.mean(axis=0)).max() < 5 * np.sqrt(40 * units.kB * temperature / len(momenta) * 5)


def test_seeds_differ_and_no_friction_is_velocity_verlet(model, tmp_path):
    final = []
    choices = [("langevin", 1, 0.02), ("langevin", 2, 0.02), ("langevin", 1, 0.0), ("nve", 1, 0.1)]
    with drawing(lambda atoms: atoms.set_momenta(np.random.default_rng(0).standard_normal((len(atoms), 3)))):
        for ensemble, seed, friction in choices:
            atoms = crystal(model)
            run(atoms, tmp_path, ps=0.02, ensemble=ensemble, friction=friction, seed=seed)
            final.append(atoms.get_positions())
    assert np.abs(final[0] - final[1]).max() > 1e-3
    assert_close(final[2], final[3], ROUNDING)


def test_overlapping_atoms_stop_the_run_before_it_moves(model, tmp_path):
    atoms = crystal(model)
    atoms.positions[7] = atoms.positions[2] + [0.3, 0.0, atoms.cell[2, 2]]  # through the wall of the cell
    with pytest.raises(AtomcoreError, match=r"at step 0 .*atom 2 \(C\) and atom 7 \(C\) are 0.3 A apart"):
        run(atoms, tmp_path)
    assert not (tmp_path / "last_good.extxyz").exists()
    assert len(read(tmp_path / "stopped.extxyz")) == len(atoms)
    assert contents(tmp_path) == [b"", b""]


def test_a_step_that_is_too_long_stops_the_run_at_once_and_keeps_the_last_good_frame(model, tmp_path):
    """ASE's integrators, whose every step `Watch` checks, stop at the same one."""
    messages, frames = [], []
    for engine in ("auto", "ase"):
        atoms = crystal(model)
        with pytest.raises(
            AtomcoreError, match=r"the run has stopped at step \d+ .*blown up: .*atom \d+ \(.\)"
        ) as caught:
            run(atoms, tmp_path / engine, ps=100.0, dt=20.0, temperature=600.0, frame_interval=20.0)
        messages.append(str(caught.value))
        good, bad = (read(tmp_path / engine / name) for name in ("last_good.extxyz", "stopped.extxyz"))
        frames.append(good)
        trajectory = read(tmp_path / engine / FILES[0], ":")
        assert_close(good.positions, trajectory[-1].positions, INVARIANT)
        assert_close(good.get_momenta(), trajectory[-1].get_momenta(), INVARIANT)
        assert np.abs(bad.positions - good.positions).max() > 0.01
        assert f"step {len(trajectory)} " in messages[-1]
        assert len(np.genfromtxt(tmp_path / engine / FILES[1], delimiter=",", names=True)) == len(trajectory)
    assert messages[0] == messages[1]
    assert_close(frames[0].positions, frames[1].positions, INVARIANT)


def test_limits_of_the_calculator_stop_the_run_as_with_ase(tmp_path):
    known = pair_model(largest=0.2).write(tmp_path / "known.atomcore")
    at_rest = crystal(known)
    with pytest.warns(UserWarning, match="lie outside what the model was trained on"):
        excess = at_rest.calc.get_property("extrapolation_excess", at_rest).max()
    caught = []
    for engine in ("auto", "ase"):
        atoms = crystal(known, extrapolation_limit=1.002 * excess)
        with (
            pytest.warns(UserWarning, match="Predictions there are guesses") as told,
            pytest.raises(ExtrapolationError, match=r"the run has stopped at step .*extrapolation_limit is") as error,
        ):
            run(atoms, tmp_path / engine, ps=1.0)
        assert len([w for w in told if "guesses" in str(w.message)]) == 1
        caught.append(error.value)
        assert read(tmp_path / engine / "stopped.extxyz").arrays["extrapolation"].max() > 0
    assert str(caught[0]) == str(caught[1])
    assert caught[0].atom == caught[1].atom
    assert_close(caught[0].excess, caught[1].excess, ROUNDING)
    tables = [np.genfromtxt(tmp_path / engine / FILES[1], delimiter=",", names=True) for engine in ("auto", "ase")]
    assert len(tables[0]) == len(tables[1]) > 3
    assert_close(tables[0]["extrapolation_excess_max"], tables[1]["extrapolation_excess_max"], ROUNDING)


def test_spread_of_an_ensemble_is_recorded_and_limited(tmp_path):
    several = pair_model(members=3).write(tmp_path / "several.atomcore")
    recorded = run(crystal(several, spread_limit=1e3), tmp_path / "wide")
    assert recorded.forces_spread is not None
    assert recorded.forces_spread.max() > 0.01
    limit = np.median(recorded.forces_spread)
    with pytest.raises(ExtrapolationError, match="spread_limit") as error:
        run(crystal(several, spread_limit=limit), tmp_path / "limited")
    step = int(np.argmax(recorded.forces_spread > limit))
    assert f"stopped at step {step} " in str(error.value)
    assert_close(error.value.spread, recorded.forces_spread[step], ROUNDING)
    assert run(crystal(several), tmp_path / "none").forces_spread is None
    limits = (1e3, sys.float_info.max)  # the second limits nothing, so that every other step needs no spread
    half = [run(crystal(several, spread_limit=limit), tmp_path / "half", dt=0.5) for limit in limits]
    assert len(half[0].time) == 51
    assert np.array_equal(half[0].forces_spread, half[1].forces_spread)
    assert np.array_equal(half[0].extrapolation_excess, half[1].extrapolation_excess)


def test_worst_extrapolation_is_that_of_the_samples(tmp_path):
    known = pair_model(largest=0.2).write(tmp_path / "known.atomcore")
    with pytest.warns(UserWarning, match="guesses"):
        result = run(crystal(known), tmp_path)
    at = int(np.argmax(result.extrapolation_excess))
    assert result.worst.step == at
    assert_close(result.worst.excess, result.extrapolation_excess[at], ROUNDING)
    assert result.worst.feature in Potential.load(known).feature_labels


@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_threads_change_no_bit(model, tmp_path, ensemble):
    results = []
    for threads in (1, 2, 4):
        run(crystal(model, threads=threads), tmp_path, ensemble=ensemble, equilibrate=0.01)
        results.append(contents(tmp_path))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("value", [np.nan, 0.0, -1.0])
def test_masses_that_are_none_are_refused(model, tmp_path, value):
    atoms = crystal(model)
    masses = atoms.get_masses()
    masses[3] = value
    atoms.set_array("masses", masses)
    for engine in ("auto", "ase"):
        with pytest.raises(ValueError, match=r"mass of atom 3 \(O\) is .*; accepted: finite and above zero"):
            run(atoms, tmp_path / "new", engine=engine)
    assert not (tmp_path / "new").exists()


def test_unknown_engines_are_refused(model, tmp_path):
    with pytest.raises(ValueError, match="engine is 'gpu'; accepted: auto, ase"):
        run(crystal(model), tmp_path / "new", engine="gpu")
    assert not (tmp_path / "new").exists()


def test_no_step_depends_on_those_before(model, tmp_path, monkeypatch):
    """What the loop keeps between steps, neighbours above all, changes no bit, however far the atoms move."""
    fresh, moved = Potential.load(model), []

    class Checked(core_run.CoreRun):
        def _advance(self, loop, phase):
            super()._advance(loop, phase)
            here = self._atoms.copy()
            here.positions[:] = loop.state["positions"]
            energy, forces = fresh.energy_forces(here)
            assert loop.state["energy"] == energy
            assert np.array_equal(-loop.state["gradient"], forces)
            moved.append(np.abs(here.positions - start).max())

    monkeypatch.setattr(core_run, "CoreRun", Checked)
    atoms = crystal(model)
    start = atoms.get_positions()
    run(atoms, tmp_path, ps=0.6, dt=1.5, frame_interval=1.5, temperature=2000.0, ensemble="langevin")
    assert len(moved) == 401
    assert max(moved) > 2.0


def test_memory_does_not_grow_with_the_run(model, tmp_path):
    import resource

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MB

    run(crystal(model), tmp_path, ps=0.5)
    before = peak()
    run(crystal(model), tmp_path, ps=4.0)
    assert peak() - before < 5
