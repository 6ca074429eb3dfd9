"""Two commands on one bundle, one of which is held at a chosen operation while the other goes on."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runsync.bundle.store import Store
from runsync.errors import RunsyncError

WAIT = 120
Command = Callable[[Store], Any]


class NoLock:
    """A lock that holds nobody off, and that is never found to be lost."""

    def confirm(self) -> None:
        pass

    def confirm_lately(self) -> None:
        pass


class SteppedStore:
    """Calls `before` with the number of each operation, from 0, ahead of it. One at a time."""

    def __init__(self, store: Store, before: Callable[[int], None]) -> None:
        self._store = store
        self._before = before
        self._lock = threading.RLock()
        self.steps = 0

    @property
    def address(self) -> str:
        return self._store.address

    @property
    def folder(self) -> Path | None:
        return self._store.folder

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._store, name)

        def stepped(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self.step()
                done = operation(*arguments, **options)
                return iter(list(done)) if name in ("list", "chunks") else done

        return stepped

    def incoming(self) -> "_SteppedIncoming":
        return _SteppedIncoming(self._store.incoming(), self)

    def step(self) -> None:
        with self._lock:
            number, self.steps = self.steps, self.steps + 1
            self._before(number)


class _SteppedIncoming:
    def __init__(self, incoming: Any, store: SteppedStore) -> None:
        self._incoming = incoming
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._incoming, name)

    def keep(self, name: str, replace: bool = False) -> None:
        self._store.step()
        self._incoming.keep(name, replace)


def outcome(command: Command, store: Store) -> Any:
    """What a command gives, or the error that it ends with."""
    try:
        return command(store)
    except RunsyncError as error:
        return error


def interleave(
    stores: tuple[Store, Store], first: Command, second: Command, at: int, until: int | None = None
) -> list[Any] | None:
    """Each with a store of its own, as two processes have.

    Runs the first command up to operation `at`, then the second up to operation `until` (None: to its end), then
    both to their ends. Gives both outcomes; None where the first has no so many operations.
    """
    outcomes: list[Any] = [None, None]
    held, go_on = threading.Event(), threading.Event()

    def hold(number: int) -> None:
        if number == until:
            held.set()
            assert go_on.wait(WAIT)

    def run_second() -> None:
        try:
            outcomes[1] = outcome(second, SteppedStore(stores[1], hold))
        finally:
            held.set()

    thread = threading.Thread(target=run_second)

    def begin_second(number: int) -> None:
        if number == at:
            thread.start()
            assert held.wait(WAIT)

    try:
        outcomes[0] = outcome(first, SteppedStore(stores[0], begin_second))
    finally:
        go_on.set()
    if thread.ident is None:
        return None
    thread.join()
    return outcomes
