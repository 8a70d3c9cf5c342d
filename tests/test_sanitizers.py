"""The C++ tests and the Python tests of the core under the sanitizers of addresses, undefined behaviour and threads."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from cpp_build import LONGEST, SOURCES, build
from helpers import NEEDS_SOURCES, REPOSITORY, run_command

pytestmark = [NEEDS_SOURCES, pytest.mark.long]

KINDS = {"addresses": "address,undefined", "threads": "thread"}
LIBRARIES = {"addresses": "libasan.so", "threads": "libtsan.so"}
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}
# Torch has threads and an allocator of its own that no sanitizer knows.
PYTHON_TESTS = {  # by pattern, since a subject may have several files
    "addresses": ("arrays", "c_api", "calculator", "edges", "engine", "ensembles", "extrapolation", "features",
                  "features_input", "grades", "invariants", "isa", "md*", "model_file", "neighbors*", "streaming"),
    "threads": ("c_api", "edges", "engine", "ensembles", "md_core", "neighbors*", "streaming"),
}  # fmt: skip
# Tests import the package that stands before them, and not the one that is installed in place.
RUN = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "Redirecting" not in type(finder).__name__]
import pytest
from atomcore import _core
assert _core.__file__.startswith(sys.argv[1]), _core.__file__
sys.exit(pytest.main(sys.argv[2:]))
"""


def fixed_addresses() -> list[str]:
    """Return what to put before a command: the sanitizer of threads cannot work wherever a kernel may put a program."""
    return ["setarch", "-R"] if shutil.which("setarch") else []


@pytest.fixture(scope="module", params=KINDS)
def built(request, tmp_path_factory) -> tuple[str, Path]:
    """Return the kind of sanitizer and the folder with C++ tests and extension module built for it."""
    if importlib.util.find_spec("pybind11") is None:
        pytest.skip("pybind11 is not installed in this environment")
    import pybind11

    flags = f"-O1 -g -fno-omit-frame-pointer -fsanitize={KINDS[request.param]} -fno-sanitize-recover=all"
    folder = tmp_path_factory.mktemp(request.param)
    options = ("-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_CXX_FLAGS={flags}", "-DATOMCORE_PYTHON=ON")
    return request.param, build(folder, *options, f"-Dpybind11_DIR={pybind11.get_cmake_dir()}")


@pytest.mark.parametrize("name", [source.stem for source in SOURCES])
def test_programs(built, name):
    _, folder = built
    run_command([*fixed_addresses(), str(folder / name)], timeout=LONGEST, **OPTIONS)


def test_python(built, tmp_path):
    kind, folder = built
    package = tmp_path / "atomcore"
    shutil.copytree(REPOSITORY / "python" / "atomcore", package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (module,) = folder.glob("_core*.so")
    shutil.copy(module, package)
    (package / "lib").mkdir()
    shutil.copy(folder / "libatomcore.so", package / "lib")
    # The library comes first, and the one that throws exceptions next, so that the sanitizer sees it when it starts.
    if shutil.which("g++") is None:
        pytest.skip("g++ not found: the libraries of its sanitizers cannot be located")
    preload = [run_command(["g++", f"-print-file-name={name}"]).strip() for name in (LIBRARIES[kind], "libstdc++.so")]
    if any("/" not in path for path in preload):
        pytest.skip(f"{LIBRARIES[kind]} is not installed")
    tests = [str(path) for name in PYTHON_TESTS[kind] for path in sorted(Path(__file__).parent.glob(f"test_{name}.py"))]
    arguments = ["-q", "-p", "no:cacheprovider", f"--rootdir={REPOSITORY}", "-m", "not long and not gpu", *tests]
    environment = {
        **OPTIONS,
        "ASAN_OPTIONS": "detect_leaks=0",  # Python keeps what it has at its end
        "LD_PRELOAD": " ".join(preload),
        "PYTHONPATH": f"{tmp_path}:{Path(__file__).parent}",
        "OMP_NUM_THREADS": "4",
    }
    command = [*fixed_addresses(), sys.executable, "-c", RUN, str(package), *arguments]
    assert " passed" in run_command(command, timeout=2 * LONGEST, **environment)
