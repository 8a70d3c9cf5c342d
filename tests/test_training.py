"""Training: gradients, exact resume, divergence, cache, checkpoints."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import atomcore
from atomcore.data import Dataset
from atomcore.models import BehlerParrinello
from atomcore.train import Options, TrainingError, fit
from atomcore.train.batches import Graph
from atomcore.train.cache import Recomputed, Stored, free_memory, make_source
from atomcore.train.checkpoints import CheckedCheckpointIO
from atomcore.train.folder import LAST
from atomcore.train.losses import Labels, loss_of
from atomcore.train.options import SCHEDULES
from atomcore.train.parallel import Ranks
from atomcore.train.prepare import make_material
from atomcore.train.task import Task
from helpers import Payload
from tolerances import EXACT, FLOAT32, INVARIANT, WEIGHTS_FD, assert_close
from training_sets import molecules, small_features

QUICK = {"batch_size": 5, "threads": 1, "progress": False, "learning_rate": 5e-3}


def new_model(seed=0):
    return BehlerParrinello(small_features(), hidden=(8, 6), seed=seed)


def new_split(data=None, **choices):
    data = molecules() if data is None else data
    return data.split(**{"valid": 4, "test": 4, "seed": 1, **choices})


def task_of(data, **options):
    model, choices = new_model(), Options(**options)
    return Task(model, make_material(model, data.split(), choices, Ranks()), choices, identity={})


def errors_of(task, structures, *, differentiable):
    return task._errors(np.array(structures), differentiable=differentiable)


@pytest.mark.parametrize("cache", [True, False])
def test_weight_gradients_of_the_loss_match_finite_differences(cache):
    task = task_of(molecules(6), precision="float64", cache=cache)

    def loss():
        return loss_of(errors_of(task, [4, 1, 0], differentiable=True), {"energy": 3.0, "forces": 2.0})

    loss().backward()
    step = 1e-5
    for weight in task.model.networks.parameters():
        numerical = torch.zeros_like(weight)
        with torch.no_grad():
            for i in np.ndindex(*weight.shape):
                kept = float(weight[i])
                values = []
                for moved in (kept + step, kept - step):
                    weight[i] = moved
                    with torch.enable_grad():
                        values.append(float(loss().detach()))
                weight[i] = kept
                numerical[i] = (values[0] - values[1]) / (2 * step)
        assert_close(weight.grad, numerical, WEIGHTS_FD)


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", INVARIANT), ("float32", FLOAT32)])
def test_stored_and_recomputed_features_give_the_same_losses_and_gradients(precision, tolerance):
    gradients = []
    for cache in (True, False):
        task = task_of(molecules(6), precision=precision, cache=cache)
        assert isinstance(task.material.source, Stored if cache else Recomputed)
        errors = errors_of(task, [5, 2, 3], differentiable=True)
        loss_of(errors, {"energy": 1.0, "forces": 1.0}).backward()
        weights = task.model.networks.parameters()
        gradients.append(torch.cat([errors.forces.detach().ravel(), *(w.grad.ravel() for w in weights)]))
    assert_close(gradients[0], gradients[1], tolerance, scale=float(gradients[1].abs().max()))


def test_the_cache_is_announced_and_given_up_when_memory_is_short(monkeypatch, caplog):
    cache = sys.modules["atomcore.train.cache"]
    data = molecules(6)
    task = task_of(data)
    arguments = (task.model, Graph(data, task.model.features.numbers, 4.0), torch.float32)
    with caplog.at_level("INFO", "atomcore"):
        assert isinstance(make_source(*arguments, cache=None, with_jacobian=True), Stored)
        monkeypatch.setattr(cache, "free_memory", lambda: 1e4)
        assert isinstance(make_source(*arguments, cache=None, with_jacobian=True), Recomputed)
    assert "Keeping features and their Jacobian between epochs: about" in caplog.text
    assert "of 10 kB free memory" in caplog.text


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, 8_000_000 * 1024),
        ({"box/job": ("max", 5000, 0), "box": ("max", 5000, 0)}, 8_000_000 * 1024),
        ({"box/job": (9000, 5000, 1000), "box": ("max", 8000, 0)}, 5000),
        ({"box/job": ("max", 5000, 0), "box": (9000, 8000, 0)}, 1000),
        ({"box/job": (4000, 5000, 0)}, 0),
    ],
    ids=["none", "unlimited", "own", "enclosing", "exceeded"],
)
def test_free_memory_is_that_of_the_container(tmp_path, limits, expected):
    (tmp_path / "self").mkdir()
    (tmp_path / "self/cgroup").write_text("4:memory:/old\n0::/box/job\n")
    (tmp_path / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable:    8000000 kB\n")
    for group, (limit, used, files) in limits.items():
        folder = tmp_path / "cgroups" / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 7\ninactive_file {files}\n")
    assert free_memory(tmp_path, tmp_path / "cgroups") == expected
    assert 0 < free_memory() < 2**60


def test_a_batch_is_its_structures_one_by_one():
    data = molecules(5)
    task = task_of(data, precision="float64")
    several = [3, 0, 4, 0]  # one of them twice, as bagging has it
    together = task.material.graph.batch(np.array(several))
    errors = errors_of(task, several, differentiable=False)
    for position, structure in enumerate(several):
        alone = task.material.graph.batch(np.array([structure]))
        single = errors_of(task, [structure], differentiable=False)
        assert_close(errors.energy[position].detach(), single.energy[0].detach(), INVARIANT)
        rows = together.rows[together.owner == position]
        assert_close(errors.forces.detach()[together.owner == position], single.forces.detach(), INVARIANT)
        assert rows.tolist() == alone.rows.tolist()


def test_training_learns_and_reports(tmp_path):
    split = new_split(molecules(60))
    model = new_model()
    report = fit(model, split, max_epochs=60, run_dir=tmp_path, **QUICK)
    spread = float(np.std(split.dataset.forces))
    assert report.test["forces_rmse"] < 0.2 * spread
    assert report.train["energy_rmse_per_atom"] < 0.02
    assert set(report.test) == {
        "energy_rmse", "energy_mae", "energy_rmse_per_atom", "energy_mae_per_atom", "forces_rmse", "forces_mae",
    }  # fmt: skip
    assert len(report.history) == 60
    assert "meV/atom" in str(report)
    written = {"last.ckpt", "log.csv", "metrics.json", "model.atomcore", "split.json"}
    assert {file.name for file in tmp_path.iterdir()} == written
    info = atomcore.Potential.load(report.model_path).info
    assert info["provenance"]["errors"]["test"] == report.test
    assert info["provenance"]["data_sha256"] == split.dataset.sha256


RESUME = """
import sys
sys.path.insert(0, sys.argv[1])
from test_training import QUICK, new_model, new_split
from atomcore.train import fit
fit(new_model(), new_split(), max_epochs=int(sys.argv[3]), schedule_epochs=10, run_dir=sys.argv[2],
    resume=True, early_stopping=9, **QUICK)
