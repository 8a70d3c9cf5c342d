"""What `import atomcore` costs, and what it leaves alone."""

import subprocess
import sys

import pytest

import atomcore


def run(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_import_loads_nothing_heavy():
    loaded = run("import atomcore, sys; print(*sys.modules)").split()
    for heavy in ("torch", "ase", "scipy", "matplotlib", "lightning", "hydra", "rich"):
        assert heavy not in loaded, f"import atomcore loads {heavy}"


def test_import_is_quick():
    """CPU seconds beyond numpy's own, the best of three: `import atomcore` has to stay under half a second."""
    code = (
        "import numpy, time; start = time.process_time(); import atomcore; atomcore.Potential, atomcore.neighbor_list; "
        "print(time.process_time() - start)"
    )
    assert min(float(run(code)) for _ in range(3)) < 0.5


@pytest.mark.parametrize("name", [name for name in atomcore.__all__ if not name.startswith("__")])
def test_public_names_exist(name):
    assert getattr(atomcore, name) is not None


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        atomcore.nothing  # noqa: B018
