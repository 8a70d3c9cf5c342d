"""Ensembles: members trained one after the other on the same features."""

import json
import sys

import numpy as np
import pytest
import torch

import atomcore
from atomcore.models import Ensemble
from atomcore.train import fit
from atomcore.train.checkpoints import CheckedCheckpointIO
from atomcore.train.folder import LAST
from atomcore.train.task import Task
from test_training import QUICK, assert_same_bits, new_model, new_split
from tolerances import ENGINE, INVARIANT, assert_close

FIT = sys.modules["atomcore.train.network_fit"]


def weights_of(model):
    return torch.cat([weight.detach().ravel() for weight in model.networks.parameters()])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of an ensemble of three networks, trained for two epochs, the ensemble and the report."""
    folder = tmp_path_factory.mktemp("ensemble")
    model = Ensemble(new_model(), 3)
    report = fit(model, new_split(), max_epochs=2, run_dir=folder, config="a: 1\n", **QUICK)
    return folder, model, report


def test_each_member_is_the_run_that_its_seed_makes_alone(trained):
    _, ensemble, report = trained
    for m in range(3):
        alone = new_model(seed=m)
        single = fit(alone, new_split(), max_epochs=2, seed=m, **QUICK)
        assert single.history == report.histories[m]
        assert torch.equal(weights_of(alone), weights_of(ensemble.members[m]))
    assert len({row[-1]["train_loss"] for row in report.histories}) == 3


def test_the_folder_of_an_ensemble_holds_one_model_and_a_run_each(trained):
    folder, ensemble, report = trained
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "config.yaml", "metrics.json", "model.atomcore", "split.json",
        *(f"member-{m}/{name}" for m in range(3) for name in ("last.ckpt", "log.csv")),
    }  # fmt: skip
    potential = atomcore.Potential.load(folder / "model.atomcore")
    assert potential.members == 3
    split = new_split()
    errors = np.array([potential.energy_forces(a)[0] for a in split.test]) - split.test.energy
    assert_close(report.test["energy_rmse"], np.sqrt(np.mean(errors**2)), INVARIANT)
    mean = np.mean([member.double().energy_forces(split.test[0])[0] for member in ensemble.members])
    assert_close(potential.energy_forces(split.test[0])[0], mean, ENGINE)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["epochs"] == [2, 2, 2]
    assert len(metrics["best_epoch"]) == 3
    assert "network 2: 2 epochs" in str(report)


def test_features_are_computed_once(monkeypatch):
    calls, original = [], FIT.make_material
    monkeypatch.setattr(FIT, "make_material", lambda *a: calls.append(1) or original(*a))
    fit(Ensemble(new_model(), 2), new_split(), max_epochs=1, **QUICK)
    assert len(calls) == 1


def test_an_interrupted_ensemble_goes_on_where_it_was(tmp_path, monkeypatch):
    choices = {"max_epochs": 3, "bagging": True, **QUICK}
    fit(Ensemble(new_model(), 3), new_split(), run_dir=tmp_path / "whole", **choices)
    original = Task.on_train_epoch_start

    def interrupt(self):
        original(self)
        if self.current_epoch == 1 and self.options.seed == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Task, "on_train_epoch_start", interrupt)
        with pytest.raises(KeyboardInterrupt, match="resume"):
            fit(Ensemble(new_model(), 3), new_split(), run_dir=tmp_path / "parts", **choices)
    with pytest.raises(ValueError, match=r"holds a run already \(member-0/last.ckpt, member-1/last.ckpt\)"):
        fit(Ensemble(new_model(), 3), new_split(), run_dir=tmp_path / "parts", **choices)
    epochs = []
    with monkeypatch.context() as patch:
        patch.setattr(Task, "on_train_epoch_start", lambda self: epochs.append(self.options.seed) or original(self))
        fit(Ensemble(new_model(), 3), new_split(), run_dir=tmp_path / "parts", resume=True, **choices)
    assert epochs == [1, 1, 2, 2, 2]
    for m in range(3):
        whole, parts = (
            CheckedCheckpointIO().load_checkpoint(tmp_path / run / f"member-{m}" / LAST) for run in ("whole", "parts")
        )
        assert_same_bits(whole["state_dict"], parts["state_dict"])
        logs = [(tmp_path / run / f"member-{m}" / "log.csv").read_bytes() for run in ("whole", "parts")]
        assert logs[0] == logs[1]


def test_bagging_draws_the_training_structures_of_each_member(monkeypatch):
    drawn, original = [], FIT.Task
    monkeypatch.setattr(FIT, "Task", lambda model, material, *rest: drawn.append(material) or original(
        model, material, *rest))  # fmt: skip
    split = new_split()
    train = split.indices["train"]
    fit(Ensemble(new_model(), 2), split, max_epochs=1, bagging=True, **QUICK)
    for material in drawn:
        assert len(material.train) == len(train)
        assert set(material.train) < set(train)
        assert material.valid.tolist() == split.indices["valid"].tolist()
    assert drawn[0].train.tolist() != drawn[1].train.tolist()


def test_what_does_not_go_together_is_refused(trained, tmp_path):
    folder, _, _ = trained
    with pytest.raises(ValueError, match="bagging is true, but there is one network"):
        fit(new_model(), new_split(), bagging=True, **QUICK)
    with pytest.raises(TypeError, match="model is a Ensemble; accepted: BehlerParrinello"):
        Ensemble(Ensemble(new_model(), 2), 2)
    with pytest.raises(ValueError, match="members is 1001; accepted: whole numbers from 2 to 1000"):
        Ensemble(new_model(), 1001)
    with pytest.raises(ValueError, match="bagging is 1; accepted: true, false"):
        fit(Ensemble(new_model(), 2), new_split(), bagging=1, **QUICK)
    again = {"max_epochs": 2, "run_dir": folder, "resume": True, **QUICK}
    with pytest.raises(ValueError, match="belongs to another run: its bagging is False, here it is True"):
        fit(Ensemble(new_model(), 3), new_split(), bagging=True, **again)
    with pytest.raises(ValueError, match=r"no last.ckpt to continue from"):
        fit(new_model(), new_split(), **again)
    fit(new_model(), new_split(), max_epochs=1, run_dir=tmp_path, **QUICK)
    with pytest.raises(ValueError, match=r"no member-0/last.ckpt to continue from"):
        fit(Ensemble(new_model(), 3), new_split(), **{**again, "run_dir": tmp_path})


def test_a_new_run_leaves_nothing_of_a_larger_ensemble(tmp_path):
    fit(Ensemble(new_model(), 3), new_split(), max_epochs=1, run_dir=tmp_path, **QUICK)
    fit(Ensemble(new_model(), 2), new_split(), max_epochs=1, run_dir=tmp_path, overwrite=True, **QUICK)
    for name in (LAST, "log.csv"):
        assert {path.parent.name for path in tmp_path.rglob(name)} == {"member-0", "member-1"}


def test_an_ensemble_leaves_nothing_of_the_single_network_before_it(tmp_path):
    """The log and the configuration of the earlier run would be drawn and read as those of this one."""
    fit(new_model(), new_split(), max_epochs=1, run_dir=tmp_path, config="a: 1\n", **QUICK)
    fit(Ensemble(new_model(), 2), new_split(), max_epochs=1, run_dir=tmp_path, overwrite=True, **QUICK)
    assert {path.name for path in tmp_path.iterdir()} == {
        "member-0", "member-1", "metrics.json", "model.atomcore", "split.json",
    }  # fmt: skip


def test_files_that_are_no_run_are_left_alone(tmp_path):
    (tmp_path / "config.yaml").write_text("mine: true\n")
    fit(Ensemble(new_model(), 2), new_split(), max_epochs=1, run_dir=tmp_path, overwrite=True, **QUICK)
    assert (tmp_path / "config.yaml").read_text() == "mine: true\n"