"""


def run_epochs(folder, epochs, **kwargs):
    command = [sys.executable, "-c", RESUME, str(Path(__file__).parent), str(folder), str(epochs)]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **kwargs)


def test_five_epochs_and_five_in_a_new_process_are_ten_bit_for_bit(tmp_path):
    for folder, stages in (("whole", (10,)), ("parts", (5, 10))):
        for epochs in stages:
            assert run_epochs(tmp_path / folder, epochs).wait() == 0
    assert (tmp_path / "whole/log.csv").read_bytes() == (tmp_path / "parts/log.csv").read_bytes()
    whole, parts = (CheckedCheckpointIO().load_checkpoint(tmp_path / name / LAST) for name in ("whole", "parts"))
    for key in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert_same_bits(whole[key], parts[key])
    assert_same_bits(whole["callbacks"]["WeightAverage"], parts["callbacks"]["WeightAverage"])


def assert_same_bits(a, b):
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same_bits(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same_bits(x, y)
    else:
        assert a == b


def kill_and_resume(folder, kills, generator):
    """Kill a training process again and again: what is there must load and the run must end well."""
    for _ in range(kills):
        process = run_epochs(folder, 10_000, stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 60
        before = (folder / LAST).stat().st_mtime_ns if (folder / LAST).exists() else 0
        while process.poll() is None and time.monotonic() < deadline:
            if (folder / LAST).exists() and (folder / LAST).stat().st_mtime_ns > before:
                break
            time.sleep(0.01)
        time.sleep(generator.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        epoch = CheckedCheckpointIO().load_checkpoint(folder / LAST)["epoch"]
    assert run_epochs(folder, epoch + 3).wait() == 0
    assert not list(folder.glob(".*"))
    epochs = np.genfromtxt(folder / "log.csv", delimiter=",", names=True)["epoch"]
    assert epochs.tolist() == list(range(len(epochs)))


def test_a_killed_run_leaves_a_checkpoint_and_goes_on(tmp_path):
    kill_and_resume(tmp_path, 2, np.random.default_rng(0))


@pytest.mark.long
def test_twenty_killed_runs(tmp_path):
    kill_and_resume(tmp_path, 20, np.random.default_rng(1))


@pytest.fixture
def double_by_default():
    """Make double precision torch's default type, as some programs do."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_a_bad_label_is_named_whatever_the_default_type_of_torch_is(double_by_default, monkeypatch):
    test_a_label_that_is_not_a_number_ends_the_run_naming_the_structure(monkeypatch, "energy")


