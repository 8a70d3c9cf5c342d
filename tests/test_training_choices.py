"""Optimisers, schedules, criteria to stop at, weights of terms and of structures."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atomcore.potential import Potential
from atomcore.train import Options, fit
from atomcore.train.losses import loss_of
from atomcore.train.options import OPTIMIZERS
from test_stress_training import task_of as copper_task_of
from test_training import QUICK, errors_of, new_model, new_split, task_of
from tolerances import EXACT, FLOAT32, INVARIANT, assert_close
from training_sets import crystals, molecules

PLAIN = {name: value for name, value in QUICK.items() if name != "learning_rate"}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_learns_and_can_be_resumed(optimizer, tmp_path):
    split = new_split(molecules(40))
    choices = {**PLAIN, "optimizer": optimizer, "schedule": "none"}
    whole = fit(new_model(), split, max_epochs=8, run_dir=tmp_path / "whole", **choices)
    for epochs in (3, 8):
        parts = fit(new_model(), split, max_epochs=epochs, run_dir=tmp_path / "parts", resume=True, **choices)
    assert parts.history == whole.history
    assert whole.history[-1]["train_loss"] < 0.3 * whole.history[0]["train_loss"]
    if optimizer == "lbfgs":
        assert whole.history[-1]["step"] == 8
        assert whole.history[-1]["train_loss"] < 0.01 * whole.history[0]["train_loss"]


def test_full_batches_are_summed_from_pieces_of_the_batch_size():
    gradients = []
    for pieces in ([[4, 1, 0, 5, 2]], [[4, 1], [0, 5], [2]]):
        task = task_of(molecules(6), precision="float64", optimizer="lbfgs")
        arrays = [np.array(piece) for piece in pieces]
        counts = task.material.labels.counts(np.concatenate(arrays))
        loss = task._summed(arrays, counts)
        loss.backward()
        gradients.append(torch.cat([loss.detach()[None], *(w.grad.ravel() for w in task.model.networks.parameters())]))
    assert_close(gradients[0], gradients[1], INVARIANT)
    errors = errors_of(task, [4, 1, 0, 5, 2], differentiable=True)
    expected = loss_of(errors, task.options.weights(0))
    assert_close(gradients[0][0], expected.detach(), INVARIANT)
    weights = list(task.model.networks.parameters())
    assert_close(gradients[0][1:], torch.cat([g.ravel() for g in torch.autograd.grad(expected, weights)]), INVARIANT)


def rates(epochs, **choices):
    report = fit(new_model(), new_split(), max_epochs=epochs, warmup_epochs=0.0, **QUICK, **choices)
    return np.array([row["learning_rate"] for row in report.history])


def test_steps_of_the_learning_rate_come_after_the_epochs_named():
    # The log has the rate after the last step of an epoch.
    assert_close(rates(6, schedule="step", decay_every=2, decay_factor=0.1), 5e-3 * 0.1 ** np.array([0, 1, 1, 2, 2, 3]),
                 INVARIANT)  # fmt: skip
    assert_close(rates(5, schedule="multistep", decay_after=[1, 4]), 5e-3 * 0.5 ** np.array([1, 1, 1, 2, 2]), INVARIANT)


def test_a_run_stops_when_its_errors_are_small_enough(tmp_path):
    split = new_split(molecules(60))
    goal = {"forces_rmse": 0.3, "energy_rmse_per_atom": 0.1}
    choices = {**QUICK, "schedule": "none", "run_dir": tmp_path}
    report = fit(new_model(), split, max_epochs=100, convergence=goal, **choices)
    reached = [all(row[f"valid_{name}"] < value for name, value in goal.items()) for row in report.history]
    assert reached.index(True) == len(reached) - 1 < 99
    assert report.best_epoch == len(reached) - 1
    assert_close(report.valid["forces_rmse"], report.history[-1]["valid_forces_rmse"], FLOAT32)
    again = fit(new_model(), split, max_epochs=100, convergence=goal, resume=True, **choices)
    assert again.history == report.history
    tighter = {name: 0.9 * report.valid[name] for name in goal}
    more = fit(new_model(), split, max_epochs=100, convergence=tighter, resume=True, **choices)
    assert len(more.history) > len(report.history)
    impossible = {**QUICK, "convergence": {"forces_rmse": 1e-9}}
    assert len(fit(new_model(), split, max_epochs=2, **impossible).history) == 2


def test_weights_go_to_their_final_values_in_equal_ratios():
    options = Options(max_epochs=5, energy_weight=1.0, final_energy_weight=16.0, stress_weight=8.0)
    assert_close([options.weights(epoch)["energy"] for epoch in range(6)], [1.0, 2.0, 4.0, 8.0, 16.0, 16.0], INVARIANT)
    assert options.weights() == {"charges": 1.0, "energy": 16.0, "forces": 1.0, "stress": 8.0}
    assert options.weights(2)["stress"] == 8.0
    assert_close(Options(max_epochs=1, final_energy_weight=3.0).weights(0)["energy"], 30.0, EXACT)
    with pytest.raises(ValueError, match=r"forces_weight is 0\.0; accepted: a number above 0 where there is a final"):
        Options(forces_weight=0.0, final_forces_weight=1.0)


def test_the_loss_that_chooses_the_best_epoch_has_the_final_weights():
    choices = {**QUICK, "energy_weight": 1.0, "final_energy_weight": 100.0, "forces_weight": 10.0,
               "final_forces_weight": 0.1}  # fmt: skip
    report = fit(new_model(), new_split(), max_epochs=4, **choices)
    for row in report.history:
        loss = 100.0 * row["valid_energy_rmse_per_atom"] ** 2 + 0.1 * row["valid_forces_rmse"] ** 2
        assert_close(row["valid_loss"], loss, INVARIANT)
    constant = fit(new_model(), new_split(), max_epochs=4, **{**choices, "final_energy_weight": None})
    assert constant.history[0]["train_energy_rmse_per_atom"] == report.history[0]["train_energy_rmse_per_atom"]
    assert constant.history[-1]["train_energy_rmse_per_atom"] != report.history[-1]["train_energy_rmse_per_atom"]


def test_uncertain_structures_count_less():
    data = crystals(5)
    sigma = np.array([1.0, 2.0, 0.5, 1.0, 4.0])
    uncertain = replace(data, uncertainty=sigma)
    weight = sigma**-2 / np.mean(sigma**-2)
    plain, weighted = (copper_task_of(part, stress_weight=2.0) for part in (data, uncertain))
    structures = np.array([4, 0, 1])
    errors = plain._errors(structures, differentiable=False)
    w = torch.tensor(weight[structures])
    expected = 30.0 * (w * errors.energy**2).mean() + (w[errors.owner][:, None] * errors.forces**2).mean()
    expected = expected + 2.0 * (w[:, None] * (errors.volume[:, None] * errors.stress) ** 2).mean()
    found = loss_of(weighted._errors(structures, differentiable=False), weighted.options.weights())
    assert_close(found.detach(), expected.detach(), INVARIANT)
    scaled = copper_task_of(replace(data, uncertainty=1e-200 * sigma), stress_weight=2.0)
    again = loss_of(scaled._errors(structures, differentiable=False), scaled.options.weights())
    assert_close(again.detach(), expected.detach(), INVARIANT)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"optimizer": "sgd"}, "optimizer is 'sgd'; accepted: one of adamw, adam, amsgrad, adagrad, lbfgs"),
        ({"decay_after": [3, 2]}, r"decay_after is \[3, 2\]; accepted: a list of rising whole numbers from 1"),
        ({"decay_after": 3}, "decay_after is 3; accepted: a list of rising whole numbers from 1"),
        ({"decay_factor": 0.0}, "decay_factor is 0.0; accepted: a fraction"),
        ({"convergence": {"forces": 0.1}}, "convergence is .*; accepted: numbers above 0 under energy_rmse_per"),
        ({"convergence": {"forces_rmse": 0.0}}, "convergence is .*; accepted: numbers above 0"),
        ({"convergence": {}}, "convergence is .*; accepted: numbers above 0"),
        ({"convergence": 0.1}, "convergence is .*; accepted: numbers above 0"),
        ({"final_energy_weight": 0.0}, "final_energy_weight is 0.0; accepted: a number above 0"),
        ({"energy_weight": 0.0, "forces_weight": 0.0}, "energy_weight is 0.0; accepted: a number above 0, as the"),
    ],
)  # fmt: skip
def test_unsuitable_choices_are_named(choices, message):
    with pytest.raises(ValueError, match=message):
        fit(new_model(), new_split(), **choices)


def test_labels_without_any_weight_are_refused():
    with pytest.raises(ValueError, match="energy_weight is 0, and data has no other labels with a weight"):
        fit(new_model(), new_split(molecules(with_forces=False)), energy_weight=0.0, **QUICK)


def test_uncertainties_outside_of_the_training_part():
    split = new_split(molecules(24))
    before = fit(new_model(), split, max_epochs=2, **QUICK)
    for part, size in (("test", 1e-200), ("test", 1e200), ("valid", 1e200)):
        uncertainty = np.ones(24)
        uncertainty[split.indices[part]] = size
        same = replace(split, dataset=replace(split.dataset, uncertainty=uncertainty))
        after = fit(new_model(), same, max_epochs=2, **QUICK)
        assert [row["train_loss"] for row in after.history] == [row["train_loss"] for row in before.history]
    uncertainty = np.where(np.isin(np.arange(24), split.indices["valid"]), 1e-7, 1.0)
    uncertain = replace(split, dataset=replace(split.dataset, uncertainty=uncertainty))
    with pytest.raises(ValueError, match=rf"uncertainty of structure {split.indices['valid'][0]} is 1e-07"):
        fit(new_model(), uncertain, max_epochs=2, **QUICK)


def test_a_model_of_differences_says_to_what(tmp_path, capsys):
    from atomcore.cli import info

    model, path = new_model(), tmp_path / "difference.atomcore"
    fit(model, new_split(replace(molecules(), baseline="E_low")), max_epochs=1, **QUICK)
    model.save(path)
    assert Potential.load(path).info["provenance"]["baseline"] == "E_low"
    info.main([str(path)])
    assert "differences to E_low" in capsys.readouterr().out
    fit(model, new_split(molecules()), max_epochs=1, **QUICK)
    assert "baseline" not in model.provenance
