"""The command line as a user meets it: exit codes, messages, files."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import atomcore
from atomcore.cli import demo, train
from atomcore.cli.main import main, run_command
from helpers import skip_without_training
from tolerances import ENGINE, assert_close
from training_sets import molecules, small_features

_COMMAND = "from atomcore.cli import main; import sys; sys.exit(main())"
_BLOCKED = "import sys; sys.modules.update(dict.fromkeys(['torch', 'lightning', 'hydra', 'omegaconf'])); "
_SMALL = (
    "features.radial=[{eta: 2.0, shift: 0.9},{eta: 2.0, shift: 1.6}]",
    "features.angular=[{type: narrow, eta: 0.05, zeta: 1.0, lambda: 1.0}]",
    "model.hidden=[6]",
    "training.max_epochs=2",
    "run.threads=1",
)


def run(*arguments, cwd, code=0, without_torch=False):
    """Run a command in a process of its own; return what it printed."""
    skip_without_training(arguments)
    program = (_BLOCKED if without_torch else "") + _COMMAND
    result = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout if code == 0 else result.stderr


def run_here(*arguments, cwd, code=0):
    """Run a command in this process, where torch has been imported already; return what it printed."""
    skip_without_training(arguments)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            ended = main(arguments)
        except SystemExit as exit:
            ended = exit.code
    assert ended == code, err.getvalue()
    assert "Traceback" not in err.getvalue()
    return out.getvalue() if code == 0 else err.getvalue()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a data file and a finished run."""
    folder = tmp_path_factory.mktemp("cli")
    molecules(30).save(folder / "set.extxyz")
    text = run("train", "data.path=set.extxyz", "run.dir=run", *_SMALL, cwd=folder)
    assert "meV/atom" in text
    return folder


def test_a_training_run_leaves_model_metrics_pictures_and_configuration(trained):
    files = {file.name for file in (trained / "run").iterdir()}
    assert files == {
        "config.yaml", "last.ckpt", "learning_curve.png", "log.csv", "metrics.json", "model.atomcore", "parity.png",
        "split.json",
    }  # fmt: skip
    assert {file.name for file in trained.iterdir()} <= {"run", "set.extxyz", "evaluation", "md", "start.xyz"}
    metrics = json.loads((trained / "run/metrics.json").read_text())
    for part in ("train", "valid", "test"):
        assert metrics[part]["energy_rmse"] >= metrics[part]["energy_mae"] > 0
        assert metrics[part]["forces_rmse"] > 0
    assert metrics["n_structures"] == {"train": 24, "valid": 3, "test": 3}
    assert (trained / "run/parity.png").read_bytes().startswith(b"\x89PNG")
    assert "path: set.extxyz" in (trained / "run/config.yaml").read_text()


def test_evaluate_prints_and_writes_the_errors_of_the_engine_without_torch(trained):
    text = run("evaluate", "run/model.atomcore", "set.extxyz", cwd=trained, without_torch=True)
    assert "RMSE" in text
    metrics = json.loads((trained / "evaluation/metrics.json").read_text())["test"]
    data = atomcore.data.load(trained / "set.extxyz")
    potential = atomcore.Potential.load(trained / "run/model.atomcore")
    errors = np.array([potential.energy_forces(atoms)[0] for atoms in data]) - data.energy
    assert_close(metrics["energy_rmse"], np.sqrt(np.mean(errors**2)), ENGINE)
    assert_close(metrics["energy_mae"], np.mean(np.abs(errors)), ENGINE)
    assert (trained / "evaluation/parity.png").stat().st_size > 10_000


@pytest.mark.parametrize("ensemble", ["nve", "langevin"])
def test_md_writes_trajectory_energies_and_drift_without_torch(trained, ensemble):
    molecules(1)[0].write(trained / "start.xyz")
    arguments = (
        "--ps",
        0.1,
        "--dt",
        0.5,
        "--temperature",
        50,
        "--ensemble",
        ensemble,
        "--output",
        "md",
        "--seed",
        1,
        "--overwrite",
    )
    text = run("md", "run/model.atomcore", "start.xyz", *arguments, cwd=trained, without_torch=True)
    assert ("energy drift" in text) == (ensemble == "nve")
    energies = np.genfromtxt(trained / "md/energies.csv", delimiter=",", names=True)
    assert len(energies) == 101
    assert_close(energies["time_ps"][-1], 0.1, ENGINE)
    assert_close(energies["total_eV"], energies["potential_eV"] + energies["kinetic_eV"], ENGINE)
    from ase.io import read

    assert len(read(trained / "md/trajectory.extxyz", ":")) == 11
    metrics = json.loads((trained / "md/metrics.json").read_text())["md"]
    assert ("drift_meV_per_atom_per_ps" in metrics) == (ensemble == "nve")


