"""A training run in several processes: torch's launcher, in words."""

import contextlib
import logging
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence

from atomcore._threads import default_threads

INTERRUPTED = 130  # exit code, as shells have it after Ctrl-C


def launched() -> int:
    """How many processes the launcher has started, this one included."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def speaks() -> bool:
    """Whether this is the one process that prints and draws."""
    return launched() == 1 or int(os.environ.get("RANK", "0")) == 0


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run ``atomcore`` with ``arguments`` in so many processes, as torchrun does; return the exit code.

    Unless ``OMP_NUM_THREADS`` says how many threads each has, they share the processors.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory() as logs, _silent_launcher(), _threads(processes):
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            monitor_interval=0.1,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        try:
            # -P: a folder named atomcore where the user stands is not the package.
            elastic_launch(config, sys.executable)("-u", "-P", "-m", "atomcore", *arguments)
        except ChildFailedError as error:
            _, failure = error.get_first_failure()
            return failure.exitcode if failure.exitcode > 0 else 1
        except (SignalException, KeyboardInterrupt):
            return INTERRUPTED
    return 0


@contextlib.contextmanager
def _threads(processes: int) -> Iterator[None]:
    before = os.environ.get("OMP_NUM_THREADS")
    if before is None:
        os.environ["OMP_NUM_THREADS"] = str(max(default_threads() // processes, 1))
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]


@contextlib.contextmanager
def _silent_launcher() -> Iterator[None]:
    """Keep the launcher from reporting at length what the processes have said themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # torch's loggers have levels of their own
    try:
        yield
    finally:
        logging.disable(before)
