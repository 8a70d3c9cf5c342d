"""``atomcore evaluate``: how wrong a model is on structures it has not seen. Runs the C++ engine, without torch."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from atomcore._files import check_folder, write_json
from atomcore.cli import labels


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="atomcore evaluate",
        usage="%(prog)s MODEL FILE [options]",
        description="Compare a model with the energies, forces and stresses in a file of structures.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=28, width=100),
    )
    parser.add_argument("model", help="model file (.atomcore)")
    parser.add_argument("file", help="structures: npz, or anything ASE reads")
    labels.add_options(parser)
    parser.add_argument("--output", default="evaluation", help="folder for metrics.json and parity.png [%(default)s]")
    parser.add_argument("--threads", type=int, help="default OMP_NUM_THREADS, or all cores")
    options = parser.parse_args(arguments)
    from atomcore.evaluation import evaluate, metrics_table
    from atomcore.potential import Potential

    folder = Path(options.output)
    check_folder("--output", folder)
    potential = Potential.load(options.model, threads=options.threads)
    structures = labels.load(options, options.file)
    labels.warn_of_other_baseline(potential, structures)
    predictions = {"test": evaluate(potential, structures)}
    metrics = {name: errors.metrics() for name, errors in predictions.items()}
    print(f"{len(structures)} structures of {structures.source}\n{metrics_table(metrics)}")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "metrics.json", {**metrics, "n_structures": {"test": len(structures)}})
    try:
        from atomcore import plot

        plot.parity(predictions, folder / "parity.png")
    except ModuleNotFoundError as error:
        print(f'no picture: {error}; pip install "atomcore[plot]"', file=sys.stderr)
    return 0