def test_info_shows_versions_and_models_without_torch(trained):
    assert atomcore.__version__ in run("info", cwd=trained, without_torch=True)
    text = run("info", "run/model.atomcore", cwd=trained, without_torch=True)
    assert "elements    H O" in text
    assert "24 train, 3 valid, 3 test" in text
    assert "of energies and forces, format" in text
    assert "A, cosine" in text
    assert "networks    one for each element, silu, trained in float32\nscaling     soft" in text
    assert "units       eV, Angstrom; capability local" in text
    assert "reliability ranges of features (extrapolation limit), grades (grade limit)\n" in text


@pytest.mark.parametrize(
    "command", ["", "train", "evaluate", "predict", "md", "serve", "active", "plot", "info", "demo"]
)
def test_help_fits_a_screen(command, tmp_path):
    lines = run(*command.split(), "--help", cwd=tmp_path).splitlines()
    assert 5 <= len(lines) <= 24
    assert max(len(line) for line in lines) <= 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "data.path=set.extxyz", "training.max_epoch=3"), "did you mean 'training.max_epochs'?"),
        (("train", "data.path=set.extxyz", "feature=ani1x"), "unknown key 'feature'; did you mean 'features'?"),
        (("train", "data.path=set.extxyz", "schedule=linear"), "accepted are cosine, exponential, multistep, none"),
        (("train", "data.path=set.extxyz", "training=3"), "training=3: training is a section; accepted are values of"),
        (("train", "data.path=set.extxyz", "loss=null"), "values of loss.energy_weight"),
        (("train", "foo"), "cannot read 'foo'; accepted: key=value"),
        (("train", "data.path"), "cannot read 'data.path'; accepted: key=value"),
        (("train", ""), "cannot read ''; accepted: key=value"),
        (("train", "data.path=set.extxyz", "seed=1,2"), "seed=1,2: several values need -m"),
        (("train", "data.path=set.extxyz", "-m", "schedule=cosine,foo"), "schedule=cosine,foo: accepted are cosine"),
        (("train", "-m", "split=random,block", "split.block=10"), "unknown key 'split.block' with split=random"),
        (("train", "-m", "run.dir=null", "seed=1,2"), "run.dir=null: accepted for a sweep is one folder"),
        (("train", "-m", "run.dir=a,b", "seed=1,2"), "run.dir=a,b: accepted for a sweep is one folder"),
        (("train", "data.path=set.extxyz", "run.processes=0"), "run.processes is 0; accepted: whole numbers from 1"),
        (("train", "data.path=set.extxyz", "ensemble.members=0"), "ensemble.members is 0; accepted: whole numbers fr"),
        (("train", "data.path=set.extxyz", "ensemble.bagging=true"), "bagging is true, but there is one network"),
        (("train", "data.path=set.extxyz", "transfer.path=absent.atomcore"), "absent.atomcore"),
        (("train", "data.path=set.extxyz", "transfer.path=run/model.atomcore", "functions_per_element=3"),
         "functions_per_element is 3; accepted: null, since run/model.atomcore has its features already"),
        (("train", "data.path=set.extxyz", "run.dir=new", "run.tensorboard=3"), "tensorboard is 3; accepted"),
        (("train", "data.path=set.extxyz", "features=coulomb"), "CoulombMatrix, of whole molecules; accepted for netw"),
        (("train", "data.path=null"), "data.path is None; accepted: a path"),
        (("train", "data.path=set.extxyz", "run.dir=null"), "run.dir is None; accepted: a path"),
        (("train", "data.path=set.extxyz", "run.dir="), "run.dir is ''; accepted: a path"),
        (("train", "data.path=set.extxyz", "run.overwrite=no"), "overwrite is 'no'; accepted: true, false"),
        (("train",), "data.path is missing"),
        (("train", "data.path=absent.extxyz"), "absent.extxyz"),
        (("train", "data.path=set.extxyz", "model.activation=sine"), "activation is 'sine'; accepted: silu"),
        (("train", "data.path=set.extxyz", "training.batch_size=0"), "batch_size is 0; accepted: a whole number"),
        (("trian",), "did you mean 'train'?"),
        (("evaluate", "absent.atomcore", "set.extxyz"), "absent.atomcore"),
        (("md", "run/model.atomcore", "set.extxyz", "--ps", "-1"), "ps is -1.0; accepted: a finite number above zero"),
    ],
)  # fmt: skip
def test_bad_input_is_named_without_a_traceback_and_nothing_is_written(trained, arguments, message):
    before = sorted(trained.rglob("*"))
    assert message in run_here(*arguments, cwd=trained, code=2)
    new = set(trained.rglob("*")) - set(before)
    assert not {path for path in new if path.is_file()}


