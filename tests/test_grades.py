"""Grades of extrapolation: what the engine computes from a model file, and what every door makes of them."""

import json
import warnings

import ase
import numpy as np
import pytest
from ase.io import read, write

from atomcore import AtomcoreError, Calculator, ExtrapolationError
from atomcore.cli.main import main
from atomcore.md import simulate
from atomcore.potential import GRADE, Potential
from engine_oracle import grades, reference
from model_builder import graded, random_model
from pair_model import crystal, pair_model
from structures import STRUCTURES, molecule_rattled, small_crystal
from tolerances import ENGINE, EXACT, FLOAT32, ROUNDING, assert_close


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("hidden", [(1,), (7, 8), (17, 9), (5, 33)])
def test_the_engine_grades_as_numpy_does(tmp_path, hidden, name):
    model, atoms = graded(random_model(hidden=hidden)), STRUCTURES[name]()
    path = model.write(tmp_path / "model.atomcore")
    expected = grades(model, atoms)
    for precision, tolerance in (("float64", ENGINE), ("float32", FLOAT32)):
        potential = Potential.load(path, precision=precision)
        found = potential.compute(atoms, [GRADE])[GRADE]
        assert_close(found, expected, tolerance, scale=1.0 if precision == "float64" else expected.max())


def test_grades_change_nothing_else(tmp_path):
    model = graded(random_model(cutoff_function="tanh3"))
    potential = Potential.load(model.write(tmp_path / "model.atomcore"))
    structures = [molecule_rattled(), ase.Atoms("H"), small_crystal(), ase.Atoms(), small_crystal() * (4, 4, 4)]
    assert GRADE in potential.properties
    everything = [name for name in potential.properties if name != "stress"]
    for atoms, together in zip(structures, potential.compute_batch(structures, everything), strict=True):
        results = potential.compute(atoms, everything)
        for name in everything:
            assert_close(results[name], together[name], EXACT)
            assert_close(potential.compute(atoms, [name])[name], together[name], EXACT)
        assert results[GRADE].shape == (len(atoms),)


def test_every_number_of_threads_gives_the_same_grades(tmp_path):
    path = graded(random_model()).write(tmp_path / "model.atomcore")
    atoms = small_crystal() * (5, 5, 5)
    atoms.rattle(0.05, seed=1)
    one, four = (Potential.load(path, threads=n).compute(atoms, [GRADE])[GRADE] for n in (1, 4))
    assert_close(one, four, EXACT)


def test_models_without_grades_say_so(tmp_path):
    for model in (random_model(), random_model(members=2), random_model(hidden=())):
        potential = Potential.load(model.write(tmp_path / "model.atomcore"))
        assert GRADE not in potential.properties
        with pytest.raises(ValueError, match="no grades of extrapolation; they come with training of one network"):
            potential.compute(molecule_rattled(), [GRADE])


def test_grades_without_ranges(tmp_path):
    model = graded(random_model())
    model.metadata["requires"] = [*model.metadata["requires"], "unknown_ranges"]
    model.tensors = {name: array for name, array in model.tensors.items() if not name.endswith(("minimum", "maximum"))}
    potential = Potential.load(model.write(tmp_path / "model.atomcore"))
    assert [name for name in potential.properties if name.startswith("extrapolation")] == [GRADE]
    atoms = molecule_rattled()
    atoms.calc = Calculator(potential)
    assert_close(atoms.calc.get_property(GRADE, atoms), potential.compute(atoms, [GRADE])[GRADE], EXACT)


def test_grades_that_make_no_sense_are_refused_by_name(tmp_path):
    path = tmp_path / "model.atomcore"

    def refused(model, message):
        with pytest.raises(AtomcoreError, match=message):
            model.write(path)
        assert not path.exists()

    model = graded(random_model())
    good = dict(model.tensors)
    for wrong in (good["grade.C.matrix"][:-1], good["grade.C.matrix"][:, :-1], good["grade.C.matrix"][0]):
        model.tensors = good | {"grade.C.matrix": wrong}
        refused(model, r"tensor 'grade\.C\.matrix' must have shape \[10, 10\]")
    for last in ("H", "O"):
        model.tensors = {name: array for name, array in good.items() if name != f"grade.{last}.matrix"}
        refused(model, rf"grade\.{last}\.matrix")
    model.tensors = good | {"grade.C.matrix": good["grade.C.matrix"].astype(np.int64)}
    refused(model, r"grade\.C\.matrix")
    refused(graded(random_model(members=2)), "grades of extrapolation, which are of single networks, and members")
    refused(graded(random_model(hidden=())), "grades of extrapolation, but no hidden layers")


def test_grades_of_models_with_activations_of_their_layers(tmp_path):
    layers = {"H": ["tanh", "gaussian", "square"], "C": ["tanh", "cosine", "identity"], "O": ["square"] * 3}
    model, atoms = graded(random_model(activations=layers)), molecule_rattled()
    results = Potential.load(model.write(tmp_path / "model.atomcore")).compute(atoms, ["forces", GRADE])
    assert_close(results["forces"], reference(model, atoms)[1], ENGINE)
    assert_close(results[GRADE], grades(model, atoms), ENGINE)


