"""What processes announce before they publish a snapshot (`claims/`) or delete files (`pruning/`).

The names of these files tell whose they are. What a process left that is provably gone counts for nothing; what may be
of one that still runs counts, for a day by the store's own clock.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson

from runsync.bundle import layout, schemas
from runsync.bundle.processes import Process, here
from runsync.bundle.store import ABANDONED, Entry, Store
from runsync.errors import BundleDamaged, NoRoom, RunsyncError

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


def claims(store: Store) -> list[Claim]:
    """Those that count. The others are removed, where that is allowed to us."""
    found = []
    for entry in _counting(store, layout.CLAIMS):
        snapshot_id = layout.snapshot_id(f"{layout.SNAPSHOTS}{_label(entry)}.json")
        if snapshot_id:
            found.append(Claim(entry.name, snapshot_id))
    return found


def announce_removal(store: Store, names: Sequence[str]) -> str:
    """Says that these files are about to be deleted; gives the name of what says so. Works on a full disk too."""
    name = f"{layout.PRUNING}{len(names)}_{_ours()}.json"
    document = {"format": "runsync-removal", "version": 1, "files": list(names)}
    schemas.check("removal", document, name)
    try:
        store.create(name, orjson.dumps(document))
    except NoRoom:
        store.create(name, b"")
    return name


def removals(store: Store) -> set[str]:
    """The files that somebody may be deleting. Raises BundleDamaged for a file in `pruning/` that does not tell."""
    names: set[str] = set()
    for entry in _counting(store, layout.PRUNING):
        try:
            content = store.read(entry.name)
        except BundleDamaged:
            if store.size(entry.name) is None:
                continue  # done meanwhile
            raise
        names.update(_files_of(store, entry.name, content) if content else (EVERYTHING,))
    return names


def _files_of(store: Store, name: str, content: bytes) -> list[str]:
    place = f"{store.address}/{name}"
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BundleDamaged(f"{place}: {error}") from None
    schemas.check("removal", document, place)
    return list(document["files"])


def _counting(store: Store, folder: str) -> list[Entry]:
    """Entries of a folder whose process may run, and that are not a day old."""
    left = []
    for entry in list(store.list(folder)):
        if _process(entry).is_gone:
            _drop(store, entry)
        else:
            left.append(entry)
    strange = [entry for entry in left if not _process(entry).is_running]
    if strange:
        now = _clock(store)
        old = {entry.name for entry in strange if now - entry.modified > ABANDONED}
        for entry in [entry for entry in left if entry.name in old]:
            _drop(store, entry)
        left = [entry for entry in left if entry.name not in old]
    return left


def _drop(store: Store, entry: Entry) -> None:
    with suppress(RunsyncError):
        store.remove(entry.name)


def _clock(store: Store) -> float:
    """The time of the store, by what it says of a file that we have just made there (epoch seconds)."""
    probe = f"{layout.CLAIMS}clock_{_ours()}.json"
    store.create(probe, b"")
    try:
        return max((entry.modified for entry in store.list(layout.CLAIMS) if entry.name == probe), default=0.0)
    finally:
        with suppress(RunsyncError):
            store.remove(probe)


def _ours() -> str:
    return f"{here().token}_{os.urandom(4).hex()}"


def _label(entry: Entry) -> str:
    return entry.name.rpartition("/")[2].partition("_")[0]


def _process(entry: Entry) -> Process:
    return Process.from_token(entry.name.rpartition("/")[2].split("_")[1] if entry.name.count("_") >= 2 else "")
