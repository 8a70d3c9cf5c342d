"""Several runs of one command, several processes of one run, curves for TensorBoard."""

import csv
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from atomcore._files import write_json
from atomcore.cli.overrides import parse, restated
from atomcore.cli.sweep import Run, summarise
from atomcore.train import fit
from atomcore.train.task import Task
from helpers import run_command
from test_cli import _SMALL, run_here
from test_training import QUICK, new_model, new_split
from tolerances import FLOAT32, INVARIANT, assert_close
from training_sets import molecules

COMMAND = [sys.executable, "-m", "atomcore"]


def summary(folder):
    with (folder / "summary.csv").open() as file:
        return list(csv.DictReader(file))


def test_folds_end_with_their_mean_and_deviation(tmp_path):
    molecules(30).save(tmp_path / "set.extxyz")
    folds = ("split=kfold", "split.folds=3", "split.fold=0,1,2", "data.units=eV, Angstrom")
    text = run_here("train", "-m", "data.path=set.extxyz", *folds, *_SMALL, cwd=tmp_path)
    rows = summary(tmp_path / "run")
    assert [(row["run"], row["split.fold"]) for row in rows] == [*((str(i), str(i)) for i in range(3)), ("mean", ""),
                                                                  ("std", "")]  # fmt: skip
    for name in ("test_energy_rmse_per_atom", "test_forces_rmse"):
        values = [float(row[name]) for row in rows]
        assert len(set(values)) == 5
        assert_close(values[3:], [np.mean(values[:3]), np.std(values[:3], ddof=1)], INVARIANT)
    lines = text[text.index("root mean square errors of the runs (test part):") :].splitlines()
    assert lines[1].split() == ["run", "split.fold", "energy,", "meV/atom", "forces,", "meV/A"]
    assert lines[5].split()[-1] == f"{1000 * float(rows[3]['test_forces_rmse']):.4g}"
    assert [line.split()[0] for line in lines[2:7]] == ["0", "1", "2", "mean", "std"]


def test_the_summary_of_a_sweep_has_a_gap_where_a_run_failed(tmp_path):
    molecules(12).save(tmp_path / "set.extxyz")
    arguments = ("train", "data.path=set.extxyz", "-m", "optimizer.learning_rate=1e6,1e-3", "split.test=0", *_SMALL)
    assert "run 0: training diverged" in run_here(*arguments, cwd=tmp_path, code=1)
    failed, good = summary(tmp_path / "run")
    assert failed["optimizer.learning_rate"] == "1000000.0"
    assert failed["valid_forces_rmse"] == ""
    assert float(good["valid_forces_rmse"]) > 0


def test_the_values_of_a_sweep_are_shown_as_they_were_given(tmp_path):
    molecules(16).save(tmp_path / "set.extxyz")
    indices = (":12", "2:16")
    run_here("train", "-m", "data.path=set.extxyz", f"data.index={','.join(indices)}", *_SMALL, cwd=tmp_path)
    assert tuple(row["data.index"] for row in summary(tmp_path / "run")) == indices


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.dir=file", "run.dir is 'file', but 'file' is no folder"),
        ("run.dir=file/in", "run.dir is 'file/in', but 'file' is no folder"),
        ("schedule=glob(*)", "schedule=glob(*): accepted are names with commas between them"),
    ],
)
def test_sweeps_that_cannot_start_are_refused_in_words(tmp_path, override, message):
    (tmp_path / "file").touch()
    text = run_here("train", "-m", "data=glycol", "seed=0,1", override, cwd=tmp_path, code=2)
    assert message in text
    assert "Traceback" not in text


def test_folds_that_fail_do_not_count(tmp_path):
    def ended(number, code):
        (tmp_path / str(number)).mkdir()
        if not code:
            write_json(tmp_path / str(number) / "metrics.json", {"valid": {"forces_rmse": float(number)}})
        return Run(number, {"split.fold": str(number), "seed": "0"}, tmp_path / str(number), code)

    text = summarise([ended(0, 1), ended(1, 0), ended(2, 0)], ["split.fold", "seed"], tmp_path)
    assert [line.split()[0] for line in text.splitlines()[2:]] == ["0", "1", "2", "mean", "std"]
    assert float(summary(tmp_path)[3]["valid_forces_rmse"]) == 1.5
    (tmp_path / "summary.csv").unlink()
    assert summarise([ended(3, 2)], ["split.fold"], tmp_path).startswith("no run has ended well:")
    assert not (tmp_path / "summary.csv").exists()


