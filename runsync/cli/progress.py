"""A progress bar on a terminal: runs, points and bytes. In a pipe there is none."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import click

from runsync.model.progress import Progress, Silent

RUNS = "runs"


class _Bar:
    """A tqdm bar over runs (or files) that also tells points and bytes."""

    def __init__(self, what: str, unit: str) -> None:
        self._what = what
        self._unit = unit
        self._bar: Any = None
        self._lock = Lock()
        self._points = 0
        self._bytes = 0

    def expect(self, runs: int) -> None:
        """See `Progress`. The bar is first shown here: a question may come before."""
        with self._lock:
            bar = self._begun()
            bar.total += runs
            bar.refresh()

    def advance(self, runs: int = 0, points: int = 0, bytes: int = 0) -> None:
        """See `Progress`."""
        from runsync.cli.text import many, size

        with self._lock:
            self._points += points
            self._bytes += bytes
            bar = self._begun()
            if self._points or self._bytes:
                told = f"{many(self._points, 'point')}, " if self._unit == RUNS else ""
                bar.set_postfix_str(told + size(self._bytes), refresh=False)
            bar.update(runs)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _begun(self) -> Any:
        from tqdm import tqdm

        if self._bar is None:
            shown: Any = {"unit": f" {self._unit}", "file": sys.stderr, "leave": False, "dynamic_ncols": True}
            self._bar = tqdm(desc=self._what, total=0, **shown)
        return self._bar


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