@pytest.mark.parametrize("which", ["energy", "forces"])
def test_a_label_that_is_not_a_number_ends_the_run_naming_the_structure(monkeypatch, which):
    data, make = molecules(), Labels.make

    def poisoned(*arguments, **arrays):
        labels = make(*arguments, **arrays)
        getattr(labels, which)[7 if which == "energy" else data.structure_ptr[7]] = float("nan")
        return labels

    monkeypatch.setattr(Labels, "make", poisoned)
    with pytest.raises(TrainingError, match=r"epoch 0, batch \d+: the loss is nan, .* structure 7;"):
        fit(new_model(), data.split(), max_epochs=3, **QUICK)


def test_a_diverging_run_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    split = new_split()
    fit(new_model(), split, max_epochs=2, run_dir=tmp_path, schedule_epochs=4, **QUICK)
    good = (tmp_path / LAST).read_bytes()
    # The schedule's state would bring the old learning rate back, so the divergence is made by the optimiser's step.
    with pytest.raises(TrainingError, match=r"diverged in epoch 0, batch \d+: .* structure \d+.*there\.$"):
        fit(new_model(), split, max_epochs=4, run_dir=tmp_path / "other", **{**QUICK, "learning_rate": 1e6})
    assert (tmp_path / LAST).read_bytes() == good
    assert not (tmp_path / "other" / LAST).exists()


def test_infinite_weights_are_not_checkpointed(tmp_path, monkeypatch):
    original = Task.on_train_epoch_start

    def poison(self):
        original(self)
        if self.current_epoch == 2:
            self.model.networks["O"].layers[0].weight.register_hook(lambda grad: grad * float("nan"))

    monkeypatch.setattr(Task, "on_train_epoch_start", poison)
    with pytest.raises(TrainingError, match=r"epoch 2.* The last checkpoint is kept\.$"):
        fit(new_model(), new_split(), max_epochs=4, run_dir=tmp_path, **QUICK, gradient_clip=None)
    checkpoint = CheckedCheckpointIO().load_checkpoint(tmp_path / LAST)
    assert checkpoint["epoch"] == 1
    assert all(torch.isfinite(value).all() for value in checkpoint["state_dict"].values())


def test_validation_and_model_use_the_averaged_weights():
    model, split = new_model(), new_split()
    report = fit(model, split, max_epochs=3, ema_decay=0.9, **QUICK, energy_weight=1.0)
    best = min(report.history, key=lambda row: row["valid_loss"])
    assert report.best_epoch == best["epoch"]
    loss = report.valid["energy_rmse_per_atom"] ** 2 + report.valid["forces_rmse"] ** 2
    assert_close(loss, best["valid_loss"], FLOAT32)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_warm_up_and_fall(schedule):
    options = {**QUICK, "schedule": schedule, "warmup_epochs": 2.0, "plateau_patience": 1, "learning_rate": 1e-2}
    rates = [row["learning_rate"] for row in fit(new_model(), new_split(), max_epochs=12, **options).history]
    if schedule != "plateau":
        assert rates[0] < rates[1] < 1.001e-2
    if schedule in ("cosine", "exponential"):
        assert rates[-1] < 1.6e-4
        assert all(a > b for a, b in pairwise(rates[2:]))
    if schedule == "none":
        assert set(rates[2:]) == {1e-2}


def test_early_stopping_ends_a_run_that_no_longer_improves():
    options = {**QUICK, "learning_rate": 1e-12, "early_stopping": 2, "ema_decay": 0.0}
    assert len(fit(new_model(), new_split(), max_epochs=50, **options).history) < 10


def test_an_early_stopping_that_is_changed_on_resuming_counts(tmp_path):
    options = {**QUICK, "learning_rate": 1e-12, "ema_decay": 0.0, "run_dir": tmp_path, "schedule": "none"}
    fit(new_model(), new_split(), max_epochs=2, early_stopping=50, **options)
    assert len(fit(new_model(), new_split(), max_epochs=20, early_stopping=2, resume=True, **options).history) < 10


