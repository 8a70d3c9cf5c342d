"""Where packages of the extras are not installed, the tests that need them skip, with the reason."""

import importlib.util
import signal
import traceback
from pathlib import Path

import pytest

import atomcore

# A shell that starts a job in the background has it ignore interrupts, and what it starts in turn: tests of Ctrl-C
# would wait for ever.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

EXTRAS = ("torch", "safetensors", "lightning", "torchmetrics", "hydra", "omegaconf", "tensorboard", "rich")
PACKAGE = Path(atomcore.__file__).parent
# What trains may need them, and so may tests. Anywhere else in the package their absence is a failure.
MAY_NEED = (
    *("train", "models", "_ops", "export.py", "features/batch.py", "features/reference.py"),
    *("cli/train.py", "cli/demo.py"),
)


def _missing(call: pytest.CallInfo) -> tuple[str, int, str] | None:
    """Return place and reason of a skip if what failed is an import that may fail."""
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, pytest.Collector.CollectError):
        error = error.__cause__
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    name = error.name.split(".")[0]
    if name not in EXTRAS or importlib.util.find_spec(name) is not None:
        return None
    tests = Path(__file__).parent
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    file, line = [place for place in frames if place[0].is_relative_to(PACKAGE) or place[0].is_relative_to(tests)][-1]
    if file.is_relative_to(PACKAGE) and not any(file.is_relative_to(PACKAGE / name) for name in MAY_NEED):
        return None
    return str(file), line or 0, f"Skipped: {name} is not installed"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if report.failed and (place := _missing(report.call)):
        report.outcome, report.longrepr = "skipped", place
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and (place := _missing(call)):
        report.outcome, report.longrepr = "skipped", place
    return report
