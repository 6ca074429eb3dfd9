"""A bundle whose marker is missing: what the rest of it tells, and the marker written again."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runsync.bundle import layout
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import Bundle, has_lost_marker, open_bundle, write_marker
from runsync.bundle.stored import read_runs
from runsync.errors import BundleDamaged


def open_to_mend(where: str | Path, access: Access | None = None) -> Bundle:
    """Like `open_bundle`, and also a bundle whose marker is missing."""
    place = locate(where, access)
    if not place.snapshot and has_lost_marker(place.store):
        return Bundle(place.store)
    return open_bundle(where, access)


def write_again(bundle: Bundle) -> None:
    """Makes the marker from manifests, records and parts. Raises BundleDamaged where they do not tell that this runsync
    can read the bundle."""
    ids = _ids_that_tell(bundle)
    if not ids:
        raise BundleDamaged(
            f"{bundle.address}: {layout.MARKER} is missing, and no manifest or record can be read that tells the "
            "version of the bundle: take it from a copy of the bundle"
        )
    features = {*bundle.features, *_kinds(bundle)} | ({layout.GROWING} if _is_growing(bundle) else set())
    write_marker(bundle.store, sorted(features), min(map(layout.date_of, ids)))


def _ids_that_tell(bundle: Bundle) -> set[str]:
    """Of snapshots with a record, or with a manifest that can be read."""
    recorded = (layout.recorded(entry.name) for entry in bundle.store.list(layout.HISTORY))
    found = {position[1] for position in recorded if position}
    for entry in bundle.store.list(layout.SNAPSHOTS):
        if snapshot_id := layout.snapshot_id(entry.name):
            with suppress(BundleDamaged):
                found.add(bundle.manifest(snapshot_id).id)
    return found


def _kinds(bundle: Bundle) -> Iterator[str]:
    """Of entities, by the names of their parts."""
    for name in _parts(bundle):
        yield from (kind for kind, ending in layout.ENTITIES.items() if name.endswith(ending))


def _is_growing(bundle: Bundle) -> bool:
    """Whether a run names files that were growing; so, too, where that cannot be told."""
    for name in _parts(bundle):
        if name.endswith(layout.RUNS):
            try:
                if any(stored.contents.growing for stored in read_runs(bundle.store, name)):
                    return True
            except BundleDamaged:
                return True
    return False


def _parts(bundle: Bundle) -> list[str]:
    return [entry.name for entry in bundle.store.list(layout.PARTS) if layout.is_ours(entry.name)]
