"""Damaged files, made by machines: they are refused in words, or are models that give finite numbers.

Some thousand model files without sanitizers are part of tests/test_cpp.py, which has the program for them anyway.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from atomcore import AtomcoreError, Potential
from atomcore.interop.sgdml import read_model, write_model_file
from cpp_build import LONGEST, build
from fuzz.corpus import models, write_corpus
from helpers import NEEDS_SOURCES, run_command
from model_builder import random_model
from sgdml_files import random_model as gdml_model
from tolerances import ENGINE, assert_close

RUNS = 1_000_000  # of the reader of model files
FORMATS = ("n2p2", "neurochem", "torchani", "sgdml", "mbgdml")


@pytest.mark.long
@NEEDS_SOURCES
def test_a_million_damaged_model_files_under_sanitizers(tmp_path):
    """By libFuzzer, which learns from the branches that a file takes, or where there is no clang by the driver."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    files = [str(path) for path in write_corpus(corpus)]
    if shutil.which("clang++"):
        switches = ("-DCMAKE_CXX_COMPILER=clang++", "-DATOMCORE_FUZZ=ON", "-DCMAKE_CXX_FLAGS=-O1 -g1")
        limits = ["-seed=1", f"-runs={RUNS}", "-rss_limit_mb=512", "-timeout=5", "-max_len=16384", str(corpus)]
    else:
        flags = "-O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
        switches = (f"-DCMAKE_CXX_FLAGS={flags}",)
        limits = [str(RUNS), "1", *files]
    program = build(tmp_path, "-DCMAKE_BUILD_TYPE=Debug", *switches, target="fuzz_model_file") / "fuzz_model_file"
    freed = "quarantine_size_mb=32"  # what the sanitizer keeps of it counts as memory in use
    run_command([str(program), *limits], cwd=tmp_path, timeout=8 * LONGEST, ASAN_OPTIONS=freed)


