"""A bundle: the marker that says so, and the snapshots in it."""

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from runsync.bundle import history, layout, schemas
from runsync.bundle.address import Access, locate
from runsync.bundle.history import History
from runsync.bundle.manifest import Manifest
from runsync.bundle.store import MOST_SMALL, Store, cannot_write
from runsync.errors import (
    Ambiguous,
    BucketNotFound,
    BundleDamaged,
    BundleLocked,
    BundleNotFound,
    RunsyncError,
    WrongUsage,
)
from runsync.model import times
from runsync.model.wording import many
from runsync.version import VERSION
from runsync.writable import try_to_write

NO_DIGEST = "0" * 64
DAY = 24 * 3600 * 1000
TRIES = 10
"""Of writing the marker over the one that was read."""
_DAYS = re.compile(r"\d+d")
"""A time, unless it is all six digits that an id ends with."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An open bundle. Nothing is held but its store: every call looks at the files."""

    store: Store

    @property
    def address(self) -> str:
        """Where it is."""
        return self.store.address

    def history(self) -> History:
        """All snapshots in order, and which of them are missing, as the files tell now."""
        return history.look(self.store, lambda: layout.ORDERED in self.features, self.manifest)

    def snapshot_ids(self) -> list[str]:
        """Of all finished snapshots, oldest first; also of those that are missing."""
        return self.history().ids

    def manifest(self, snapshot_id: str) -> Manifest:
        """Of one snapshot. Raises BundleDamaged when it is missing, broken, invalid or another's."""
        name = layout.snapshot(snapshot_id)
        try:
            return self.read_manifest(name)
        except BundleDamaged:
            if self.store.size(name) is not None:
                raise
        raise BundleDamaged(self.missing(snapshot_id))

    def missing(self, snapshot_id: str) -> str:
        """What to say of a snapshot without a manifest, and what to do."""
        return (
            f"{self.address}: snapshot {snapshot_id} is missing: {layout.snapshot(snapshot_id)} is not there; "
            "put it back (runsync check --repair --from COPY takes it from a copy of the bundle), name another one "
            f"({self.address}@ID; runsync snapshots lists them), or accept the loss: "
            f"runsync forget {self.address}@{snapshot_id}"
        )

    def read_manifest(self, name: str) -> Manifest:
        """In a file that lies wherever it does. Raises likewise."""
        content = self.store.read(name)
        document = _valid(self.store, "snapshot", name, content)
        try:
            manifest = Manifest.from_document(document)
        except ValueError as error:
            raise BundleDamaged(f"{self.address}/{name}: {error}") from None
        if _digest(content, manifest.digest) != manifest.digest:
            raise BundleDamaged(f"{self.address}/{name}: its bytes do not have the digest it states")
        if layout.id_in(name) != manifest.id:
            raise BundleDamaged(f"{self.address}/{name}: it is the manifest of another snapshot, {manifest.id}")
        return manifest

    def content_of(self, manifest: Manifest) -> bytes:
        """The bytes of a manifest that was read before. Raises BundleLocked when a prune has replaced it since."""
        name = layout.snapshot(manifest.id)
        content = self.store.read(name)
        if _digest(content, manifest.digest) != manifest.digest:
            raise BundleLocked(
                f"{self.address}/{name} changed while it was read: wait for the prune, then run it again"
            )
        return content

    @property
    def features(self) -> list[str]:
        """What a reader must know to open it. Without a marker, as far as names tell; nothing where there is no bundle
        yet."""
        if self.store.size(layout.MARKER) is None:
            return [layout.ORDERED] if any(layout.recorded(e.name) for e in self.store.list(layout.HISTORY)) else []
        features: list[str] = check_marker(self.store)["required_features"]
        return features

    def require(self, features: Iterable[str]) -> None:
        """Has the marker name these features, so that only who knows them opens the bundle. Raises BundleDamaged."""
        wanted = set(features)
        if not wanted or wanted.issubset(check_marker(self.store)["required_features"]):
            return
        for _ in range(TRIES):  # who writes it meanwhile may have it name others
            version = self.store.version(layout.MARKER)
            document = check_marker(self.store)
            needed = sorted(wanted.union(document["required_features"]))
            if self.store.replace(layout.MARKER, pretty({**document, "required_features": needed}), version):
                return
        raise BundleLocked(f"{self.address}/{layout.MARKER} is written by others all the time: run it again")

    def record_all(self, known: History) -> None:
        """Records the snapshots that are not. Only then is a bundle from before there were records said to have them:
        wherever this stops, none looks as if its record was lost."""
        for position in known.unrecorded:
            with suppress(BundleDamaged):  # check tells of it
                history.record(self.store, self.manifest(position.id))
        self.require([layout.ORDERED])

    def find(self, name: str) -> str:
        """The id of the snapshot that a user means: `latest`, an id, the beginning of it or of its last six digits, or
        a time.

        A time (2026-11-01, 2026-11-01T12:00Z, 7d) means the snapshot with the last date that is not after it; a day,
        the end of that day (UTC). Raises BundleNotFound, Ambiguous. The manifest of what is found may be missing.
        """
        positions = self.history().positions
        if name in ("", "latest"):
            if not positions:
                raise BundleNotFound(f"{self.address} holds no finished snapshot: run the export again to finish it")
            return positions[-1].id
        is_meant = _ends if _DAYS.fullmatch(name) else _begins
        found = [p.id for p in positions if is_meant(p.id, name)]
        if len(found) > 1:
            raise Ambiguous(f"“{name}” means {len(found)} snapshots of {self.address}: give more of the id", found)
        if not found and (by := _by(name)) is not None:
            dated = [(layout.time_of(p.id), p) for p in positions if layout.time_of(p.id) <= by]
            found = [max(dated)[1].id] if dated else []
        if not found:
            held = f"it has {many(len(positions), 'snapshot')}, which runsync snapshots {self.address} lists"
            raise BundleNotFound(f"{self.address} has no snapshot “{name}”: {held}")
        return found[0]

    def latest(self) -> Manifest:
        """The manifest of the newest snapshot. Raises BundleNotFound where no export has finished, BundleDamaged."""
        return self.manifest(self.find("latest"))


