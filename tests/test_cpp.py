"""The C++ tests: built out of tree and run here and (long) as programs for another processor; what is compiled how."""

import json
import platform
import re
import shutil
from pathlib import Path

import pytest

from cpp_build import SOURCES, build, built_once
from fuzz.corpus import write_corpus
from helpers import NEEDS_SOURCES, REPOSITORY, run_command
from processors import skip_without

pytestmark = NEEDS_SOURCES


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    return built_once(tmp_path_factory)


@pytest.mark.parametrize("name", [source.stem for source in SOURCES])
def test_program(programs, name):
    run_command([str(programs / name)])


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_packs(programs, isa):
    """The program of the portable packs once more, compiled for another instruction set."""
    skip_without(isa)
    run_command([str(programs / f"test_packs_{isa}")])


@pytest.mark.parametrize("name", ["test_cholesky", "test_features", "test_gdml", "test_kernels", "test_networks"])
@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512"])
def test_every_instruction_set(programs, isa, name):
    """With large numbers wherever nobody has written any: lanes that are not wanted must not reach a result."""
    skip_without(isa)
    run_command([str(programs / name)], ATOMCORE_ISA=isa, MALLOC_PERTURB_="128")


def test_damaged_model_files(programs, tmp_path):
    """Some thousand of them; tests/test_fuzz.py makes a million, for sanitizers."""
    files = [str(path) for path in write_corpus(tmp_path)]
    run_command([str(programs / "fuzz_model_file"), "3000", "1", *files], cwd=tmp_path, MALLOC_PERTURB_="129")


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
        if "/src/isa/" not in entry["file"] and "/tests/" not in entry["file"]:
            assert not [word for word in words if re.match(r"-m(avx|fma|bmi|sse|arch)", word)], entry["file"]


@pytest.mark.long
def test_programs_on_aarch64(tmp_path):
    missing = [name for name in ("aarch64-linux-gnu-g++", "qemu-aarch64") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found: nothing for aarch64 can be built and run (see make aarch64)")
    build(tmp_path, f"-DCMAKE_TOOLCHAIN_FILE={REPOSITORY / 'ci' / 'aarch64.cmake'}", "-DCMAKE_BUILD_TYPE=Release")
    for source in SOURCES:
        program = tmp_path / source.stem
        assert program.read_bytes()[18:20] == b"\xb7\x00", "not a program for aarch64"
        run_command(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", str(program)], timeout=1800)