def test_one_option_starts_several_processes(tmp_path):
    molecules(20).save(tmp_path / "set one's.extxyz")
    command = [*COMMAND, "train", "data.path=set one's.extxyz", *_SMALL]
    text = run_command([*command, "run.dir=a b", "run.processes=2"], cwd=tmp_path)
    assert text.count("energy, meV/atom") == 1
    from atomcore.train.checkpoints import CheckedCheckpointIO
    from atomcore.train.folder import LAST

    assert CheckedCheckpointIO().load_checkpoint(tmp_path / "a b" / LAST)["atomcore"]["identity"]["processes"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {"a b", "set one's.extxyz"}


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("data.index=\\:120\\:10", ":120:10"),
        ("data.path='one\\'s set.npz'", "one's set.npz"),
        ("run.dir=a b", "a b"),
        ("data.index=0", 0),
        ("data.units=null", None),
        ("model.hidden=[4,4]", [4, 4]),
    ],
)
def test_what_hydra_escapes_in_a_sweep_reaches_the_processes_of_its_runs(override, value):
    again = restated(override)
    assert parse(again).value() == value
    assert restated(again) == again


def test_faults_in_several_processes_are_told_once(tmp_path):
    molecules(20).save(tmp_path / "set.extxyz")
    arguments = ["train", "data.path=set.extxyz", "run.processes=2", "training.batch_size=0", *_SMALL]
    result = subprocess.run([*COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.count("batch_size is 0; accepted: a whole number") == 1
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_several_processes_can_be_interrupted_and_continued(tmp_path):
    molecules(20).save(tmp_path / "set.extxyz")
    command = [*COMMAND, "train", "data.path=set.extxyz", *_SMALL, "run.processes=2", "schedule=none"]
    process = subprocess.Popen(
        [*command, "training.max_epochs=100000"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.count("interrupted; resume (run.resume=true) continues the run") == 1
    assert "Traceback" not in said
    log = (tmp_path / "run/log.csv").read_text().splitlines()
    more = [f"training.max_epochs={len(log) + 5}", "run.resume=true"]
    run_command([*command, *more], cwd=tmp_path, OMP_NUM_THREADS="1")
    assert (tmp_path / "run/log.csv").read_text().splitlines()[: len(log) - 1] == log[:-1]


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder))
    board.Reload()
    return {tag: [(event.step, event.value) for event in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


def test_tensorboard_gets_the_rows_of_the_log_those_of_a_continued_run_once(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    choices = {**QUICK, "run_dir": tmp_path, "tensorboard": True, "schedule_epochs": 4}
    original = Task.on_validation_epoch_end

    def interrupt(self):
        original(self)
        if self.current_epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Task, "on_validation_epoch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(new_model(), new_split(), max_epochs=4, **choices)
    report = fit(new_model(), new_split(), max_epochs=4, resume=True, **choices)
    found = scalars(tmp_path / "tensorboard")
    assert set(found) == {
        "learning_rate", *(f"{name}/{part}" for part in ("train", "valid") for name in
                           ("loss", "energy_rmse_per_atom", "forces_rmse")),
    }  # fmt: skip
    for tag, key in (("loss/valid", "valid_loss"), ("learning_rate", "learning_rate")):
        assert [step for step, _ in found[tag]] == [1, 2, 3, 4]
        assert_close([value for _, value in found[tag]], [row[key] for row in report.history], FLOAT32)
    fit(new_model(), new_split(), max_epochs=1, overwrite=True, **{**choices, "tensorboard": False})
    assert not (tmp_path / "tensorboard").exists()


def test_tensorboard_that_is_absent_is_missed_before_training(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="tensorboard needs run_dir"):
        fit(new_model(), new_split(), tensorboard=True, **QUICK)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package tensorboard: pip install"):
        fit(new_model(), new_split(), tensorboard=True, run_dir=tmp_path, **QUICK)
    assert not list(tmp_path.iterdir())
