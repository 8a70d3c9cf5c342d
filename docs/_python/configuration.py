"""Tables of the configuration keys of ``atomcore train``, from conf/ and the docstrings that explain the keys.

A key gets its type and meaning from the docstring of what it is handed to, and without one from its comment in conf/,
or from another key whose meaning names it. A key with none of these ends the build.
"""

import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from IPython.display import Markdown
from numpydoc.docscrape import ClassDoc, FunctionDoc

import atomcore
import atomcore.train

CONF = Path(atomcore.__file__).parent / "conf"
# What the keys of a section or a group of files are handed to.
CALLEES: dict[str, tuple[Any, ...]] = {
    "data": (atomcore.data.load,),
    "split": (atomcore.data.Split.make,),
    **dict.fromkeys(
        ("training", "loss", "optimizer", "schedule", "run", "seed", "reference_energies"),
        (atomcore.train.Options, atomcore.train.fit),
    ),
}


def section_table(name: str) -> Markdown:
    """Return the table of a section of ``train.yaml``, or of one of its plain keys."""
    path = CONF / "train.yaml"
    content = yaml.safe_load(path.read_text())[name]
    keys = {f"{name}.{key}": value for key, value in content.items()} if isinstance(content, dict) else {name: content}
    return _table(keys, _explained(CALLEES.get(name, ())), _comments(path))


def group_tables(name: str) -> Markdown:
    """Return a table for each choice of a configuration group, such as ``split``."""
    parts = []
    for path in sorted((CONF / name).glob("*.yaml")):
        content = yaml.safe_load(path.read_text())
        target = content.pop("_target_", None)
        inherited = [f"`{name}={parent}`" for parent in content.pop("defaults", [])]
        about = [re.sub(r"^# ", "", line) for line in path.read_text().splitlines() if line.startswith("# ")]
        head = f"**`{name}={path.stem}`**"
        head += "".join(f" {line}" for line in about)
        head += f" Builds `{target}`." if target else ""
        head += f" As {', '.join(inherited)}, with:" if inherited else ""
        callees = (_resolve(target),) if target else CALLEES.get(name, ())
        keys = {f"{name}.{key}": value for key, value in content.items()}
        parts.append(head + "\n\n" + (_rows(keys, _explained(callees), _comments(path)) if keys else ""))
    return Markdown("\n\n".join(parts))


def _table(keys: dict[str, Any], explained: dict[str, tuple[str, str]], comments: dict[str, str]) -> Markdown:
    return Markdown(_rows(keys, explained, comments))


def _rows(keys: dict[str, Any], explained: dict[str, tuple[str, str]], comments: dict[str, str]) -> str:
    lines = ["| key | default | type | meaning |", "| --- | --- | --- | --- |"]
    for key, value in keys.items():
        name = key.rpartition(".")[2]
        kind, text = explained.get(name, ("", ""))
        if not text:
            naming = [other for other, (_, words) in explained.items() if re.search(f"`{name}`", words)]
            text = comments.get(name) or "".join(f"see `{other}`" for other in naming[:1])
        if not kind + text:
            raise ValueError(f"conf/ has {key}, which no docstring explains, and no comment either")
        lines.append(f"| `{key}` | {_shown(value)} | {_cell(kind)} | {_cell(text)} |")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    """Return a default as it is written on the command line; long lists by their length."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"{len(value)} functions"
    text = str(value).lower() if isinstance(value, bool) else "null" if value is None else value
    return f"`{text}`"


def _cell(text: str) -> str:
    return re.sub(r"``?", "`", " ".join(text.split())).replace("|", r"\|")


def _resolve(target: str) -> Any:
    module, _, rest = target.removeprefix("atomcore.").partition(".")
    found = importlib.import_module(f"atomcore.{module}")
    for part in rest.split("."):
        found = getattr(found, part)
    return found


def _explained(callees: Iterable[Any]) -> dict[str, tuple[str, str]]:
    """Return type and meaning of each parameter that the docstrings describe; the first callee counts."""
    known: dict[str, tuple[str, str]] = {}
    for callee in callees:
        for name, kind, text in _parameters(callee):
            known.setdefault(name, (kind, text))
    return known


def _parameters(callee: Any) -> Iterator[tuple[str, str, str]]:
    doc = ClassDoc(callee) if isinstance(callee, type) else FunctionDoc(callee)
    for parameter in doc["Parameters"]:
        names, _, kind = (parameter.name, "", parameter.type) if parameter.type else parameter.name.partition(" : ")
        text = " ".join(parameter.desc)
        for name in names.split(","):
            yield name.strip(), kind, text


def _comments(path: Path) -> dict[str, str]:
    """Return the comments behind the keys of a file."""
    found = re.findall(r"^\s*(\w+):[^#\n]*#\s*(.+)$", path.read_text(), re.MULTILINE)
    return {name: comment.strip() for name, comment in found}
