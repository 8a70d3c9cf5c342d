"""Molecular dynamics with trained potentials."""

from atomcore.md.distributions import radial_distribution
from atomcore.md.drift import block_mean, energy_drift
from atomcore.md.integrators import ENSEMBLES
from atomcore.md.recorder import Trajectory
from atomcore.md.restart import CHECKPOINT
from atomcore.md.simulate import ENGINES, simulate

__all__ = [
    "CHECKPOINT",
    "ENGINES",
    "ENSEMBLES",
    "Trajectory",
    "block_mean",
    "energy_drift",
    "radial_distribution",
    "simulate",
]
