"""Runs that go on: to the bit what they would have been without a break, however they ended."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

from atomcore import AtomcoreError, Calculator
from atomcore.cli.main import main
from atomcore.md import CHECKPOINT, core_run, simulate
from atomcore.md.velocities import degrees_of_freedom
from helpers import REPOSITORY
from pair_model import crystal, pair_model

FILES = ("trajectory.extxyz", "energies.csv")
CHOICES = {"dt": 1.0, "equilibrate": 0.02, "temperature": 250.0, "seed": 3, "progress": False}
ENSEMBLES = pytest.mark.parametrize("ensemble", ["nve", "langevin"])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return pair_model().write(tmp_path_factory.mktemp("md") / "pair.atomcore")


def contents(folder):
    return [(folder / name).read_bytes() for name in FILES]


def same(one, other):
    return np.array_equal(one.positions, other.positions) and np.array_equal(one.get_momenta(), other.get_momenta())


@ENSEMBLES
@pytest.mark.parametrize("threads", [1, 3])
def test_200_steps_are_100_and_100(model, tmp_path, ensemble, threads):
    whole, first, second = crystal(model), crystal(model), crystal(model, threads=threads)
    expected = simulate(whole, tmp_path / "whole", ps=0.2, ensemble=ensemble, **CHOICES)
    simulate(first, tmp_path / "cut", ps=0.1, ensemble=ensemble, **CHOICES)
    second.rattle(0.1)  # where it starts from does not count
    result = simulate(second, tmp_path / "cut", ps=0.2, ensemble=ensemble, restart=True, **CHOICES)
    assert same(second, whole)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    for name in ("time", "potential", "kinetic", "temperature", "extrapolation_excess"):
        assert np.array_equal(getattr(result, name), getattr(expected, name))
    assert result.worst == expected.worst
    assert not same(first, whole)

    again = simulate(crystal(model), tmp_path / "cut", ps=0.2, ensemble=ensemble, restart=True, **CHOICES)
    assert np.array_equal(again.potential, expected.potential)  # there is nothing left to do
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from atomcore.md import core_run, simulate
from pair_model import crystal
core_run._CHECKPOINT_INTERVAL, core_run._BLOCK = {interval}, 0.002
simulate(crystal({model!r}), {folder!r}, ps={ps}, ensemble={ensemble!r}, restart={restart}, **{choices!r})
"""


def started(model, folder, *, restart=False, interval=0.0, ps=1.0, ensemble="langevin"):
    """Start a run in a process of its own and wait for its first checkpoint."""
    names = {"tests": str(REPOSITORY / "tests"), "model": str(model), "folder": str(folder), "choices": CHOICES}
    script = textwrap.dedent(SCRIPT).format(restart=restart, interval=interval, ps=ps, ensemble=ensemble, **names)
    process = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE
    )
    before = (folder / CHECKPOINT).stat().st_mtime_ns if restart else 0
    while process.poll() is None:
        if (folder / CHECKPOINT).exists() and (folder / CHECKPOINT).stat().st_mtime_ns > before:
            break
        time.sleep(0.002)
    return process


@ENSEMBLES
def test_a_run_that_is_killed_again_and_again_comes_out_the_same(model, tmp_path, ensemble):
    whole = crystal(model)
    simulate(whole, tmp_path / "whole", ps=1.0, ensemble=ensemble, **CHOICES)
    seed = np.random.default_rng().integers(2**31)
    print("seed", seed)
    delays = np.sort(np.random.default_rng(seed).uniform(0.0, 0.1, 8))
    folder, killed = tmp_path / "killed", 0
    for turn, delay in enumerate(delays):
        process = started(model, folder, restart=turn > 0, ensemble=ensemble)
        time.sleep(delay)
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            break
    assert killed > 0
    last = crystal(model)
    simulate(last, folder, ps=1.0, ensemble=ensemble, restart=True, **CHOICES)
    assert same(last, whole)
    assert contents(folder) == contents(tmp_path / "whole")
    assert {path.name for path in folder.iterdir()} == {*FILES, CHECKPOINT}


