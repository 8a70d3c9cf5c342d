"""How many threads the core may use."""

import operator
import os


def default_threads() -> int:
    """Return ``OMP_NUM_THREADS`` where it holds a positive integer, otherwise the number of processors.

    Only processors that this process may run on count: a batch job or a container may own few of the machine's.
    """
    setting = os.environ.get("OMP_NUM_THREADS", "").strip()
    if setting.isascii() and setting.isdigit() and int(setting) > 0:
        return int(setting)
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resolve_threads(threads: int | None) -> int:
    """Return the number of threads that a ``threads`` argument asks for, ``None`` standing for the default.

    Raises
    ------
    TypeError
        ``threads`` is neither ``None`` nor an integer.
    ValueError
        ``threads`` is not between 1 and 4096.
    """
    if threads is None:
        return default_threads()
    if isinstance(threads, bool):
        raise TypeError(f"threads must be None or an integer, got {threads!r}")
    try:
        count = operator.index(threads)
    except TypeError:
        raise TypeError(f"threads must be None or an integer, got {threads!r}") from None
    if not 1 <= count <= 4096:
        raise ValueError(f"threads must be between 1 and 4096, got {count}")
    return count
