"""Accuracy of kernel ridge regression and Gaussian processes: Mueller-Brown, QM7 and Claisen.

    OMP_NUM_THREADS=1 python bench/kernel_accuracy.py [mueller_brown] [qm7] [claisen]

Mueller-Brown: errors over the 696 points of the grid below 10, of 696 energies or of 300 random points with gradients
(median of five seeds), no start given by hand. QM7: random 80/20, five seeds. Claisen: the split of bench/claisen.py.
"""

import sys
import time
from pathlib import Path

import numpy as np

from atomcore.data import load
from atomcore.features import Compact
from atomcore.kernels import Matern
from atomcore.models import GaussianProcess
from common import KCAL_PER_EV, REPOSITORY, report, shared

sys.path.insert(0, str(REPOSITORY / "examples"))
import claisen_gpr
import mueller_brown as surface
import qm7

SEEDS = range(5)


def mueller_brown() -> list[dict]:
    """RMSE of energies after training on energies, and on energies with gradients."""
    rows = []
    for n, gradients, seeds in ((696, False, (0,)), (300, True, SEEDS)):
        start = time.process_time()
        errors = [surface.gaussian_process(n, gradients=gradients, seed=seed)[0] for seed in seeds]
        rows.append(
            {
                "task": f"Mueller-Brown, {n} points{' with gradients' if gradients else ''}",
                "error": f"{np.median(errors):.2e} ({min(errors):.2e} to {max(errors):.2e})",
                "CPU s a model": f"{(time.process_time() - start) / len(errors):.0f}",
            }
        )
    return rows


def quantum_machine() -> list[dict]:
    """MAE in kcal/mol of two Coulomb matrices and of atomic kernels on symmetry functions."""
    data = load(shared("data", "qm7", "qm7.npz"), units="kcal/mol, Angstrom")
    rows = []
    for name, train in (
        ("sorted eigenvalues, RBF", lambda split, seed: qm7.train("eigenvalues", split, seed=seed)[0]),
        ("sorted matrix, Laplacian", lambda split, seed: qm7.train("sorted", split, seed=seed)[0]),
        ("atoms by symmetry functions, sparse", _atoms),
    ):
        start = time.process_time()
        errors = [train(data.split(test=0.2, seed=seed), seed) for seed in SEEDS]
        rows.append(
            {
                "task": f"QM7, {name}",
                "error": f"MAE {np.mean(errors):.2f} kcal/mol ({min(errors):.2f} to {max(errors):.2f})",
                "CPU s a model": f"{(time.process_time() - start) / len(errors):.0f}",
            }
        )
    return rows


def _atoms(split, seed: int) -> float:
    model = GaussianProcess(
        Matern(nu=2.5), features=Compact(split.dataset.elements), inducing=4000, selection="random",
        search_rows=200, starts=1, seed=seed,
    )  # fmt: skip
    model.fit(split.train)
    return KCAL_PER_EV * float(np.mean(np.abs(model.predict(split.test) - split.test.energy)))


def claisen() -> list[dict]:
    """RMSE of energies and forces of the sparse process on symmetry functions."""
    start = time.process_time()
    errors = claisen_gpr.main([str(shared("data", "claisen", "claisen.npz"))])
    error = f"energy {errors['energy']:.3f} kcal/mol, forces {errors['forces']:.3f} kcal/mol/A"
    return [
        {"task": "Claisen, a fifth held out", "error": error, "CPU s a model": f"{time.process_time() - start:.0f}"}
    ]


if __name__ == "__main__":
    tasks = {"mueller_brown": mueller_brown, "qm7": quantum_machine, "claisen": claisen}
    chosen = sys.argv[1:] or list(tasks)
    report(Path(__file__).stem, [row for name in chosen for row in tasks[name]()])
