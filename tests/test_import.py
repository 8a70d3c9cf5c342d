"""What `import atomcore` costs, and what it leaves alone."""

import tomllib

import pytest

import atomcore
from helpers import REPOSITORY, run_python


def test_import_loads_nothing_heavy():
    loaded = run_python("import atomcore, sys; print(*sys.modules)").split()
    for heavy in ("torch", "ase", "scipy", "matplotlib", "lightning", "hydra", "rich"):
        assert heavy not in loaded, f"import atomcore loads {heavy}"


def test_import_is_quick():
    """CPU seconds beyond numpy's own, the best of three: `import atomcore` has to stay under half a second."""
    code = (
        "import numpy, time; start = time.process_time(); import atomcore; atomcore.Potential, atomcore.neighbor_list; "
        "print(time.process_time() - start)"
    )
    assert min(float(run_python(code)) for _ in range(3)) < 0.5


@pytest.mark.parametrize("name", [name for name in atomcore.__all__ if not name.startswith("__")])
def test_public_names_exist(name):
    assert getattr(atomcore, name) is not None


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        atomcore.nothing  # noqa: B018


def test_features_hand_batch_on_without_loading_torch():
    code = "import sys, atomcore.features as f; print('Batch' in dir(f), 'torch' in sys.modules)"
    assert run_python(code).split() == ["True", "False"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        atomcore.features.nothing  # noqa: B018


def test_versions_agree():
    """The package says the version that pyproject.toml builds."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert atomcore.__version__ == project["version"]


def test_exclusions_of_the_source_archive_are_anchored():
    """A pattern without a leading slash also takes folders of the package away, from the wheel too: `md` did."""
    tool = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]
    assert all(pattern.startswith("/") for pattern in tool["scikit-build"]["sdist"]["exclude"])
