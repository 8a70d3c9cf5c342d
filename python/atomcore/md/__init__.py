"""Molecular dynamics with trained potentials."""

from atomcore.md.drift import block_mean, energy_drift
from atomcore.md.integrators import ENSEMBLES
from atomcore.md.recorder import Trajectory
from atomcore.md.simulate import simulate

__all__ = ["ENSEMBLES", "Trajectory", "block_mean", "energy_drift", "simulate"]
