"""Artifact bytes of runs on an MLflow server: where they lie (this machine, S3), else through the server."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote, urlsplit

from runsync.download import as_listed, begun
from runsync.errors import UNAVAILABLE, RequestRefused
from runsync.model.ids import is_given_out
from runsync.model.paths import unfit_for_folders
from runsync.model.run import ArtifactFile, Run
from runsync.model.stored_object import StoredObject
from runsync.multipart import body, cut
from runsync.workspaces import local_artifacts
from runsync.workspaces.address import is_loopback
from runsync.workspaces.http import NEEDED, OPTIONAL, Care, Client, Opener
from runsync.workspaces.http.fields import Json, listed, text
from runsync.workspaces.rest.folders import walk
from runsync.workspaces.rest.names import unfit, unfit_folder
from runsync.workspaces.rest.server import AJAX, API, Server
from runsync.workspaces.rest.signed import SignedAddresses
from runsync.workspaces.s3_artifacts import REMEDY, NoAccess, S3Artifacts, bucket_of

PROXY = "/api/2.0/mlflow-artifacts/artifacts/"
PROXIED = "mlflow-artifacts:"
"""How an artifact root begins that a server proxies."""
MODEL_FILE = "MLmodel"
SMALL_UPLOAD = 10 * 1024 * 1024
"""The most bytes that upload-artifact takes, the server's way for runs whose storage it does not proxy."""
LIMITED = 1_000_000
"""Bytes from which on proxies that bound an upload may refuse it, as nginx does from 1 MiB on by default."""

Locate = Callable[[], StoredObject | None]
Act = Literal["list", "read", "write"]
Way = Literal["folder", "s3", "proxy", "server"]
"""How artifacts are got at: as files of this machine, on S3 itself, by the server's artifact proxy, or by what else it
has for runs whose storage it does not proxy."""
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Root:
    """Where the files of a logged model lie; `Run` is the same of a run."""

    model_id: str
    artifact_uri: str


