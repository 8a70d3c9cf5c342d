"""``atomcore active``: a GDML training set that grows where the model is wrong, from a pool with labels."""

import argparse
import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atomcore.cli import labels

_log = logging.getLogger("atomcore")
_MODEL = "model.atomcore"
ROUNDS = "rounds.csv"
_PARTS = ("test", "pool")
_MEASURES = ("energy_mae", "energy_rmse", "forces_mae", "forces_rmse")
_RESULTS = "In DIR: model.atomcore, rounds.csv, train_idxs.npy, active.json (choice), learning_curve.png."


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    from atomcore._progress import speaking

    folder = Path(options.run)
    _check(folder, overwrite=options.overwrite)
    with speaking(True):
        pool = labels.load(options, options.file)
        test = labels.load(options, options.test) if options.test else None
        found = _train(options, pool, test, folder, options.selection)
        found.model.provenance = pool.provenance
        found.model.save(folder / _MODEL)
        curves = {"active": found}
        if options.compare:
            curves["random"] = _train(options, pool, test, folder / "random", "random")
        _draw(folder, list(curves))
    print(_table(curves))
    print(folder / _MODEL)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="atomcore active",
        usage="%(prog)s FILE [options]",
        add_help=False,
        description="Train GDML again and again, each time with more of the structures in FILE that it gets wrong.",
        epilog=_RESULTS,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=28, width=100),
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)  # all the rest then fits a screen
    parser.add_argument("file", metavar="FILE", help="the pool: one molecule, energies, forces; --units as in evaluate")
    parser.add_argument("--run", default="active", metavar="DIR", help="where to [active]")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.add_argument("--test", metavar="FILE", help="structures that errors are reported of")
    parser.add_argument("--initial", type=int, default=50, metavar="N", help="structures to begin with [50]")
    parser.add_argument("--final", type=int, default=200, metavar="N", help="to end with [200]")
    parser.add_argument("--step", type=int, default=25, metavar="N", help="to add in each round [25]")
    parser.add_argument("--start", default="diverse", metavar="HOW", help="diverse, stratified or random [diverse]")
    parser.add_argument("--selection", default="errors", metavar="HOW", help="errors, clusters or random [errors]")
    parser.add_argument(
        "--sigma", type=float, nargs="+", default=[10.0], metavar="X", help="length, or several to try [10]"
    )
    parser.add_argument(
        "--lam", type=float, nargs="+", default=[1e-10], metavar="X", help="regulariser, the same [1e-10]"
    )
    parser.add_argument("--no-symmetries", action="store_true", help="no permutations of atoms")
    parser.add_argument("--compare", action="store_true", help="also with structures drawn at random")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn [0]")
    labels.add_options(parser, hidden=True)
    return parser


def _check(folder: Path, *, overwrite: bool) -> None:
    """Raise where there is something that must not be replaced."""
    from atomcore._files import check_folder

    check_folder("--run", folder)
    if (folder / _MODEL).exists() and not overwrite:
        raise ValueError(
            f"--run is {str(folder)!r}, which holds a run already; accepted: another folder, or --overwrite"
        )


def _train(options: argparse.Namespace, pool: Any, test: Any, folder: Path, selection: str) -> Any:
    from atomcore.models import GDML
    from atomcore.train import active_train

    several = len(options.sigma) > 1 or len(options.lam) > 1
    model = GDML(options.sigma[0], options.lam[0], symmetries=not options.no_symmetries, seed=options.seed)
    return active_train(
        model,
        pool,
        n_initial=options.initial,
        n_final=options.final,
        step=options.step,
        initial=options.start,
        selection=selection,
        grid={"sigmas": options.sigma, "lams": options.lam} if several else None,
        test=test,
        seed=options.seed,
        folder=folder,
    )


def curve(folder: Path) -> list[dict[str, float]]:
    """Return the rows of ``rounds.csv`` as `plot.data_curves` takes them: errors of the test set, else of the pool."""
    with (folder / ROUNDS).open(newline="", encoding="utf-8") as file:
        rounds = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    part = next((part for part in _PARTS if any(f"{part}_forces_rmse" in row for row in rounds)), "pool")
    return [
        {"n_train": row["n_train"], **{key: row[f"{part}_{key}"] for key in _MEASURES if f"{part}_{key}" in row}}
        for row in rounds
    ]


def _draw(folder: Path, names: Sequence[str]) -> None:
    from atomcore import plot

    parts = {name: folder if index == 0 else folder / name for index, name in enumerate(names)}
    try:
        plot.data_curves({name: curve(part) for name, part in parts.items()}, folder / "learning_curve.png")
    except ModuleNotFoundError as error:
        _log.warning('No pictures: %s; pip install "atomcore[plot]"', error)


def _table(curves: dict[str, Any]) -> str:
    """Lay out the force errors of all rounds, in meV/A."""
    of_test = any(entry.test_forces_rmse is not None for found in curves.values() for entry in found.rounds)
    what = "test" if of_test else "rest of the pool"
    lines = [f"force RMSE of the {what}, meV/A", f"{'structures':>10}" + "".join(f"{name:>12}" for name in curves)]
    for rounds in zip(*(found.rounds for found in curves.values()), strict=True):
        errors = [entry.test_forces_rmse if of_test else entry.pool_forces_rmse for entry in rounds]
        lines.append(f"{rounds[0].n_train:>10}" + "".join(f"{1000 * error:>12.4g}" for error in errors))
    return "\n".join(lines)
