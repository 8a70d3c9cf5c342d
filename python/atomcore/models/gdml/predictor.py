"""Energies and forces of a trained GDML model, by the compiled kernels."""

import numpy as np
import numpy.typing as npt

from atomcore.kernels.gdml import gdml_descriptors, gdml_predict
from atomcore.models.gdml.record import GdmlRecord

Float64 = npt.NDArray[np.float64]


class Predictor:
    """A trained model, prepared for many geometries."""

    def __init__(self, record: GdmlRecord):
        self._record = record

    def evaluate(self, positions: Float64) -> tuple[Float64, Float64]:
        """Return energies [n] in eV and forces [n, N, 3] in eV/A of geometries [n, N, 3] in Angstrom."""
        r = self._record
        x, C = gdml_descriptors(positions, r.lattice)
        E, G = gdml_predict(x, C, r.descriptors, r.derivative_coefficients, r.energy_coefficients, r.permutations, r.sigma)
        return r.constant + r.scale * E, -r.scale * G

    def noise(self, positions: Float64) -> tuple[float, float]:
        """Return the rounding noise of energies in eV and forces in eV/A."""
        return 0.0, 0.0
