"""Training on stress: gradients, units, logs, and what it takes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import atomcore
from atomcore.models import BehlerParrinello
from atomcore.train import Options, fit
from atomcore.train.losses import Sums, loss_of, predict_batch
from atomcore.train.parallel import Ranks
from atomcore.train.prepare import make_material
from atomcore.train.task import Task
from helpers import slope
from test_training import QUICK
from tolerances import ENGINE, FLOAT32, FORCES_FD, INVARIANT, WEIGHTS_FD, assert_close
from training_sets import crystals, molecules, small_features

VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]


def new_model():
    return BehlerParrinello(small_features(("Cu",)), hidden=(6,), seed=0)


def task_of(data, **options):
    model, choices = new_model(), Options(precision="float64", **options)
    return Task(model, make_material(model, data.split(), choices, Ranks()), choices, identity={})


def predicted(task, structures):
    batch = task.material.graph.batch(np.array(structures))
    return predict_batch(task.model, task.material.source, batch, forces=True, stress=True, differentiable=False)


@pytest.mark.parametrize("cache", [True, False])
def test_strain_gradients_are_those_of_the_engine_and_of_finite_differences(cache, tmp_path):
    data = crystals(3)
    task = task_of(data, stress_weight=1.0, cache=cache)
    task.model.save(tmp_path / "model.atomcore")
    potential = atomcore.Potential.load(tmp_path / "model.atomcore")
    virial = predicted(task, [2, 0, 1]).virial
    for position, structure in enumerate((2, 0, 1)):
        atoms = data[structure]
        assert_close(virial[position], potential.compute(atoms, ("stress",))["stress"] * atoms.get_volume(), ENGINE)

        def energy(strain, atoms=atoms):
            strained = atoms.copy()
            strained.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
            return potential.energy_forces(strained)[0]

        for component, (i, j) in enumerate(VOIGT):
            direction = np.zeros((3, 3))
            direction[i, j] += 0.5
            direction[j, i] += 0.5
            assert_close(virial[position, component], slope(energy, np.zeros((3, 3)), direction), FORCES_FD)


def test_weight_gradients_of_the_stress_term_match_finite_differences():
    task = task_of(crystals(4), stress_weight=1.0)

    def loss():
        errors = task._errors(np.array([3, 0, 1]), differentiable=True)
        return loss_of(errors, {"energy": 0.0, "forces": 0.0, "stress": 2.0})

    loss().backward()
    for weight in task.model.networks.parameters():
        numerical = torch.zeros_like(weight)
        for i in np.ndindex(*weight.shape):
            kept = float(weight.detach()[i])

            def moved(value, weight=weight, i=i):
                with torch.no_grad():
                    weight[i] = value
                return float(loss().detach())

            numerical[i] = slope(moved, kept, 1.0)
            moved(kept)
        assert_close(weight.grad, numerical, WEIGHTS_FD)


def test_the_loss_has_the_virial_per_atom_and_the_log_the_stress():
    data = crystals(4)
    task = task_of(data, stress_weight=3.0)
    structures = np.array([1, 2, 0])
    errors = task._errors(structures, differentiable=False)
    stress = np.array([data[i].get_stress() for i in structures])
    volume = np.array([data[i].get_volume() for i in structures])
    difference = predicted(task, structures).virial.detach().numpy() / volume[:, None] - stress
    virial = difference * (volume / data.n_atoms[structures])[:, None]
    only = {"energy": 0.0, "forces": 0.0, "stress": 3.0}
    assert_close(loss_of(errors, only).detach(), 3.0 * np.mean(virial**2), INVARIANT)
    sums = Sums()
    for part in (structures[:1], structures[1:]):
        sums.add(task._errors(part, differentiable=False))
    assert_close(sums.summary(only)["loss"], 3.0 * np.mean(virial**2), INVARIANT)
    assert_close(sums.summary(only)["stress_rmse"], np.sqrt(np.mean(difference**2)), INVARIANT)


def test_stress_is_learned_when_asked_for(tmp_path, caplog):
    split = crystals(40).split(valid=5, test=5, seed=0)
    reports = {}
    for weight in (0.0, 10.0):
        with caplog.at_level("INFO", "atomcore"):
            reports[weight] = fit(
                new_model(), split, max_epochs=60, stress_weight=weight, run_dir=tmp_path / str(weight), **QUICK
            )
        assert ("which is not trained on" in caplog.text) == (weight == 0.0)
        caplog.clear()
        log = np.genfromtxt(tmp_path / str(weight) / "log.csv", delimiter=",", names=True)
        assert ("valid_stress_rmse" in log.dtype.names) == (weight > 0)
    spread = float(np.std(split.dataset.stress))
    errors = {weight: report.test["stress_rmse"] for weight, report in reports.items()}
    assert errors[10.0] < 0.2 * spread
    assert errors[10.0] < errors[0.0]
    best = min(reports[10.0].history, key=lambda row: row["valid_loss"])
    assert_close(reports[10.0].valid["stress_rmse"], best["valid_stress_rmse"], FLOAT32)


def test_stress_that_is_not_there_cannot_be_learned():
    with pytest.raises(ValueError, match=r"stress_weight is 1.0, but data has no stress; accepted: 0"):
        task_of(molecules(4), stress_weight=1.0)
    without = replace(crystals(4), stress=None)
    with pytest.raises(
        ValueError, match=r"convergence has stress_rmse, which is not trained on; accepted: energy_rmse"
    ):
        task_of(without, convergence={"stress_rmse": 1.0})
