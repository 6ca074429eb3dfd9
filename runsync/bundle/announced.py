"""What processes announce in `claims/`, before they publish a snapshot or delete files.

Both lie in one folder, which every export makes: a full disk has no room for another one, but for an empty file it has.
The names of these files tell whose they are. What a process left that is provably gone counts for nothing; what may be
of one that still runs counts, for a day by the store's own clock.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import orjson

from runsync.bundle import history, layout, schemas
from runsync.bundle.holder import Holder
from runsync.bundle.processes import UNKNOWN, Process, here
from runsync.bundle.store import ABANDONED, Entry, Store
from runsync.errors import BundleDamaged, NoRoom, RunsyncError

_REMOVAL = "removal"
EVERYTHING = ""
"""In a set of files: all that no snapshot needs. The disk was too full for their names."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A manifest that may become the snapshot of that id at any time."""

    name: str
    snapshot_id: str


def claim_of(snapshot_id: str) -> str:
    """A new name for our claim on that snapshot."""
    return f"{layout.CLAIMS}{snapshot_id}_{_ours()}.json"


def claims(store: Store, ours: str) -> list[Claim]:
    """Those that count. The others are removed, where that is allowed to us. `ours` is what we have just announced."""
    found = []
    for entry in _counting(store, ours):
        snapshot_id = layout.snapshot_id(f"{layout.SNAPSHOTS}{_label(entry)}.json")
        if snapshot_id:
            found.append(Claim(entry.name, snapshot_id))
    return found


def announce_removal(store: Store, names: Sequence[str]) -> str:
    """Says that these files are about to be deleted; gives the name of what says so. Works on a full disk too."""
    name = f"{layout.CLAIMS}{_REMOVAL}_{_ours()}.json"
    document = {"format": "runsync-removal", "version": 1, "files": list(names)}
    schemas.check("removal", document, name)
    try:
        store.create(name, orjson.dumps(document))
    except NoRoom:
        store.create(name, b"")
    return name


def removals(store: Store, ours: str) -> set[str]:
    """The files that somebody may be deleting; likewise. Raises BundleDamaged for an announcement that is invalid."""
    names: set[str] = set()
    for entry in _counting(store, ours):
        if _label(entry) != _REMOVAL:
            continue
        try:
            content = store.read(entry.name)
        except BundleDamaged:
            if store.size(entry.name) is None:
                continue  # done meanwhile
            raise
        names.update(_files_of(store, entry.name, content) if content else (EVERYTHING,))
    return names


def holders(store: Store) -> dict[str, Holder]:
    """Whose they are, by file name, as those of locks are told."""
    return {entry.name: _holder(entry) for entry in list(store.list(layout.CLAIMS))}


def _holder(entry: Entry) -> Holder:
    process = _process(entry)
    return replace(
        Holder.unknown(entry),
        verb="a deletion" if _label(entry) == _REMOVAL else "a snapshot being written",
        pid=process.pid,
        boot_id="" if process.boot == UNKNOWN else process.boot,
        namespace=process.namespace,
        started=process.started,
    )


def _files_of(store: Store, name: str, content: bytes) -> list[str]:
    place = f"{store.address}/{name}"
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BundleDamaged(f"{place}: {error}") from None
    schemas.check("removal", document, place)
    return list(document["files"])


def _counting(store: Store, ours: str) -> list[Entry]:
    """Entries whose process may run, and that are not a day older than ours."""
    entries = list(store.list(layout.CLAIMS))
    now = max((entry.modified for entry in entries if entry.name == ours), default=0.0)
    counting = []
    for entry in entries:
        process = _process(entry)
        if process.is_gone or (now - entry.modified > ABANDONED and not process.is_running):
            _drop(store, entry)
        else:
            counting.append(entry)
    return counting


def _drop(store: Store, entry: Entry) -> None:
    with suppress(RunsyncError):
        if _label(entry) != _REMOVAL:
            history.withdraw(store, entry)
        store.remove(entry.name)


def _ours() -> str:
    return f"{here().token}_{os.urandom(4).hex()}"


def _label(entry: Entry) -> str:
    return entry.name.rpartition("/")[2].partition("_")[0]


def _process(entry: Entry) -> Process:
    return Process.from_token(entry.name.rpartition("/")[2].split("_")[1] if entry.name.count("_") >= 2 else "")
