"""Water from one to three bodies: GDML models of single molecules, pairs and triples, added up to clusters.

    python examples/water_many_body.py ../shared/data          (half a minute)

1. The energy of one molecule is trained on MP2 energies and forces of monomers, what two molecules add to it on MP2
   energies and forces of dimers without their monomers'.
2. What three molecules add is trained on trimers that are cut out of water clusters. There is no MP2 for them here: a
   published model of 500 trimers labels them, where a quantum chemistry program would stand.
3. The sum predicts hexamers, which no model has seen, beside MP2; it is saved, and runs molecular dynamics.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from ase import units
from ase.md.verlet import VelocityVerlet

import atomcore as ac
from atomcore.data import Criterion, Dataset, cut_clusters
from atomcore.interop.sgdml import read_model
from atomcore.models import GDML, ManyBody, Term

KCAL = units.kcal / units.mol
WATER = {"h2o": "OHH"}
CLOSE = Criterion(measure="centre_distance_sum", cutoff=6.0, width=0.5)  # Angstrom
NEAR = Criterion(measure="centre_distance_sum", cutoff=10.0, width=0.5)


def read(folder: Path, name: str) -> Dataset:
    return ac.data.load(folder / "water_mp2" / name, units="kcal/mol, Angstrom")


def train(dataset: Dataset, n: int, sigma: float) -> GDML:
    """Train on n structures of a set and say how good it is on the rest."""
    order = np.random.default_rng(1).permutation(len(dataset))
    model = GDML(sigma=sigma, lam=1e-10).fit(dataset.subset(order[:n]), progress=False)
    test = dataset.subset(order[n : n + 500])
    energies, forces = model.predict(test)
    error = np.abs(energies - test.energy).mean(), np.abs(forces.reshape(-1, 3) - test.forces).mean()
    print(
        f"{len(model.numbers) // 3} H2O: {n} structures, {len(model.permutations)} permutations, mean error of "
        f"{len(test)} others {error[0] / KCAL:.4f} kcal/mol and {error[1] / KCAL:.4f} kcal/mol/A"
    )
    return model


def trimers(folder: Path, per_frame: int) -> Dataset:
    """Cut triples out of water clusters and label them."""
    frames = [*read(folder, "16h2o.npz"), *read(folder, "6h2o.npz").subset([0, 1, 2, 3, 4, 5])]
    hard = Criterion(measure=NEAR.measure, cutoff=NEAR.cutoff)
    clusters = cut_clusters(frames, ("h2o",) * 3, kinds=WATER, criterion=hard, per_frame=per_frame)
    energies, forces = read_model(folder / "mbgdml_models_500" / "3h2o.npz").predict(clusters.dataset)
    return clusters.with_labels(energies, forces).dataset


def main(folder: Path, *, monomers: int = 300, dimers: int = 100, per_frame: int = 40, steps: int = 200) -> np.ndarray:
    """Return the errors of the hexamers' energies in kcal/mol."""
    terms = [
        Term(components=("h2o",), model=train(read(folder, "1h2o.npz"), monomers, sigma=5.0)),
        Term(components=("h2o",) * 2, model=train(read(folder, "2h2o_2body.npz"), dimers, sigma=30.0), criterion=CLOSE),
    ]
    three = trimers(folder, per_frame)
    terms.append(Term(components=("h2o",) * 3, model=train(three, int(0.8 * len(three)), sigma=30.0), criterion=NEAR))
    model = ManyBody(terms)
    hexamers = read(folder, "6h2o.npz")
    orders = np.array([model.compute(atoms, ["orders"])["orders"] for atoms in hexamers])
    errors = (np.cumsum(orders, axis=1) - hexamers.energy[:, None]) / KCAL
    for n, row in enumerate(errors.T, 1):
        print(f"hexamers, up to {n} molecules: mean error {np.abs(row).mean():.2f} kcal/mol of {len(row)} energies")
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "water.atomcore"
        model.save(path)
        atoms = hexamers[7]
        atoms.calc = ac.Calculator(path)
        start = atoms.get_total_energy()
        VelocityVerlet(atoms, 0.25 * units.fs).run(steps)
        drift = (atoms.get_total_energy() - start) / KCAL
        kinetic = atoms.get_kinetic_energy() / KCAL
    print(f"{steps} steps of 0.25 fs: {kinetic:.2f} kcal/mol turned into motion, total energy changed by {drift:.1e}")
    return errors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with water_mp2 and mbgdml_models_500")
    main(parser.parse_args().folder)
