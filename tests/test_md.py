"""Molecular dynamics and the drift of its energy."""

import numpy as np
import pytest
from ase import Atoms

from atomcore.evaluation import Predictions, evaluate, metrics_table
from atomcore.md import energy_drift, simulate
from tolerances import INVARIANT, assert_close
from training_sets import molecules


class Spring:
    """A potential for evaluation: a constant energy and forces."""

    members = 1
    target = "energy"
    properties = ("energy", "forces")

    def compute(self, atoms, properties):
        known = {"energy": 1.0, "forces": np.zeros((len(atoms), 3))}
        return {name: known[name] for name in properties}


def springs(atoms):
    """Give ``atoms`` ASE's own pair potential, so that no model is needed."""
    from ase.calculators.morse import MorsePotential

    atoms.calc = MorsePotential(r0=1.0, epsilon=0.5, rho0=4.0)
    return atoms


def test_the_drift_of_a_straight_line_is_its_slope_and_noise_is_within_its_error():
    generator = np.random.default_rng(0)
    time = np.linspace(0.0, 2.0, 2001)
    drift = energy_drift(time, 3.0 + 0.25 * time)
    assert_close(drift.slope, 0.25, INVARIANT)
    assert drift.standard_error < 1e-12
    errors = []
    for _ in range(200):
        noisy = energy_drift(time, 0.25 * time + np.sin(200 * np.pi * time) + generator.normal(0.0, 0.1, len(time)))
        errors.append((noisy.slope - 0.25) / noisy.standard_error)
    # Student's t with 18 degrees of freedom has a standard deviation of 1.06.
    assert 0.85 < np.std(errors) < 1.3
    with pytest.raises(ValueError, match="10 samples, 20 blocks"):
        energy_drift(time[:10], time[:10])


def test_nve_conserves_energy_and_momentum_and_is_repeatable(tmp_path):
    choices = {"ps": 0.05, "dt": 0.1, "temperature": 50.0, "progress": False}
    first, second = (simulate(springs(molecules(1)[0]), tmp_path, seed=3, **choices) for _ in range(2))
    assert np.ptp(first.total_per_atom) < 0.05 * np.ptp(first.kinetic) * 1000
    assert np.array_equal(first.potential, second.potential)
    assert len(first.time) == 51


def test_langevin_equilibration_sets_the_temperature(tmp_path):
    atoms = springs(molecules(1)[0])
    choices = {"dt": 0.5, "temperature": 200.0, "friction": 0.05, "progress": False}
    run = simulate(atoms, tmp_path, ps=3.0, ensemble="langevin", equilibrate=0.5, **choices)
    assert 120 < run.temperature.mean() < 280


@pytest.mark.parametrize(("name", "value"), [("ps", 0.0), ("dt", float("nan")), ("temperature", -1.0)])
def test_unsuitable_numbers_are_named(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"{name} is .*; accepted: a finite number"):
        simulate(springs(molecules(1)[0]), tmp_path, **{"ps": 1.0, "progress": False, name: value})
    assert not list(tmp_path.iterdir())


def test_an_interrupted_run_keeps_its_energies(tmp_path):
    atoms = springs(molecules(1)[0])
    calculate, calls = atoms.calc.calculate, []

    def interrupted(*arguments, **keywords):
        calls.append(0)
        if len(calls) > 20:
            raise KeyboardInterrupt
        calculate(*arguments, **keywords)

    atoms.calc.calculate = interrupted
    with pytest.raises(KeyboardInterrupt):
        simulate(atoms, tmp_path / "new", ps=1.0, dt=1.0, temperature=50.0, progress=False)
    energies = np.genfromtxt(tmp_path / "new/energies.csv", delimiter=",", names=True)
    assert len(energies) == 20


def test_constraints_count_in_the_temperature(tmp_path):
    from ase.constraints import FixAtoms

    temperatures = []
    for fixed in ([], [0, 1]):
        atoms = springs(Atoms("H4", positions=1.1 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])))
        atoms.set_constraint(FixAtoms(fixed) if fixed else [])
        start = atoms.positions.copy()
        run = simulate(atoms, tmp_path, ps=0.001, dt=0.1, temperature=100.0, progress=False)
        assert np.array_equal(atoms.positions[fixed], start[fixed])
        temperatures.append(run.temperature[0] / run.kinetic[0])
    assert_close(temperatures[0] / temperatures[1], 1.0, INVARIANT)  # 12 - 6 and 12 - 6 degrees of freedom


@pytest.mark.parametrize("symbols", ["H2", "CO2"])
def test_linear_molecules_turn_about_two_axes(tmp_path, symbols, recwarn):
    from ase.units import kB

    n = 2 if symbols == "H2" else 3
    atoms = springs(Atoms(symbols, positions=np.arange(n)[:, None] * np.array([[0.7, 0.6, 0.5]])))
    run = simulate(atoms, tmp_path, ps=0.001, dt=0.1, temperature=10.0, progress=False)
    assert_close(run.temperature[0], 2 * run.kinetic[0] / (kB * (3 * n - 5)), INVARIANT)
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


def test_nothing_that_moves_is_refused(tmp_path):
    from ase.constraints import FixAtoms

    with pytest.raises(ValueError, match="at least one; got none"):
        simulate(springs(Atoms()), tmp_path / "new", ps=1.0, progress=False)
    held = springs(Atoms("H2", positions=[[0, 0, 0], [0, 0, 1.0]], constraint=FixAtoms([0, 1])))
    with pytest.raises(ValueError, match="one that can move; got 2"):
        simulate(held, tmp_path / "new", ps=1.0, progress=False)
    assert not (tmp_path / "new").exists()


def test_metrics_are_what_their_names_say():
    predictions = Predictions(
        energy=np.array([1.0, 2.0]),
        energy_label=np.array([0.0, 4.0]),
        n_atoms=np.array([1, 4]),
        forces=np.array([[3.0, 0.0, 0.0]]),
        forces_label=np.zeros((1, 3)),
    )
    metrics = predictions.metrics()
    assert_close(metrics["energy_rmse"], np.sqrt(2.5), INVARIANT)
    assert_close(metrics["energy_mae"], 1.5, INVARIANT)
    assert_close(metrics["energy_rmse_per_atom"], np.sqrt((1 + 0.25) / 2), INVARIANT)
    assert_close(metrics["energy_mae_per_atom"], 0.75, INVARIANT)
    assert_close(metrics["forces_rmse"], np.sqrt(3.0), INVARIANT)
    assert_close(metrics["forces_mae"], 1.0, INVARIANT)
    assert "1732" in metrics_table({"test": metrics})
    large = metrics_table({"validation": dict.fromkeys(metrics, -1.2345e250)})
    assert large.splitlines()[-1].split() == ["validation", *["-1.234e+253"] * 6]


def test_evaluation_needs_labels():
    data = molecules(2)
    assert evaluate(Spring(), data).forces.shape == data.forces.shape
    with pytest.raises(ValueError, match="energies to compare with"):
        evaluate(Spring(), data.subset([]))


def test_evaluation_says_which_structure_is_refused():
    class Picky(Spring):
        def compute(self, atoms, properties):
            if self.seen:
                raise ValueError("no such element")
            self.seen = True
            return super().compute(atoms, properties)

        seen = False

    data = molecules(2)
    with pytest.raises(ValueError, match=rf"structure 1 of {data.source} .*: no such element"):
        evaluate(Picky(), data)
