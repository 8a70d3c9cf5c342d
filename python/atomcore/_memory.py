"""How much memory there is, and whether what is asked for fits."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

_log = logging.getLogger("atomcore")
_ANNOUNCED = 5e8  # bytes; less is taken without a word


def require_memory(size: float, what: str, alternative: str) -> None:
    """Announce that much memory is about to be taken, or refuse before any of it is.

    Parameters
    ----------
    size : float
        In bytes.
    what : str
        What takes it, e.g. ``"the kernel matrix of 5000 energies"``.
    alternative : str
        What to do where it does not fit, e.g. ``"inducing=2000 needs 64 MB"``.

    Raises
    ------
    MemoryError
        When less than that is free; the message has both numbers and the alternative.
    """
    free = check_memory(size, what, alternative)
    if size >= _ANNOUNCED:
        _log.info(
            "%s takes %s of %s free memory.", what[0].upper() + what[1:], size_in_words(size), size_in_words(free)
        )


def check_memory(size: float, what: str, alternative: str) -> float:
    """Refuse as `require_memory` does, but announce nothing; return the free memory in bytes."""
    free = free_memory()
    if size > free:
        raise MemoryError(
            f"{what} would take {size_in_words(size)}, and {size_in_words(free)} are free; instead: {alternative}"
        )
    return free


def free_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> float:
    """Bytes that this process can take without swapping, nor being killed for them in a container."""
    available = _number(proc / "meminfo", r"^MemAvailable:\s+(\d+) kB")
    machine = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if available is None else 1024 * available
    return float(min([machine, *_free_in_groups(proc, cgroups), *_free_in_limit(proc)]))


def _free_in_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    """Yield what is left of each limit (cgroup v2) on this process, those of the enclosing groups included."""
    try:
        own = re.search(r"^0::/(.*)$", (proc / "self/cgroup").read_text(), re.MULTILINE)
    except OSError:
        return
    group = cgroups / (own[1] if own else "")
    for folder in (group, *group.parents):
        if not folder.is_relative_to(cgroups):
            return
        limit = _number(folder / "memory.max", r"^(\d+)$")  # no number but "max" where there is no limit
        used = _number(folder / "memory.current", r"^(\d+)$")
        if limit is not None and used is not None:
            # File contents kept in memory count as used, but make room for whoever needs it.
            yield max(limit - used + (_number(folder / "memory.stat", r"^inactive_file (\d+)$") or 0), 0)


def _free_in_limit(proc: Path) -> Iterator[int]:
    """Yield what is left of the limit on the address space of this process (``ulimit -v``), if it has one."""
    limit = _number(proc / "self/limits", r"^Max address space\s+(\d+)")  # "unlimited" is no number
    used = _number(proc / "self/status", r"^VmSize:\s+(\d+) kB")
    if limit is not None and used is not None:
        yield max(limit - 1024 * used, 0)


def _number(file: Path, pattern: str) -> int | None:
    try:
        found = re.search(pattern, file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


def size_in_words(size: float) -> str:
    """Return a number of bytes for a message."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.3g} {unit}"
