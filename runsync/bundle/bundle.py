"""A bundle: the marker that says so, and the snapshots in it."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import orjson

from runsync.bundle import layout, schemas
from runsync.bundle.manifest import Manifest
from runsync.bundle.store import LocalStore, Store
from runsync.errors import BundleDamaged, BundleNotFound, RunsyncError, WrongUsage
from runsync.model.redact import without_credentials
from runsync.version import VERSION

NO_DIGEST = "0" * 64


@dataclass(frozen=True, slots=True)
class Bundle:
    """An open bundle. Nothing is held but its store: every call looks at the files."""

    store: Store

    @property
    def address(self) -> str:
        """Where it is."""
        return self.store.address

    def snapshot_ids(self) -> list[str]:
        """Of all finished snapshots, oldest first."""
        found = (entry.name for entry in self.store.list(layout.SNAPSHOTS) if entry.name.endswith(".json"))
        return sorted(name.removeprefix(layout.SNAPSHOTS).removesuffix(".json") for name in found)

    def manifest(self, snapshot_id: str) -> Manifest:
        """Of one snapshot. Raises BundleDamaged when it is broken or invalid."""
        name = layout.snapshot(snapshot_id)
        content = self.store.read(name)
        manifest = Manifest.from_document(_valid(self.store, "snapshot", name, content))
        if _digest(content, manifest.digest) != manifest.digest:
            raise BundleDamaged(f"{self.address}/{name}: its bytes do not have the digest it states")
        return manifest

    def add(self, manifest: Manifest) -> None:
        """Writes a manifest: from now on the snapshot exists."""
        name = layout.snapshot(manifest.id)
        document = replace(manifest, digest=NO_DIGEST).to_document()
        schemas.check("snapshot", document, name)
        content = _pretty(document)
        _write(self.store, name, content.replace(NO_DIGEST.encode(), _digest(content, NO_DIGEST).encode()))

    def latest(self) -> Manifest:
        """The manifest of the newest snapshot. Raises BundleNotFound where no export has finished."""
        ids = self.snapshot_ids()
        if not ids:
            raise BundleNotFound(f"{self.address} holds no finished snapshot: run the export again, it goes on")
        return self.manifest(ids[-1])


def open_bundle(where: str | Path) -> Bundle:
    """An existing bundle. Raises BundleNotFound, or BundleDamaged for a version this runsync does not read."""
    folder = _folder(where)
    store = LocalStore(folder)
    if store.size(layout.MARKER) is None:
        what = "is no runsync bundle" if folder.exists() else "is not there"
        raise BundleNotFound(
            f"{folder} {what} (no {layout.MARKER} in it): check the path, or make one with runsync export"
        )
    check_marker(store)
    return Bundle(store)


def create_bundle(where: str | Path) -> Bundle:
    """An existing bundle, or a new one in a folder that is empty or not there. Raises RunsyncError for any other."""
    folder = _folder(where)
    store = LocalStore(folder)
    if store.size(layout.MARKER) is None:
        if folder.exists() and not folder.is_dir():
            raise WrongUsage(f"{folder} is a file: a bundle needs a folder")
        if folder.is_dir() and any(place.name != "tmp" for place in folder.iterdir()):
            raise WrongUsage(f"{folder} is not empty and no bundle: name a new folder, or empty it first")
        _write_marker(store)
    return open_bundle(folder)


def check_marker(store: Store) -> None:
    """Raises BundleDamaged when the marker is invalid, of a newer version or asks for an unknown feature."""
    place = f"{store.address}/{layout.MARKER}"
    document = _json(store.read(layout.MARKER), place)
    version = document.get("version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > layout.VERSION:
        raise BundleDamaged(
            f"{place}: the bundle is of version {version}; this runsync reads up to {layout.VERSION}: upgrade runsync"
        )
    schemas.check("runsync", document, place)
    unknown = sorted(set(document["required_features"]) - layout.FEATURES)  # type: ignore[index]
    if unknown:
        raise BundleDamaged(f"{place}: the bundle needs the feature “{unknown[0]}”: upgrade runsync")


def _valid(store: Store, kind: str, name: str, content: bytes) -> dict[str, object]:
    place = f"{store.address}/{name}"
    document = _json(content, place)
    schemas.check(kind, document, place)
    assert isinstance(document, dict)
    return document


def _digest(content: bytes, stated: str) -> str:
    """SHA-256 of a manifest in which the digest it states is written as zeros."""
    return hashlib.sha256(content.replace(stated.encode(), NO_DIGEST.encode())).hexdigest()


def _pretty(document: dict[str, object]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _write(store: Store, name: str, content: bytes) -> None:
    incoming = store.incoming()
    try:
        incoming.write(content)
        incoming.keep(name)
    finally:
        incoming.discard()


def _folder(where: str | Path) -> Path:
    if "://" in str(where):
        raise WrongUsage(f"“{without_credentials(str(where))}” is no folder: bundles lie on a local disk")
    return Path(where).expanduser()


def _write_marker(store: LocalStore) -> None:
    document: dict[str, object] = {
        "format": layout.FORMAT,
        "version": layout.VERSION,
        "required_features": [],
        "created_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "tool_version": VERSION,
    }
    try:
        schemas.check("runsync", document, layout.MARKER)
        _write(store, layout.MARKER, _pretty(document))
        store.clear_temporary()
    except OSError as error:
        raise RunsyncError(f"{store.folder} cannot be made: {error.strerror}") from None


def _json(content: bytes, place: str) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BundleDamaged(f"{place}: {error}") from None
