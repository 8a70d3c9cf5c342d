"""One progress display for everything that takes more than a few seconds."""

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

_PLAIN_INTERVAL = 10.0  # seconds between lines where the output is no terminal
_LIVE_INTERVAL = 0.2


class Progress:
    """A bar on a terminal (when rich is installed), otherwise a line at the start, now and then, and at the end.

    Parameters
    ----------
    total : int
        Units of work altogether.
    label : str
        What is going on, e.g. ``"training"``.
    start : int
        Units already done.
    enabled : bool
        False shows nothing at all.
    """

    def __init__(self, total: int, label: str, *, start: int = 0, enabled: bool = True) -> None:
        self.total, self.label, self.start = total, label, start
        self._enabled = enabled
        self._begin = self._last = time.monotonic()
        self._bar: Any = _rich_bar(label, total, start) if enabled and sys.stderr.isatty() else None
        self._shown_first = False

    def due(self) -> bool:
        """Whether it is time to show something: lets the caller skip building the text."""
        interval = _LIVE_INTERVAL if self._bar is not None or not self._shown_first else _PLAIN_INTERVAL
        return self._enabled and time.monotonic() - self._last >= interval

    def update(self, done: float, text: str = "") -> None:
        """Show that ``done`` units are finished; cheap when nothing is due."""
        if not self.due():
            return
        self._last = time.monotonic()
        self._shown_first = True
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, text=text, refresh=True)
        else:
            self._line(done, text)

    def close(self, done: float, text: str = "") -> None:
        """Show the last state and release the terminal."""
        if not self._enabled:
            return
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, text=text, refresh=True)
            self._bar.stop()
        elif self._shown_first:
            self._line(done, text)
        self._enabled = False

    def _line(self, done: float, text: str) -> None:
        elapsed = time.monotonic() - self._begin
        worked = done - self.start
        left = elapsed * (self.total - done) / worked if worked > 0 else float("nan")
        remaining = f", {left:.0f} s left" if left == left and left >= 1 else ""
        print(f"{self.label} {done:.0f}/{self.total} ({elapsed:.0f} s{remaining}) {text}".rstrip(), file=sys.stderr)


def _rich_bar(label: str, total: int, start: int) -> Any:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
        console=Console(stderr=True),
        auto_refresh=False,  # a refreshing thread would take time from the work
    )
    bar.add_task(label, total=total, completed=start, text="")
    bar.start()
    return bar


@contextlib.contextmanager
def speaking(enabled: bool) -> Iterator[None]:
    """Show the package's log messages on the terminal, unless the program has set up logging itself."""
    logger = logging.getLogger("atomcore")
    if not enabled or logger.hasHandlers():
        yield
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
