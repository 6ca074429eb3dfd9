"""Who works on a bundle: writers and long readers share it, prune has it alone.

A shared lock is a file of its own name; the exclusive one has one name, and is made where there is none (a hard link
on a disk, a conditional write on S3). Each side writes its lock first and looks for the other's then, so two can give
way to each other, but never both go on.

Locks keep commands from getting into each other's way. That a snapshot is whole does not rest on them: see `publish`
and `removal`.
"""

import random
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from runsync.bundle import holder as holder_files
from runsync.bundle import layout
from runsync.bundle.holder import (
    EXCLUSIVE,
    Holder,
    Standing,
    Watch,
    held,
    holders,
    looks_abandoned,
    make,
    read,
    standing,
    takeover_of,
)
from runsync.bundle.store import Store
from runsync.errors import BundleDamaged, BundleLocked, RunsyncError
from runsync.log import WAITING

__all__ = ["EXCLUSIVE", "Holder", "Lock", "exclusive", "holders", "reading", "shared", "unlock"]

REFRESH = 60.0
CONFIRM_EVERY = 5.0
"""Seconds for which a look at our lock is good while files are deleted."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", 0))
"""Goes on while the machine sleeps."""


class Lock:
    """A lock that is held; `confirm` before what must not be done without it."""

    def __init__(self, store: Store, name: str, holder: Holder) -> None:
        self._store = store
        self._name = name
        self._holder = holder
        self._confirmed = time.clock_gettime(_CLOCK)
        self._released = threading.Event()
        self._refresher = threading.Thread(target=self._refresh, name="runsync-lock", daemon=True)
        self._refresher.start()

    @property
    def id(self) -> str:
        """Unique to this lock."""
        return self._holder.id

    def confirm(self) -> None:
        """Raises BundleLocked when the lock was taken away (this machine slept, somebody removed it by hand)."""
        now = time.clock_gettime(_CLOCK)
        if not _is_ours(self._store, self._name, self._holder):
            raise self._lost()
        self._confirmed = now

    def confirm_lately(self) -> None:
        """The same, unless that was done a few seconds ago; sleep of the machine counts."""
        if time.clock_gettime(_CLOCK) - self._confirmed > CONFIRM_EVERY:
            self.confirm()

    def release(self) -> None:
        """Removes the lock. Harmless when it was taken away, or cannot be reached: then it goes stale."""
        self._released.set()
        self._refresher.join(timeout=10)
        with suppress(RunsyncError):
            _give_back(self._store, self._name, self._holder)

    def refresh(self) -> None:
        """Shows that this process is alive. Raises BundleLocked when the lock was taken away."""
        version = self._store.version(self._name)
        self.confirm()
        if not self._store.replace(self._name, self._holder.refreshed().content(), version):
            raise self._lost()

    def _lost(self) -> BundleLocked:
        return BundleLocked(f"{self._store.address}: another process removed the lock of this command: run it again")

    def _refresh(self) -> None:
        while not self._released.wait(REFRESH):
            with suppress(RunsyncError):  # it may be refreshed the next time; `confirm` tells when it was lost
                self.refresh()


def unlock(store: Store, everything: bool = False) -> list[Holder]:
    """Removes locks that provably nobody holds (with `everything`, all of them); gives those that are gone."""
    gone = []
    for each in list(standing(store)):
        if everything:
            store.remove(each.name)
        elif not each.holder.is_done or _take_away(store, each, Watch()):
            continue
        gone.append(each.holder)
    return gone


@contextmanager
def shared(store: Store, verb: str, patience: float = 0.0) -> Iterator[Lock]:
    """Holds off prune while something is written. Waits up to `patience` seconds; raises BundleLocked."""
    with _held(store, f"{layout.LOCKS}shared-{secrets.token_hex(8)}.json", verb, patience) as lock:
        yield lock


@contextmanager
def reading(store: Store, verb: str, patience: float = 0.0) -> Iterator[None]:
    """Holds off prune while something is read, where locks can be written; else a reader goes without."""
    with ExitStack() as stack:
        try:
            stack.enter_context(shared(store, verb, patience))
        except BundleLocked:
            raise
        except RunsyncError:
            pass  # a bundle that may only be read: there is no pruning it either, from here
        yield


@contextmanager
def exclusive(store: Store, verb: str, patience: float = 0.0) -> Iterator[Lock]:
    """Holds off every other writer. Waits up to `patience` seconds; raises BundleLocked."""
    with _held(store, EXCLUSIVE, verb, patience) as lock:
        yield lock


@contextmanager
def _held(store: Store, name: str, verb: str, patience: float) -> Iterator[Lock]:
    """Also an interrupt amid taking the lock or giving it back leaves none behind."""
    with held(Holder.new(verb, name == EXCLUSIVE)) as holder:
        try:
            holder = _acquire(store, name, holder, patience)
            lock = Lock(store, name, holder)
        except KeyboardInterrupt:
            with suppress(RunsyncError):
                _give_back(store, name, holder)
            store.leave()
            raise
        try:
            yield lock
        finally:
            try:
                lock.release()
            except KeyboardInterrupt:
                lock.release()
                raise
            finally:
                store.leave()


def _acquire(store: Store, name: str, holder: Holder, patience: float) -> Holder:
    queue = _Queue(store, holder, patience)
    while True:
        holder = holder.taken_now()
        other = _try(store, name, holder, queue.watch)
        if other is None:
            return holder
        queue.wait(other)


class _Queue:
    """Waits as long as was asked for, and as long as it takes to know that a lock which looks abandoned is stale."""

    def __init__(self, store: Store, us: Holder, patience: float) -> None:
        self.watch = Watch()
        self._store = store
        self._us = us
        self._deadline = time.monotonic() + patience
        self._abandoned: Standing | None = None

    def wait(self, other: Standing) -> None:
        """Until it is worth trying again. Raises BundleLocked when the time is over."""
        if time.monotonic() >= self._deadline and other != self._abandoned:
            if not looks_abandoned(self._store, other, self._us):
                raise BundleLocked(
                    f"{self._store.address} is locked by {other.holder}: wait for it (--retry-lock 5m), "
                    "or remove the lock with runsync unlock --all if nothing runs there"
                )
            self._abandoned = other
            self._tell(other)
        while True:
            self._sleep(other)
            now = _find(_look(self._store, self.watch), other.name)
            is_over = time.monotonic() >= self._deadline and other != self._abandoned
            if now != other or is_over or self.watch.is_stale(other):
                return

    def _sleep(self, other: Standing) -> None:
        # Two that gave way to each other must not meet again.
        pause = holder_files.LOOK_AGAIN * random.uniform(0.5, 1.0)  # noqa: S311
        left = self._deadline - time.monotonic()
        time.sleep(pause if other == self._abandoned else max(0.01, min(pause, left)))

    def _tell(self, other: Standing) -> None:
        WAITING.warning(
            "%s is locked by %s, which did not refresh its lock for a while: "
            "watching it for up to %d s, to take the lock over if nothing happens",
            self._store.address,
            other.holder,
            self.watch.left(other),
        )


def _try(store: Store, name: str, holder: Holder, watch: Watch) -> Standing | None:
    """Writes our lock and looks for others; gives one that stands against it, and then ours is gone again."""
    while not make(store, name, holder):
        other = _find(_look(store, watch), name)
        obstacle = _take_away(store, other, watch) if other is not None else None
        if obstacle is not None:
            return obstacle
    try:
        obstacle = _standing_against(store, name, holder, watch)
    except BaseException:
        with suppress(RunsyncError):
            store.remove(name)
        raise
    if obstacle is not None:
        store.remove(name)
    return obstacle


def _standing_against(store: Store, name: str, holder: Holder, watch: Watch) -> Standing | None:
    for other in _look(store, watch):
        if other.name == name or other.is_takeover or not (holder.exclusive or other.holder.exclusive):
            continue
        obstacle = _take_away(store, other, watch)
        if obstacle is not None:
            return obstacle
    return None


def _look(store: Store, watch: Watch) -> list[Standing]:
    found = list(standing(store))
    watch.look(found)
    return found


def _find(found: Iterable[Standing], name: str) -> Standing | None:
    return next((each for each in found if each.name == name), None)


def _take_away(store: Store, stale: Standing, watch: Watch) -> Standing | None:
    """Removes a stale lock. Gives what stands in the way: the lock itself, or who else is removing it.

    Between a look at a lock and its removal another may have removed it and made its own. So whoever removes one
    announces that first, in a file that only one can make, and looks again then. Such a file of a process that is gone
    is removed likewise.
    """
    if not watch.is_stale(stale):
        return stale
    announced = takeover_of(stale)
    with held(Holder.new("removal of a stale lock", exclusive=False)) as us:
        while not make(store, announced, us):
            rival = _find(_look(store, watch), announced)
            obstacle = _take_away(store, rival, watch) if rival is not None else None
            if obstacle is not None:
                return obstacle
        try:
            now = _find(standing(store), stale.name)
            if now == stale:
                store.remove(stale.name)
                return None
            return now
        finally:
            store.remove(announced)


def _is_ours(store: Store, name: str, holder: Holder) -> bool:
    try:
        found = read(store, name)
    except BundleDamaged:
        return store.size(name) == 0  # the disk was full when we made it
    return found is not None and found.id == holder.id


def _give_back(store: Store, name: str, holder: Holder) -> None:
    if _is_ours(store, name, holder):
        store.remove(name)
