"""Programs in C, C++ and Fortran that use the installed library: found, built, run, small and quick to start."""

import ctypes
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

import c_library
from atomcore import Potential
from cpp_build import built_once, find_cmake
from helpers import NEEDS_SOURCES, REPOSITORY, run_command
from model_builder import random_model
from tolerances import ENGINE, assert_close

PROGRAMS = Path(__file__).parent / "c"
EXAMPLES = REPOSITORY / "examples" / "c_api"
WATER = Atoms("OHH", [[0, 0, 0.119], [0, 0.763, -0.477], [0.1, -0.763, -0.477]])
BOX = Atoms(WATER, cell=[[3.2, 0, 0], [0, 3.4, 0], [0.3, 0, 3.0]], pbc=True)
LARGEST = 3e6  # bytes of the shared library and its headers
LONGEST_START = 0.05  # seconds in which a program loads a model and computes a molecule


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return random_model(reference=(-13.6, -1029.8, -2042.5)).write(tmp_path_factory.mktemp("model") / "m.atomcore")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """Return a folder into which the library has been installed, and which has been moved since."""
    programs = built_once(tmp_path_factory)
    folder = tmp_path_factory.mktemp("prefix")
    run_command([find_cmake(), "--install", str(programs), "--prefix", str(folder / "first")])
    return (folder / "first").rename(folder / "moved")


def numbers_after(word: str, text: str) -> np.ndarray:
    rows = [line.split()[1:] for line in text.splitlines() if line.startswith(f"{word} ")]
    return np.array([[float(number) for number in row if not number.startswith("eV")] for row in rows])


def check_output(text: str, model: Path, atoms: Atoms, times: int = 1) -> None:
    """Compare what an example has printed with the engine in Python."""
    expected = Potential.load(model).compute(atoms)
    assert_close(numbers_after("energy", text), np.full((times, 1), expected["energy"]), ENGINE)
    assert_close(numbers_after("force", text), np.concatenate([expected["forces"]] * times), ENGINE)


def compiler(*names: str) -> str:
    for name in names:
        if shutil.which(name):
            return name
    pytest.skip(f"no {' or '.join(names)} found")


def check_examples(found: Path, folder: Path, model: Path, shared: bool) -> None:
    """Build the examples against the package in a folder and compare what they print."""
    compiler("cc", "gcc")
    compiler("c++", "g++")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    run_command([find_cmake(), "-S", str(EXAMPLES), "-B", str(folder), *generator, f"-DCMAKE_PREFIX_PATH={found}"])
    run_command([find_cmake(), "--build", str(folder)])
    run = {path.name: run_command([str(path), str(model)]) for path in folder.glob("water_*")}
    assert {"water_c", "water_cpp"} <= run.keys()
    assert ("water_static" in run) != shared
    check_output(run["water_c"], model, WATER, times=2)
    check_output(run["water_cpp"], model, BOX)
    potential = Potential.load(model)
    stress = -numbers_after("virial", run["water_cpp"]) / BOX.get_volume()
    assert_close(stress.flat[[0, 4, 8, 5, 2, 1]], potential.compute(BOX, ("stress",))["stress"], ENGINE)
    if not shared:
        check_output(run["water_static"], model, WATER, times=2)
    if "water_f90" not in run:
        pytest.skip("no Fortran compiler found: the examples in C and C++ passed")
    check_output(run["water_f90"], model, WATER)


@NEEDS_SOURCES
def test_examples_with_the_python_package(tmp_path, model):
    """Found by what the README says: the package within the wheel."""
    found = run_command([sys.executable, "-m", "atomcore", "--cmake-dir"]).strip()
    assert Path(found) == c_library.FOLDER / "lib" / "cmake" / "atomcore"
    check_examples(Path(found), tmp_path, model, shared=True)


@NEEDS_SOURCES
def test_examples_with_an_installed_library(tmp_path, model, prefix):
    check_examples(prefix, tmp_path, model, shared=False)


@NEEDS_SOURCES
@pytest.mark.parametrize("linked", ["shared", "static"])
def test_examples_by_pkg_config(tmp_path, model, prefix, linked):
    compiler("pkg-config")
    (folder,) = prefix.glob("lib*/pkgconfig")
    flags = ["--cflags", "--libs", *(["--static"] if linked == "static" else [])]
    words = run_command(["pkg-config", *flags, "atomcore"], PKG_CONFIG_PATH=str(folder)).split()
    if linked == "static":
        words = [str(folder.parent / "libatomcore.a") if word == "-latomcore" else word for word in words]
    assert run_command(["pkg-config", "--modversion", "atomcore"], PKG_CONFIG_PATH=str(folder)).strip() == (
        c_library.C.atomcore_version().decode()
    )
    for name, program, atoms, times in (
        ("water.c", compiler("cc", "gcc"), WATER, 2), ("water.cpp", compiler("c++", "g++"), BOX, 1)
    ):  # fmt: skip
        command = [program, str(EXAMPLES / name), "-o", str(tmp_path / "program"), *words]
        run_command([*command, f"-Wl,-rpath,{folder.parent}"])
        check_output(run_command([str(tmp_path / "program"), str(model)]), model, atoms, times)
        linked_to = "libatomcore" in run_command(["ldd", str(tmp_path / "program")])
        assert linked_to == (linked == "shared")


