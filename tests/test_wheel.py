"""The wheel: what is in it, and that it works alone, far from the source tree."""

import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest
from ase.build import molecule

from atomcore.potential import Potential
from helpers import REPOSITORY, run_command
from model_builder import random_model
from tolerances import EXACT, assert_close

pytestmark = pytest.mark.long

PACKAGE = REPOSITORY / "python" / "atomcore"
LARGEST = 15 * 2**20  # bytes
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
def wheel(tmp_path_factory) -> Path:
    for needed in ("scikit_build_core", "pybind11", "nlohmann_json"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed in this environment, and the build is not isolated")
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", f"-Cbuild-dir={folder / 'build'}"]
    run_command([sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(REPOSITORY)], timeout=1800)
    (path,) = folder.glob("atomcore-*.whl")
    return path


def test_contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = {str(path.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob("*") if path.is_file()}
    source = {name for name in source if "__pycache__" not in name and not name.endswith(".so")}
    assert {"atomcore/py.typed", "atomcore/_core.pyi", "atomcore/data/samples/glycol.npz"} <= source
    assert any(name.startswith("atomcore/conf/") and name.endswith(".yaml") for name in source)
    extra = {name for name in names - source if ".dist-info/" not in name}
    assert not source - names, "missing"
    assert len(extra) == 1, extra  # the extension module
    assert extra.pop().startswith("atomcore/_core.")
    assert any(name.endswith("LICENSE") for name in names)


def test_size(wheel):
    assert wheel.stat().st_size <= LARGEST


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
