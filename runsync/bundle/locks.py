"""Who works on a bundle: writers and long readers share it, prune has it alone.

A shared lock is a file of its own name; the exclusive one has one name, and is made where there is none (a hard link
on a disk, a conditional write on S3). Each side writes its lock first and looks for the other's then, so two can give
way to each other, but never both go on. Whoever holds a lock refreshes it every five minutes; one that was not
refreshed for thirty, or whose process on this machine is gone, is stale: the next that wants the bundle removes it.
"""

import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from runsync.bundle import layout, schemas
from runsync.bundle.processes import is_alive
from runsync.bundle.store import Store
from runsync.errors import BundleDamaged, BundleLocked, RunsyncError
from runsync.version import VERSION

EXCLUSIVE = f"{layout.LOCKS}exclusive.json"
_CLAIM = f"{layout.LOCKS}removing-"
REFRESH = 300.0
STALE = 1800.0
LOOK_AGAIN = 1.0
"""Seconds between looks at a bundle that is locked."""


@dataclass(frozen=True, slots=True)
class Holder:
    """`schemas/v1/lock.schema.json`: who holds a lock. Times are ISO 8601 in UTC."""

    id: str
    exclusive: bool
    verb: str
    host: str
    pid: int
    created_at: str
    refreshed_at: str
    tool_version: str

    def to_document(self) -> dict[str, Any]:
        """The JSON document."""
        return {"format": "runsync-lock", "version": 1, **asdict(self)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Holder":
        """The reverse, of a valid document."""
        return cls(**{name: document[name] for name in cls.__slots__})

    @property
    def is_stale(self) -> bool:
        """Whether nobody holds it any more."""
        if self.host == socket.gethostname() and not is_alive(self.pid):
            return True
        return time.time() - datetime.fromisoformat(self.refreshed_at).timestamp() > STALE

    def __str__(self) -> str:
        return f"{self.verb} of process {self.pid} on {self.host}, since {self.created_at}"


class Lock:
    """A lock that is held; `confirm` before what must not be done without it."""

    def __init__(self, store: Store, name: str, holder: Holder) -> None:
        self._store = store
        self._name = name
        self._holder = holder
        self._released = threading.Event()
        self._refresher = threading.Thread(target=self._refresh, name="runsync-lock", daemon=True)
        self._refresher.start()

    def confirm(self) -> None:
        """Raises BundleLocked when the lock was taken away (this machine slept, somebody removed it by hand)."""
        if not _is_ours(self._store, self._name, self._holder):
            raise BundleLocked(f"{self._store.address}: our lock was taken away meanwhile: run it again")

    def release(self) -> None:
        """Gives it back; harmless when it was taken away, and when it cannot be reached: it will be stale."""
        self._released.set()
        self._refresher.join(timeout=10)
        with suppress(RunsyncError):
            _give_back(self._store, self._name, self._holder)

    def _refresh(self) -> None:
        while not self._released.wait(REFRESH):
            with suppress(RunsyncError):  # it may be refreshed the next time; `confirm` tells when it was lost
                self.confirm()
                _write(self._store, self._name, replace(self._holder, refreshed_at=_now()))


def holders(store: Store) -> dict[str, Holder]:
    """All locks on a bundle by file name, stale ones too. A file that is no lock counts as one of nobody known."""
    found: dict[str, Holder] = {}
    for entry in store.list(layout.LOCKS):
        if entry.name.startswith(_CLAIM):
            continue
        try:
            holder = _read(store, entry.name)
        except BundleDamaged:
            since = datetime.fromtimestamp(entry.modified, UTC).isoformat(timespec="seconds")
            holder = Holder("", entry.name == EXCLUSIVE, "an unknown command", "?", 0, since, since, "?")
        if holder is not None:
            found[entry.name] = holder
    return found


def unlock(store: Store, everything: bool = False) -> list[Holder]:
    """Takes stale locks away (with `everything`, all of them); gives those that are gone."""
    gone = []
    for name, holder in holders(store).items():
        if everything:
            store.remove(name)
        elif not holder.is_stale or not _take_away(store, name, holder):
            continue
        gone.append(holder)
    for entry in list(store.list(layout.LOCKS)):
        if entry.name.startswith(_CLAIM) and (everything or time.time() - entry.modified > STALE):
            store.remove(entry.name)
    return gone


@contextmanager
def shared(store: Store, verb: str, patience: float = 0.0) -> Iterator[Lock]:
    """Holds off prune while something is written. Waits up to `patience` seconds; raises BundleLocked."""
    with _held(store, f"{layout.LOCKS}shared-{secrets.token_hex(8)}.json", verb, patience) as lock:
        yield lock


@contextmanager
def reading(store: Store, verb: str, patience: float = 0.0) -> Iterator[None]:
    """Holds off prune while something is read, where locks can be written; else a reader goes without."""
    with ExitStack() as held:
        try:
            held.enter_context(shared(store, verb, patience))
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
    holder = _new(verb, name == EXCLUSIVE)
    try:
        holder = _acquire(store, name, holder, patience)
        lock = Lock(store, name, holder)
    except KeyboardInterrupt:
        _give_back(store, name, holder)
        raise
    try:
        yield lock
    finally:
        try:
            lock.release()
        except KeyboardInterrupt:
            lock.release()
            raise


def _acquire(store: Store, name: str, holder: Holder, patience: float) -> Holder:
    deadline = time.monotonic() + patience
    while True:
        now = _now()
        holder = replace(holder, created_at=now, refreshed_at=now)
        other = _try(store, name, holder)
        if other is None:
            return holder
        left = deadline - time.monotonic()
        if left <= 0:
            raise BundleLocked(
                f"{store.address} is locked by {other}: wait for it (--retry-lock 5m), "
                "or remove the lock with runsync unlock if nothing runs there"
            )
        # Two that gave way to each other must not meet again.
        time.sleep(min(left, LOOK_AGAIN * random.uniform(0.5, 1.0)))  # noqa: S311


def _try(store: Store, name: str, holder: Holder) -> Holder | None:
    """Writes our lock and looks for others; gives one that stands against it, and then ours is gone again."""
    other = _make(store, name, holder)
    if other is not None:
        return other
    try:
        other = _standing_against(store, name, holder)
    except BaseException:
        with suppress(RunsyncError):
            store.remove(name)
        raise
    if other is not None:
        store.remove(name)
    return other


def _make(store: Store, name: str, holder: Holder) -> Holder | None:
    """Writes our lock, where there is none or a stale one; else gives whose is there."""
    content = _content(holder)
    while not store.create(name, content):
        other = holders(store).get(name)
        if other is not None and not (other.is_stale and _take_away(store, name, other)):
            return other
    return None


def _standing_against(store: Store, name: str, holder: Holder) -> Holder | None:
    for place, other in holders(store).items():
        if place == name or not (holder.exclusive or other.exclusive):
            continue
        if not (other.is_stale and _take_away(store, place, other)):
            return other
    return None


def _take_away(store: Store, name: str, stale: Holder) -> bool:
    """Removes a stale lock; False when another process is at it, or the lock is no longer that one.

    Between a look at a lock and its removal another may have removed it and made its own. So whoever removes one
    claims that first, by a file that only one can make; and looks again then.
    """
    claim = f"{_CLAIM}{stale.id or 'unknown'}.json"
    if not store.create(claim, b""):
        _drop_old_claim(store, claim)
        return False
    try:
        now = holders(store).get(name)
        if now is not None and now.id == stale.id and now.is_stale:
            store.remove(name)
        return now is None or now.id == stale.id
    finally:
        store.remove(claim)


def _drop_old_claim(store: Store, claim: str) -> None:
    """A claim is a matter of seconds: one that is old was left by a process that died over it."""
    for entry in list(store.list(layout.LOCKS)):
        if entry.name == claim and time.time() - entry.modified > STALE:
            store.remove(claim)


def _is_ours(store: Store, name: str, holder: Holder) -> bool:
    try:
        held = _read(store, name)
    except BundleDamaged:
        return False
    return held is not None and held.id == holder.id


def _give_back(store: Store, name: str, holder: Holder) -> None:
    if _is_ours(store, name, holder):
        store.remove(name)


def _new(verb: str, is_exclusive: bool) -> Holder:
    now = _now()
    return Holder(secrets.token_hex(16), is_exclusive, verb, socket.gethostname(), os.getpid(), now, now, VERSION)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _content(holder: Holder) -> bytes:
    document = holder.to_document()
    schemas.check("lock", document, "a new lock")
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _write(store: Store, name: str, holder: Holder) -> None:
    incoming = store.incoming()
    try:
        incoming.write(_content(holder))
        incoming.keep(name, replace=True)
    finally:
        incoming.discard()


def _read(store: Store, name: str) -> Holder | None:
    """None when it is gone. Raises BundleDamaged when it is no lock."""
    try:
        content = store.read(name)
    except BundleDamaged:
        if store.size(name) is None:
            return None
        raise
    try:
        document = orjson.loads(content)
        schemas.check("lock", document, f"{store.address}/{name}")
        holder = Holder.from_document(document)
        datetime.fromisoformat(holder.refreshed_at)
    except ValueError:
        raise BundleDamaged(f"{store.address}/{name} is no lock") from None
    return holder