def test_ctrl_c_stops_promptly_and_leaves_a_run_that_goes_on(model, tmp_path):
    process = started(model, tmp_path / "cut", ps=1000.0, interval=10.0)
    time.sleep(0.1)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=20)
    assert time.monotonic() - begin < 2.0
    assert b"KeyboardInterrupt" in text
    done = round(1000 * np.genfromtxt(tmp_path / "cut/energies.csv", delimiter=",", names=True)["time_ps"][-1])
    assert len(read(tmp_path / "cut/trajectory.extxyz", ":")) == 1 + done // 10
    atoms = [crystal(model), crystal(model)]
    for each, name in zip(atoms, ("cut", "whole"), strict=True):
        choices = {"ps": (done + 50) / 1000, "ensemble": "langevin", "restart": name == "cut"}
        simulate(each, tmp_path / name, **choices, **CHOICES)
    assert same(*atoms)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_an_interrupt_while_a_frame_is_written_leaves_no_piece_of_it(model, tmp_path, monkeypatch):
    whole, cut = crystal(model), crystal(model)
    simulate(whole, tmp_path / "whole", ps=0.1, **CHOICES)
    write, calls = core_run.FrameFile.write, []

    def interrupted(file, text):
        calls.append(text)
        if len(calls) == 4:
            write(file, text[:200])
            raise KeyboardInterrupt
        write(file, text)

    monkeypatch.setattr(core_run.FrameFile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate(cut, tmp_path / "cut", ps=0.1, **CHOICES)
    assert len(read(tmp_path / "cut" / FILES[0], ":")) == 3
    simulate(cut, tmp_path / "cut", ps=0.1, restart=True, **CHOICES)
    assert same(cut, whole)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.fixture
def ended(model, tmp_path):
    folder = tmp_path / "run"
    simulate(crystal(model), folder, ps=0.05, **CHOICES)
    return folder


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dt", 0.5), ("temperature", 300.0), ("friction", 0.1), ("seed", 4), ("equilibrate", 0.0),
        ("frame_interval", 5.0), ("ensemble", "langevin"),
    ],
)  # fmt: skip
def test_other_conditions_are_refused_by_name(model, ended, name, value):
    before = contents(ended)
    with pytest.raises(ValueError, match=f"{name} is {value!r}, but .* in the run in .*; accepted: the same"):
        simulate(crystal(model), ended, ps=0.1, restart=True, **CHOICES | {name: value})
    assert contents(ended) == before


def test_another_model_structure_or_precision_is_refused(model, ended, tmp_path):
    def go_on(atoms, message):
        with pytest.raises(ValueError, match=message):
            simulate(atoms, ended, ps=0.1, restart=True, **CHOICES)

    before = contents(ended)
    other = pair_model(largest=999.0).write(tmp_path / "other.atomcore")
    go_on(crystal(other), "the model is not the one that the run in .* was made with")
    go_on(crystal(model, precision="float32"), "precision is 'float32', but 'float64' in the run")
    go_on(crystal(model, repeat=1), "the numbers of the atoms are not those of the run")
    larger, heavier = crystal(model), crystal(model)
    larger.set_cell(1.01 * larger.cell)
    go_on(larger, "the cell of the atoms")
    heavier.set_masses(1.01 * heavier.get_masses())
    go_on(heavier, "the masses of the atoms")
    open_ends = crystal(model)
    open_ends.pbc = False
    go_on(open_ends, "the pbc of the atoms")
    assert contents(ended) == before
    copied = tmp_path / "copied.atomcore"  # the same model under another name is the same model
    copied.write_bytes(model.read_bytes())
    simulate(crystal(copied), ended, ps=0.1, restart=True, **CHOICES)


def test_what_cannot_go_on_says_why(model, ended, tmp_path):
    with pytest.raises(ValueError, match=r"restart: '.*nothing' holds no restart.npz"):
        simulate(crystal(model), tmp_path / "nothing", ps=0.1, restart=True, **CHOICES)
    assert not (tmp_path / "nothing").exists()
    for choices in ({"engine": "ase"}, {"ensemble": "npt"}):
        with pytest.raises(ValueError, match="restart is for an atomcore Calculator"):
            simulate(crystal(model), ended, ps=0.1, restart=True, **CHOICES | choices)
    (ended / FILES[1]).write_text("time_ps\n")
    with pytest.raises(AtomcoreError, match=r"energies.csv has 8 bytes, but had \d+ when the checkpoint was written"):
        simulate(crystal(model), ended, ps=0.1, restart=True, **CHOICES)
    simulate(crystal(model), ended, ps=0.05, engine="ase", **CHOICES)
    assert not (ended / CHECKPOINT).exists()  # it would belong to files that are not there any more


def outcome(folder, content):
    """Return the checkpoint that such a file is read as, or the error."""
    (folder / CHECKPOINT).write_bytes(content)
    try:
        return core_run.Checkpoint.read(folder)
    except AtomcoreError as error:
        return error


