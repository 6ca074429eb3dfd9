"""Who works on a bundle: writers and long readers share it, prune has it alone.

A shared lock is a file of its own name; the exclusive one has one name, and is made where there is none (a hard link
on a disk, a conditional write on S3). Each side writes its lock first and looks for the other's then, so two can give
way to each other, but never both go on. Whoever holds a lock refreshes it every five minutes; one that was not
refreshed for thirty, or whose process on this machine is gone, is stale: the next that wants the bundle removes it.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
        """Gives it back; harmless when it was taken away."""
        self._released.set()
        self._refresher.join(timeout=10)
        _give_back(self._store, self._name, self._holder)

    def _refresh(self) -> None:
        while not self._released.wait(REFRESH):
            try:
                self.confirm()
                _write(self._store, self._name, replace(self._holder, refreshed_at=_now()))
            except RunsyncError:
                continue  # it may be refreshed the next time; `confirm` tells when it was lost


def holders(store: Store) -> dict[str, Holder]:
    """All locks on a bundle by file name, stale ones too. A file that is no lock counts as one of nobody known."""
    found: dict[str, Holder] = {}
    for entry in store.list(layout.LOCKS):
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
    gone = [(name, holder) for name, holder in holders(store).items() if everything or holder.is_stale]
    for name, _ in gone:
        store.remove(name)
    return [holder for _, holder in gone]


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
        if time.monotonic() > deadline:
            raise BundleLocked(
                f"{store.address} is locked by {other}: wait for it (--retry-lock 5m), "
                "or remove the lock with runsync unlock if nothing runs there"
            )
        time.sleep(LOOK_AGAIN)


def _try(store: Store, name: str, holder: Holder) -> Holder | None:
    """Writes our lock and looks for others; gives one that stands against it, and then ours is gone again."""
    made = store.create(name, _content(holder))
    if not made:
        other = holders(store).get(name)
        if other is None or not other.is_stale:
            return other or holder
        store.remove(name)
        made = store.create(name, _content(holder))
        if not made:
            return holders(store).get(name) or holder
    for place, other in holders(store).items():
        if place == name or not (holder.exclusive or other.exclusive):
            continue
        if other.is_stale:
            store.remove(place)
        else:
            store.remove(name)
            return other
    held = _read(store, name)
    return None if held is not None and held.id == holder.id else held or holder


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
    if store.size(name) is None:
        return None
    try:
        content = store.read(name)
    except BundleDamaged:
        return None
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise BundleDamaged(f"{store.address}/{name} is no lock") from None
    schemas.check("lock", document, f"{store.address}/{name}")
    return Holder.from_document(document)
