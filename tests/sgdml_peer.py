"""sGDML beside ours: one trainer a process is all that it allows."""

import functools
import logging
from typing import Any, NamedTuple

import numpy as np
import pytest


class Sgdml(NamedTuple):
    """A trainer, and the classes of predictors and descriptors."""

    trainer: Any
    predictor: Any
    descriptor: Any


@functools.cache
def _load() -> Sgdml | None:
    vars(np).setdefault("in1d", np.isin)  # version 1.0.3 calls what numpy no longer has
    kind = logging.getLoggerClass()
    try:
        from sgdml.predict import GDMLPredict
        from sgdml.train import GDMLTrain
        from sgdml.utils.desc import Desc
    except ImportError:
        return None
    finally:
        logging.setLoggerClass(kind)  # it makes all loggers of a kind of its own
    return Sgdml(GDMLTrain(max_processes=1, use_torch=False), GDMLPredict, Desc)


def sgdml() -> Sgdml:
    """Return sGDML, or skip the test with a reason where it is not installed."""
    found = _load()
    if found is None:
        pytest.skip("sgdml is not installed: nothing to compare with")
    return found
