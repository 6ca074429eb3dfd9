"""Filling versions in Unity Catalog with their files, and finalizing them, which makes them READY."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, RequestRefused, may_pass
from runsync.kinds.kind import Resolve
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import MODEL_VERSIONS, READY, ModelVersion
from runsync.model.hashing import sha256_of
from runsync.model.import_options import ImportOptions
from runsync.model.outcome import CREATE, FAILED, Outcome
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile, Problem
from runsync.model.selection import RUNS
from runsync.model.wording import many
from runsync.workspaces.arrival.files import Stream
from runsync.workspaces.arrival.model_ids import followers, with_ids
from runsync.workspaces.arrival.version_files import FilesOfVersions, VersionFiles
from runsync.workspaces.databricks.unity.folders import Folder, Folders
from runsync.workspaces.databricks.unity.names import REGISTRY
from runsync.workspaces.http import Client
from runsync.workspaces.rest.collisions import post


@dataclass(slots=True)
class VersionCopy:
    """A version on its way; `version` is its number in the target.

    `is_open`: it takes files, and is to be finalized; `followers` are paths of MLmodel files that follow `new_ids`.
    """

    item: ModelVersion
    action: str
    version: int = 0
    is_open: bool = False
    folder: Folder | None = None
    files: VersionFiles | None = None
    there: dict[str, int] = field(default_factory=dict)
    new_ids: Mapping[str, str] = field(default_factory=dict)
    followers: frozenset[str] = frozenset()
    problems: list[Problem] = field(default_factory=list)
    count: int = 0
    bytes: int = 0
    error: str = ""
    retry: bool = False

    def fail(self, error: Exception) -> None:
        """Nothing can be said to be whole."""
        self.error, self.retry = str(error), may_pass(error)

    def miss(self, path: str, error: object) -> None:
        """Notes a file that did not arrive."""
        self.problems.append(Problem("artifact", path, str(error)))
        self.retry = self.retry or may_pass(error)

    @property
    def why(self) -> str:
        """Why nobody is to load it by an alias; "" where it is whole."""
        lost = next((f"“{p.name}” did not arrive" for p in self.problems if p.kind == "artifact"), "")
        state = "" if self.item.status == READY else f"it is {self.item.status} at the source"
        return self.error or lost or state

    def outcome(self) -> Outcome:
        """What was done with it."""
        told = (MODEL_VERSIONS.noun, self.item.name, self.item.name, FAILED if self.error else self.action, "")
        return Outcome(*told, 0, self.count, self.bytes, tuple(self.problems), self.error, self.retry)


@dataclass(frozen=True, slots=True)
class Ids:
    """The target's ids of what the source has, and that of its workspace."""

    resolve: Resolve
    workspace_id: str


class Filling:
    """Of one import."""

    def __init__(
        self, client: Client, folders: Folders, files: FilesOfVersions, ids: Ids, options: ImportOptions
    ) -> None:
        self._client = client
        self._folders = folders
        self._files = files
        self._ids = ids
        self._options = options

    def fill(
        self,
        copies: Sequence[VersionCopy],
        source: EntitySource[ModelVersion],
        pool: Executor,
        progress: Progress,
    ) -> None:
        """All files side by side; then whoever has all of its own is finalized. What goes wrong is noted."""
        list(pool.map(lambda copy: self._open(copy, source), copies))
        waiting = [
            (copy, file, pool.submit(self._bring, copy, file, progress))
            for copy in copies
            for file in (copy.files.files if copy.files is not None and not copy.error else ())
        ]
        for copy, file, future in waiting:
            try:
                is_sent = future.result()
            except ITEM_ERRORS as error:
                copy.miss(file.path, error)
            else:
                copy.count, copy.bytes = copy.count + is_sent, copy.bytes + file.size * is_sent
        list(pool.map(self._finalize, copies))

    def _open(self, copy: VersionCopy, source: EntitySource[ModelVersion]) -> None:
        """Lists the files of both sides."""
        item = copy.item
        try:
            copy.files = self._found(item, source)
            copy.folder = self._folders.of(item.model, copy.version, "write")
            if copy.action != CREATE:
                copy.there = {file.path: file.size for file in copy.folder.list()}
        except ITEM_ERRORS as error:
            copy.fail(error)
            return
        copy.new_ids = {} if self._options.keep_mlmodel else self._new_ids(item)
        copy.followers = followers(copy.files.files) if copy.new_ids else frozenset()

    def _found(self, item: ModelVersion, source: EntitySource[ModelVersion]) -> VersionFiles:
        """One that is not READY may have none."""
        try:
            return self._files.of(item, source)
        except RequestRefused:
            if item.status == READY:
                raise
            return VersionFiles((), lambda file: iter(()))

    def _new_ids(self, item: ModelVersion) -> dict[str, str]:
        """Those of the target by those of the source that its MLmodel file may name: as long as these, so that the file
        keeps its size, by which it is known there."""
        model_id = item.home.id if item.home.kind == LOGGED_MODELS.name else ""
        resolve = self._ids.resolve
        found = {item.run_id: resolve(RUNS, item.run_id), model_id: resolve(LOGGED_MODELS.name, model_id)}
        return {old: new for old, new in found.items() if old and new and old != new and len(old) == len(new)}

    def _bring(self, copy: VersionCopy, file: ArtifactFile, progress: Progress) -> bool:
        """Whether a file was sent: what lies there has the right bytes, or was cut short."""
        assert copy.folder is not None
        file.check()
        sent, digest = _sent(copy, file)
        is_to_send = copy.there.get(file.path) != file.size
        if is_to_send:
            copy.folder.write(file.path, file.size, lambda: Stream(sent(), file.size))
            progress.advance(bytes=file.size)
        if self._options.verify_artifacts:
            there = sha256_of(copy.folder.read(ArtifactFile(file.path, file.size)))
            if there != (digest or sha256_of(sent())):
                raise RequestRefused(f"artifact “{file.path}” reads back with other bytes than were sent")
        return is_to_send

    def _finalize(self, copy: VersionCopy) -> None:
        """Once all files are there, and only then."""
        if copy.folder is None or copy.files is None or copy.why:
            return
        try:
            there = {file.path: file.size for file in copy.folder.list()}
            for file in copy.files.files:
                if there.get(file.path) != file.size:
                    found = many(there[file.path], "byte") if file.path in there else "nothing"
                    copy.miss(file.path, f"after the upload the target lists {found} instead of {file.size} bytes")
                    copy.retry = True
            if not copy.why:
                body = {"name": copy.item.model, "version": str(copy.version)}
                post(self._client, f"{REGISTRY}model-versions/finalize", body)
        except ITEM_ERRORS as error:
            copy.fail(error)


def _sent(copy: VersionCopy, file: ArtifactFile) -> tuple[Callable[[], Iterator[bytes]], str | None]:
    """What gives the bytes that are sent, and their hash where that is known."""
    assert copy.files is not None
    read = copy.files.read
    if file.path not in copy.followers:
        return lambda: read(file), file.sha256
    content = with_ids(b"".join(read(file)), copy.new_ids)
    return lambda: iter((content,)), None
