"""A file imports or includes only from its own layer or from lower ones, and stays of a size that can be read."""

import ast
import re
from pathlib import Path

import pytest

from helpers import NEEDS_SOURCES, REPOSITORY

pytestmark = NEEDS_SOURCES

PYTHON = REPOSITORY / "python" / "atomcore"
CPP = REPOSITORY / "cpp"
CUDA = REPOSITORY / "cuda"

# Lowest first. A folder stands for all its files.
PYTHON_LAYERS = {
    **dict.fromkeys(("_core", "_cuda"), 4),
    **dict.fromkeys(("_arrays", "_files", "_labels", "_memory", "_progress", "_threads", "_voigt", "_ops"), 5),
    **dict.fromkeys(("cuda", "units", "neighbors", "potential", "model_file"), 5),
    "data": 6,
    **dict.fromkeys(("features", "kernels"), 7),
    **dict.fromkeys(("models", "export", "evaluation"), 8),
    **dict.fromkeys(("train", "md", "calculators", "interop"), 9),
    **dict.fromkeys(("cli", "plot", "conf", "__main__"), 10),
}
CPP_FOLDERS = {
    **dict.fromkeys(("include/atomcore", "atomcore", "math"), 0),
    **dict.fromkeys(("src", "src/isa", "cuda"), 1),
    **dict.fromkeys(("bindings", "lammps"), 4),
}
CPP_OBJECTS = (  # layer 2, in src
    "potential",
    "evaluator",
    "streams",
    "centre_stream",
    "evaluation",
    "model_parts",
    "model_file",
    "model_info",
    "element_networks",
    "feature_ranges",
    "feature_record",
    "safetensors",
    "neighbor_input",
    "host_neighbors",
    "verlet",
    "close_pairs",
    "md_loop",
    "model",
    "local_model",
    "element_kernels",
    "atomic_variance",
    "kernel_variance",
    "surroundings",
    "kernel_records",
    "model_kinds",
    "model_reader",
    "network_file",
    "kernel_file",
    "molecule",
    "structure_descriptor",
    "structure_kernel",
    "gdml_model",
    "gdml_potential",
    "many_body_model",
    "many_body_file",
    "many_body_potential",
)


def python_layer(module: str) -> int:
    return PYTHON_LAYERS[module.split(".")[1]]


def python_imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("atomcore."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "atomcore":
            for alias in node.names:
                yield f"{node.module}.{alias.name}" if node.module == "atomcore" else node.module
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: relative import")


MODULES = sorted(path for path in PYTHON.rglob("*.py") if path != PYTHON / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PYTHON)))
def test_python_imports_point_down(path):
    own = PYTHON_LAYERS[path.relative_to(PYTHON).parts[0].removesuffix(".py")]
    for module in python_imports(path):
        if module != "atomcore.__version__":
            assert python_layer(module) <= own, f"layer {own} imports {module} of layer {python_layer(module)}"


def cpp_layer(path: str) -> int:
    """Return the layer of a file named as includes name it: `src/gemm.hpp`, `math/dual.hpp` or `cuda/device.hpp`."""
    folder, name = path.rsplit("/", 1)
    if path == "cuda/bindings.cpp":
        return 4
    if path == "src/c_api.cpp":
        return 3
    return 2 if folder == "src" and name.split(".")[0] in CPP_OBJECTS else CPP_FOLDERS[folder]


SUFFIXES = (".hpp", ".cpp", ".h", ".cu", ".cuh")
CPP_FILES = sorted(path for folder in (CPP, CUDA) for path in folder.rglob("*") if path.suffix in SUFFIXES)


@pytest.mark.parametrize("path", CPP_FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_cpp_includes_point_down(path):
    own = cpp_layer(str(path.relative_to(CPP if path.is_relative_to(CPP) else REPOSITORY)))
    for included in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE):
        if "/" in included:  # not the neighbour in the same folder
            assert cpp_layer(included) <= own, f"layer {own} includes {included} of layer {cpp_layer(included)}"
    if own < 4:
        assert "pybind11" not in path.read_text(), "pybind11 stays in the bindings"


@pytest.mark.parametrize("path", [*MODULES, *CPP_FILES], ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 500


def function_lengths(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield node.name, lines - (len(docstring.splitlines()) if docstring else 0)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PYTHON)))
def test_functions_stay_short(path):
    for name, lines in function_lengths(path):
        assert lines <= 60, f"{name} has {lines} lines"


def cpp_function_lengths(text: str):
    """Yield the head and the number of lines of each function; the code is read as clang-format writes it.

    A function is a brace after parentheses that stands in no other function, up to the brace that closes it; lambdas
    belong to the function around them.
    """
    blank = re.sub(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\])'", _same_lines, text, flags=re.DOTALL)
    outer: list[bool] = []  # for each open brace, whether functions may stand directly within it
    start, first, head = 0, 0, ""
    for mark in re.finditer(r"[{};]|^#.*$", blank, re.MULTILINE):
        if mark[0] == "{":
            before = blank[start : mark.start()].strip()
            inside = bool(
                re.match(r"(template\s*<.*>\s*)?(namespace|struct|class|union|extern)\b[^()]*$", before, re.DOTALL)
            )
            if all(outer) and not inside:
                head, first = before, blank.count("\n", 0, mark.start() - len(blank[start : mark.start()].lstrip()))
            outer.append(inside)
        elif mark[0] == "}":
            closed = outer.pop()
            if all(outer) and not closed and "(" in head:
                yield " ".join(head.split())[-100:], blank.count("\n", 0, mark.start()) - first + 1
        if all(outer):
            start = mark.end()
    assert not outer, "the braces do not match"


def _same_lines(match: re.Match) -> str:
    return "\n" * match[0].count("\n")


def test_the_length_of_cpp_functions_is_counted():
    text = """namespace a {
struct B {
  int one() const { return 1; }
};
const char kBrace = '{';
int table[] = {1,
               2};
template <typename T>
int long_one(  // {
    const char* text = "}") {
  const auto inner = [] {
    return 1;
  };
  if (inner()) {
    return 2;
  }
  return 3;
}
}  // namespace a
"""
    assert [lines for _, lines in cpp_function_lengths(text)] == [1, 11]


@pytest.mark.parametrize("path", CPP_FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_cpp_functions_stay_short(path):
    for head, lines in cpp_function_lengths(path.read_text()):
        assert lines <= 60, f"{head} has {lines} lines"


def test_folders_only_hand_names_on():
    """An `__init__.py` holds imports, names and a docstring, and what hands names on when they are first used."""
    for path in PYTHON.rglob("*/__init__.py"):
        for node in ast.parse(path.read_text()).body:
            allowed = isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.Expr | ast.If)
            allowed |= isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__")
            assert allowed, f"{path} has a {type(node).__name__} in line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PYTHON)))
def test_nothing_is_unpickled(path):
    for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.get("allow_pickle", "False") == "False"
        assert name not in ("pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load")
        assert name != "torch.load" or given.get("weights_only") == "True"
