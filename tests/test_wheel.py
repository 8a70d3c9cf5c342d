"""The wheel: what is in it, and that it works alone, far from the source tree."""

import importlib.util
import re
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from ase.build import molecule

from atomcore.potential import Potential
from helpers import NEEDS_SOURCES, REPOSITORY, run_command
from model_builder import random_model
from tolerances import EXACT, assert_close

pytestmark = NEEDS_SOURCES

COMMAND = REPOSITORY / "ci" / "build_wheels.py"
PACKAGE = REPOSITORY / "python" / "atomcore"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
USED_ALONE = """
import sys
from pathlib import Path
import atomcore
from ase.build import molecule

assert Path(atomcore.__file__).is_relative_to(sys.prefix), atomcore.__file__
atoms = molecule("CH3CH2OH")
atoms.calc = atomcore.Calculator(sys.argv[1])
print(repr(atoms.get_potential_energy()))
print(repr(float(atoms.get_forces()[0, 0])))
print(len(atomcore.data.load(atomcore.data.sample("glycol"))))
"""


@pytest.fixture(scope="module")
def build_wheels():
    """Return the command as a module."""
    spec = importlib.util.spec_from_file_location("build_wheels", COMMAND)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GOOD = {
    "atomcore/__init__.py": "", "atomcore/_core.cpython-311.so": "ELF", "atomcore/lib/libatomcore.so": "ELF",
    "atomcore/include/atomcore/atomcore.hpp": "", "atomcore-1.0.dist-info/METADATA": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"atomcore/_core.cpython-311.so": None}, "compiled modules ['atomcore/lib/libatomcore']"),
        ({"atomcore/lib/libatomcore.so": None}, "compiled modules ['atomcore/_core']"),
        ({"atomcore/_other.cpython-311.so": "ELF"}, "compiled modules ['atomcore/_core', 'atomcore/_other'"),
        ({"tests/test_units.py": ""}, "['tests/test_units.py']"),
        ({"atomcore/kernels.cpp": ""}, "['atomcore/kernels.cpp']"),
        ({"atomcore/_core.cpython-311.so": f"ELF {REPOSITORY}/cpp/src/gemm.cpp"}, "folders of this machine"),
        ({"atomcore/large.txt": "x" * 3000}, "2000 are allowed"),
    ],
)
def test_unsuitable_contents_are_refused(build_wheels, tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr(build_wheels, "LARGEST", 2000)
    wheel = tmp_path / "atomcore-1.0-cp311-cp311-linux_x86_64.whl"
    for contents in (GOOD, GOOD | changes):
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, text in contents.items():
                if text is not None:
                    archive.writestr(name, text)
        if contents is GOOD:
            assert "without the CUDA module" in build_wheels.check_contents(wheel)
    with pytest.raises(build_wheels.Failure, match=re.escape(message)):
        build_wheels.check_contents(wheel)


def test_interpreters(build_wheels, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert build_wheels.find_interpreter("3.1") is None
    shim = tmp_path / "python3.1"  # as pyenv has them: there, but no version behind it
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert build_wheels.find_interpreter("3.1") is None
    shim.write_text("#!/bin/sh\necho 3.1 True\n")
    assert build_wheels.find_interpreter("3.1") == str(shim)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, str]:
    """Run the command for this version of Python; return its output folder and what it printed."""
    folder = tmp_path_factory.mktemp("wheel")
    try:
        run_command([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder / "try"), "build"])
    except AssertionError as error:
        pytest.skip(f"pip cannot get build requirements here: {error}")
    command = [sys.executable, str(COMMAND), "--python", PYTHON, "--output", str(folder / "dist")]
    return folder / "dist", run_command(command, timeout=3600)


@pytest.fixture(scope="module")
def wheel(built) -> Path:
    (path,) = built[0].glob("atomcore-*.whl")
    return path


@pytest.mark.long
def test_the_command_says_what_was_tried(built):
    text = built[1]
    assert f"{PYTHON}: testing" in text
    last = text.splitlines()[-1]
    assert re.search(rf"cp{PYTHON.replace('.', '')}.*\.whl: \d+ passed.*demo", last), last
    assert "failed" not in last


@pytest.mark.long
def test_contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}  # auditwheel lists folders too
    source = {str(path.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob("*") if path.is_file()}
    source = {name for name in source if "__pycache__" not in name and not name.endswith(".so")}
    assert {"atomcore/py.typed", "atomcore/_core.pyi", "atomcore/data/samples/glycol.npz"} <= source
    assert any(name.startswith("atomcore/conf/") and name.endswith(".yaml") for name in source)
    assert not source - names, "missing"
    extra = {name.split(".")[0] for name in names - source if ".dist-info/" not in name}
    assert extra in ({"atomcore/_core"}, {"atomcore/_core", "atomcore/_cuda"})  # the extension modules
    assert any(name.endswith("LICENSE") for name in names)


@pytest.mark.long
def test_source_archive(built):
    (path,) = built[0].glob("atomcore-*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in ("CMakeLists.txt", "cuda/device.cu", "cpp/src/gemm.cpp", "tests/tolerances.py", "LICENSE"):
        assert needed in names
    assert not {name for name in names if name.startswith((".ci", "build/", "dist/", ".venv"))}


@pytest.fixture
def dependencies(tmp_path) -> Path:
    """Return a folder with numpy, scipy and ASE (which needs typing_extensions), and nothing else to import."""
    folder = tmp_path / "dependencies"
    folder.mkdir()
    for name in ("numpy", "scipy", "ase", "typing_extensions"):
        spec = importlib.util.find_spec(name)
        assert spec is not None, name
        assert spec.origin is not None, name
        path = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
        (folder / path.name).symlink_to(path)
    return folder


@pytest.mark.long
def test_installed_alone_it_computes_what_the_source_tree_computes(wheel, dependencies, tmp_path):
    model = random_model().write(tmp_path / "model.atomcore")
    run_command([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")])
    python = str(tmp_path / "venv" / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python]
    run_command([*pip, "install", "--no-deps", "--no-index", str(wheel)], cwd=tmp_path)
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    output = run_command([python, "-c", USED_ALONE, str(model)], cwd=outside, PYTHONPATH=str(dependencies))
    energy, force, count = output.split()
    assert int(count) == 1000
    expected = Potential.load(model).energy_forces(molecule("CH3CH2OH"))
    assert_close([float(energy), float(force)], [expected[0], expected[1][0, 0]], EXACT)
