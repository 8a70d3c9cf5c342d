"""Fit a UF3 potential and write it for LAMMPS; runs in an environment with uf3: fit_uf3.py TRAIN.xyz OUT.uf3.

Two-body splines reach 6 A, three-body splines 4 A. The fit is uf3's own (features, regularisation, solution); this
script makes its tables and writes its coefficients in the format of LAMMPS' pair style uf3.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from ase.io import read
from uf3.data.composition import ChemicalSystem
from uf3.regression.least_squares import WeightedLinearModel, arrange_coefficients
from uf3.representation.bspline import BSplineBasis
from uf3.representation.process import BasisFeaturizer

PAIRS = {"reach": 6.0, "intervals": 25, "from": 0.7}
TRIPLES = {"reach": 4.0, "intervals": 8, "from": 0.7}
FORCE_WEIGHT = 0.9  # uf3's weight between forces and energies, both over their deviation


def basis() -> BSplineBasis:
    system = ChemicalSystem(element_list=["H", "O"], degree=3)
    pairs, triples = system.interactions_map[2], system.interactions_map[3]
    low, reach, count = TRIPLES["from"], TRIPLES["reach"], TRIPLES["intervals"]
    return BSplineBasis(
        system,
        r_min_map={**dict.fromkeys(pairs, PAIRS["from"]), **{key: [low] * 3 for key in triples}},
        r_max_map={**dict.fromkeys(pairs, PAIRS["reach"]), **dict.fromkeys(triples, [reach, reach, 2 * reach])},
        resolution_map={
            **dict.fromkeys(pairs, PAIRS["intervals"]),
            **dict.fromkeys(triples, [count, count, 2 * count]),
        },
        leading_trim=0,
        trailing_trim=3,
    )


def fit(frames: list) -> WeightedLinearModel:
    functions = basis()
    mean = np.mean([atoms.get_potential_energy() for atoms in frames])
    model = WeightedLinearModel(functions, ridge_1b=1e-8, ridge_2b=0.0, ridge_3b=1e-8, curve_2b=1e-8, curve_3b=1e-8)
    featurizer = BasisFeaturizer(functions)
    columns = ["geometry", "energy", "fx", "fy", "fz"]
    gram_e, gram_f, right_e, right_f = model.initialize_gram_ordinate()
    energies, forces = [], []
    for number, atoms in enumerate(frames):  # one by one: the features of all frames would not fit into memory
        energy, force = atoms.get_potential_energy() - mean, atoms.get_forces()
        table = pd.DataFrame([[atoms, energy, *force.T]], columns=columns, index=[f"frame{number}"])
        features = featurizer.evaluate(table, progress=None)
        parts = model.gram_from_df(features, table.index, None, None)
        for total, part in zip((gram_e, gram_f, right_e, right_f), parts, strict=True):
            total += part
        energies.append(energy)
        forces.append(force.ravel())
        print(f"frame {number + 1} of {len(frames)}", flush=True)
    weights = [1 / np.size(values) / np.std(values) for values in (energies, np.concatenate(forces))]
    gram, right = model.combine_weighted_gram(gram_e, gram_f, right_e, right_f, *weights, 1 - FORCE_WEIGHT)
    model.fit_with_gram(gram, right)
    return model


def numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.17g}" for value in values)


def lammps_text(model: WeightedLinearModel) -> str:
    functions = model.bspline_config
    coefficients = arrange_coefficients(model.coefficients, functions)
    head = "#UF3 POT UNITS: metal DATE: none AUTHOR: atomcore CITATION: none"
    lines = []
    for pair in functions.interactions_map[2]:
        knots = functions.knots_map[pair]
        lines += [head, f"2B {' '.join(pair)} 0 3 nk", f"{functions.r_max_map[pair]} {len(knots)}", numbers(knots)]
        lines += [str(len(coefficients[pair])), numbers(coefficients[pair]), "#"]
    for triple in functions.interactions_map[3]:
        knots, reach = functions.knots_map[triple][::-1], functions.r_max_map[triple][::-1]
        grid = functions.decompress_3B(coefficients[triple], triple)
        lines += [head, f"3B {' '.join(triple)} 0 3 nk"]
        lines += [" ".join(map(str, [*reach, *map(len, knots)])), *map(numbers, knots)]
        lines += [" ".join(map(str, grid.shape)), *map(numbers, grid.reshape(-1, grid.shape[2])), "#"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(lammps_text(fit(read(sys.argv[1], ":"))))
