"""Constant pressure, and runs that are stopped as soon as they stop making sense."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.io import read
from ase.units import GPa, kB

from atomcore import AtomcoreError
from atomcore.cli import md as command
from atomcore.md import block_mean, simulate
from tolerances import INVARIANT, assert_close


class Quiet(Calculator):
    """No forces at all, and whatever else a test asks for from a given evaluation on."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, change=lambda results, atoms: None, after=0):
        super().__init__()
        self.change, self.after, self.calls = change, after, 0

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}
        self.calls += 1
        if self.calls > self.after:
            self.change(self.results, atoms)


def gas(calculator, *, n=8, side=6.0):
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), -1).reshape(-1, 3)[:n]
    return Atoms(f"Ar{n}", 0.5 * side * grid, cell=3 * [side], pbc=True, calculator=calculator)


def test_an_ideal_gas_has_the_volume_and_the_fluctuations_of_its_ensemble(tmp_path):
    """V has the density V^N exp(-P V / kT), so its mean is (N + 1) kT / P and its deviation that over sqrt(N + 1)."""
    n, temperature, expected = 8, 300.0, 6.0**3
    pressure = (n + 1) * kB * temperature / expected / GPa
    choices = {"dt": 5.0, "temperature": temperature, "pressure": pressure, "friction": 0.02, "barostat_time": 0.1}
    atoms = gas(Quiet())
    run = _without_distances(simulate)(atoms, tmp_path, ps=30.0, ensemble="npt", progress=False, **choices)
    assert run.volume is not None
    assert run.pressure is not None
    mean, error = block_mean(run.volume)
    assert error < 0.05 * expected
    assert abs(mean - expected) < 4 * error
    assert 0.8 < run.volume.std() * np.sqrt(n + 1) / expected < 1.2
    assert abs(run.temperature.mean() / temperature - 1) < 0.06
    assert_close(run.pressure, 2 * run.kinetic / (3 * run.volume) / GPa, INVARIANT)
    table = np.genfromtxt(tmp_path / "energies.csv", delimiter=",", names=True)
    assert_close(table["volume_A3"], run.volume, INVARIANT)
    assert_close(table["pressure_GPa"], run.pressure, INVARIANT)


def _without_distances(function):
    """Run ``function`` with atoms that may be at one place."""

    def run(*arguments, **keywords):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("atomcore.md.watch._CLOSEST", 1e-9)
            return function(*arguments, **keywords)

    return run


def test_a_crystal_keeps_its_shape_and_the_pressure_that_it_is_given(tmp_path):
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.calc = EMT()
    angles = atoms.cell.angles()
    run = simulate(
        atoms, tmp_path, ps=1.2, dt=4.0, temperature=300.0, ensemble="npt", pressure=5.0, friction=0.02,
        barostat_time=0.3, equilibrate=0.4, progress=False,
    )  # fmt: skip
    assert_close(atoms.cell.angles(), angles, INVARIANT)
    assert_close(atoms.cell.lengths() / atoms.cell.lengths()[0], np.ones(3), INVARIANT)
    mean, error = block_mean(run.pressure)
    assert abs(mean - 5.0) < 4 * error < 4.0
    assert run.volume.mean() < 0.98 * bulk("Cu").get_volume() * len(atoms)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"pressure": float("nan")}, "pressure is nan; accepted: a finite number"),
        ({"barostat_time": 0.0}, "barostat_time is 0.0; accepted: a finite number above zero"),
        ({"friction": 0.0}, "friction is 0.0; accepted: a finite number above zero"),
        ({"ensemble": "nvt"}, "ensemble is 'nvt'; accepted: nve, langevin, npt"),
    ],
)
def test_unsuitable_conditions_are_named(tmp_path, keywords, message):
    with pytest.raises(ValueError, match=message):
        simulate(gas(Quiet()), tmp_path / "new", ps=1.0, progress=False, **{"ensemble": "npt", **keywords})
    assert not (tmp_path / "new").exists()


def test_constant_pressure_needs_a_cell_and_free_atoms(tmp_path):
    from ase.constraints import FixAtoms

    slab, held = gas(Quiet()), gas(Quiet())
    slab.pbc = [True, True, False]
    held.set_constraint(FixAtoms([0]))
    for atoms, message in ((slab, "periodic in three directions"), (held, "constraints cannot hold; got FixAtoms")):
        with pytest.raises(ValueError, match=message):
            simulate(atoms, tmp_path / "new", ps=1.0, ensemble="npt", progress=False)
    assert not (tmp_path / "new").exists()


def shock(results, atoms):
    results["forces"][5, 0] = 1e5


