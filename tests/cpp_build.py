"""How tests build the C++ programs, and the extension module, out of tree."""

import fcntl
import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

from helpers import REPOSITORY, run_command

LONGEST = 3600  # seconds that a build or a run under sanitizers may take where other work goes on beside
SOURCES = sorted((REPOSITORY / "tests" / "cpp").glob("test_*.cpp"))


def find_cmake() -> str:
    """Return the program, or skip."""
    beside = Path(sys.executable).parent / "cmake"  # the one from PyPI, in the environment that runs the tests
    cmake = str(beside) if beside.exists() else shutil.which("cmake")
    if cmake is None:
        pytest.skip("no cmake found")
    return cmake


def build(folder: Path, *options: str, target: str = "all") -> Path:
    """Configure and build the C++ tests, or one of them, in ``folder``; skip where nothing can build them."""
    if shutil.which(os.environ.get("CXX", "c++")) is None and shutil.which("g++") is None:
        pytest.skip("no C++ compiler found")
    cmake = find_cmake()
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
    run_command([cmake, "--build", str(folder), "-j2", "--target", target], timeout=LONGEST)
    return folder


def built_once(factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the C++ tests and the library, which all tests and processes of a run share."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    base = factory.getbasetemp().parent if parallel else factory.getbasetemp()
    folder = base / "cpp"
    with (base / "cpp.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            build(folder, "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1")
            (folder / "complete").touch()
    return folder
