"""A progress bar on a terminal: runs, points and bytes. In a pipe there is none."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import click

from runsync.model.progress import Progress, Silent

RUNS = "runs"


class _Bar:
    """A tqdm bar over runs (or files) that also tells points and bytes."""

    def __init__(self, what: str, unit: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc=what, unit=f" {unit}", file=sys.stderr, leave=False, dynamic_ncols=True, total=0)
        self._unit = unit
        self._lock = Lock()
        self._points = 0
        self._bytes = 0

    def expect(self, runs: int) -> None:
        """See `Progress`."""
        with self._lock:
            self._bar.total = (self._bar.total or 0) + runs
            self._bar.refresh()

    def advance(self, runs: int = 0, points: int = 0, bytes: int = 0) -> None:
        """See `Progress`."""
        from runsync.cli.text import size

        with self._lock:
            self._points += points
            self._bytes += bytes
            told = f"{self._points:,} points, " if self._unit == RUNS else ""
            self._bar.set_postfix_str(told + size(self._bytes), refresh=False)
            self._bar.update(runs)

    def close(self) -> None:
        self._bar.close()


@contextmanager
def shown(what: str, quiet: bool, unit: str = RUNS) -> Iterator[Progress]:
    """A bar where somebody can see it, unless --quiet was given."""
    context = click.get_current_context(silent=True)
    quiet = quiet or bool(context and context.obj.get("quiet"))
    if quiet or not sys.stderr.isatty():
        yield Silent()
        return
    bar = _Bar(what, unit)
    try:
        yield bar
    finally:
        bar.close()
