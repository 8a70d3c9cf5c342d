"""The compiled kernels of a trained GDML model."""

from atomcore.kernels.gdml import Predictor
from atomcore.models.gdml.record import GdmlRecord


def make_predictor(record: GdmlRecord) -> Predictor:
    """Prepare a model for many geometries: ``predict(positions)`` gives energies in eV and forces in eV/A."""
    return Predictor(
        record.descriptors,
        record.derivative_coefficients,
        record.energy_coefficients,
        record.permutations,
        sigma=record.sigma,
        scale=record.scale,
        constant=record.constant,
        lattice=record.lattice,
    )
