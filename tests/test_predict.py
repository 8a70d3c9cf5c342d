"""Predictions without labels, in a file and in words, and errors beside the spread of an ensemble."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write
from scipy.stats import rankdata

from atomcore import Potential, data
from atomcore.cli.main import main
from atomcore.evaluation import Predictions, evaluate, metrics_table
from model_builder import random_model
from test_cli import _BLOCKED, _COMMAND
from tolerances import ENGINE, INVARIANT, PRINTED, assert_close
from training_sets import molecules


def model(folder, **choices):
    """Write an ensemble of four that has seen small features only, so that some atoms extrapolate."""
    made = random_model(("H", "O"), members=4, **choices)
    for element in ("H", "O"):
        made.tensors[f"features.{element}.maximum"][:] = 1.2
    return made.write(folder / "model.atomcore")


def predicted(tmp_path, structures, *arguments, code=0):
    """Write the structures, predict them, and return what was written."""
    write(tmp_path / "in.extxyz", structures)
    assert main(["predict", str(tmp_path / "model.atomcore"), str(tmp_path / "in.extxyz"), *arguments]) == code
    return read(tmp_path / "out.extxyz", ":")


def test_everything_the_engine_knows_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    potential = Potential.load(model(tmp_path))
    structures = [atoms.copy() for atoms in molecules(6)]
    frames = predicted(tmp_path, structures, "-o", "out.extxyz")
    assert len(frames) == 6
    names = ("energy", "energies", "forces", "energy_spread", "energies_spread", "forces_spread")
    beyond = 0
    for atoms, frame in zip(structures, frames, strict=True):
        expected = potential.compute(read_back(atoms), [*names, "extrapolation", "extrapolation_excess"])
        assert_close(frame.get_potential_energy(), expected["energy"], ENGINE)
        for name, found in (
            ("forces", frame.get_forces()),
            ("energies", frame.get_potential_energies()),
            ("energies_spread", frame.arrays["energies_spread"]),
            ("forces_spread", frame.arrays["forces_spread"]),
            ("extrapolation_excess", frame.arrays["extrapolation_excess"]),
        ):
            assert_close(found, expected[name], PRINTED)
        assert_close(frame.info["energy_spread"], expected["energy_spread"], ENGINE)
        assert np.array_equal(frame.arrays["extrapolation"], expected["extrapolation"])
        beyond += np.count_nonzero(expected["extrapolation"])
    text = capsys.readouterr().out
    assert f"structures extrapolate ({beyond} of 21 atoms)" in text
    assert beyond > 0
    worst = max(range(6), key=lambda i: frames[i].arrays["extrapolation_excess"].max())
    row = text.splitlines()[-min(5, sum(frame.arrays["extrapolation"].any() for frame in frames))].split()
    atom = int(np.argmax(frames[worst].arrays["extrapolation_excess"]))
    assert row[:3] == [str(worst), str(atom), frames[worst].symbols[atom]]
    spreads = [np.linalg.norm(frame.arrays["forces_spread"], axis=1).max() for frame in frames]
    assert f"largest {max(spreads):.3g} eV/A (structure {np.argmax(spreads)}" in text


def read_back(atoms):
    """Return the structure with the digits that its file has."""
    copy = atoms.copy()
    copy.positions = np.round(copy.positions, 8)
    return copy


def test_periodic_structures_have_stress_and_labels_of_the_file_do_not_matter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    potential = Potential.load(random_model(("Si",), members=2, reference=(0.0,)).write(tmp_path / "model.atomcore"))
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=0)
    atoms.info["total_energy"] = 17.0  # elsewhere a reason to ask for a key
    (frame,) = predicted(tmp_path, [atoms], "-o", "out.extxyz")
    expected = potential.compute(read_back(atoms), ["stress", "stress_spread"])
    assert_close(frame.get_stress(), expected["stress"], ENGINE)
    assert_close(frame.info["stress_spread"], expected["stress_spread"], ENGINE)


def test_an_unsuitable_structure_is_named_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model(tmp_path)
    structures = [atoms.copy() for atoms in molecules(3)]
    structures[2].numbers[0] = 6
    write(tmp_path / "in.extxyz", structures)
    assert main(["predict", "model.atomcore", "in.extxyz", "-o", "out.extxyz"]) == 2
    assert "structure 2 of in.extxyz (from 0): " in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"model.atomcore", "in.extxyz"}


def test_repeated_structures_and_their_order_are_kept_without_torch(tmp_path):
    model(tmp_path)
    first, second = (atoms.copy() for atoms in molecules(2))
    write(tmp_path / "in.extxyz", [first, second, first])
    command = [sys.executable, "-c", _BLOCKED + _COMMAND, "predict", "model.atomcore", "in.extxyz"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    energies = [frame.get_potential_energy() for frame in read(tmp_path / "predicted.extxyz", ":")]
    assert energies[0] == energies[2] != energies[1]


def test_a_model_of_charges_predicts_charges(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = random_model(("H", "O"), target="charges")
    potential = Potential.load(made.write(tmp_path / "model.atomcore"))
    atoms = molecules(1)[0].copy()
    (frame,) = predicted(tmp_path, [atoms], "-o", "out.extxyz")
    expected = potential.compute(read_back(atoms), ["charges"])["charges"]
    assert_close(frame.get_charges(), expected, PRINTED)
    assert main(["md", "model.atomcore", "in.extxyz"]) == 2


def test_the_correlation_of_spread_and_error_is_spearmans(tmp_path):
    potential, structures = Potential.load(model(tmp_path)), molecules(40)
    found = evaluate(potential, structures)
    names = ["energy_spread", "forces_spread"]
    one = potential.compute(structures[7], names)
    rows = slice(*structures.structure_ptr[7:9])
    assert_close(found.energy_spread[7], one["energy_spread"], INVARIANT)
    assert_close(found.forces_spread[rows], one["forces_spread"], INVARIANT)
    metrics = found.metrics()
    spread = np.linalg.norm(found.forces_spread, axis=1)
    error = np.linalg.norm(found.forces - found.forces_label, axis=1)
    expected = np.corrcoef(rankdata(spread), rankdata(error))[0, 1]
    assert_close(metrics["forces_spread_spearman"], expected, INVARIANT)
    per_atom = found.energy_spread / found.n_atoms, np.abs(found.energy - found.energy_label) / found.n_atoms
    expected = np.corrcoef(*(rankdata(values) for values in per_atom))[0, 1]
    assert_close(metrics["energy_spread_spearman"], expected, INVARIANT)
    assert f"forces {metrics['forces_spread_spearman']:.2f}" in metrics_table({"test": metrics}).splitlines()[-1]


def test_a_correlation_of_nothing_is_left_out():
    metrics = Predictions(
        energy=np.zeros(2), energy_label=np.arange(2.0), n_atoms=np.ones(2), forces=None, forces_label=None,
        energy_spread=np.array([0.1, 0.2]),
    ).metrics()  # fmt: skip
    assert "energy_spread_spearman" not in metrics


def test_errors_of_the_stress_are_evaluated_and_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    potential = Potential.load(random_model(("Cu",), reference=(0.0,)).write(tmp_path / "model.atomcore"))
    structures = data.load(data.sample("copper")).subset([0, 40, 80])
    structures.save(tmp_path / "set.npz")
    stress = np.array([potential.compute(atoms, ["stress"])["stress"] for atoms in structures])
    errors = stress - structures.stress
    assert main(["evaluate", "model.atomcore", "set.npz"]) == 0
    metrics = json.loads((tmp_path / "evaluation/metrics.json").read_text())["test"]
    assert_close(metrics["stress_rmse"], np.sqrt(np.mean(errors**2)), ENGINE)
    assert_close(metrics["stress_mae"], np.mean(np.abs(errors)), ENGINE)
    text = capsys.readouterr().out
    assert "stress, meV/A^3" in text
    assert f"{1000 * metrics['stress_rmse']:.4g}" in text
    assert main(["evaluate", "model.atomcore", "set.npz", "--stress-key", "none"]) == 0
    assert "stress_rmse" not in json.loads((tmp_path / "evaluation/metrics.json").read_text())["test"]


@pytest.mark.parametrize("key", ["energy_key", "baseline_energy_key", "stress_convention"])
def test_the_options_of_labels_reach_the_reader(tmp_path, monkeypatch, capsys, key):
    monkeypatch.chdir(tmp_path)
    model(tmp_path)
    molecules(2).save(tmp_path / "set.npz")
    assert main(["evaluate", "model.atomcore", "set.npz", f"--{key.replace('_', '-')}", "absent"]) == 2
    assert "absent" in capsys.readouterr().err


def test_a_run_from_a_start_beyond_the_limit_ends_there_and_keeps_the_frame(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model(tmp_path)
    write("start.extxyz", molecules(1)[0].copy())
    assert main(["md", "model.atomcore", "start.extxyz", "--extrapolation-limit", "0.01"]) == 1
    text = capsys.readouterr().err
    assert "the run has stopped at step 0 (0 ps)" in text
    assert "extrapolation_limit is 0.01" in text
    frame = read(tmp_path / "md/stopped.extxyz")
    assert frame.arrays["extrapolation_excess"].max() > 0.01
    assert frame.arrays["forces_spread"].shape == (3, 3)
    assert main(["md", "model.atomcore", "start.extxyz", "--spread-limit", "1e-3", "--overwrite"]) == 1
    assert "spread_limit is 0.001 eV/A" in capsys.readouterr().err


def test_a_run_with_an_ensemble_records_its_doubts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    potential = Potential.load(model(tmp_path))
    write("start.extxyz", molecules(1)[0].copy())
    assert main(["md", "model.atomcore", "start.extxyz", "--ps", "0.005", "--temperature", "1", "--dt", "0.1"]) == 0
    captured = capsys.readouterr()
    assert "6 of 6 sampled steps extrapolate, worst at step" in captured.out
    assert captured.err.count("lie outside what the model was trained on") == 1
    assert "UserWarning" not in captured.err
    table = np.genfromtxt("md/energies.csv", delimiter=",", names=True)
    names = ["forces_spread", "extrapolation_excess"]
    expected = potential.compute(read("md/trajectory.extxyz", 0), names)
    spread = np.linalg.norm(expected["forces_spread"], axis=1).max()
    assert abs(table["forces_spread_max_eV_per_A"][0] - spread) < 1e-6
    assert abs(table["extrapolation_excess_max"][0] - expected["extrapolation_excess"].max()) < 1e-6


def test_what_is_read_is_not_replaced(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = model(tmp_path)
    molecules(2).save("set.npz")
    kept = {name: (tmp_path / name).read_bytes() for name in ("set.npz", path.name)}
    for output in (tmp_path / "set.npz", path.name):
        assert main(["predict", path.name, "set.npz", "-o", str(output)]) == 2
        assert f"--output is '{output}', which is what is read; accepted: another file" in capsys.readouterr().err
    assert main(["predict", path.name, "set.npz", "-o", "."]) == 2
    assert "path is '.', which is a folder; accepted: the name of a file" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == kept


def test_models_of_differences_are_not_taken_for_potentials(tmp_path, monkeypatch, caplog, capsys):
    monkeypatch.chdir(tmp_path)
    made = random_model(("H", "O"))
    made.write(tmp_path / "whole.atomcore")
    made.metadata["provenance"]["baseline"] = "E_low"
    made.write(tmp_path / "difference.atomcore")
    molecules(2).save("set.npz")
    replace(molecules(2), baseline="E_low").save("differences.npz")
    for arguments, message in (
        (["evaluate", "difference.atomcore", "set.npz"], "differences to E_low, but the labels are whole"),
        (["evaluate", "whole.atomcore", "differences.npz"], "the model was not trained on differences"),
        (["plot", "parity", "difference.atomcore", "set.npz"], "differences to E_low, but the labels are whole"),
        (["predict", "difference.atomcore", "set.npz"], "differences to E_low only"),
        (["evaluate", "difference.atomcore", "differences.npz"], ""),
        (["evaluate", "whole.atomcore", "set.npz"], ""),
    ):
        caplog.clear()
        main(arguments)
        assert message in caplog.text if message else "differences" not in caplog.text, arguments
    capsys.readouterr()
    main(["md", "difference.atomcore", "set.npz", "--ps", "0.001"])
    assert "atomcore md: the model predicts differences to E_low, which must be added" in capsys.readouterr().err
