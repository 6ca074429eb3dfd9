"""How a snapshot appears: whole, whatever happens to locks.

A writer and a process that deletes files each first say in the bundle what they are about to do, and then look at what
the other has said. The writer stores its manifest as a claim, then looks for announced removals, and whether every
file that it needs is still there; only then is it recorded (see `history`), and becomes the manifest by a move that
fails when somebody removed the claim. Whoever deletes announces it, then reads claims and new manifests (`removal`). So
at least one of the two sees the other, without any clock.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass

from runsync.bundle import announced, history, layout
from runsync.bundle.bundle import Bundle, content_of
from runsync.bundle.history import Position
from runsync.bundle.manifest import Manifest
from runsync.bundle.store import Entry, Store
from runsync.bundle.survey import survey_manifests
from runsync.errors import BundleDamaged, BundleLocked, RunsyncError
from runsync.model.progress import Silent

Vanished = Callable[[Iterable[Entry]], set[str]]
"""Which files that a writer found or wrote are not among these any more."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A manifest to be published, and what gives its bytes."""

    manifest: Manifest
    content: Callable[[], bytes]

    @classmethod
    def of(cls, manifest: Manifest) -> "Pending":
        """A new one."""
        return cls(manifest, lambda: content_of(manifest))


def vanished(expected: Mapping[str, int], entries: Iterable[Entry]) -> set[str]:
    """Names of the expected files (by name, with their bytes) that are not there, or of another size."""
    missing = set(expected)
    for entry in entries:
        if expected.get(entry.name) == entry.size:
            missing.discard(entry.name)
    return missing


def publish(bundle: Bundle, pending: Sequence[Pending], gone: Vanished, *, replace: bool = False) -> None:
    """Writes manifests: from now on the snapshots exist. With `replace` they must exist, and are replaced.

    `gone` is given all parts and blobs there are now. Raises BundleLocked, and nothing is written, when a file that one
    of them needs is gone or about to be deleted.
    """
    if not pending:
        return
    store = bundle.store
    claims: dict[str, Pending] = {}
    try:
        for each in pending:
            name = announced.claim_of(each.manifest.id)
            claims[name] = each
            store.create(name, each.content())
        _refuse_conflicts(bundle, pending, gone, name)
        there = (
            {e.name for folder in (layout.HISTORY, layout.SNAPSHOTS) for e in store.list(folder)} if replace else set()
        )
        for name, each in list(claims.items()):
            if not replace:
                _appear_recorded(store, name, each)
            elif layout.snapshot(each.manifest.id) in there:  # else it was forgotten meanwhile
                _replace(store, name, each, there)
            else:
                continue
            del claims[name]
    finally:
        for name in claims:
            _drop(store, name)


def _drop(store: Store, name: str) -> None:
    with suppress(RunsyncError):  # who may not delete leaves it; prune removes it
        store.remove(name)


def _appear_recorded(store: Store, claim: str, pending: Pending) -> None:
    """The record first: no snapshot is there without one. It goes again where no snapshot comes."""
    recorded, manifest = False, pending.manifest
    try:
        recorded = history.write(store, manifest)
        _appear(store, claim, pending)
    except BaseException:
        if recorded and store.size(layout.snapshot(manifest.id)) is None:
            _drop(store, Position.of(manifest).record)
        raise


def _replace(store: Store, claim: str, pending: Pending, there: Set[str]) -> None:
    """A snapshot whose record is gone by then was forgotten meanwhile: it must not come back."""
    record = Position.of(pending.manifest).record
    _appear(store, claim, pending)
    if record in there and store.size(record) is None:
        _drop(store, layout.snapshot(pending.manifest.id))


def _appear(store: Store, claim: str, pending: Pending) -> None:
    name = layout.snapshot(pending.manifest.id)
    try:
        store.move(claim, name)
    except BundleDamaged:  # the claim is gone
        raise _conflict(store) from None
    except RunsyncError:
        # Perhaps only the claim could not be removed. An older manifest of that name proves nothing: its parts would
        # be deleted next.
        if store.size(name) is None or store.read(name) != pending.content():
            raise
        _drop(store, claim)


def _refuse_conflicts(bundle: Bundle, pending: Sequence[Pending], gone: Vanished, claim: str) -> None:
    store = bundle.store
    removals = announced.removals(store, claim)
    lost = gone(entry for folder in (layout.PARTS, layout.BLOBS) for entry in store.list(folder))
    if not removals and not lost:
        return
    manifests = [each.manifest for each in pending]
    if lost.union(removals).intersection(file.path for manifest in manifests for file in manifest.files()):
        raise _conflict(store)
    if announced.EVERYTHING in removals:
        raise _conflict(store)
    needed = survey_manifests(bundle, manifests, Silent()).blobs
    if any(bytes.fromhex(layout.hash_in(name)) in needed for name in (*lost, *removals)):
        raise _conflict(store)


def _conflict(store: Store) -> BundleLocked:
    return BundleLocked(
        f"{store.address}: files that this snapshot needs were deleted meanwhile, or are being deleted: "
        "wait until no prune or repair runs there (or, if none does, runsync unlock --all), then run it again"
    )