def test_the_gradient_is_clipped():
    # Gradients far below the optimiser's epsilon hardly move the weights.
    options = {**QUICK, "max_epochs": 3, "weight_decay": 0.0, "schedule": "none", "warmup_epochs": 0.0}
    moved = []
    for clip in (None, 1e-14):
        model = new_model()
        fit(model, new_split(), gradient_clip=clip, **options)
        trained = torch.cat([weight.detach().ravel() for weight in model.networks["H"].layers[1].parameters()])
        model._build_networks()
        start = torch.cat([weight.detach().ravel() for weight in model.networks["H"].layers[1].parameters()])
        moved.append(float((trained - start).abs().max()))
    assert moved[0] > 1e-3
    assert moved[1] < 1e-6


def test_large_total_energies_lose_nothing_in_single_precision():
    plain, shifted = (
        fit(new_model(), new_split(molecules(offset=offset)), max_epochs=3, **QUICK) for offset in (0.0, -3e4)
    )
    assert_close(shifted.test["energy_rmse_per_atom"], plain.test["energy_rmse_per_atom"], FLOAT32)


def test_tiny_and_degenerate_sets_train(tmp_path):
    single = fit(new_model(), molecules(2).subset([1]), max_epochs=2, **QUICK)
    assert single.valid is None
    assert np.isfinite(single.train["forces_rmse"])
    data = molecules(6)
    fields = {name: getattr(data, name) for name in ("numbers", "positions", "cells", "pbc", "structure_ptr")}
    constant = fit(new_model(), Dataset(**fields, energy=np.full(6, -5.0)), max_epochs=2, **QUICK)
    assert np.isfinite(constant.train["energy_rmse"])
    assert "forces_rmse" not in constant.train


