"""The C++ tests: built out of tree and run, plainly and (long) under the sanitizers."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

from helpers import NEEDS_SOURCES, REPOSITORY, run_command

pytestmark = NEEDS_SOURCES

LONGEST = 1800  # seconds that a build or a run under sanitizers may take
SOURCES = sorted((REPOSITORY / "tests" / "cpp").glob("test_*.cpp"))


def build(folder: Path, *options: str) -> Path:
    """Configure and build the C++ tests in ``folder``, or skip where there is nothing to build with."""
    if shutil.which(os.environ.get("CXX", "c++")) is None and shutil.which("g++") is None:
        pytest.skip("no C++ compiler found")
    beside = Path(sys.executable).parent / "cmake"  # the one from PyPI, in the environment that runs the tests
    cmake = str(beside) if beside.exists() else shutil.which("cmake")
    if cmake is None:
        pytest.skip("no cmake found")
    if importlib.util.find_spec("nlohmann_json") is None:
        pytest.skip("the nlohmann-json headers are not installed in this environment")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    switches = [
        "-DATOMCORE_TESTS=ON",
        "-DATOMCORE_PYTHON=OFF",
        "-DATOMCORE_CUDA=OFF",
        f"-DPython_EXECUTABLE={sys.executable}",
    ]
    run_command([cmake, "-S", str(REPOSITORY), "-B", str(folder), *generator, *switches, *options])
    run_command([cmake, "--build", str(folder), "-j2"], timeout=LONGEST)
    return folder


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("cpp"), "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1")


@pytest.mark.parametrize("name", [source.stem for source in SOURCES])
def test_program(programs, name):
    run_command([str(programs / name)])


@pytest.mark.long
def test_programs_under_sanitizers(tmp_path):
    flags = "-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
    build(tmp_path, "-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_CXX_FLAGS={flags}")
    for source in SOURCES:
        run_command(
            [str(tmp_path / source.stem)],
            timeout=None,
            ASAN_OPTIONS="detect_leaks=1",
            UBSAN_OPTIONS="print_stacktrace=1",
        )