def nan_force(results, atoms):
    results["forces"][3, 1] = np.nan


def jump(results, atoms):
    results["energy"] = 50.0


def refuse(results, atoms):
    raise ValueError("no such place")


def give_up(results, atoms):
    raise AtomcoreError("the result is not finite")


FAULTS = [
    (nan_force, 6, "the force of atom 3 \\(Ar\\) is not finite"),
    (jump, 6, "the energy has changed by 50 eV more than the work of the forces"),
    (refuse, 6, "no such place"),
    (give_up, 6, "the result is not finite"),
    (shock, 6, "atom 5 \\(Ar\\)"),
]


@pytest.mark.parametrize("ensemble", ["nve", "langevin", "npt"])
@pytest.mark.parametrize(("fault", "after", "message"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS])
def test_a_run_ends_with_the_first_bad_step_and_keeps_the_last_good_one(tmp_path, ensemble, fault, after, message):
    """Evaluation 1 is that of the start, so that evaluation 7 belongs to step 6 and step 5 is the last good one."""
    atoms = gas(Quiet(fault, after))
    start = atoms.positions.copy()
    with pytest.raises(AtomcoreError, match=f"the run has stopped at step 6 \\(0.003 ps\\): .*{message}"):
        simulate(atoms, tmp_path, ps=1.0, dt=0.5, ensemble=ensemble, frame_interval=0.5, progress=False)
    assert len(np.genfromtxt(tmp_path / "energies.csv", delimiter=",", names=True)) == 3  # 0, 1 and 2 fs
    good, bad = read(tmp_path / "last_good.extxyz"), read(tmp_path / "stopped.extxyz")
    frames = read(tmp_path / "trajectory.extxyz", ":")
    assert len(frames) == 6
    assert_close(good.positions, frames[-1].positions, INVARIANT)
    assert_close(good.get_momenta(), frames[-1].get_momenta(), INVARIANT)
    assert np.abs(good.get_momenta()).max() > 0.1
    assert np.isfinite(good.get_potential_energy())
    speed = np.abs(good.get_velocities()).max()
    assert 0 < np.abs(bad.positions - good.positions).max() < 1.0 * speed
    assert np.abs(good.positions - start).max() > 0


def test_atoms_that_overlap_are_named_before_the_first_step(tmp_path):
    atoms = gas(Quiet())
    atoms.positions[7] = atoms.positions[2] + [0.3, 0.0, 6.0]  # through the wall of the cell
    with pytest.raises(AtomcoreError, match=r"at step 0 .*atom 2 \(Ar\) and atom 7 \(Ar\) are 0.3 A apart"):
        simulate(atoms, tmp_path, ps=1.0, progress=False)
    assert not (tmp_path / "last_good.extxyz").exists()
    assert len(read(tmp_path / "stopped.extxyz")) == 8


def test_a_start_that_is_too_hot_is_stopped_and_an_equilibration_says_that_it_was_one(tmp_path):
    choices = {"ps": 1.0, "dt": 1.0, "progress": False}
    atoms = gas(Quiet(lambda results, atoms: results["forces"].fill(2e3), 5))
    with pytest.raises(AtomcoreError, match=r"equilibration has stopped at step \d+ .* K, atom \d \(Ar\) is the fast"):
        simulate(atoms, tmp_path, equilibrate=0.1, **choices)


def test_what_an_earlier_run_left_goes(tmp_path):
    with pytest.raises(AtomcoreError):
        simulate(gas(Quiet(jump, 6)), tmp_path, ps=1.0, progress=False)
    simulate(gas(Quiet()), str(tmp_path), ps=0.001, progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"trajectory.extxyz", "energies.csv"}


DOUBTS = ("extrapolation", "extrapolation_excess", "extrapolation_feature", "energies_spread", "forces_spread")


class Doubtful(Quiet):
    """Extrapolates more and more, like a model that is used where it was not trained; refuses beyond a limit."""

    def __init__(self, limit=np.inf):
        super().__init__()
        self.limit = limit
        labels = ["G2 H", "G2 O"]
        self.potential = SimpleNamespace(feature_labels=labels, members=4, compute=self.compute, properties=DOUBTS)

    def compute(self, atoms, properties):
        zeros = np.zeros(len(atoms))
        excess = zeros.copy()
        excess[4] = max(0.0, (self.calls - 11) / 10)
        known = {
            "extrapolation": (excess > 0).astype(np.int64),
            "extrapolation_excess": excess,
            "extrapolation_feature": np.where(excess > 0, 1, -1),
            "energies_spread": zeros + 0.1,
            "forces_spread": np.tile([0.3, 0.0, 0.4], (len(atoms), 1)),
        }
        return {name: known[name] for name in properties}

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        names = ("extrapolation", "extrapolation_excess", "extrapolation_feature", "forces_spread")
        self.results |= self.compute(atoms, names)
        if self.results["extrapolation_excess"].max() > self.limit:
            raise TooFar("atom 4 extrapolates", 4)


