"""Training: ``fit(model, data)`` and what it is made of."""

from atomcore.train.fit import fit
from atomcore.train.options import Options
from atomcore.train.report import Report
from atomcore.train.task import TrainingError

__all__ = ["Options", "Report", "TrainingError", "fit"]