def open_bundle(where: str | Path, access: Access | None = None) -> Bundle:
    """An existing bundle. Raises BundleNotFound; BundleDamaged for one whose marker is missing, or of a version that
    this runsync does not read."""
    place = locate(where, access)
    if place.snapshot:
        raise WrongUsage(f"this takes a whole bundle: leave out @{place.snapshot}")
    return open_store(place.store)


def open_store(store: Store) -> Bundle:
    """The bundle in a store. Raises likewise."""
    if store.size(layout.MARKER) is None:
        if has_lost_marker(store):
            raise _marker_is_missing(store)
        is_missing = store.folder is not None and not store.folder.exists()
        told = "is not there" if is_missing else f"is no runsync bundle (no {layout.MARKER} in it)"
        place, at, tail = store.address.rpartition("@")
        hint = f" (“{tail}” names no snapshot: see runsync snapshots {place})" if at and "/" not in tail else ""
        raise BundleNotFound(f"{store.address} {told}: check the path{hint}, or make a bundle with runsync export")
    check_marker(store)
    return Bundle(store)


def has_lost_marker(store: Store) -> bool:
    """Whether a bundle lies there, and only the file that says so is missing. Raises BucketNotFound."""
    if store.size(layout.MARKER) is not None or (store.folder is not None and not store.folder.is_dir()):
        return False
    store.check_place()
    folders = sorted(f"{folder}/" for folder in layout.WITH_DATA)
    held = any(layout.is_of_a_bundle(entry.name) for folder in folders for entry in store.list(folder))
    return held and store.size(layout.MARKER) is None  # another process may have just made the bundle


def _marker_is_missing(store: Store) -> BundleDamaged:
    return BundleDamaged(
        f"{store.address}: {layout.MARKER} is missing, and all else of a bundle is there: runsync check "
        f"{store.address} --repair writes it again"
    )


def create_bundle(where: str | Path, access: Access | None = None) -> Bundle:
    """An existing bundle, or a new one in a folder (or below a prefix) that is empty or not there.

    Raises WrongUsage for any other, BundleDamaged for a bundle whose marker is missing.
    """
    place = locate(where, access)
    if place.snapshot:
        raise WrongUsage(f"this takes a whole bundle: leave out @{place.snapshot}")
    return create_in(place.store)


def create_in(store: Store) -> Bundle:
    """The bundle in a store, or a new one in an empty store. Raises likewise."""
    if store.size(layout.MARKER) is None:
        _require_empty(store)
        write_marker(store, [layout.ORDERED], times.utc_now())
    return open_store(store)


