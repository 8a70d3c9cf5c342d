"""Damaged files, made by machines: they are refused in words, or are models that give finite numbers.

Some thousand model files without sanitizers are part of tests/test_cpp.py, which has the program for them anyway.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from cpp_build import LONGEST, build
from fuzz.corpus import write_corpus
from helpers import NEEDS_SOURCES, run_command

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
    run_command([str(program), *limits], cwd=tmp_path, timeout=8 * LONGEST)


@pytest.mark.parametrize("runs", [50, pytest.param(20_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_models_of_other_codes(kind, runs):
    """In a process of its own, which stops where something else happens, or takes too long or too much memory."""
    if kind == "torchani" and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed, which writes state dicts")
    command = [sys.executable, "-m", "fuzz.converters", kind, str(runs)]
    found = run_command(command, timeout=LONGEST, PYTHONPATH=str(Path(__file__).parent), OMP_NUM_THREADS="1")
    assert "no finding" in found
