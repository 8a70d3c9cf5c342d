"""``atomcore demo``: train on the shipped sample, judge the model and run molecular dynamics with it."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from atomcore._files import write_json

# Chosen to end well within three minutes on two cores.
_OVERRIDES = ("data=glycol", "features=ani1x", "training.max_epochs=60", "run.overwrite=true")
_MD = {"ps": 2.0, "dt": 0.25, "temperature": 300.0, "ensemble": "nve", "seed": 0}


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="atomcore demo",
        description="Train on the shipped sample, judge the model, run 2 ps of molecular dynamics; two or three minutes.",
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
        config = compose("train", [*_OVERRIDES, f"run.dir='{folder}'"])
    print(train.run(config))
    print("\nmolecular dynamics: 2 ps, 0.25 fs steps, 300 K, NVE, from a test structure")
    dataset = load(sample("glycol"), units="eV, Angstrom")
    start = Split.load(folder / "split.json", dataset).test[0]
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    metrics["md"] = md.run(start, Calculator(folder / "model.atomcore"), folder, **_MD)
    write_json(folder / "metrics.json", metrics)
    print(f"everything is in {folder}/: model.atomcore, metrics.json, parity.png, learning_curve.png, md_energy.png")
    return 0
