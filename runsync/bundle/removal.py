"""How files are deleted, so that no snapshot loses one that it needs, whatever happens to locks.

Batch by batch: look whether our lock is still there, announce the names, then look for claims and for manifests that
the survey did not know, spare what they need, and delete the rest. See `publish` for the other side.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runsync.bundle import announced, layout
from runsync.bundle.bundle import Bundle
from runsync.bundle.locks import Lock
from runsync.bundle.manifest import Manifest
from runsync.bundle.store import Entry, Store
from runsync.bundle.survey import survey_manifests
from runsync.errors import BundleDamaged
from runsync.model.progress import Silent

BATCH = 1000
"""Files that are announced at a time."""


@dataclass(slots=True)
class Newcomers:
    """What snapshots need that were claimed, written or replaced since a survey.

    `known` are the manifests that the survey read, by file name, as they were listed before.
    """

    bundle: Bundle
    known: Mapping[str, Entry]
    _files: set[str] = field(default_factory=set)
    _blobs: set[bytes] = field(default_factory=set)
    _claims: set[str] = field(default_factory=set)
    _read: dict[str, Entry] = field(default_factory=dict)

    def look(self, announcement: str) -> None:
        """Claims first, manifests then: a claim that is gone by then has become a manifest."""
        store = self.bundle.store
        for claim in announced.claims(store, announcement):
            if claim.name not in self._claims:
                self._need(claim.name, is_claim=True)
                self._claims.add(claim.name)
        for entry in list(store.list(layout.SNAPSHOTS)):
            if layout.snapshot_id(entry.name) and entry not in (self.known.get(entry.name), self._read.get(entry.name)):
                self._need(entry.name, is_claim=False)
                self._read[entry.name] = entry

    def need(self, name: str) -> bool:
        """Whether one of them needs this file."""
        return name in self._files or (
            name.startswith(layout.BLOBS) and bytes.fromhex(layout.hash_in(name)) in self._blobs
        )

    def _need(self, name: str, *, is_claim: bool) -> None:
        store = self.bundle.store
        try:
            manifest = self.bundle.read_manifest(name)
        except BundleDamaged:
            if store.size(name) is None:
                return  # published, withdrawn or forgotten meanwhile
            raise
        self._files.update(file.path for file in manifest.files())
        if name in self.known:
            return  # prune replaced it: the same runs in other parts, so the same blobs
        whole = _without_missing_parts(store, manifest) if is_claim else manifest
        self._blobs |= survey_manifests(self.bundle, [whole], Silent()).blobs


def _without_missing_parts(store: Store, manifest: Manifest) -> Manifest:
    """Of a claim that lacks a part only the rest counts: it cannot become a snapshot."""
    return replace(
        manifest,
        parts=tuple(part for part in manifest.parts if store.size(part.runs.path) is not None),
        objects=tuple(p for p in manifest.objects if all(store.size(file.path) is not None for file in p.files)),
    )


def remove(
    store: Store,
    entries: Sequence[Entry],
    newcomers: Newcomers,
    lock: Lock,
    act: Callable[[str], None] | None = None,
) -> list[Entry]:
    """Deletes files (or does with them what `act` does); gives those that are gone. Raises BundleLocked when our lock
    was lost: then nothing more is deleted.
    """
    gone: list[Entry] = []
    for batch in _batches(entries):
        lock.confirm()
        announcement = announced.announce_removal(store, [entry.name for entry in batch])
        try:
            newcomers.look(announcement)
            for entry in batch:
                if not newcomers.need(entry.name):
                    lock.confirm_lately()
                    (act or store.remove)(entry.name)
                    gone.append(entry)
        finally:
            store.remove(announcement)
    return gone


def _batches(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), BATCH):
        yield entries[start : start + BATCH]
