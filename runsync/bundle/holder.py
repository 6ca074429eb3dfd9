"""The files under `locks/`: who holds a lock, and whether that process may still run.

Time stamps of another machine are never compared with a clock of ours. A holder is gone when its process provably is
(`processes`), or when its lock did not change while we watched it for as long as it says that takes.
"""

import hashlib
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from runsync.bundle import layout, processes, schemas
from runsync.bundle.processes import UNKNOWN, Process
from runsync.bundle.store import Entry, Store
from runsync.errors import BundleDamaged, NoRoom
from runsync.version import VERSION

EXCLUSIVE = f"{layout.LOCKS}exclusive.json"
TAKEOVER = f"{layout.LOCKS}removing-"
"""Prefix of the files of processes that are removing somebody else's lock."""
LIFETIME = 300
"""Seconds in which a holder refreshes its lock several times."""
OLD_LIFETIME = 1800
"""Of locks that do not state it."""
LOOK_AGAIN = 1.0
"""Seconds between two looks at a bundle that is locked."""


@dataclass(frozen=True, slots=True)
class Holder:
    """`schemas/v1/lock.schema.json`: who holds a lock. Times are ISO 8601 in UTC, `lifetime` is in seconds.

    `id` is empty for a file that is not a lock, such as the empty one that is made on a full disk.
    """

    id: str
    exclusive: bool
    verb: str
    host: str
    pid: int
    created_at: str
    refreshed_at: str
    tool_version: str
    boot_id: str = ""
    namespace: str = ""
    started: int = 0
    lifetime: int = OLD_LIFETIME

    @classmethod
    def new(cls, verb: str, exclusive: bool) -> "Holder":
        """This process, now."""
        process, now = processes.here(), _now()
        holder = cls(secrets.token_hex(16), exclusive, verb, socket.gethostname(), process.pid, now, now, VERSION)
        if process.boot != UNKNOWN:
            holder = replace(holder, boot_id=process.boot, namespace=process.namespace, started=process.started)
        return replace(holder, lifetime=LIFETIME)

    @classmethod
    def unknown(cls, entry: Entry) -> "Holder":
        """Stands for a file that is not a lock."""
        since = datetime.fromtimestamp(entry.modified, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return cls("", entry.name == EXCLUSIVE, "an unknown command", "?", 0, since, since, "?")

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Holder":
        """The reverse of `to_document`, of a valid document."""
        return cls(**{name: document[name] for name in cls.__slots__ if name in document})

    def to_document(self) -> dict[str, Any]:
        """The JSON document."""
        told = {name: value for name, value in asdict(self).items() if value or name not in _WHERE_KNOWN}
        return {"format": "runsync-lock", "version": 1, **told}

    def content(self) -> bytes:
        """The bytes of its file."""
        document = self.to_document()
        schemas.check("lock", document, "a new lock")
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def refreshed(self) -> "Holder":
        """The same, refreshed now."""
        return replace(self, refreshed_at=_now())

    def taken_now(self) -> "Holder":
        """The same, taken now."""
        now = _now()
        return replace(self, created_at=now, refreshed_at=now)

    @property
    def process(self) -> Process:
        """The process that holds it."""
        return Process(self.pid, self.boot_id or UNKNOWN, self.namespace, self.started)

    @property
    def is_done(self) -> bool:
        """Whether it surely holds nothing any more: its process is gone, or is this one, which has given it back."""
        is_given_back = bool(self.id) and self.id not in _HELD and self.process == processes.here()
        return is_given_back or self.process.is_gone

    def __str__(self) -> str:
        process = f" of process {self.pid}" if self.pid else ""
        host = "" if self.host == "?" else f" on {self.host}"
        return f"{self.verb}{process}{host}, since {self.created_at}"


_HELD: set[str] = set()
"""Ids of what this process holds. A lock of ours with another id is one that S3 wrote late, after we removed it."""


@contextmanager
def held(holder: Holder) -> Iterator[Holder]:
    """While a process has a lock of that id."""
    _HELD.add(holder.id)
    try:
        yield holder
    finally:
        _HELD.discard(holder.id)


_WHERE_KNOWN = ("boot_id", "namespace", "started")


@dataclass(frozen=True, slots=True)
class Standing:
    """A file under `locks/` as we saw it."""

    entry: Entry
    holder: Holder

    @property
    def name(self) -> str:
        """Of the file."""
        return self.entry.name

    @property
    def is_takeover(self) -> bool:
        """Whether it announces the removal of another."""
        return self.name.startswith(TAKEOVER)


@dataclass(slots=True)
class Watch:
    """How long each lock was seen unchanged, in seconds of our own clock.

    Only time between two looks that follow each other soon counts: while this machine slept nobody watched, and a
    holder on it slept too.
    """

    _seen: dict[str, tuple[Standing, float]] = field(default_factory=dict)
    _last: float = 0.0

    def look(self, standing: list[Standing]) -> None:
        """Notes what stands now."""
        now = time.monotonic()
        passed = min(now - self._last, 3 * LOOK_AGAIN) if self._last else 0.0
        before, self._seen, self._last = self._seen, {}, now
        for each in standing:
            was, watched = before.get(each.name, (None, 0.0))
            self._seen[each.name] = (each, watched + passed if was == each else 0.0)

    def left(self, standing: Standing) -> float:
        """Seconds for which it must stay unchanged until it is stale; 0 when it is provably held by nobody."""
        if standing.holder.is_done:
            return 0.0
        was, watched = self._seen.get(standing.name, (None, 0.0))
        return max(0.0, standing.holder.lifetime - (watched if was == standing else 0.0))

    def is_stale(self, standing: Standing) -> bool:
        """Whether nobody holds it any more."""
        return self.left(standing) <= 0


def standing(store: Store) -> Iterator[Standing]:
    """Every file under `locks/`."""
    for entry in list(store.list(layout.LOCKS)):
        try:
            holder = read(store, entry.name)
        except BundleDamaged:
            holder = Holder.unknown(entry)
        if holder is not None:
            yield Standing(entry, holder)


def holders(store: Store) -> dict[str, Holder]:
    """All locks on a bundle by file name, stale ones too. A file that is not a lock counts as one of unknown holder."""
    return {each.name: each.holder for each in standing(store) if not each.is_takeover}


def takeover_of(stale: Standing) -> str:
    """The file that announces the removal of a lock: one for each lock, not for each name."""
    id = stale.holder.id or hashlib.sha256(f"{stale.name} {stale.entry.modified}".encode()).hexdigest()[:32]
    return f"{TAKEOVER}{id}.json"


def read(store: Store, name: str) -> Holder | None:
    """None when it is gone. Raises BundleDamaged when it is not a lock."""
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
        raise BundleDamaged(f"{store.address}/{name} is not a lock") from None
    return holder


def make(store: Store, name: str, holder: Holder) -> bool:
    """Makes a lock unless there is one. On a full disk it is an empty file, for which there is still room."""
    try:
        return store.create(name, holder.content())
    except NoRoom:
        return store.create(name, b"")


def looks_abandoned(store: Store, standing: Standing, us: Holder) -> bool:
    """Whether, by the store's own clock, a lock was not refreshed for longer than it should be.

    That proves nothing, since clocks jump and a holder may sleep, but makes it worth watching the lock.
    """
    probe = f"{TAKEOVER}{us.id}.json"
    if not make(store, probe, us):
        return False
    try:
        now = max((e.modified for e in store.list(layout.LOCKS) if e.name == probe), default=0.0)
    finally:
        store.remove(probe)
    return now - standing.entry.modified > standing.holder.lifetime


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
