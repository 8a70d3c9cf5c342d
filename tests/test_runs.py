"""Runs that stop early, are continued or meet faulty data."""

import pytest

from atomcore.data import Dataset
from atomcore.models import BehlerParrinello
from atomcore.train import TrainingError, fit
from atomcore.train.folder import LAST
from atomcore.train.task import Task
from test_training import QUICK, new_model, new_split
from training_sets import molecules, small_features


def test_a_run_that_stopped_early_is_not_trained_further_by_resuming(tmp_path):
    options = {**QUICK, "learning_rate": 1e-12, "ema_decay": 0.0, "run_dir": tmp_path, "schedule": "none"}
    first = fit(new_model(), new_split(), max_epochs=50, early_stopping=2, **options)
    again = fit(new_model(), new_split(), max_epochs=50, early_stopping=2, resume=True, **options)
    assert again.history == first.history
    more = fit(new_model(), new_split(), max_epochs=50, early_stopping=4, resume=True, **options)
    assert len(more.history) == len(first.history) + 2


def test_a_run_shorter_than_its_first_validation_is_kept_and_can_be_continued(tmp_path):
    options = {**QUICK, "run_dir": tmp_path, "validate_every": 5, "schedule_epochs": 4}
    fit(new_model(), new_split(), max_epochs=2, **options)
    with pytest.raises(ValueError, match=r"holds a run already \(last.ckpt, model.atomcore, metrics.json\)"):
        fit(new_model(), new_split(), max_epochs=2, **options)
    assert len(fit(new_model(), new_split(), max_epochs=4, resume=True, **options).history) == 4
    with pytest.raises(ValueError, match="max_epochs is 3, but the run to resume has 4 epochs already"):
        fit(new_model(), new_split(), max_epochs=3, resume=True, **options)
    (tmp_path / LAST).unlink()
    with pytest.raises(ValueError, match=r"holds a run already \(model.atomcore, metrics.json\)"):
        fit(new_model(), new_split(), max_epochs=4, **options)
    with pytest.raises(ValueError, match=r"but no last\.ckpt to continue from"):
        fit(new_model(), new_split(), max_epochs=4, resume=True, **options)
    with pytest.raises(TrainingError):
        fit(new_model(), new_split(), overwrite=True, **{**options, "learning_rate": 1e6, "max_epochs": 4})
    assert not (tmp_path / "model.atomcore").exists()


def test_a_file_in_place_of_the_folder_is_named_before_training(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(ValueError, match=r"run_dir is '.*run', but '.*run' is no folder"):
        fit(new_model(), new_split(), run_dir=tmp_path / "run", **QUICK)


def test_faults_of_the_data_are_told_in_terms_of_the_data():
    data = molecules(6)
    names = ("numbers", "positions", "cells", "pbc", "structure_ptr", "energy", "forces")
    fields = {name: getattr(data, name).copy() for name in names}
    start = data.structure_ptr[4]
    fields["positions"][start + 2] = fields["positions"][start + 1]
    with pytest.raises(ValueError, match="atoms 1 and 2 of structure 4 are at the same place"):
        fit(new_model(), Dataset(**fields), **QUICK)
    fields["positions"] = data.positions
    fields["numbers"][data.structure_ptr[5]] = 6
    split = Dataset(**fields).split(mode="block", block=1, test_every=6)
    assert split.indices["test"].tolist() == [5]
    with pytest.raises(ValueError, match="no atom; other parts of the split have some; take another seed"):
        fit(BehlerParrinello(small_features(("H", "C", "O"))), split, **QUICK)


@pytest.mark.parametrize(("epoch", "hint"), [(0, ""), (1, "resume (run.resume=true) continues the run")])
def test_an_interrupted_run_offers_to_be_resumed_only_when_there_is_a_checkpoint(tmp_path, monkeypatch, epoch, hint):
    original = Task.on_train_epoch_start

    def interrupt(self):
        original(self)
        if self.current_epoch == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(Task, "on_train_epoch_start", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(new_model(), new_split(), max_epochs=3, run_dir=tmp_path, **QUICK)
    assert str(caught.value) == hint
