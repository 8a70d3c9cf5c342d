"""The README's example runs as it stands, and comes early."""

import re

import pytest

from helpers import NEEDS_SOURCES, REPOSITORY, run_python

pytestmark = NEEDS_SOURCES

README = REPOSITORY / "README.md"


def test_example_comes_early():
    lines = README.read_text().splitlines()
    assert lines.index("```python") < 20


def test_example_runs(tmp_path):
    pytest.importorskip("lightning", reason="the README trains a network, which needs the extra atomcore[train]")
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[1]
    run_python(code, cwd=tmp_path)
    assert (tmp_path / "glycol.atomcore").is_file()


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (REPOSITORY / target).exists(), target
