"""Answer with mbGDML's predictions: `evaluate_mbgdml.py 1h2o.npz 2h2o.npz 3h2o.npz 16h2o_dataset.npz`.

In an environment with mbgdml, which needs numpy below 2, pydantic below 2 and scipy below 1.14. One process, without
ray. For each line on standard input, up to how many molecules terms have, it predicts energy and forces of the data set
and prints one line of JSON: the energies (kcal/mol), and where the line ends in "forces" the forces (kcal/mol/A) too.
"""

import contextlib
import json
import sys

import numpy as np
from mbgdml.data import DataSet
from mbgdml.descriptors import Criteria, com_distance_sum
from mbgdml.mbe import mbePredict
from mbgdml.models import gdmlModel
from mbgdml.predictors import predict_gdml

CUTOFFS = (None, 6.0, 10.0)  # Angstrom


def arrays(path: str) -> dict[str, np.ndarray]:
    """Return what a model file holds but for Python objects (errors and the like), which only unpickling would read."""
    held = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            with contextlib.suppress(ValueError):
                held[name] = file[name]
    return held


def main(*paths: str) -> None:
    *models, data = paths
    terms = []
    for n, (path, cutoff) in enumerate(zip(models, CUTOFFS, strict=True), 1):
        criterion = Criteria(com_distance_sum, {"entity_ids": np.repeat(np.arange(n), 3)}, cutoff)
        terms.append(gdmlModel(arrays(path), criteria=criterion))
    structures = DataSet(data, Z_key="z")
    predictors = [mbePredict(terms[:n], predict_gdml, use_ray=False) for n in (1, 2, 3)]
    for line in sys.stdin:
        n, *more = line.split()
        energies, forces = predictors[int(n) - 1].predict(
            structures.Z, structures.R, structures.entity_ids, structures.comp_ids
        )
        print(json.dumps([energies.tolist(), forces.tolist() if more else None]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