def test_damaged_checkpoints_are_refused(model, ended):
    path = ended / CHECKPOINT
    content = path.read_bytes()
    expected = core_run.Checkpoint.read(ended)
    random = np.random.default_rng(0)
    damaged = [content[:length] for length in random.integers(0, len(content), 20)]
    for bit in random.integers(0, 8 * len(content), 200):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    outcomes = [outcome(ended, text) for text in (*damaged, b"", b"no archive at all", b"\x80\x04N.")]
    for found in outcomes:
        if isinstance(found, AtomcoreError):
            assert "restart.npz" in str(found)
            continue
        # a bit that says nothing, of a date for instance
        assert (found.step, found.energy, found.sizes) == (expected.step, expected.energy, expected.sizes)
        for name, array in found.state.items():
            assert np.array_equal(array, expected.state[name])
    assert sum(isinstance(found, AtomcoreError) for found in outcomes) > 180
    path.write_bytes(content)
    with np.load(path) as archive:
        arrays = dict(archive)
    document = json.loads(arrays.pop("document").tobytes()) | {"version": 2}
    np.savez(path, document=np.frombuffer(json.dumps(document).encode(), np.uint8), **arrays)
    with pytest.raises(AtomcoreError, match="has the version 2; accepted: 1"):
        simulate(crystal(model), ended, ps=0.1, restart=True, **CHOICES)


def test_a_run_stopped_by_a_limit_goes_on_with_a_wider_one(tmp_path):
    known = pair_model(largest=0.2).write(tmp_path / "known.atomcore")
    with pytest.warns(UserWarning, match="guesses"):
        whole = simulate(crystal(known), tmp_path / "whole", ps=0.1, **CHOICES)
    limit = np.quantile(whole.extrapolation_excess, 0.9)
    assert whole.extrapolation_excess[0] < limit
    with pytest.warns(UserWarning, match="guesses"), pytest.raises(AtomcoreError, match="extrapolation_limit is"):
        simulate(crystal(known, extrapolation_limit=limit), tmp_path / "cut", ps=0.1, **CHOICES)
    assert 0 < len((tmp_path / "cut" / FILES[1]).read_text().splitlines()) < 100
    with pytest.warns(UserWarning, match="guesses"):
        result = simulate(crystal(known, extrapolation_limit=1e3), tmp_path / "cut", ps=0.1, restart=True, **CHOICES)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert result.worst == whole.worst


def test_the_command_goes_on_with_a_run(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    start = crystal(model)
    start.calc = None
    start.write("start.extxyz")
    common = [str(model), "start.extxyz", "--dt", "1", "--ensemble", "langevin"]
    assert main(["md", *common, "--ps", "0.1", "--output", "whole"]) == 0
    assert main(["md", *common, "--ps", "0.04", "--output", "cut"]) == 0
    assert main(["md", *common, "--ps", "0.1", "--output", "cut"]) == 2  # it would replace what is there
    assert main(["md", *common, "--ps", "0.1", "--restart", "cut"]) == 0
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text())["md"] for name in ("cut", "whole")]
    assert metrics[0] == metrics[1]
    capsys.readouterr()
    assert main(["md", *common, "--ps", "0.1", "--temperature", "20", "--restart", "cut"]) == 2
    assert "temperature is 20.0, but 300.0 in the run in 'cut'" in capsys.readouterr().err
    assert main(["md", *common, "--ps", "0.1", "--restart", "nowhere"]) == 2
    assert not (tmp_path / "nowhere").exists()


def test_a_calculator_that_was_used_before_changes_nothing(model, tmp_path):
    calculator = Calculator(model)
    runs = []
    for name in ("one", "two"):
        atoms = crystal(model)
        atoms.calc = calculator
        atoms.get_potential_energy()
        simulate(atoms, tmp_path / name, ps=0.05, **CHOICES)
        runs.append(contents(tmp_path / name))
    assert runs[0] == runs[1]


def test_a_molecule_that_starts_in_a_line_keeps_its_degrees_of_freedom(model, tmp_path):
    """Bent, as it is where it goes on, it would have one more."""
    atoms = [Atoms("OCO", [[0, 0, -2.2], [0, 0, 0], [0, 0, 2.2]], calculator=Calculator(model)) for _ in range(3)]
    choices = {**CHOICES, "equilibrate": 0.0}
    simulate(atoms[0], tmp_path / "whole", ps=0.06, **choices)
    simulate(atoms[1], tmp_path / "cut", ps=0.03, **choices)
    assert degrees_of_freedom(atoms[1], True) == 3
    simulate(atoms[2], tmp_path / "cut", ps=0.06, restart=True, **choices)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
