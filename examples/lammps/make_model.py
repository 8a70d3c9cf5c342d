"""Train an ensemble of small networks on the shipped copper sample, for in.copper: about a minute."""

import argparse
from collections.abc import Sequence

import numpy as np

import atomcore as ac


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write the model file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("-o", "--output", default="copper.atomcore")
    options = parser.parse_args(arguments)
    full = ac.data.load(ac.data.sample("copper"))
    largest = np.maximum.reduceat(np.linalg.norm(full.forces, axis=1), full.structure_ptr[:-1])
    split = full.subset(np.flatnonzero(largest < 4.0)).split(valid=40, test=40, seed=0)
    shells = [{"eta": 3.0, "shift": s} for s in np.linspace(1.8, 5.2, 10)]
    features = ac.features.SymmetryFunctions(["Cu"], radial=shells, cutoff=5.5)
    model = ac.models.Ensemble(ac.models.BehlerParrinello(features, hidden=(32, 32)), members=options.members)
    choices = {"batch_size": 8, "learning_rate": 1e-2, "stress_weight": 1.0, "validate_every": 5}
    print(ac.train.fit(model, split, max_epochs=options.epochs, **choices))
    model.save(options.output)


if __name__ == "__main__":
    main()
