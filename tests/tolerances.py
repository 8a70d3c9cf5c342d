"""The one table of tolerances: checks are |a - b| <= atol + rtol * |b| and reject NaN first."""

from typing import NamedTuple

import numpy as np


class Tolerance(NamedTuple):
    """Absolute and relative tolerance of a comparison."""

    atol: float
    rtol: float


EXACT = Tolerance(0.0, 0.0)
ENGINE = Tolerance(1e-10, 1e-10)  # engine against torch
REFERENCE = Tolerance(1e-9, 1e-9)  # numbers stored from another code
HARTREE = Tolerance(1e-9, 0.0)  # hartree, total energies that another code has stored
HARTREE_BOHR = Tolerance(1e-8, 0.0)  # hartree/bohr, its forces
PEER = Tolerance(1e-10, 1e-10)  # another code run beside ours
FORCES_FD = Tolerance(1e-6, 1e-6)  # forces against central differences
ROUNDING = Tolerance(1e-11, 1e-11)  # the same dynamics by two integrators, after 50 steps
SOLVED = Tolerance(1e-8, 1e-7)  # ill-conditioned linear equations solved by two codes
REVERSED = Tolerance(1e-8, 0.0)  # A, where dynamics come back to
STRAIN_FD = Tolerance(1e-8, 1e-6)  # stress against central differences in the strain
WEIGHTS_FD = Tolerance(1e-7, 1e-6)  # weight gradients against central differences
FLOAT32 = Tolerance(2e-5, 2e-5)  # single precision against double, relative to the largest value
PARALLEL = Tolerance(1e-6, 1e-6)  # several training processes against one, in double
FLOAT32_ENERGY = Tolerance(1e-6, 0.0)  # eV/atom, whatever the reference energies are
FEATURES = Tolerance(1e-12, 1e-11)  # kernels against the plain formulas in torch
FEATURES_FD = Tolerance(1e-7, 1e-7)  # derivatives of features against central differences
INVARIANT = Tolerance(1e-10, 1e-10)  # translation, rotation, wrapping
ASE_SYMMETRY = Tolerance(1e-4, 1e-10)  # symmetry of a molecule as far as ASE's digits of its positions go
CUTOFF_VALUE = Tolerance(2e-11, 0.0)  # what is left of a function 1e-6 A inside its cutoff
CUTOFF_SLOPE = Tolerance(2e-5, 0.0)  # 1/A, what is left of its slope there
PRINTED = Tolerance(5.1e-9, 0.0)  # eight decimals of extended XYZ
MASSES = Tolerance(1e-5, 0.0)  # A, centres with average masses against those of the commonest isotopes
KERNEL_FD = Tolerance(1e-8, 1e-8)  # derivatives of kernels against finite differences, of the largest value
KERNEL_MODEL = Tolerance(1e-10, 1e-10)  # kernel machines against plain linear algebra, relative to the largest
GROWN = Tolerance(1e-8, 1e-8)  # the same model by another way through ill-conditioned matrices
CRITERION_FD = Tolerance(1e-6, 1e-6)  # slopes of criteria for hyper-parameters against differences
COVARIANCE = Tolerance(1e-12, 1e-12)  # covariances and their derivatives against plain formulas, over the largest
COVARIANCE_FD = Tolerance(1e-8, 1e-8)  # the same against central differences
KERNEL = Tolerance(1e-14, 4e-15)  # kernels, GDML and its predictions beside formulas in extended precision and sGDML
ANI_ENERGY = Tolerance(1e-10, 0.0)  # eV, total energies of TorchANI in double precision
ANI_CONSTANTS = Tolerance(0.0, 1e-7)  # eight digits in published files
ANI_FORCES = Tolerance(2e-7, 0.0)  # eV/A, its forces: the backward pass of its CELU is off by as much
HOST = Tolerance(1e-11, 0.0)  # LAMMPS with its own neighbour lists and ranks against the engine, of the largest value
HOST_FD = Tolerance(1e-7, 0.0)  # virials of atoms there against differences of energies of atoms
NET_FORCE = Tolerance(1e-6, 0.0)  # eV/A, sum of the forces of an isolated molecule in stored data


def _both(double: float, single: float) -> dict[str, Tolerance]:
    return {"float64": Tolerance(double, double), "float32": Tolerance(single, single)}


# What the engine owes to physics in each precision, relative to the largest value or absolute where that is below one
BY_PRECISION = {
    "translation": _both(1e-11, 1e-5),
    "net force": _both(1e-10, 1e-5),
    "rotation": _both(1e-10, 1e-4),
    "torque": _both(1e-9, 1e-3),
    "permutation": _both(1e-12, 1e-5),
    "image": _both(1e-11, 1e-5),
    "supercell": _both(1e-11, 1e-5),
    "extensivity": _both(1e-11, 1e-5),
    "virial asymmetry": _both(1e-10, 1e-5),
    "sum": _both(1e-12, 1e-12),
    "energy at a cutoff": _both(1e-9, 1e-5),
    "forces at a cutoff": _both(1e-6, 1e-4),
    "neighbour at a cutoff": _both(1e-10, 1e-5),
}


def assert_close(actual, expected, tolerance: Tolerance, *, scale: float = 1.0) -> None:
    """Fail unless every element agrees within ``scale * atol + rtol * |expected|`` and nothing is NaN."""
    a, b = np.asarray(actual), np.asarray(expected)
    assert a.shape == b.shape, f"shapes differ: {a.shape} and {b.shape}"
    assert np.isfinite(a).all(), "the actual values are not all finite"
    assert np.isfinite(b).all(), "the expected values are not all finite"
    excess = np.abs(a - b) - (scale * tolerance.atol + tolerance.rtol * np.abs(b))
    if excess.size and excess.max() > 0:
        worst = np.unravel_index(np.argmax(excess), excess.shape)
        raise AssertionError(
            f"differ by {np.abs(a - b)[worst]:.3e} at {tuple(int(i) for i in worst)}: {a[worst]} and {b[worst]} "
            f"(atol {scale * tolerance.atol:.1e}, rtol {tolerance.rtol:.1e})"
        )
