"""Molecular dynamics with trained potentials."""

from atomcore.md.drift import energy_drift
from atomcore.md.simulate import Trajectory, simulate

__all__ = ["Trajectory", "energy_drift", "simulate"]