@NEEDS_SOURCES
def test_an_example_in_fortran_by_pkg_config(tmp_path, model, prefix):
    program = compiler("gfortran")
    compiler("pkg-config")
    (folder,) = prefix.glob("lib*/pkgconfig")
    words = run_command(["pkg-config", "--cflags", "--libs", "atomcore"], PKG_CONFIG_PATH=str(folder)).split()
    sources = [str(prefix / "include" / "atomcore" / "atomcore.f90"), str(EXAMPLES / "water.f90")]
    command = [program, "-std=f2018", "-Wall", "-Werror", *sources, "-o", "water", *words]
    run_command([*command, f"-Wl,-rpath,{folder.parent}"], cwd=tmp_path)
    check_output(run_command([str(tmp_path / "water"), str(model)]), model, WATER)


def test_fortran_sees_the_structs_of_c(tmp_path, model):
    library, include = c_library.FOLDER / "lib", c_library.FOLDER / "include"
    sources = [str(include / "atomcore" / "atomcore.f90"), str(PROGRAMS / "sizes.f90")]
    command = [compiler("gfortran"), *sources, "-o", "sizes", f"-L{library}", "-latomcore", f"-Wl,-rpath,{library}"]
    run_command(command, cwd=tmp_path)
    sizes, refusal, found, elements = run_command([str(tmp_path / "sizes"), str(model)]).splitlines()
    structs = (c_library.Options, c_library.Info, c_library.Results, c_library.Structure, c_library.Neighbors)
    assert [int(size) for size in sizes.split()] == [ctypes.sizeof(struct) for struct in structs]
    assert "'nowhere'" in refusal
    assert found == f"{c_library.C.atomcore_version().decode()} behler_parrinello"
    assert elements.split() == ["3", "2", "-1"]


@NEEDS_SOURCES
def test_nothing_of_python_is_needed_to_build(tmp_path):
    """Configured where CMake can find neither Python nor pybind11, with and without the headers that it needs."""
    nlohmann_json = pytest.importorskip("nlohmann_json", reason="the nlohmann-json headers are not installed here")
    compiler("c++", "g++")
    switches = ["-DATOMCORE_PYTHON=OFF", "-DATOMCORE_CUDA=OFF"]
    switches += [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("Python", "pybind11", "nlohmann_json")]
    command = [find_cmake(), "-S", str(REPOSITORY), "-B", str(tmp_path), *switches]
    with pytest.raises(AssertionError, match="the headers of nlohmann-json"):
        run_command(command)
    headers = Path(nlohmann_json.__file__).parent / "include"
    run_command([*command, f"-DATOMCORE_JSON_INCLUDE={headers}"])


def compiled(source: Path, folder: Path, *options: str) -> Path:
    """Compile a program in strict C11 against the library of the Python package."""
    library = c_library.FOLDER / "lib"
    program = folder / source.stem
    command = [compiler("cc", "gcc"), "-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", str(source)]
    command += [f"-I{c_library.FOLDER / 'include'}", "-o", str(program), *options]
    run_command([*command, f"-L{library}", "-latomcore", f"-Wl,-rpath,{library}"])
    return program


def test_the_headers_are_strict(tmp_path):
    run_command([str(compiled(PROGRAMS / "headers.c", tmp_path))])
    source = tmp_path / "headers.cpp"
    source.write_text("#include <atomcore/atomcore.hpp>\n")
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fsyntax-only"]
    for standard in ("c++17", "c++20"):
        command = [compiler("c++", "g++"), f"-std={standard}", *warnings, f"-I{c_library.FOLDER / 'include'}"]
        run_command([*command, str(source)])


def test_threads_in_c(tmp_path, model):
    """Eight threads of one process, 200 structures each: what one thread gives, and what Python gives."""
    program = compiled(PROGRAMS / "threads.c", tmp_path, "-D_POSIX_C_SOURCE=200809L", "-pthread")
    energies = [float(line) for line in run_command([str(program), str(model)]).split()]
    potential = Potential.load(model)
    for k in (0, 1, 2, 3, 199):
        i, x = np.mgrid[0 : 2 + k % 4, 0:3]
        positions = 0.9 * (i >> x & 1) + 0.01 * ((k * 7 + i * 3 + x) % 11)
        assert_close(energies[k], potential.compute(Atoms([6, 1, 1, 8, 1][: len(i)], positions))["energy"], ENGINE)


def test_memory_is_in_order(tmp_path, model):
    if shutil.which("valgrind") is None:
        pytest.skip("no valgrind found")
    program = compiled(PROGRAMS / "threads.c", tmp_path, "-D_POSIX_C_SOURCE=200809L", "-DEVALUATIONS=3", "-pthread")
    run_command(["valgrind", "-q", "--leak-check=full", "--error-exitcode=9", str(program), str(model)],
                ATOMCORE_ISA="avx2")  # fmt: skip


@NEEDS_SOURCES
def test_small_and_quick_to_start(tmp_path, model):
    """Prints both figures; the time is the least of many, since others may be at work here."""
    headers = list((c_library.FOLDER / "include").rglob("*.*"))
    size = sum(path.stat().st_size for path in [c_library.LIBRARY, *headers])
    program = compiled(EXAMPLES / "water.c", tmp_path)
    times = []
    for _ in range(15):
        started = time.perf_counter()
        run_command([str(program), str(model)])
        times.append(time.perf_counter() - started)
    print(f"library and headers: {size / 1e6:.2f} MB; loads a model and computes in {min(times) * 1e3:.1f} ms")
    assert size < LARGEST
    assert min(times) < LONGEST_START
