"""Files of sGDML and mbGDML: data sets, training tasks, models and predictions, in both dialects.

Everything arrives in eV and Angstrom and is written in the units that are asked for. Arrays of Python objects, which
both programs store as pickles, are read by :mod:`atomcore.interop.pickles`, which runs nothing.
"""

from atomcore.interop.sgdml.datasets import DatasetFile, fingerprint, read_dataset, read_xyz, write_dataset, write_xyz
from atomcore.interop.sgdml.gdml import as_gdml, read_model, write_model
from atomcore.interop.sgdml.many_body import as_predictions, read_many_body
from atomcore.interop.sgdml.models import ModelFile, read_model_file, write_model_file
from atomcore.interop.sgdml.predictions import PredictionFile, read_predictions
from atomcore.interop.sgdml.tasks import TaskFile, read_task

__all__ = [
    "DatasetFile",
    "ModelFile",
    "PredictionFile",
    "TaskFile",
    "as_gdml",
    "as_predictions",
    "fingerprint",
    "read_dataset",
    "read_many_body",
    "read_model",
    "read_model_file",
    "read_predictions",
    "read_task",
    "read_xyz",
    "write_dataset",
    "write_model",
    "write_model_file",
    "write_xyz",
]