class TooFar(AtomcoreError):
    def __init__(self, message, atom):
        super().__init__(message)
        self.atom = atom


def test_doubts_are_recorded_step_by_step(tmp_path):
    run = simulate(gas(Doubtful()), tmp_path, ps=0.02, dt=1.0, progress=False)
    assert_close(run.extrapolation_excess, np.maximum(0.0, (np.arange(21) - 10) / 10), INVARIANT)
    assert_close(run.forces_spread, np.full(21, 0.5), INVARIANT)
    assert run.worst[:3] == (20, 4, "G2 O")
    assert_close(run.worst.excess, 1.0, INVARIANT)
    table = np.genfromtxt(tmp_path / "energies.csv", delimiter=",", names=True)
    assert_close(table["extrapolation_excess_max"], run.extrapolation_excess, INVARIANT)
    assert_close(table["forces_spread_max_eV_per_A"], run.forces_spread, INVARIANT)


@pytest.mark.parametrize("ensemble", ["nve", "npt"])
def test_a_start_beyond_a_limit_is_kept_as_well(tmp_path, ensemble):
    calculator = Doubtful(limit=0.55)
    calculator.calls = 100
    with pytest.raises(TooFar, match="the run has stopped at step 0"):
        simulate(gas(calculator), tmp_path, ps=1.0, ensemble=ensemble, progress=False)
    assert read(tmp_path / "stopped.extxyz").arrays["extrapolation"][4] == 1


def test_a_limit_stops_the_run_and_keeps_the_frame_with_its_doubts(tmp_path):
    with pytest.raises(TooFar, match=r"the run has stopped at step 16 \(0.016 ps\): atom 4 extrapolates") as caught:
        simulate(gas(Doubtful(limit=0.55)), tmp_path, ps=1.0, dt=1.0, progress=False)
    assert caught.value.atom == 4
    frame = read(tmp_path / "stopped.extxyz")
    assert frame.arrays["extrapolation"].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]
    assert_close(frame.arrays["extrapolation_excess"][4], 0.6, INVARIANT)
    assert frame.arrays["forces_spread"].shape == (8, 3)
    assert len(np.genfromtxt(tmp_path / "energies.csv", delimiter=",", names=True)) == 16


def test_the_command_says_what_a_run_at_constant_pressure_and_one_with_doubts_found(tmp_path, capsys):
    atoms = bulk("Cu", cubic=True)
    choices = {"temperature": 300.0, "seed": 0, "overwrite": False, "equilibrate": 0.0, "friction": 0.01}
    npt = {"ps": 0.3, "dt": 4.0, "ensemble": "npt", "pressure": 0.0, "barostat_time": 0.3}
    metrics = command.run(atoms, EMT(), tmp_path / "npt", **choices, **npt)
    assert "mean volume" in capsys.readouterr().out
    assert abs(metrics["mean_volume_A3"] / bulk("Cu", cubic=True).get_volume() - 1) < 0.1
    assert metrics["mean_volume_standard_error_A3"] > 0
    assert abs(metrics["mean_pressure_GPa"]) < 20
    assert (tmp_path / "npt/md_volume.png").stat().st_size > 10_000
    command.run(gas(None), Doubtful(), tmp_path / "nve", ps=0.02, dt=1.0, ensemble="nve", **choices)
    text = capsys.readouterr().out
    assert "10 of 21 sampled steps extrapolate, worst at step 20: atom 4 (Ar), 1 ranges outside in G2 O" in text
    assert "largest spread of a force 0.5 eV/A" in text
    with pytest.raises(TooFar):
        command.run(gas(None), Doubtful(limit=0.55), tmp_path / "stop", ps=1.0, dt=1.0, ensemble="nve", **choices)
    assert "at step 16" in json.loads((tmp_path / "stop/metrics.json").read_text())["md"]["stopped"]


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [(1277.6181, 1.08819, "1277.6 +- 1.1"), (0.00415, 0.109, "0.00 +- 0.11"), (5432.1, 120.0, "5432 +- 120")],
)
def test_means_have_the_digits_that_their_errors_allow(mean, error, text):
    assert command._with_error(mean, error) == text
