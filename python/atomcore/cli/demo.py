"""``atomcore demo``: train on the shipped sample, judge the model and run molecular dynamics with it."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from atomcore._files import write_json

# Chosen to be well trained within a minute; small networks gain nothing from a second thread.
_OVERRIDES = (
    "data=glycol",
    "model.hidden=[96,64]",
    "training.max_epochs=150",
    "training.validate_every=5",
    "run.overwrite=true",
    "run.threads=1",
)
_DRIFT = 0.01  # meV/atom/ps
_MD = {"ps": 2.0, "dt": 0.25, "temperature": 300.0, "ensemble": "nve", "equilibrate": 1.0, "seed": 0}


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="atomcore demo",
        description="Train on the shipped sample, judge the model, run 2 ps of molecular dynamics; a minute or two.",
    )
    parser.add_argument("--output", default="demo", help="folder for all files [%(default)s]")
    options = parser.parse_args(arguments)
    from hydra import compose, initialize_config_module

    from atomcore.calculators import Calculator
    from atomcore.cli import md, train
    from atomcore.data import Split, load, sample

    folder = Path(options.output)
    train.register_resolvers()
    with initialize_config_module("atomcore.conf", version_base="1.3"):
        config = compose("train", list(_OVERRIDES))
    config.run.dir = str(folder)
    print(train.run(config))
    print("\nmolecular dynamics: 2 ps NVE, 0.25 fs steps, from a test structure equilibrated at 300 K")
    dataset = load(sample("glycol"), units="eV, Angstrom")
    start = Split.load(folder / "split.json", dataset).test[0]
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    with md.plain_warnings("demo"):
        metrics["md"] = md.run(start, Calculator(folder / "model.atomcore"), folder, **_MD)
    write_json(folder / "metrics.json", metrics)
    print(f"everything is in {folder}/: model.atomcore, metrics.json, parity.png, learning_curve.png, md_energy.png")
    return _judge(metrics["md"]["drift_meV_per_atom_per_ps"])


def _judge(drift: float) -> int:
    """Return the exit code: a potential that conserves energy this badly shows that something is broken."""
    if abs(drift) < _DRIFT:
        return 0
    print(
        f"atomcore demo: the energy drifts by {drift:.3g} meV/atom/ps; below {_DRIFT:g} was expected", file=sys.stderr
    )
    return 1