class ByAddress(Protocol):
    """Files that hang off no run or logged model, below an address that the registry tells. Raise RequestRefused."""

    def list_at(self, uri: str) -> tuple[ArtifactFile, ...]:
        """All of them, by path. Raises NoAccess where nothing is to be read from here."""

    def read_at(self, uri: str, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one, in chunks."""


class Artifacts(Protocol):
    """Where the artifact bytes of all runs and logged models of a workspace lie. Each method raises RequestRefused."""

    notes: list[str]

    @property
    def requests(self) -> int:
        """Sent to others than the server so far."""

    def close(self) -> None:
        """Drops the connections."""

    def has_folders(self, run: Run) -> bool:
        """Whether a name there is either a file or a folder, as far as that is known; on S3 it may be both."""

    def changed(self, run: Run, paths: Iterable[str]) -> set[str]:
        """The paths that would not arrive as they are, as far as that is known."""

    def first(self, root: str, run: Run | None) -> ArtifactFile | None:
        """Some file of a run; without a run, of a root where it can be told."""

    def list(self, run: Run | Root, within: Collection[str] | None = None) -> tuple[ArtifactFile, ...]:
        """All files of a run or logged model, by path; with `within`, those straight in these folders are enough."""

    def read(self, run: Run | Root, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one file, in chunks."""

    def locate(self, run: Run | Root, file: ArtifactFile) -> StoredObject | None:
        """Where in S3 the bytes of one file lie; None where they lie elsewhere."""

    def expect(self, run: Run, paths: Sequence[str]) -> None:
        """These files are going to be written."""

    def write(self, run: Run | Root, path: str, size: int, opener: Opener, locate: Locate | None = None) -> None:
        """Puts one file there, replacing it. `locate` tells where the source has the very bytes in S3."""


class ArtifactStore:
    """The artifacts of all runs and logged models of one server. `notes` tells what had to be done another way."""

    def __init__(self, client: Client, server: Server, s3: S3Artifacts) -> None:
        self.notes: list[str] = []
        self._client = client
        self._server = server
        self._s3 = s3
        self._signed = SignedAddresses(client, server, self.notes)
        self._closed: dict[tuple[str, Act], str] = {}
        self._lock = Lock()

    @property
    def requests(self) -> int:
        """Sent straight to S3 so far."""
        return self._s3.requests

    def close(self) -> None:
        """Drops the connections."""
        self._signed.close()

    def has_folders(self, run: Run) -> bool:
        """See `Artifacts`: what a server keeps its files in, it does not tell."""
        return not _is_on_s3(_own_root(run))

    def changed(self, run: Run, paths: Iterable[str]) -> set[str]:
        """See `Artifacts`: on S3 every name does, in folders all but those with empty steps."""
        how = way(self._client.url, _own_root(run))
        if how == "s3":
            return set()
        is_proxied = run.artifact_uri.startswith(PROXIED)
        return {
            path
            for path in paths
            if unfit_for_folders(path) or (how != "folder" and unfit(path, below_root=is_proxied))
        }

    def first(self, root: str, run: Run | None) -> ArtifactFile | None:
        """Some file of a run; without a run, of a root where it can be told. Raises RequestRefused."""
        root = root if run is None else _own_root(run)
        folder = local_folder(self._client.url, root)
        if folder is not None:
            return next(local_artifacts.walk(folder), None)
        return self._on_s3_first(
            root,
            "list",
            lambda: next(self._s3.list(root), None),
            lambda: self._first_listed(run) if run is not None else None,
        )

    def list(self, run: Run | Root, within: Collection[str] | None = None) -> tuple[ArtifactFile, ...]:
        """See `Artifacts`. Raises RequestRefused, also for a path that leaves its folder."""
        root = _own_root(run)
        folder = local_folder(self._client.url, root)
        if folder is not None:
            files = list(local_artifacts.walk(folder))
        else:
            files = self._on_s3_first(
                root,
                "list",
                lambda: list(self._s3.list(root)),
                lambda: list(self._listed(run) if within is None else self._listed_in(run, within)),
            )
        return tuple(sorted(files, key=lambda file: file.path))

    def read(self, run: Run | Root, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one file, in chunks. Raises RequestRefused when they are not there or not as many as listed."""
        root = _own_root(run)
        folder = local_folder(self._client.url, root)
        if folder is not None:
            chunks = local_artifacts.read(folder, file.path)
        else:
            chunks = self._on_s3_first(
                root, "read", lambda: begun(self._s3.read(root, file.path)), lambda: begun(self._download(run, file))
            )
        yield from as_listed(chunks, file.path, file.size)

    def locate(self, run: Run | Root, file: ArtifactFile) -> StoredObject | None:
        """Where in S3 the bytes of one file lie; None where they lie elsewhere, or only the server can get at them."""
        root = _own_root(run)
        if not _is_on_s3(root) or (bucket_of(root), "read") in self._closed:
            return None
        try:
            found = self._s3.locate(root, file.path)
        except RequestRefused:
            return None  # who reads it then will hear why
        return found if found.size == file.size else None

    def list_at(self, uri: str) -> tuple[ArtifactFile, ...]:
        """See `ByAddress`. A registry may name any place on S3, and our credentials open more than those of who names
        it: only where an MLmodel file lies is anything read. Raises RequestRefused, and of that kind NoAccess."""
        if not _is_on_s3(uri):
            found = walk("the server", partial(self._proxied_entries, uri), unfit=unfit_folder)
            return tuple(sorted(found, key=lambda file: file.path))
        bucket = bucket_of(uri)
        if why := self._closed.get((bucket, "list")):
            raise NoAccess(why)
        try:
            files = sorted(self._s3.list(uri), key=lambda file: file.path)
        except NoAccess as error:
            self._closed[bucket, "list"] = str(error)
            raise
        if all(file.path != MODEL_FILE for file in files):
            raise NoAccess(f"there is no {MODEL_FILE} file at {uri}")
        return tuple(files)

    def read_at(self, uri: str, file: ArtifactFile) -> Iterator[bytes]:
        """See `ByAddress`."""
        if _is_on_s3(uri):
            chunks = self._s3.read(uri, file.path)
        else:
            chunks = self._client.download(PROXY + quote(_proxied(uri, file.path)), None, f"artifact “{file.path}”")
        yield from as_listed(chunks, file.path, file.size)

    def expect(self, run: Run, paths: Sequence[str]) -> None:
        """A server needs not know."""

    def write(self, run: Run | Root, path: str, size: int, opener: Opener, locate: Locate | None = None) -> None:
        """Puts one file there, replacing it. Raises RequestRefused, also for what the server cannot hold.

        `locate` tells where the source has the very bytes in S3: in the same S3 they are copied.
        """
        root = _own_root(run)
        folder = local_folder(self._client.url, root)
        if folder is not None:
            local_artifacts.write(folder, path, opener)
        elif run.artifact_uri.startswith(PROXIED):
            place = _proxied(run.artifact_uri, path)
            if not self._signed.upload(place, size, opener):
                self._upload(PROXY + quote(place), size, opener)
        else:
            self._on_s3_first(
                root,
                "write",
                lambda: self._write_on_s3(root, path, size, opener, locate),
                lambda: self._upload_small(run, path, size, opener),
            )

    def _on_s3_first(self, root: str, act: Act, direct: Callable[[], Found], by_server: Callable[[], Found]) -> Found:
        """What is done straight on S3 when the root lies there; by the server when S3 does not let us do it."""
        if not _is_on_s3(root):
            return by_server()
        bucket = bucket_of(root)
        if (bucket, act) not in self._closed:
            try:
                return direct()
            except NoAccess as error:
                self._close(bucket, act, str(error))
        try:
            return by_server()
        except RequestRefused as error:
            closed = self._closed[bucket, act]
            raise RequestRefused(f"{error} (to {act} it on S3: {closed}): {REMEDY}", error.status, error.code) from None

    def _close(self, bucket: str, act: Act, why: str) -> None:
        with self._lock:
            if (bucket, act) not in self._closed:
                self._closed[bucket, act] = why
                self.notes.append(f"cannot {act} artifacts on S3 itself ({why}): the server does it, which is slower")

    def _write_on_s3(self, root: str, path: str, size: int, opener: Opener, locate: Locate | None) -> None:
        source = locate() if locate is not None else None
        if source is None or not self._s3.copy(root, path, source):
            self._s3.write(root, path, size, opener)

    def _listed(self, run: Run | Root) -> Iterator[ArtifactFile]:
        return walk("the server", partial(self._entries, run), unfit=unfit_folder)

    def _entries(self, run: Run | Root, folder: str) -> Sequence[Json]:
        """What the server lists of one folder."""
        asked: dict[str, Any] = {} if isinstance(run, Root) else {"run_id": run.run_id}
        place, name = f"{API}/artifacts/list", "path"
        if isinstance(run, Root):
            place, name = f"{API}/logged-models/{run.model_id}/artifacts/directories", "artifact_directory_path"
        within: dict[str, Any] = {name: folder} if folder else {}
        return listed(self._client.get(place, **asked, **within), "files")

    def _listed_in(self, run: Run | Root, within: Iterable[str]) -> Iterator[ArtifactFile]:
        """The files straight in these folders."""
        for folder in sorted(within):
            if not unfit_folder(folder):
                for file in walk("the server", partial(self._files_in, run), folder):
                    yield replace(file, path=_below(folder, file.path))

    def _files_in(self, run: Run | Root, folder: str) -> Sequence[Json]:
        """What the server lists of one folder, but for folders. Its proxy does so in a third of the time (MLflow 3.17):
        it does not look for the run."""
        entries: Sequence[Json] | None = None
        if run.artifact_uri.startswith(PROXIED):
            with suppress(RequestRefused):
                entries = self._proxied_entries(run.artifact_uri, folder, OPTIONAL)
        if entries is None:
            entries = self._entries(run, folder)
        return [entry for entry in entries if not entry.get("is_dir")]

    def _proxied_entries(self, uri: str, folder: str, care: Care = NEEDED) -> Sequence[Json]:
        """What the server's proxy lists of one folder."""
        path = _below(urlsplit(uri).path.strip("/"), folder)
        told = listed(self._client.get(PROXY.rstrip("/"), path=path, care=care), "files")
        return [entry | {"path": _below(folder, text(entry, "path"))} for entry in told]

    def _first_listed(self, run: Run) -> ArtifactFile | None:
        """One that can be read by its name."""
        listed = self._listed(run)
        return next((file for file in listed if not file.fault and not self.changed(run, [file.path])), None)

    def _download(self, run: Run | Root, file: ArtifactFile) -> Iterator[bytes]:
        path = file.path
        if run.artifact_uri.startswith(PROXIED) and (path.isascii() or self._server.proxies_any_name):
            place = _proxied(run.artifact_uri, path)
            by_server = partial(self._client.download, PROXY + quote(place), None, f"artifact “{path}”")
            return self._signed.download(place, file.size) or by_server()
        _check_name(path, below_root=False)
        if isinstance(run, Root):
            place, asked = f"{AJAX}/logged-models/{run.model_id}/artifacts/files", {"artifact_file_path": path}
        else:
            place, asked = "/get-artifact", {"run_id": run.run_id, "path": path}
        return self._client.download(place, asked, f"artifact “{path}”")

    def _upload(self, url: str, size: int, opener: Opener) -> None:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with _told_of_limits(size):
            self._client.send("PUT", url, content=body(opener, size), headers=headers)

    def _upload_small(self, run: Run | Root, path: str, size: int, opener: Opener) -> None:
        if isinstance(run, Root):
            raise RequestRefused(
                f"artifact “{path}”: a server that does not serve artifacts takes none of logged models: run the import"
                " where the artifact root can be reached, or start the server with --serve-artifacts"
            )
        if not 0 < size <= SMALL_UPLOAD:
            raise RequestRefused(
                f"artifact “{path}” has {size} bytes; a server that does not serve artifacts takes 1 byte to 10 MiB: "
                "run the import where the artifact root can be reached, or start the server with --serve-artifacts"
            )
        _check_name(path, below_root=False)
        with closing(opener()) as stream:
            content = b"".join(cut(stream.read, size, size))
        asked = {"run_uuid": run.run_id, "path": path}
        with _told_of_limits(size):
            self._client.send("POST", f"{AJAX}/upload-artifact", parameters=asked, content=content)


@contextmanager
def _told_of_limits(size: int) -> Iterator[None]:
    """Says what an upload was refused for, where it may have been its size: some proxies answer so, others break the
    connection while it is sent."""
    try:
        yield
    except RequestRefused as error:
        is_broken = error.code == UNAVAILABLE and not error.status and size >= LIMITED
        if error.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE and not is_broken:
            raise
        is_why = "may be more" if is_broken else "is more"
        raise RequestRefused(
            f"{error}: the file has {size:,} bytes, which {is_why} than a proxy before the server takes in one request:"
            " raise its limit (client_max_body_size of nginx) or name the server itself, then run it again",
            error.status,
            error.code,
        ) from None


def way(url: str, root: str) -> Way:
    """How what lies below an artifact root of the server at a URL is got at first."""
    if local_folder(url, root) is not None:
        return "folder"
    return "s3" if _is_on_s3(root) else "proxy" if root.startswith(PROXIED) else "server"


def local_folder(url: str, root: str) -> Path | None:
    """An artifact root, where it is a folder of this machine (the server is on loopback and does not proxy)."""
    folder = local_artifacts.folder_of(root)
    if folder is None or not is_loopback(urlsplit(url).hostname or ""):
        return None
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    return folder if len(nearest.parts) > 1 and os.access(nearest, os.R_OK) else None


def _own_root(run: Run | Root) -> str:
    """Where the files of a run or model are got at without the server: "" for what may be any place that we can read,
    and the server cannot. MLflow makes nothing but the folder of one under such a name."""
    if isinstance(run, Root):
        id, is_known = run.model_id, is_given_out(run.model_id.removeprefix("m-"))
    else:
        id, is_known = run.run_id, is_given_out(run.run_id)
    return run.artifact_uri if is_known and run.artifact_uri.rstrip("/").endswith(f"/{id}/artifacts") else ""


def is_by_address(uri: str) -> bool:
    """Whether what lies there is got at without knowing what it belongs to (see `ByAddress`)."""
    return _is_on_s3(uri) or uri.startswith(PROXIED)


def _is_on_s3(root: str) -> bool:
    return root.startswith("s3://")


def _below(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder and path else folder or path


def _proxied(artifact_uri: str, path: str) -> str:
    """Where the file lies below the root of what the server proxies."""
    _check_name(path, below_root=True)
    return urlsplit(artifact_uri).path.strip("/") + "/" + path


def _check_name(path: str, below_root: bool) -> None:
    """Raises RequestRefused for a name that would arrive as another one, or get another file."""
    if reason := unfit_for_folders(path):
        raise RequestRefused(f"“{path}” is refused as an artifact path: {reason}")
    if reason := unfit(path, below_root):
        raise RequestRefused(
            f"artifact “{path}”: an MLflow server does not keep {reason} in a name; give access to the artifact root "
            "itself, or rename the file"
        )