def _require_empty(store: Store) -> None:
    """Raises WrongUsage, RunsyncError, BundleDamaged or BucketNotFound where no bundle can be made."""
    if store.folder is not None and store.folder.exists() and not store.folder.is_dir():
        raise WrongUsage(f"{store.folder} is a file: a bundle needs a folder")
    if store.folder is not None:
        above = next((folder for folder in store.folder.parents if folder.exists()), None)
        if above is not None and not above.is_dir():
            raise RunsyncError(f"{store.folder} cannot be made: {above} is not a folder; choose another place")
    store.check_place()
    # Of two that make a bundle at once, one may see what the other has just made.
    if next(store.list(), None) is not None and store.size(layout.MARKER) is None:
        if has_lost_marker(store):
            raise _marker_is_missing(store)
        raise WrongUsage(f"{store.address} is not empty and no bundle: name a new place")


def existing_or_empty(where: str | Path, access: Access | None = None) -> Bundle:
    """A bundle as a dry run sees it: an existing one, or one without anything in it where there is none.

    Raises what `create_bundle` does, and RunsyncError where a disk cannot be written to.
    """
    try:
        bundle = open_bundle(where, access)
    except BucketNotFound:
        raise
    except BundleNotFound:
        bundle = Bundle(locate(where, access).store)
        _require_empty(bundle.store)
    if (folder := bundle.store.folder) is not None:
        try:
            try_to_write(folder)
        except OSError as error:
            raise cannot_write(folder, error) from None
    return bundle


def check_marker(store: Store) -> dict[str, Any]:
    """The marker. Raises BundleDamaged when it is invalid, of a newer version or asks for an unknown feature."""
    place = f"{store.address}/{layout.MARKER}"
    document = _json(store.read(layout.MARKER, MOST_SMALL), place)
    version = document.get("version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > layout.VERSION:
        raise BundleDamaged(
            f"{place}: the bundle is of version {version}; this runsync reads up to {layout.VERSION}: upgrade runsync"
        )
    schemas.check("runsync", document, place)
    assert isinstance(document, dict)
    unknown = sorted(set(document["required_features"]) - layout.FEATURES)
    if unknown:
        raise BundleDamaged(f"{place}: the bundle needs the feature “{unknown[0]}”: upgrade runsync")
    return document


def _valid(store: Store, kind: str, name: str, content: bytes) -> dict[str, object]:
    place = f"{store.address}/{name}"
    document = _json(content, place)
    schemas.check(kind, document, place)
    assert isinstance(document, dict)
    return document


def _digest(content: bytes, stated: str) -> str:
    """SHA-256 of a manifest in which the digest it states is written as zeros."""
    return hashlib.sha256(content.replace(stated.encode(), NO_DIGEST.encode())).hexdigest()


def content_of(manifest: Manifest) -> bytes:
    """The bytes of a manifest, with the digest that it states."""
    document = replace(manifest, digest=NO_DIGEST).to_document()
    schemas.check("snapshot", document, layout.snapshot(manifest.id))
    content = _with_a_part_a_line(document)
    return content.replace(NO_DIGEST.encode(), _digest(content, NO_DIGEST).encode())


def pretty(document: dict[str, object]) -> bytes:
    """A document that stands alone in its file."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _with_a_part_a_line(document: dict[str, Any]) -> bytes:
    """A manifest, in which what there may be thousands of takes little room."""
    lines = b",".join(b"\n    " + orjson.dumps(part) for part in document["parts"])
    without = pretty({**document, "parts": []})
    return without.replace(b'\n  "parts": []', b'\n  "parts": [' + lines + b"\n  ]", 1)


def _begins(snapshot_id: str, name: str) -> bool:
    return snapshot_id.startswith(name) or snapshot_id.rpartition("-")[2].startswith(name)


def _ends(snapshot_id: str, name: str) -> bool:
    return snapshot_id.rpartition("-")[2] == name


def _by(name: str) -> int | None:
    """Epoch milliseconds of the end of what a user named; None for what is no time."""
    try:
        moment = times.parse_time(name, times.utc_now())
    except WrongUsage:
        return None
    return moment + (DAY - 1 if len(name) == len("2026-11-01") else 0)


def write_marker(store: Store, features: list[str], created: datetime) -> None:
    """Has the store be a bundle, made at that time."""
    document: dict[str, object] = {
        "format": layout.FORMAT,
        "version": layout.VERSION,
        "required_features": features,
        "created_at": created.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "tool_version": VERSION,
    }
    schemas.check("runsync", document, layout.MARKER)
    store.create(layout.MARKER, pretty(document))
    store.clear_temporary()


def _json(content: bytes, place: str) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BundleDamaged(f"{place}: {error}") from None
