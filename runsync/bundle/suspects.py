"""Files that a check found broken, noted in the bundle, so that no export or copy takes one of them for sound.

Each note is a small file of its own, so that several processes can make and delete them. Whoever writes the file
again, sets it aside or finds it sound deletes its note. A note too many costs one more read from the source; one too
few only happens where the bundle cannot be written.
"""

from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from datetime import UTC, datetime

import orjson

from runsync import threads
from runsync.bundle import layout, parts, schemas
from runsync.bundle.store import Incoming, Store
from runsync.errors import RunsyncError
from runsync.version import VERSION


def noted(store: Store) -> set[str]:
    """The hashes of the files that are under suspicion."""
    names = (entry.name for entry in store.list(layout.SUSPECTS))
    return {layout.hash_in(name) for name in names if layout.is_suspect(name)}


def note(store: Store, faults: Mapping[str, str]) -> bool:
    """Notes what is wrong with files, by name; False when that cannot be written."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    try:
        for name, error in faults.items():
            document = {
                "format": "runsync-suspect",
                "version": 1,
                "file": name,
                "error": error[: schemas.LONGEST],
                "found_at": now,
                "tool_version": VERSION,
            }
            schemas.check("suspect", document, "a new note")
            store.create(layout.suspect(name), orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
    except RunsyncError:
        return False
    return True


def clear(store: Store, names: Iterable[str]) -> None:
    """Deletes the notes of these files, as far as that is allowed."""
    with suppress(RunsyncError):
        for name in names:
            store.remove(layout.suspect(name))


class Reusable:
    """Which stored files a writer may take for sound: `sizes` are their bytes by name, and grow as files are written.

    With `verify` the bytes of each are compared with its hash before (on S3 the hash that it keeps, where it does).
    """

    def __init__(
        self, store: Store, sizes: Mapping[str, int], suspects: Set[str], verify: bool = False, workers: int = 8
    ) -> None:
        self._store = store
        self._suspects = set(suspects)
        self.sizes = {name: size for name, size in sizes.items() if layout.hash_in(name) not in suspects}
        self._unverified = set(self.sizes) if verify else set()
        self._workers = workers

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none, or none to be trusted."""
        return self.sizes.get(name)

    def verify(self, names: Iterable[str]) -> None:
        """Reads those that are to be verified, and were not. The broken ones are noted."""
        todo = sorted(self._unverified.intersection(names))
        self._unverified.difference_update(todo)
        if todo:
            with threads.pool(self._workers, "runsync-verify") as pool:
                sound = list(pool.map(lambda name: parts.is_kept_sound(self._store, name), todo))
            self._distrust([name for name, is_sound in zip(todo, sound, strict=True) if not is_sound])

    def keep(self, incoming: Incoming, name: str) -> None:
        """Puts a file there, over one that is not to be trusted."""
        is_suspect = layout.hash_in(name) in self._suspects
        incoming.keep(name, replace=is_suspect)
        self.arrived(name, incoming.size)

    def arrived(self, name: str, size: int) -> None:
        """A file was written by somebody who knows its bytes."""
        self.sizes[name] = size
        if layout.hash_in(name) in self._suspects:
            clear(self._store, [name])

    def _distrust(self, names: Iterable[str]) -> None:
        for name in names:
            self._suspects.add(layout.hash_in(name))
            del self.sizes[name]
            note(self._store, {name: parts.WRONG_HASH})
