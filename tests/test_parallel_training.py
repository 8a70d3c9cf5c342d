"""Several processes that train one model: the same numbers as one with batches as large together."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atomcore.models import BehlerParrinello, Ensemble
from atomcore.train import TrainingError, fit
from atomcore.train.checkpoints import CheckedCheckpointIO
from atomcore.train.folder import LAST
from atomcore.train.losses import Labels
from helpers import run_command
from test_training import QUICK, new_model
from tolerances import PARALLEL, assert_close
from training_sets import crystals, molecules, small_features

LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def train_everything(folder, batch_size):
    """Training runs whose results may not depend on the number of processes; 13 structures leave a batch of one."""
    choices = {**QUICK, "batch_size": batch_size, "precision": "float64"}
    split = molecules(24).split(train=13, valid=5, test=6, seed=0)
    for epochs in (2, 3):
        options = {**choices, "max_epochs": epochs, "schedule_epochs": 3, "early_stopping": 3}
        fit(new_model(), split, run_dir=folder / "molecules", resume=True, **options)
    copper = crystals(8)
    copper = replace(copper, uncertainty=np.linspace(1.0, 2.0, 8)).split(train=7, valid=1, seed=0)
    model = BehlerParrinello(small_features(("Cu",)), hidden=(6,))
    fit(model, copper, max_epochs=3, optimizer="lbfgs", stress_weight=2.0, run_dir=folder / "copper", **{
        name: value for name, value in choices.items() if name != "learning_rate"})  # fmt: skip
    fit(Ensemble(new_model(), 2), split, max_epochs=3, schedule="plateau", bagging=True, run_dir=folder / "ensemble",
        **choices)  # fmt: skip


def train_with_a_wrong_label(batch_size):
    """Return what the run ends with."""
    make = Labels.make

    def poisoned(*arguments, **arrays):
        labels = make(*arguments, **arrays)
        labels.energy[7] = float("nan")
        return labels

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Labels, "make", poisoned)
        try:
            fit(new_model(), molecules(24).split(), **{**QUICK, "batch_size": batch_size})
        except TrainingError as error:
            return str(error)
    return "nothing"


PROGRAM = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_parallel_training as runs
folder = Path(sys.argv[2])
runs.train_everything(folder, 3)
Path(folder / ("error-" + os.environ["RANK"])).write_text(runs.train_with_a_wrong_label(12))
"""


def test_two_processes_follow_one_with_the_doubled_batch(tmp_path):
    train_everything(tmp_path / "one", 6)
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "two").mkdir()
    run_command([*LAUNCHER, str(tmp_path / "program.py"), str(Path(__file__).parent), str(tmp_path / "two")],
                OMP_NUM_THREADS="1")  # fmt: skip
    for run in ("molecules", "copper", "ensemble/member-0", "ensemble/member-1"):
        logs = [np.genfromtxt(tmp_path / name / run / "log.csv", delimiter=",", names=True) for name in ("one", "two")]
        assert len(logs[0]) == 3
        assert logs[0].dtype.names == logs[1].dtype.names
        for name in logs[0].dtype.names:
            assert_close(logs[1][name], logs[0][name], PARALLEL)
        one, two = (CheckedCheckpointIO().load_checkpoint(tmp_path / name / run / LAST) for name in ("one", "two"))
        assert one["state_dict"].keys() == two["state_dict"].keys()
        for name, value in one["state_dict"].items():
            assert_close(two["state_dict"][name], value, PARALLEL)
    names = [{str(p.relative_to(tmp_path / name)) for p in (tmp_path / name).rglob("*")} for name in ("one", "two")]
    assert names[1] == names[0] | {"error-0", "error-1"}
    expected = train_with_a_wrong_label(24)
    assert "structure 7;" in expected
    assert [(tmp_path / f"two/error-{rank}").read_text() for rank in range(2)] == [expected, expected]