def test_unsuitable_input_is_named(tmp_path):
    split = new_split()
    with pytest.raises(TypeError, match=r"no option 'learning_rat'; did you mean 'learning_rate'"):
        fit(new_model(), split, learning_rat=1e-3)
    for name, value in (
        ("max_epochs", 0), ("batch_size", 2.5), ("learning_rate", -1.0), ("ema_decay", 1.0), ("schedule", "steps"),
        ("precision", "half"), ("energy_weight", float("nan")), ("gradient_clip", 0.0), ("seed", -1),
        ("ema_decay", "x"), ("final_learning_rate", "x"), ("cache", "no"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=rf"{name} is .*; accepted: "):
            fit(new_model(), split, **{name: value})
    for value, message in (
        ({"H": "abc"}, r"reference_energies: given\['H'\] is 'abc'; accepted: finite"),
        (3, "reference_energies: given is 3; accepted"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            fit(new_model(), split, reference_energies=value)
    with pytest.raises(ValueError, match="resume needs run_dir"):
        fit(new_model(), split, resume=True)
    for name in ("resume", "overwrite"):
        with pytest.raises(ValueError, match=f"{name} is 'no'; accepted: true, false"):
            fit(new_model(), split, run_dir=tmp_path / "run", **{name: "no"})
    for folder in ("", 3):
        with pytest.raises(ValueError, match=f"run_dir is {folder!r}; accepted: the path of a folder"):
            fit(new_model(), split, run_dir=folder)
    with pytest.raises(TypeError, match="model is a str; accepted: BehlerParrinello, Ensemble"):
        fit("model.atomcore", split)
    with pytest.raises(TypeError, match="data is a list; accepted: Dataset"):
        fit(new_model(), [split.dataset[0]])
    with pytest.raises(ValueError, match="features know C,"):
        fit(BehlerParrinello(small_features(("H", "C", "O"))), split)
    with pytest.raises(ValueError, match=r"Z = \[8\]; accepted: Z = \[1\]"):
        fit(BehlerParrinello(small_features(("H",))), split)
    with pytest.raises(ValueError, match="features know C,"):
        fit(BehlerParrinello(small_features(("H", "C", "O"))), split, run_dir=tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run of an epoch; refused runs must leave it as it is."""
    folder = tmp_path_factory.mktemp("run")
    fit(new_model(), new_split(), max_epochs=1, run_dir=folder, config="seed: 0\n", **QUICK)
    return folder


CHANGED = {
    "batch_size": 4, "energy_weight": 2.0, "forces_weight": 0.0, "learning_rate": 1e-3, "weight_decay": 0.1,
    "stress_weight": 1.0, "final_energy_weight": 1.0, "final_forces_weight": 2.0, "optimizer": "adam",
    "decay_factor": 0.1, "decay_every": 2, "decay_after": (1, 2),
    "schedule": "plateau", "schedule_epochs": 3, "final_learning_rate": 0.5, "plateau_patience": 3,
    "warmup_epochs": 0.0, "gradient_clip": None, "ema_decay": 0.5, "validate_every": 2, "precision": "float64",
    "seed": 7, "reference_energies": {"H": -1.0, "O": -2.0},
}  # fmt: skip


def test_a_run_that_is_not_the_same_is_refused_and_changes_nothing(finished):
    before = {file.name: file.read_bytes() for file in finished.iterdir()}
    again = {"max_epochs": 1, "run_dir": finished, "config": "seed: 1\n", **QUICK}
    with pytest.raises(ValueError, match="holds a run already"):
        fit(new_model(), new_split(), **again)
    with pytest.raises(ValueError, match="features know C,"):
        fit(BehlerParrinello(small_features(("H", "C", "O"))), new_split(), overwrite=True, **again)
    fixed = {"max_epochs", "early_stopping", "convergence", "cache"}
    fixed |= {"transfer", "freeze"}  # see test_transfer
    fixed.add("final_stress_weight")  # goes with a stress_weight, which is refused before
    assert CHANGED.keys() | fixed == Options().to_dict().keys(), "is a new option part of what a run is?"
    for name, value in CHANGED.items():
        with pytest.raises(ValueError, match=f"belongs to another run: its {name} is .*, here it is"):
            fit(new_model(), new_split(), resume=True, **{**again, name: value})
    for model, split, name in (
        (new_model(), new_split(seed=2), "split"), (new_model(), new_split(molecules(seed=1)), "data"),
        (new_model(seed=1), new_split(), "networks"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"belongs to another run: its {name} is"):
            fit(model, split, resume=True, **again)
    with pytest.raises(ValueError, match="resume and overwrite are both true"):
        fit(new_model(), new_split(), resume=True, overwrite=True, **again)
    with pytest.raises(ValueError, match="its schedule_epochs is 1, here it is 2"):
        fit(new_model(), new_split(), resume=True, **{**again, "max_epochs": 2})
    assert {file.name: file.read_bytes() for file in finished.iterdir()} == before


def test_only_our_own_leftovers_are_deleted(tmp_path):
    ours = [".last.123.tmp.ckpt", ".metrics.7.tmp.json", ".config.7.tmp.yaml"]
    theirs = [".notes.tmp", ".metrics.old.tmp.json", ".mine.7.tmp.json", ".metrics.7.tmp.json.bak"]
    for name in ours + theirs:
        (tmp_path / name).touch()
    (tmp_path / ".split.1.tmp.json").mkdir()
    (tmp_path / ".log.1.tmp.csv").symlink_to(tmp_path / ".notes.tmp")
    fit(new_model(), new_split(), max_epochs=1, run_dir=tmp_path, **QUICK)
    left = {file.name for file in tmp_path.glob(".*")}
    assert left == {*theirs, ".split.1.tmp.json", ".log.1.tmp.csv"}


def test_numpy_numbers_can_be_resumed_from(tmp_path):
    choices = {**QUICK, "learning_rate": np.float64(5e-3), "batch_size": np.int64(5), "run_dir": tmp_path}
    for epochs in (1, 2):
        fit(new_model(), new_split(), max_epochs=np.int64(epochs), schedule_epochs=2, resume=True, **choices)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3


def test_damaged_checkpoints_are_refused_and_pickled_code_is_not_run(tmp_path):
    path, store = tmp_path / LAST, CheckedCheckpointIO()
    store.save_checkpoint({"state_dict": {"w": torch.arange(50.0)}}, path)
    content = path.read_bytes()
    assert torch.equal(store.load_checkpoint(path)["state_dict"]["w"], torch.arange(50.0))
    generator = np.random.default_rng(0)
    for position in generator.integers(0, len(content), 200):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(generator.integers(8))
        path.write_bytes(bytes(damaged))
        with pytest.raises(ValueError, match=r"last\.ckpt is"):
            store.load_checkpoint(path)
    for length in np.linspace(0, len(content) - 1, 20).astype(int):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"last\.ckpt is"):
            store.load_checkpoint(path)

    store.save_checkpoint({"state_dict": Payload(tmp_path / "marker")}, path)
    with pytest.raises(ValueError, match="more than tensors and plain values"):
        store.load_checkpoint(path)
    assert not (tmp_path / "marker").exists()


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path, store = tmp_path / LAST, CheckedCheckpointIO()
    store.save_checkpoint({"a": 1}, path)
    content = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.save_checkpoint({"a": 2}, path)
    assert path.read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 1


def test_the_report_of_a_run_without_a_folder_has_no_path():
    report = fit(new_model(), new_split(), max_epochs=1, **QUICK)
    assert report.model_path is report.run_dir is None
    assert_close(report.to_dict()["n_structures"]["train"], 16, EXACT)
