"""Run by test_isa.py in a process of its own: features with all derivatives, and a potential, into an npz file."""

import sys
import tempfile
from pathlib import Path

import numpy as np

from atomcore import Potential, _core
from atomcore.features import ANI, SymmetryFunctions
from atomcore.kernels.gdml import Covariance, Predictor, descriptors
from feature_cases import every_function, explicit_edges, families, mixed_cutoffs
from model_builder import random_model
from structures import STRUCTURES, water_crystal


def kernels(f: SymmetryFunctions, dtype: type) -> dict[str, np.ndarray]:
    """Return the results of every feature kernel on a small crystal."""
    atoms = water_crystal()
    row_ptr, neighbor, D = explicit_edges(atoms, f.cutoff, images=3)
    species = np.array([list(f.numbers).index(z) for z in atoms.numbers], np.int32)
    graph = (*f.plan, species, row_ptr, neighbor, D.astype(dtype))
    random = np.random.default_rng(5)
    g = random.normal(size=(len(atoms), f.n_features)).astype(dtype)
    v = random.normal(size=D.shape).astype(dtype)
    edge_class, row_offset = _core.edge_classes(*graph, 1)
    return {
        "features": _core.features(*graph, 1),
        "vjp": _core.features_vjp(*graph, g, 1),
        "jvp": _core.features_jvp(*graph, v, 1),
        "hvp": _core.features_hvp(*graph, g, v, 1),
        "jacobian": _core.features_jacobian(*graph, edge_class, row_offset, 1),
    }


def potentials() -> dict[str, np.ndarray]:
    """Return what the engine computes for structures of every kind of cell, an ensemble of two networks."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = random_model(members=2).write(Path(folder) / "model.atomcore")
        for precision in ("float64", "float32"):
            potential = Potential.load(path, precision=precision, threads=1)
            for name, make in STRUCTURES.items():
                for key, value in potential.compute(make(), ["energy", "forces", "energies"]).items():
                    found[f"potential/{precision}/{name}/{key}"] = np.asarray(value, float)
    return found


def gdml() -> dict[str, np.ndarray]:
    """Return a covariance with energies and the predictions of a model, of a group of permutations."""
    random = np.random.default_rng(6)
    permutations = np.array([[0, 1, 2, 3, 4], [0, 2, 3, 1, 4], [0, 3, 1, 2, 4]])
    positions = random.normal(size=(5, 3)) + 0.1 * random.normal(size=(11, 5, 3))
    x, C = descriptors(positions)
    covariance = Covariance(x, C, permutations, sigma=1.3, energies=True)
    model = Predictor(x, random.normal(size=x.shape), random.normal(size=len(x)), permutations, sigma=1.3)
    energies, forces = model.predict(positions)
    product = covariance.product(random.normal(size=covariance.size))
    return {
        "gdml/covariance": covariance.assemble(),
        "gdml/product": product,
        "gdml/energies": energies,
        "gdml/forces": forces,
    }


def main(path: str) -> None:
    sets = {
        "every function": every_function(),
        "mixed cutoffs": mixed_cutoffs(),
        "ani2x": ANI.ani2x(["H", "O"]),
        "families": families(),
        "weighted families": families(weights="Z"),
    }
    found = potentials() | gdml()
    for name, f in sets.items():
        for dtype in (np.float64, np.float32):
            for key, value in kernels(f, dtype).items():
                found[f"{key}/{np.dtype(dtype).name}/{name}"] = value
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