def test_a_damaged_model_is_refused(trained, tmp_path):
    content = bytearray((trained / "run/model.atomcore").read_bytes())
    content[-5] ^= 1
    (tmp_path / "model.atomcore").write_bytes(bytes(content))
    assert "checksum" in run("info", "model.atomcore", cwd=tmp_path, code=1, without_torch=True)


def test_a_second_run_in_a_folder_asks_and_a_resumed_one_goes_on(trained, tmp_path):
    molecules(12).save(tmp_path / "set.extxyz")
    start = ("train", "data.path=set.extxyz", "run.dir=run", "schedule.schedule_epochs=4", *_SMALL)
    run_here(*start, cwd=tmp_path)
    assert "holds a run already" in run_here(*start, cwd=tmp_path, code=2)
    run_here(*start, "run.resume=true", "training.max_epochs=4", cwd=tmp_path)
    assert len((tmp_path / "run/log.csv").read_text().splitlines()) == 5


def test_a_diverging_run_ends_with_an_exit_code_and_says_what_it_was(tmp_path):
    molecules(12).save(tmp_path / "set.extxyz")
    message = run_here("train", "data.path=set.extxyz", "optimizer.learning_rate=1e6", *_SMALL, cwd=tmp_path, code=1)
    assert "diverged in epoch 0" in message
    assert "learning_rate: 1000000.0" in (tmp_path / "run/config.yaml").read_text()


def test_a_value_each_run_and_blocks_held_out(tmp_path):
    molecules(30).save(tmp_path / "set.extxyz")
    blocks = ("split=block", "split.block=3", "split.test_every=5")
    arguments = ("train", "-m", "schedule=plateau,exponential,none", "data.path=set.extxyz", *blocks, *_SMALL)
    run_here(*arguments, cwd=tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"run", "set.extxyz"}
    ends = []
    for number in range(3):
        folder = tmp_path / "run" / str(number)
        ends.append(np.genfromtxt(folder / "log.csv", delimiter=",", names=True)["learning_rate"][-1])
        indices = json.loads((folder / "split.json").read_text())["indices"]
        assert indices["test"] == [12, 13, 14, 27, 28, 29]
    assert ends[0] == ends[2] > 2 * ends[1]


def test_a_sweep_goes_on_after_a_run_that_fails_and_options_may_stand_anywhere(tmp_path):
    molecules(12).save(tmp_path / "set.extxyz")
    arguments = ("train", "data.path=set.extxyz", "-m", "optimizer.learning_rate=1e6,1e-3", *_SMALL)
    message = run_here(*arguments, cwd=tmp_path, code=1)
    assert "atomcore train, run 0: training diverged in epoch 0" in message
    assert "last checkpoint" not in message
    assert {path.parent.name for path in tmp_path.glob("run/*/model.atomcore")} == {"1"}


@pytest.mark.parametrize("name", ["d'x", "d\\", "a,b=c"])
def test_the_demo_takes_its_folder_as_the_shell_hands_it_over(tmp_path, monkeypatch, name):
    folders = []

    def stop(config):
        folders.append(config.run.dir)
        raise ValueError("far enough")

    monkeypatch.setattr(train, "run", stop)
    assert "far enough" in run_here("demo", "--output", name, cwd=tmp_path, code=2)
    assert folders == [name]


