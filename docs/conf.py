"""Settings of Sphinx. `make docs` builds the pages; every example in them is run then, and a warning is an error."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import atomcore

HERE = Path(__file__).resolve().parent

project = "atomcore"
author = copyright = "the atomcore developers"
version = release = atomcore.__version__

extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
exclude_patterns = ["_build", "_python"]
default_role = "py:obj"  # a name in single backticks links to where it is described, if it is
templates_path: list[str] = []

html_theme = "furo"
html_title = f"atomcore {release}"
html_static_path = ["_static"]
html_css_files = ["atomcore.css"]
html_show_sphinx = False

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# The examples: every page is run from its top in a folder of its own, with this interpreter and its `atomcore`.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 1200  # seconds a cell may take where other work goes on beside
nb_execution_raise_on_error = True
nb_render_markdown_format = "myst"  # with tables
_ipython = Path(tempfile.mkdtemp()) / "ipython"  # IPython writes there
shutil.copytree(HERE / "_python" / "ipython", _ipython)
os.environ |= {
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "PYTHONPATH": str(HERE / "_python"),
    "PYTHONUNBUFFERED": "1",  # commands print in the order of what they do
    "IPYTHONDIR": str(_ipython),  # not the user's own
    "COLUMNS": "100",  # width of the commands' help
}

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # types and shapes stand in the descriptions
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# Links into Python code must lead somewhere. Other packages are not looked up, since the build needs no network; names
# in single backticks are often arguments, which have no page.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:meth", r"atomcore\.potential\..*"),  # is atomcore.Potential here
    (r"py:.*", r"(ase|collections|matplotlib|numpy|np|npt|os|pathlib|scipy|torch|typing)\b.*"),
    (r"py:obj", r".*"),
]


def _skip(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what Python says of the fields of a NamedTuple; the class describes them."""
    return True if str(getattr(obj, "__doc__", "")).startswith("Alias for field number") else None


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", _skip)