@pytest.mark.parametrize("runs", [50, pytest.param(20_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_models_of_other_codes(kind, runs):
    """In a process of its own, which stops where something else happens, or takes too long or too much memory."""
    if kind == "torchani" and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed, which writes state dicts")
    command = [sys.executable, "-m", "fuzz.converters", kind, str(runs)]
    found = run_command(command, timeout=LONGEST, PYTHONPATH=str(Path(__file__).parent), OMP_NUM_THREADS="1")
    assert "no finding" in found


def test_spreads_beyond_all_numbers_are_refused(tmp_path):
    model = models()["molecular_kernel"]
    model.metadata["variance"]["of_kernel"] = 1e300
    water = Atoms("OHH", [[0.0, 0.0, 0.1], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
    potential = Potential.load(model.write(tmp_path / "model.atomcore"))
    assert np.isfinite(potential.compute(water, ["energy"])["energy"])
    with pytest.raises(AtomcoreError, match="spread is not finite"):
        potential.compute(water, ["energy_spread"])


@pytest.mark.parametrize("features", [True, False])
def test_spreads_of_no_atoms_and_of_no_features_are_computed(tmp_path, features):
    model = models()["atomic_kernel"]
    if not features:
        model.tensors["variance.columns"] = np.zeros(0, int)
        model.tensors["variance.features"] = np.zeros((3, 0))
        model.tensors["variance.jacobian"] = np.zeros(0)
    potential = Potential.load(model.write(tmp_path / "model.atomcore"))
    for atoms in (Atoms(), Atoms("OH", [[0, 0, 0], [0, 0, 1.0]])):
        found = potential.compute(atoms, ["energy_spread", "forces_spread"])
        assert np.isfinite(found["energy_spread"])
        assert found["forces_spread"].shape == (len(atoms), 3)
        assert features or not found["forces_spread"].any()  # what does not move with the atoms


def test_grades_beyond_all_numbers_are_refused(tmp_path):
    model = models()["graded"]
    model.tensors["grade.O.matrix"] = np.full((3, 3), 1e308)
    potential = Potential.load(model.write(tmp_path / "model.atomcore"))
    assert np.isfinite(potential.energy_forces(Atoms("O"))[0])
    with pytest.raises(AtomcoreError, match="grade of extrapolation is not finite"):
        potential.compute(Atoms("O"), ["extrapolation_grade"])


@pytest.mark.parametrize("widths", [(1,), (1, 2, 1), (3, 1)])
def test_networks_without_inputs_are_constants(tmp_path, widths):
    model, random = models()["network"], np.random.default_rng(4)
    for name in list(model.tensors):
        if name.startswith("networks.0.O."):
            del model.tensors[name]
    for name in ("columns", "mean", "scale"):
        model.tensors[f"features.O.{name}"] = model.tensors[f"features.O.{name}"][:0]
    x = np.zeros(0)
    for layer, outputs in enumerate(widths):
        if layer:
            x = x / (1 + np.exp(-x))  # silu
        weight, bias = random.normal(size=(outputs, len(x))), random.normal(size=outputs)
        model.tensors |= {f"networks.0.O.{layer}.weight": weight, f"networks.0.O.{layer}.bias": bias}
        x = weight @ x + bias
    energy, _ = Potential.load(model.write(tmp_path / "model.atomcore")).energy_forces(Atoms("O"))
    reference, scale = (model.tensors[f"energy.{name}"][1] for name in ("reference", "scale"))
    assert_close(energy, reference + scale * x[0], ENGINE)


def test_an_element_without_features_has_a_constant_energy(tmp_path):
    """Its centres have no coordinates, but coefficients: there is one kernel at no distance for each."""
    model = models()["atomic_kernel"]
    del model.metadata["variance"]
    for name in ("columns", "mean", "scale"):
        model.tensors[f"features.O.{name}"] = model.tensors[f"features.O.{name}"][:0]
    model.tensors["kernel.O.centres"] = np.zeros((40, 0))
    model.tensors["kernel.O.coefficients"] = coefficients = np.random.default_rng(3).normal(size=40)
    del model.tensors["kernel.O.derivative_coefficients"]
    potential = Potential.load(model.write(tmp_path / "model.atomcore"))
    energy, forces = potential.energy_forces(Atoms("O"))
    assert_close(energy, model.tensors["energy.reference"][1] + coefficients.sum(), ENGINE)
    assert not forces.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"e_unit": np.array("kcal")}, r"model\.npz declares units that are not known: .*kcal"),
        ({"lam": np.array(np.nan)}, r"model\.npz is damaged .* lam is nan"),
        ({"R_desc": np.zeros((3, 5))}, r"model\.npz is damaged .* not above 0"),
        ({"R_desc": np.ones((3, 5), complex)}, r"'R_desc' of model\.npz has type complex128"),
        ({"r_unit": np.frombuffer(b"\xff" * 8, "<U2")}, r"'r_unit' of model\.npz cannot be read"),
    ],
)
def test_damage_of_gdml_models_is_told_with_the_name_of_the_file(tmp_path, changes, message):
    write_model_file(gdml_model(), tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as file:
        arrays = {name: file[name] for name in file.files if name not in ("md5_test", "e_err", "f_err")}
    np.savez(tmp_path / "model.npz", **arrays | changes)
    with pytest.raises(AtomcoreError, match=message):
        read_model(tmp_path / "model.npz")


def test_a_small_file_cannot_ask_for_all_memory(tmp_path):
    """What functions an edge can change is listed for every cutoff: with as many of these as functions, squared."""
    table = [
        {"type": "radial", "elements": ["H"], "prefactor": 1.0, "eta": 0.1, "shift": 0.0, "cutoff": 3.0 + 1e-4 * i}
        | {"cutoff_function": "cosine"}
        for i in range(7000)
    ]
    with pytest.raises(AtomcoreError, match="features: the table is too large"):
        random_model(("H",), hidden=(2,), reference=(0.0,), table=table).write(tmp_path / "model.atomcore")