def pairs(size: float):
    """Return a model for dynamics that grades atoms by their energy, ``size`` for each eV."""
    model = pair_model()
    for x in ("C", "O"):  # silu(x) is x, which is the energy and 60
        model.tensors[f"grade.{x}.matrix"] = size * np.array([[1.0, -60.0], [0.0, 0.0]])
    return model


@pytest.fixture
def path(tmp_path):
    """A model that has grades of one at most for a crystal at rest."""
    path = pairs(1.0).write(tmp_path / "pair.atomcore")
    at_rest = Potential.load(path).compute(crystal(path), [GRADE])[GRADE].max()
    return pairs(1.0 / at_rest).write(path)


def test_the_calculator_refuses_beyond_its_limit_and_warns_once(path):
    atoms = crystal(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        atoms.get_forces()
    grades = atoms.calc.results[GRADE]
    assert_close(grades.max(), 1.0, ENGINE)
    atoms.calc = Calculator(path, grade_limit=1.001)
    atoms.get_forces()
    atoms.calc = Calculator(path, grade_limit=0.999)
    with pytest.raises(
        ExtrapolationError, match=r"has an extrapolation grade of 1, where .*; grade_limit is 0.999"
    ) as told:
        atoms.get_forces()
    worst = int(grades.argmax())
    assert (told.value.atom, told.value.excess, told.value.spread) == (worst, None, None)
    assert_close(told.value.grade, 1.0, ENGINE)
    assert f"atom {worst} ({atoms.symbols[worst]}) has" in str(told.value)
    assert atoms.calc.results == {}
    atoms.calc = Calculator(path)
    atoms.set_cell(0.7 * atoms.cell, scale_atoms=True)
    with pytest.warns(UserWarning, match="extrapolation grade of .* Predictions there are guesses; this is said once"):
        atoms.get_forces()
    atoms.rattle(0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        atoms.get_forces()


@pytest.mark.parametrize("limit", [-1.0, np.nan, np.inf, True, "1"])
def test_limits_that_are_none(path, limit):
    with pytest.raises(ValueError, match=r"grade_limit is .*; accepted: a finite number of at least 0"):
        Calculator(path, grade_limit=limit)


def test_a_limit_ends_a_run_in_the_core_as_with_ase(path, tmp_path):
    choices = {"ps": 0.05, "dt": 1.0, "progress": False}
    free = simulate(crystal(path), tmp_path / "free", **choices)
    limit = 0.5 * (free.extrapolation_grade.max() + free.extrapolation_grade[:4].max())
    step = int(np.argmax(free.extrapolation_grade > limit))
    assert step > 3
    texts = []
    for engine in ("auto", "ase"):
        atoms, folder = crystal(path, grade_limit=limit), tmp_path / engine
        with pytest.raises(ExtrapolationError, match=f"the run has stopped at step {step} .*grade_limit is") as told:
            simulate(atoms, folder, engine=engine, **choices)
        assert_close(told.value.grade, free.extrapolation_grade[step], ROUNDING)
        stopped = read(folder / "stopped.extxyz").arrays[GRADE]
        assert_close(stopped[told.value.atom], told.value.grade, FLOAT32)
        table = np.genfromtxt(folder / "energies.csv", delimiter=",", names=True)
        assert_close(table["extrapolation_grade_max"], free.extrapolation_grade[:step], ROUNDING)
        texts.append(str(told.value))
    assert texts[0] == texts[1]
    assert np.array_equal(  # computed for the samples only once there is nothing to warn of or to stop at
        simulate(crystal(path, grade_limit=1e3), tmp_path / "wide", **choices).extrapolation_grade,
        free.extrapolation_grade,
    )


def test_a_run_warns_once_and_goes_on(tmp_path):
    loud = pairs(1e3).write(tmp_path / "loud.atomcore")
    with pytest.warns(UserWarning, match="extrapolation grade") as told:
        result = simulate(crystal(loud), tmp_path / "run", ps=0.02, progress=False)
    assert len([w for w in told if "grade" in str(w.message)]) == 1
    assert len(result.time) == 21


def test_commands_say_the_grades(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    start = crystal(path)
    start.calc = None
    dense = start.copy()
    dense.set_cell(0.8 * dense.cell, scale_atoms=True)
    dense.rattle(0.05)
    write("start.extxyz", [dense, start])
    expected = [found[GRADE] for found in Potential.load(path).compute_batch([dense, start], [GRADE])]
    assert main(["predict", str(path), "start.extxyz"]) == 0
    grade, atom = expected[0].max(), expected[0].argmax()
    assert f"largest {grade:.3g} (structure 0, atom {atom}, {dense.symbols[atom]})" in capsys.readouterr().out
    for frame, found in zip(read("predicted.extxyz", ":"), expected, strict=True):
        assert_close(frame.arrays[GRADE], found, FLOAT32)
    assert main(["md", str(path), "start.extxyz", "--ps", "0.02"]) == 0
    largest = json.loads((tmp_path / "md/metrics.json").read_text())["md"]["largest_extrapolation_grade"]
    assert f"largest extrapolation grade {largest:.3g}, at " in capsys.readouterr().out
    assert main(["md", str(path), "start.extxyz", "--grade-limit", "0.9", "--overwrite"]) == 1
    assert "grade_limit is 0.9" in capsys.readouterr().err
    assert read("md/stopped.extxyz").arrays[GRADE].max() > 0.9
