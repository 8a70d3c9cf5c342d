"""Damaged files, made by machines: a model file is refused in words, or is a model that gives finite numbers.

Some thousand mutations without sanitizers are part of tests/test_cpp.py, whose programs are there anyway.
"""

import shutil

import pytest

from cpp_build import LONGEST, build
from fuzz.corpus import write_corpus
from helpers import NEEDS_SOURCES, run_command

RUNS = 1_000_000


@pytest.mark.long
@NEEDS_SOURCES
def test_a_million_damaged_model_files_under_sanitizers(tmp_path):
    """By libFuzzer, which learns from the branches that a file takes, or where there is no clang by the driver."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    files = [str(path) for path in write_corpus(corpus)]
    if shutil.which("clang++"):
        switches = ("-DCMAKE_CXX_COMPILER=clang++", "-DATOMCORE_FUZZ=ON", "-DCMAKE_CXX_FLAGS=-O1 -g1")
        limits = ["-seed=1", f"-runs={RUNS}", "-rss_limit_mb=512", "-timeout=5", "-max_len=65536", str(corpus)]
    else:
        flags = "-O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
        switches = (f"-DCMAKE_CXX_FLAGS={flags}",)
        limits = [str(RUNS), "1", *files]
    program = build(tmp_path, "-DCMAKE_BUILD_TYPE=Debug", *switches, target="fuzz_model_file") / "fuzz_model_file"
    run_command([str(program), *limits], cwd=tmp_path, timeout=4 * LONGEST)
