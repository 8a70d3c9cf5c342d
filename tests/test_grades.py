"""Grades of extrapolation: what the engine computes from a model file, and where they come from in training."""

import ase
import numpy as np
import pytest

from atomcore import AtomcoreError
from atomcore.potential import GRADE, Potential
from engine_oracle import grades, reference
from model_builder import graded, random_model
from structures import STRUCTURES, molecule_rattled, small_crystal
from tolerances import ENGINE, EXACT, FLOAT32, assert_close


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


def test_a_grade_that_overflows_is_infinite(tmp_path):
    model = graded(random_model())
    for x in "HCO":
        model.tensors[f"grade.{x}.matrix"] *= 1e300
    potential = Potential.load(model.write(tmp_path / "model.atomcore"))
    assert (potential.compute(molecule_rattled(), [GRADE])[GRADE] == np.inf).all()


def test_models_without_grades_say_so(tmp_path):
    for model in (random_model(), random_model(members=2), random_model(hidden=())):
        potential = Potential.load(model.write(tmp_path / "model.atomcore"))
        assert GRADE not in potential.properties
        with pytest.raises(ValueError, match="no grades of extrapolation; they come with training of one network"):
            potential.compute(molecule_rattled(), [GRADE])


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
