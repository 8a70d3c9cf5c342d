"""Models: one class each, trained by ``atomcore.train.fit`` and saved as model files."""

from atomcore.models.bpnn import BehlerParrinello
from atomcore.models.ensemble import Ensemble

__all__ = ["BehlerParrinello", "Ensemble"]
