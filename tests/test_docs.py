"""The documentation: nothing public is left out, links lead somewhere, and (long) it builds without a warning."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest

import atomcore
from atomcore.cli.main import _COMMANDS
from helpers import NEEDS_SOURCES, REPOSITORY, run_command

pytestmark = NEEDS_SOURCES

DOCS = REPOSITORY / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
API = "\n".join(path.read_text() for path in sorted((DOCS / "api").glob("*.md")))
WITH_TORCH = ("train", "models", "export", "features")
HIDDEN = {  # for other modules of the package only
    "atomcore.model_file": {"encoded_path"},
    "atomcore.neighbors": {"as_cutoff"},
}


def described() -> set[str]:
    """Return the full names that the API pages describe, and ``module.*`` for modules that they take whole."""
    names = set()
    for kind, target, options in re.findall(r"\.\. (auto\w+|py:data):: (\S+)\n((?:   :.*\n)*)", API + "\n"):
        listed = re.search(r":members: (.+)", options)
        if kind != "automodule":
            names.add(target)
        elif listed:
            names |= {f"{target}.{name.strip()}" for name in listed[1].split(",")}
        elif ":no-members:" not in options:
            names.add(f"{target}.*")
    return names


@pytest.mark.parametrize("name", [*atomcore._SUBMODULES, "model_file"])
def test_every_public_name_is_described(name):
    if name in WITH_TORCH:
        pytest.importorskip("lightning", reason="the names of this module cannot be listed without atomcore[train]")
    module = importlib.import_module(f"atomcore.{name}")
    found, known = getattr(module, "__all__", None), described()
    if found is None:
        own = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        found = [key for key in own if not key.startswith("_") and callable(getattr(module, key))]
    if f"{module.__name__}.*" in known:
        for key in found:
            assert inspect.getdoc(getattr(module, key)), f"{module.__name__}.{key} has no docstring to show"
        return
    missing = [key for key in found if not {f"{module.__name__}.{key}", f"atomcore.{key}"} & known]
    assert set(missing) <= HIDDEN.get(module.__name__, set())


def test_names_of_the_package_itself_are_described():
    known = described()
    for name in set(atomcore.__all__) - set(atomcore._SUBMODULES):
        home = atomcore._NAMES.get(name, "atomcore")
        assert {f"atomcore.{name}", f"{home}.{name}"} & known, name


def slugs(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
        if target.startswith("http"):
            continue
        path = page.parent / target if target else page
        assert path.is_file(), f"{target} is not there"
        assert not anchor or anchor in slugs(path), f"{target} has no heading {anchor!r}"


def test_every_page_is_in_the_contents():
    listed = {DOCS / "index.md"}
    for page in PAGES:
        for contents in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            entries = [line for line in contents.splitlines() if line and not line.startswith(":")]
            listed |= {(page.parent / f"{entry}.md").resolve() for entry in entries}
    assert listed == set(PAGES)


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_has_a_page_with_its_help(command):
    assert f"atomcore {command} --help" in (DOCS / "commands" / f"{command}.md").read_text()


def test_every_section_of_the_configuration_is_described():
    page = (DOCS / "commands" / "train.md").read_text()
    configuration = (REPOSITORY / "python" / "atomcore" / "conf" / "train.yaml").read_text()
    groups = re.findall(r"^  - (?!_|override)(\w+):", configuration, re.MULTILINE)
    sections = re.findall(r"^(\w+):", configuration, re.MULTILINE)
    for name in set(sections) - {"defaults", "hydra"}:
        assert f'section_table("{name}")' in page, name
    for name in groups:
        assert f'group_tables("{name}")' in page, name


@pytest.mark.long
def test_the_documentation_builds_without_a_warning(tmp_path):
    for package in ("sphinx", "myst_nb", "numpydoc", "furo", "lightning", "matplotlib"):
        pytest.importorskip(package, reason="the documentation needs atomcore[docs]")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(tmp_path)]
    run_command(command, timeout=1800, OMP_NUM_THREADS="1")
    assert "RMSE" in (tmp_path / "quickstart.html").read_text()  # what an example printed
