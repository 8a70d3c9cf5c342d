"""``atomcore plot``: pictures of a model's errors, of its training and of what its training covers."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError
from atomcore.cli import active, labels
from atomcore.cli.kernel_models import loss_in_words

_MODEL = "model.atomcore"
_TRIALS = "search/valid.csv"
_KINDS = """\
kinds of pictures:
  parity    predictions against labels
  learning  errors over the epochs of a run
  elements  errors of the forces, element by element
  coverage  principal components of the features in training and in FILE
  spread    errors of the forces against the spread of an ensemble
  landscape sigma and lambda that a search for GDML has tried
  clusters  losses of clusters of the structures in FILE
  variance  where a Gaussian process is unsure, among the structures in FILE

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
    parser.add_argument("--training", metavar="FILE", help="what a model file was trained on")
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
    if (folder / active.ROUNDS).is_file():
        others = {part.parent.name: active.curve(part.parent) for part in sorted(folder.glob(f"*/{active.ROUNDS}"))}
        plot.data_curves({"active": active.curve(folder), **others}, picture)
        return
    logs = [folder / "log.csv"] if (folder / "log.csv").is_file() else sorted(folder.glob("member-*/log.csv"))
    if not logs:
        raise ValueError(
            f"SOURCE is {options.source!r}; accepted for learning: the folder of a run, with its log.csv or rounds.csv"
        )
    plot.learning_curves([rows_of(log) for log in logs], picture)


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

    train = _training(options)
    info = _potential(options).info
    if "features" not in info:
        raise ValueError(
            f"SOURCE is a model of the kind {info['kind']!r}; accepted for coverage: one with features of atoms"
        )
    functions = SymmetryFunctions.from_table(info["elements"], info["features"])
    known, new = (_by_element(functions, part, options.threads) for part in (train, _test(options)))
    plot.coverage({element: (known[element], new[element]) for element in new if element in known}, picture)


def _landscape(options: argparse.Namespace, picture: Path) -> None:
    from atomcore import plot

    table = Path(options.source) / _TRIALS
    if not table.is_file():
        raise ValueError(
            f"SOURCE is {options.source!r}; accepted for landscape: the folder of a run with search.sigma=..., which "
            f"has {_TRIALS}"
        )
    rows = [{"lam": row["lambda"], **row} for row in rows_of(table)]
    plot.landscape(rows, picture, what=loss_in_words(_configuration(Path(options.source) / "config.yaml")))


def _clusters(options: argparse.Namespace, picture: Path) -> None:
    from atomcore import plot
    from atomcore.train import find_problematic

    potential, test = _potential(options), _test(options)
    found = _evaluated(potential, test)
    if found.forces is None:
        raise ValueError("FILE has no forces; accepted for clusters: structures with energies and forces")
    squares = np.sum((found.forces - found.forces_label) ** 2, axis=1)
    losses = np.add.reduceat(squares, test.structure_ptr[:-1]) / (3 * test.n_atoms)
    made = find_problematic(1.0 / _inverse_distances(test), test.energy, losses, 1)
    plot.clusters(made.losses.tolist(), [len(rows) for rows in made.clusters], picture, what="force MSE, (eV/Å)$^2$")


def _variance(options: argparse.Namespace, picture: Path) -> None:
    from atomcore import plot

    potential, test = _potential(options), _test(options)
    if "energy_spread" not in potential.properties:
        raise ValueError("SOURCE holds no model that knows its uncertainty: a Gaussian process, or an ensemble")
    deviation = np.array([potential.compute(atoms, ["energy_spread"])["energy_spread"] for atoms in test])
    train = _training(options)
    known, others, shares = plot.principal_components(_inverse_distances(train), _inverse_distances(test))
    axes = [f"component {k + 1} ({100 * share:.0f} % of the variance)" for k, share in enumerate(shares)]
    plot.variance_map(
        others,
        1000 * deviation,
        picture,
        training=known,
        labels=(axes[0], axes[1]),
        what="standard deviation of the energy, meV",
    )


def _inverse_distances(data: Any) -> np.ndarray:
    """Return the inverse distances [n, D] of structures of one molecule."""
    from atomcore.kernels.gdml import descriptors
    from atomcore.models.gdml.material import geometries

    geometry = geometries(data)
    return descriptors(geometry.positions, geometry.lattice)[0]


_DRAW = {
    "parity": _parity,
    "learning": _learning,
    "elements": _elements,
    "coverage": _coverage,
    "spread": _spread,
    "landscape": _landscape,
    "clusters": _clusters,
    "variance": _variance,
}


def _potential(options: argparse.Namespace) -> Any:
    from atomcore.potential import Potential

    source = Path(options.source)
    return Potential.load(source / _MODEL if source.is_dir() else source, threads=options.threads)


def _evaluated(potential: Any, data: Any) -> Any:
    from atomcore.evaluation import evaluate

    labels.warn_of_other_baseline(potential, data)
    return evaluate(potential, data)


def _training(options: argparse.Namespace) -> Any:
    if options.training:
        return labels.load(options, options.training)
    if Path(options.source).is_dir():
        return _run_parts(options)["train"]
    raise ValueError(f"{options.kind} of a model file needs --training FILE, what it was trained on")


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


def rows_of(log: Path) -> list[dict[str, float]]:
    """Return the rows of a log, without the cells that are empty."""
    import csv

    try:
        with log.open(newline="", encoding="utf-8") as file:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    except (ValueError, TypeError) as error:
        raise AtomcoreError(f"{log} is damaged: {error}") from error