CONF = Path(atomcore.__file__).parent / "conf"
CHOICES = [f"{path.parent.name}={path.stem}" for path in sorted(CONF.glob("*/*.yaml"))]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_of_the_configuration_can_be_used(choice):
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    train.register_resolvers()
    data = [] if choice == "data=glycol" else ["data.path=set.extxyz"]
    of_molecules = ["model=krr"] if choice in ("features=coulomb", "features=inverse_distances") else []
    with initialize_config_module("atomcore.conf", version_base="1.3"):
        config = compose("train", [choice, *of_molecules, *data])
    plain = OmegaConf.to_container(config, resolve=True)
    glycol = atomcore.data.load(atomcore.data.sample("glycol"), units="eV, Angstrom")
    if not data:
        assert atomcore.data.load(**plain["data"]).sha256 == glycol.sha256
    split = glycol.split(**plain["split"])
    assert len(split.test) == (200 if choice in ("split=block", "split=kfold") else 100)
    model = train.make(config, plain, split)
    assert type(model).__name__ == plain["model"]["_target_"].rpartition(".")[2]
    if choice.startswith("features"):
        assert f"{type(model.features).__module__}.".startswith("atomcore.features.")
        assert np.all(np.isfinite(model.features.compute(glycol[0])))
    options = train._options(plain)
    chosen = atomcore.train.Options.from_keywords(
        {
            name: value
            for name, value in options.items()
            if name not in ("resume", "overwrite", "threads", "bagging", "tensorboard")
        }
    )
    assert chosen.schedule == (choice.removeprefix("schedule=") if choice.startswith("schedule") else "cosine")


def test_an_error_can_be_traced_and_a_full_memory_is_a_failed_run(monkeypatch, capsys):
    def fail(error):
        raise error

    assert run_command("md", lambda: fail(TypeError("inner"))) == 2
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("ATOMCORE_TRACEBACK", "1")
    assert run_command("md", lambda: fail(TypeError("inner"))) == 2
    captured = capsys.readouterr().err
    assert "in fail" in captured
    assert captured.endswith("atomcore md: inner\n")
    monkeypatch.delenv("ATOMCORE_TRACEBACK")
    for error, text in ((MemoryError("too many pairs"), "too many pairs"), (MemoryError(), "out of memory")):
        assert run_command("train", lambda error=error: fail(error)) == 1
        assert capsys.readouterr().err == f"atomcore train: {text}\n"


@pytest.mark.parametrize(("drift", "code"), [(0.0099, 0), (-0.0099, 0), (0.01, 1), (-0.5, 1), (float("nan"), 1)])
def test_a_demo_that_does_not_conserve_energy_fails(drift, code, capsys):
    assert demo._judge(drift) == code
    assert ("meV/atom/ps; below 0.01 was expected" in capsys.readouterr().err) == bool(code)


@pytest.mark.long
def test_the_demo(tmp_path):
    text = run("demo", cwd=tmp_path)
    assert "energy drift" in text
    metrics = json.loads((tmp_path / "demo/metrics.json").read_text())
    assert abs(metrics["md"]["drift_meV_per_atom_per_ps"]) < 0.01
    files = {file.name for file in (tmp_path / "demo").iterdir()}
    assert files >= {"model.atomcore", "parity.png", "learning_curve.png", "md_energy.png", "trajectory.extxyz"}


def test_a_calculator_takes_a_model_that_was_never_saved():
    data = molecules(4)
    model = atomcore.models.BehlerParrinello(small_features(), hidden=(4,))
    atoms = data[0]
    expected = model.double().energy_forces(atoms)
    atoms.calc = atomcore.Calculator(model)
    assert_close(atoms.get_potential_energy(), expected[0], ENGINE)
    assert_close(atoms.get_forces(), expected[1], ENGINE)


@pytest.mark.parametrize("name", ["a set.npz", "it's=1,2.npz", "50% Öl (neu).npz"])
def test_text_is_taken_as_the_shell_hands_it_over(tmp_path, name):
    """Spaces, commas, quotes and equal signs in paths and units mean something to Hydra and nothing to users."""
    molecules(12).save(tmp_path / name)
    units = "data.units=eV, Angstrom"
    run_here("train", f"data.path={name}", units, f"run.dir=run of {name}", "data.index=:10", *_SMALL, cwd=tmp_path)
    metrics = json.loads((tmp_path / f"run of {name}" / "metrics.json").read_text())
    assert sum(metrics["n_structures"].values()) == 10


