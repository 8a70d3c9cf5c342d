"""The C++ tests: built out of tree and run, plainly and (long) under the sanitizers."""

import importlib.util
import json
import os
import platform
import re
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
        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
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


def isa_objects(folder: Path) -> list[Path]:
    return sorted(folder.glob("CMakeFiles/atomcore_isa_*.dir/**/*.o"))


def test_instruction_sets_share_no_weak_symbols(programs):
    """The linker keeps one copy of a weak symbol, perhaps the one for AVX-512, and hands it to every caller."""
    if shutil.which("nm") is None:
        pytest.skip("no nm found: the symbols of object files cannot be listed")
    seen = 0
    for path in isa_objects(programs):
        isa = re.search(r"atomcore_isa_(\w+)\.dir", str(path))[1]
        listed = run_command(["nm", "-C", "--defined-only", str(path)]).splitlines()
        weak = [name for _, kind, name in (line.split(maxsplit=2) for line in listed) if kind in "WVu"]
        foreign = [name for name in weak if f"{isa}::" not in name]
        assert not foreign, f"{path.name} for {isa} shares {foreign} with the rest of the program"
        seen += len(weak)
    assert seen, "no inline function is left in any object: this test sees nothing"


def test_nothing_is_compiled_for_the_machine_that_builds(programs):
    """Only the sources in src/isa use instructions beyond the base, and none is compiled with other rules for NaN."""
    commands = json.loads((programs / "compile_commands.json").read_text())
    assert any("-mavx512f" in entry["command"] for entry in commands) == (platform.machine() == "x86_64")
    for entry in commands:
        words = entry["command"].split()
        assert not {"-march=native", "-mtune=native", "-ffast-math", "-Ofast", "-ffinite-math-only"} & set(words)
        if "/src/isa/" not in entry["file"]:
            assert not [word for word in words if re.match(r"-m(avx|fma|bmi|sse|arch)", word)], entry["file"]


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
