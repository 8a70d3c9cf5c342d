"""GDML beside sGDML 1.0.3 in numpy and in torch: the covariance of forces, and predictions.

A molecule of 9 atoms (ethanol with normal noise of 0.06 A), one permutation, and the six of a methyl group. Both codes
make the whole matrix from inverse distances that they have: ours one triangle of it, packed, sGDML both. sGDML's
predictor in numpy has the best of five chunk sizes. Results are compared first, on smaller matrices of the same kind.
"""

import itertools
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from ase.build import molecule

from atomcore.kernels.gdml import Covariance, Predictor, descriptors
from common import compare, report

vars(np).setdefault("in1d", np.isin)  # sGDML calls what numpy no longer has
from sgdml.predict import GDMLPredict  # noqa: E402
from sgdml.train import GDMLTrain  # noqa: E402
from sgdml.utils.desc import Desc  # noqa: E402

SIGMA = 10
METHYL = (6, 7, 8)  # hydrogens of ASE's ethanol that change places
SIZES = (200, 500)
BATCHES = (1, 100)
CHUNKS = (50, 100, 250, 500, 3000)
TOLERANCE = 1e-12


class Problem(NamedTuple):
    """Geometries, with their permutations as both codes want them."""

    positions: np.ndarray
    permutations: np.ndarray
    linear: np.ndarray  # sGDML's permutations of descriptors
    desc: Any  # sGDML's
    x: np.ndarray
    C: np.ndarray


def problem(n: int, n_permutations: int) -> Problem:
    """Return noisy ethanol."""
    atoms = molecule("CH3CH2OH")
    positions = atoms.positions + np.random.default_rng(0).normal(scale=0.06, size=(n, len(atoms), 3))
    permutations = []
    for order in itertools.permutations(METHYL):
        permutations.append(np.arange(len(atoms)))
        permutations[-1][list(METHYL)] = order
    permutations = np.array(permutations[:n_permutations])
    x, C = descriptors(positions)
    tril = np.array([Desc.perm(p) for p in permutations])
    linear = (tril + np.arange(len(permutations))[:, None] * x.shape[1]).flatten("F")
    return Problem(positions, permutations, linear, Desc(len(atoms), max_processes=1), x, C)


def agree(found: np.ndarray, expected: np.ndarray) -> None:
    """Raise unless these are the same to rounding."""
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not error < TOLERANCE:
        raise SystemExit(f"results differ by {error:.1e} of the largest")


def sgdml_matrix(trainer: GDMLTrain, p: Problem, use_torch: bool) -> np.ndarray:
    """Return sGDML's matrix: minus the covariance."""
    trainer._use_torch = use_torch
    return trainer._assemble_kernel_mat(p.x, p.C, p.linear, SIGMA, p.desc)


def assembly(trainer: GDMLTrain, n: int, n_permutations: int) -> list[dict[str, object]]:
    """Time the covariance of n structures."""

    def check() -> None:
        p = problem(40, n_permutations)
        ours = Covariance(p.x, p.C, p.permutations, sigma=SIGMA, threads=1).assemble()
        for use_torch in (False, True):
            agree(ours, -np.asarray(sgdml_matrix(trainer, p, use_torch)))

    p = problem(n, n_permutations)
    covariance = Covariance(p.x, p.C, p.permutations, sigma=SIGMA, threads=1)
    peers = {
        "sGDML, numpy": partial(sgdml_matrix, trainer, p, False),
        "sGDML, torch": partial(sgdml_matrix, trainer, p, True),
    }
    case = f"covariance, {n} structures, {n_permutations} permutations"
    return compare(case, check, partial(covariance.assemble, "packed"), peers)


def best_chunks(predictor: Any, positions: np.ndarray) -> None:
    """Set the chunk size that sGDML's predictor is fastest with."""
    seconds = {}
    for chunk in CHUNKS:
        predictor._set_chunk_size(chunk)
        predictor.predict(positions)
        before = time.perf_counter()
        predictor.predict(positions)
        seconds[chunk] = time.perf_counter() - before
    predictor._set_chunk_size(min(seconds, key=seconds.__getitem__))


def prediction(n: int, n_permutations: int, batch: int) -> list[dict[str, object]]:
    """Time energies and forces of a batch, by models with random coefficients."""
    p = problem(n, n_permutations)
    v = 1e-3 * np.random.default_rng(1).normal(size=p.x.shape)
    ours = Predictor(p.x, v, None, p.permutations, sigma=SIGMA)
    model = {
        "type": np.array("m"),
        "z": molecule("CH3CH2OH").numbers,
        "R_desc": p.x.T,
        "R_d_desc_alpha": v,
        "perms": p.permutations,
        "tril_perms_lin": p.linear,
        "sig": SIGMA,
        "c": 0.0,
        "std": 1.0,
    }
    positions = np.ascontiguousarray(p.positions[:batch])
    flat = positions.reshape(batch, -1)
    plain = GDMLPredict(model, max_processes=1, use_torch=False)
    plain._set_num_workers(0)
    best_chunks(plain, flat)
    in_torch = GDMLPredict(model, max_processes=1, use_torch=True)

    def check() -> None:
        energies, forces = ours.predict(positions)
        theirs = plain.predict(flat)
        agree(energies, theirs[0])
        agree(forces.reshape(batch, -1), theirs[1])

    peers: dict[str, Callable[[], object]] = {
        "sGDML, numpy": partial(plain.predict, flat),
        "sGDML, torch": partial(in_torch.predict, flat),
    }
    case = f"energies and forces of {batch}, {n} structures, {n_permutations} permutations"
    return compare(case, check, partial(ours.predict, positions, threads=1), peers)


def main() -> None:
    """Time everything on one processor and write the results."""
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    rows = []
    for n, n_permutations, batch in itertools.product(SIZES, (1, 6), BATCHES):
        rows += prediction(n, n_permutations, batch)
    trainer = GDMLTrain(max_processes=1, use_torch=False)  # one a process
    for n, n_permutations in itertools.product(SIZES, (1, 6)):
        rows += assembly(trainer, n, n_permutations)
    report("gdml", rows, ("sgdml", "scipy"))


if __name__ == "__main__":
    main()
