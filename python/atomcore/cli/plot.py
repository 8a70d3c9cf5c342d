"""``atomcore plot``: pictures of a model's errors, of its training and of what its training covers."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError
from atomcore.cli import labels

_MODEL = "model.atomcore"
_KINDS = """\
kinds of pictures:
  parity    predictions against labels
  learning  errors over the epochs of a run
  elements  errors of the forces, element by element
  coverage  principal components of the features in training and in FILE
  spread    errors of the forces against the spread of an ensemble

where the labels of a FILE are is said as for 'atomcore evaluate': --units, --energy-key, ...
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="atomcore plot",
        usage="%(prog)s KIND SOURCE [FILE] [options]",
        epilog=_KINDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    parser.add_argument("kind", choices=_DRAW, metavar="KIND", help="see below")
    parser.add_argument("source", metavar="SOURCE", help="folder of a run, or model file (.atomcore)")
    parser.add_argument("file", metavar="FILE", nargs="?", help="structures with labels; default: those of the run")
    parser.add_argument("-o", "--output", help="picture to write (PNG) [KIND.png]")
    parser.add_argument("--training", metavar="FILE", help="what a model file was trained on, for coverage")
    labels.add_options(parser, hidden=True)
    parser.add_argument("--threads", type=int, help="default OMP_NUM_THREADS, or all cores")
    options = parser.parse_args(arguments)
    picture = Path(options.output or f"{options.kind}.png")
    _DRAW[options.kind](options, picture)
    print(picture)
    return 0


def _parity(options: argparse.Namespace, picture: Path) -> None:
    from atomcore import plot

    potential = _potential(options)
    parts = {name: _evaluated(potential, part) for name, part in _parts(options).items() if len(part)}
    plot.parity(parts, picture)


def _learning(options: argparse.Namespace, picture: Path) -> None:
    from atomcore import plot

    folder = Path(options.source)
    logs = [folder / "log.csv"] if (folder / "log.csv").is_file() else sorted(folder.glob("member-*/log.csv"))
    if not logs:
        raise ValueError(f"SOURCE is {options.source!r}; accepted for learning: the folder of a run, with its log.csv")
    plot.learning_curves([_rows(log) for log in logs], picture)


def _elements(options: argparse.Namespace, picture: Path) -> None:
    from atomcore import plot

    potential, test = _potential(options), _test(options)
    if potential.target != "energy":
        raise ValueError(f"SOURCE predicts {potential.target}; accepted for elements: a model of energies")
    plot.error_by_element(_evaluated(potential, test), test.numbers, picture)


def _spread(options: argparse.Namespace, picture: Path) -> None:
    from atomcore import plot

    potential = _potential(options)
    if "energy_spread" not in potential.properties:
        raise ValueError("SOURCE holds no model that knows the spread of energies: an ensemble, or a Gaussian process")
    plot.spread(_evaluated(potential, _test(options)), picture)


def _coverage(options: argparse.Namespace, picture: Path) -> None:
    from atomcore import plot
    from atomcore.features import SymmetryFunctions

    if options.training:
        train = labels.load(options, options.training)
    elif Path(options.source).is_dir():
        train = _run_parts(options)["train"]
    else:
        raise ValueError("coverage of a model file needs --training FILE, what it was trained on")
    info = _potential(options).info
    if "features" not in info:
        raise ValueError(
            f"SOURCE is a model of the kind {info['kind']!r}; accepted for coverage: one with features of atoms"
        )
    functions = SymmetryFunctions.from_table(info["elements"], info["features"])
    known, new = (_by_element(functions, part, options.threads) for part in (train, _test(options)))
    plot.coverage({element: (known[element], new[element]) for element in new if element in known}, picture)


_DRAW = {"parity": _parity, "learning": _learning, "elements": _elements, "coverage": _coverage, "spread": _spread}


def _potential(options: argparse.Namespace) -> Any:
    from atomcore.potential import Potential

    source = Path(options.source)
    return Potential.load(source / _MODEL if source.is_dir() else source, threads=options.threads)


def _evaluated(potential: Any, data: Any) -> Any:
    from atomcore.evaluation import evaluate

    labels.warn_of_other_baseline(potential, data)
    return evaluate(potential, data)


def _test(options: argparse.Namespace) -> Any:
    return _parts(options)["test"]


def _parts(options: argparse.Namespace) -> dict[str, Any]:
    """Return what to judge by, as "test", or all parts of the data of a run, where no file was given."""
    if options.file:
        return {"test": labels.load(options, options.file)}
    if not Path(options.source).is_dir():
        raise ValueError(f"FILE is missing: {options.kind} of a model file needs structures with labels")
    parts = _run_parts(options)
    if not len(parts["test"]):
        raise ValueError(f"the run in {options.source!r} has no test structures; accepted: a FILE with some")
    return parts


def _run_parts(options: argparse.Namespace) -> dict[str, Any]:
    """Return the data of a run as its configuration names them, divided as they were for the training."""
    from atomcore import data

    folder = Path(options.source)
    keys = _configuration(folder / "config.yaml").get("data", {})
    if "path" not in keys:
        raise ValueError(f"{options.source!r} has no config.yaml that says what was trained on; accepted: a FILE")
    split = data.Split.load(folder / "split.json", data.load(**keys))
    return {"train": split.train, "valid": split.valid, "test": split.test}


def _configuration(path: Path) -> dict[str, Any]:
    import yaml

    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AtomcoreError(f"{path} is damaged: {error}") from error
    return content if isinstance(content, dict) else {}


def _by_element(functions: Any, structures: Any, threads: int | None) -> dict[str, np.ndarray]:
    """Return the features [n, K] of all atoms of each element."""
    rows: dict[str, list[np.ndarray]] = {}
    for atoms in structures:
        G, symbols = functions.compute(atoms, threads=threads), np.array(atoms.get_chemical_symbols())
        for element in np.unique(symbols):
            rows.setdefault(str(element), []).append(G[symbols == element])
    return {element: np.concatenate(parts) for element, parts in rows.items()}


def _rows(log: Path) -> list[dict[str, float]]:
    """Return the rows of a log, without the cells that are empty."""
    import csv

    try:
        with log.open(newline="", encoding="utf-8") as file:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    except (ValueError, TypeError) as error:
        raise AtomcoreError(f"{log} is damaged: {error}") from error