def test_md_starts_from_npz_and_odd_names_and_refuses_what_holds_no_structure(trained, tmp_path):
    model, output = str(trained / "run/model.atomcore"), ("--ps", "0.001")
    molecules(2).save(tmp_path / "one.npz")
    molecules(2).save(tmp_path / "a@b.extxyz")
    run_here("md", model, "one.npz", *output, "--output", "npz", cwd=tmp_path)
    run_here("md", model, "a@b.extxyz", *output, "--output", "xyz", cwd=tmp_path)
    runs = [np.genfromtxt(tmp_path / name / "energies.csv", delimiter=",", names=True) for name in ("npz", "xyz")]
    expected = atomcore.Potential.load(model).energy_forces(molecules(2)[1])[0]  # the last structure of the file
    assert_close(runs[0]["potential_eV"][0], expected, ENGINE)
    assert abs(runs[1]["potential_eV"][0] - expected) < 1e-5  # eV; positions in text are rounded
    (tmp_path / "empty.xyz").touch()
    (tmp_path / "passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    assert "empty.xyz" in run_here("md", model, "empty.xyz", cwd=tmp_path, code=1)
    assert "passwd cannot be read by ASE" in run_here("md", model, "passwd", cwd=tmp_path, code=1)
    assert "there is no such file" in run_here("md", model, "absent.npz", cwd=tmp_path, code=2)
    assert not (tmp_path / "md").exists()


def test_md_asks_before_it_replaces_a_run_and_keeps_what_else_is_known(trained, tmp_path):
    molecules(1).save(tmp_path / "start.extxyz")
    (tmp_path / "md").mkdir()
    (tmp_path / "md/metrics.json").write_text('{"test": {"energy_rmse": 1.0}}')
    arguments = ("md", str(trained / "run/model.atomcore"), "start.extxyz", "--ps", "0.001")
    run_here(*arguments, cwd=tmp_path)
    assert "'md' holds a run already" in run_here(*arguments, cwd=tmp_path, code=2)
    run_here(*arguments, "--overwrite", cwd=tmp_path)
    assert set(json.loads((tmp_path / "md/metrics.json").read_text())) == {"test", "md"}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--ps", "nan", "ps is nan"), ("--temperature", "-3", "temperature is -3.0"),
        ("--seed", "-3", "seed is -3; accepted: whole numbers from 0"),
    ],
)  # fmt: skip
def test_unsuitable_options_of_md_leave_no_folder(trained, tmp_path, option, value, message):
    molecules(1).save(tmp_path / "start.extxyz")
    arguments = ("md", str(trained / "run/model.atomcore"), "start.extxyz", option, value)
    assert message in run_here(*arguments, cwd=tmp_path, code=2)
    assert not (tmp_path / "md").exists()


def test_md_that_blows_up_fails_and_keeps_what_there_is(trained, tmp_path):
    molecules(1).save(tmp_path / "start.extxyz")
    arguments = ("--dt", "30", "--ps", "100", "--temperature", "3000")
    message = run_here("md", str(trained / "run/model.atomcore"), "start.extxyz", *arguments, cwd=tmp_path, code=1)
    assert "it has blown up" in message
    assert {"last_good.extxyz", "stopped.extxyz"} <= {file.name for file in (tmp_path / "md").iterdir()}
    assert len((tmp_path / "md/energies.csv").read_text().splitlines()) > 1
    assert "blown up" in json.loads((tmp_path / "md/metrics.json").read_text())["md"]["stopped"]


@pytest.mark.parametrize("command", ["md", "evaluate"])
def test_an_output_that_is_a_file_is_refused_at_once(trained, tmp_path, command):
    molecules(1).save(tmp_path / "set.extxyz")
    arguments = (command, str(trained / "run/model.atomcore"), "set.extxyz", "--output", "set.extxyz/sub")
    assert "'set.extxyz' is no folder" in run_here(*arguments, cwd=tmp_path, code=2)
