"""Files of models and of versions on their way into a server."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from runsync.chains import Task
from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, RequestRefused, may_pass
from runsync.growing import EntityFiles, Growing
from runsync.model.hashing import sha256_of
from runsync.model.import_options import ImportOptions
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile, Problem, Run
from runsync.model.wording import many
from runsync.workspaces.arrival.files import Stream
from runsync.workspaces.arrival.model_ids import followers, with_ids
from runsync.workspaces.rest.artifacts import Artifacts, Root


@dataclass(slots=True)
class Parcel:
    """The files of one entity, and where they go: below `folder` of a root. `there` are bytes by path of what lies
    there already and needs no second look. `ids` are those of the target by those of the source, for MLmodel files (see
    `arrival.model_ids`)."""

    item: Any
    files: tuple[ArtifactFile, ...]
    root: Root | Run
    folder: str = ""
    there: dict[str, int] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    retry: bool = False
    sent: list[ArtifactFile] = field(default_factory=list)
    is_cut: bool = False
    """Whether any had more bytes by the time it was read."""

    @property
    def count(self) -> int:
        """Files that were written."""
        return len(self.sent)

    @property
    def bytes(self) -> int:
        """Of those."""
        return sum(file.size for file in self.sent)

    def miss(self, name: str, reason: object) -> None:
        """Notes a file that did not arrive, or with "" that none could be looked for."""
        self.problems.append(Problem("artifact" if name else "artifact list", name, str(reason)))
        self.retry = self.retry or may_pass(reason)

    def place(self, path: str) -> str:
        """Where a file lies below the root."""
        return f"{self.folder}/{path}" if self.folder else path


Chunks = Callable[[], Iterator[bytes]]


class ModelFiles:
    """Brings files; with `verify_artifacts` each is read again, and its hash compared."""

    def __init__(self, store: Artifacts, options: ImportOptions) -> None:
        self.growing: list[str] = []
        """Paths of files that had more bytes by the time they were read."""
        self._store = store
        self._reads_back = options.verify_artifacts
        self._keeps_models = options.keep_mlmodel

    def list(self, parcel: Parcel) -> dict[str, int]:
        """Bytes by path of what lies where a parcel goes. Raises RequestRefused."""
        return self._there(parcel, None)

    def _there(self, parcel: Parcel, within: Collection[str] | None) -> dict[str, int]:
        start = parcel.place("")
        told = self._store.list(parcel.root, within)
        files = [file for file in told if not file.fault and file.path.startswith(start)]
        return {file.path.removeprefix(start): file.size for file in files}

    def tasks(self, parcel: Parcel, source: EntitySource[Any], progress: Progress) -> Sequence[Task]:
        """What brings its files, file by file; what is refused is noted on it. `look` comes after."""
        return [partial(self._bring, parcel, file, source, progress) for file in parcel.files]

    def look(self, parcel: Parcel) -> None:
        """Looks whether the files are there. What is not is noted on the parcel."""
        try:
            there = self._there(parcel, {parcel.place(file.path).rpartition("/")[0] for file in parcel.files})
        except ITEM_ERRORS as error:
            parcel.miss("", error)
            return
        missed = {problem.name for problem in parcel.problems}
        for file in {file.path: file for file in (*parcel.files, *parcel.sent)}.values():
            if file.path not in missed and there.get(file.path) != file.size:
                found = many(there[file.path], "byte") if file.path in there else "nothing"
                parcel.miss(file.path, f"after the upload the target lists {found} instead of {file.size} bytes")
                parcel.retry = True

    def carry(self, parcel: Parcel, source: EntitySource[Any], progress: Progress) -> None:
        """All of it, file by file."""
        for task in self.tasks(parcel, source, progress):
            task()
        if parcel.count:
            self.look(parcel)

    def _bring(self, parcel: Parcel, file: ArtifactFile, source: EntitySource[Any], progress: Progress) -> None:
        try:
            may_have_ids = self._keeps_models and file.path in followers(parcel.files)  # of an import that changed them
            if parcel.there.get(file.path) != file.size or may_have_ids:
                parcel.sent.append(self._put(parcel, file, source, progress))
        except ITEM_ERRORS as error:
            parcel.miss(file.path, error)

    def _put(self, parcel: Parcel, file: ArtifactFile, source: EntitySource[Any], progress: Progress) -> ArtifactFile:
        """Gives the file as it was sent: as far as it went, where it grows."""
        file.check()
        if file.path in self._followers(parcel):
            content = with_ids(b"".join(source.read_file(parcel.item, file)), parcel.ids)
            self._write(parcel, file, lambda: iter((content,)))
            self._read_back(parcel, file, lambda: iter((content,)))
        else:
            growing = Growing(EntityFiles(source, parcel.item), file)
            growing.carry(lambda: self._write(parcel, growing.file, growing.chunks))
            file = growing.file
            self._read_back(parcel, file, growing.chunks)
            if growing.is_cut:
                parcel.is_cut = True
                self.growing.append(file.path)
        progress.advance(bytes=file.size)
        return file

    def _write(self, parcel: Parcel, file: ArtifactFile, chunks: Chunks) -> None:
        self._store.write(parcel.root, parcel.place(file.path), file.size, lambda: Stream(chunks(), file.size))

    def _read_back(self, parcel: Parcel, file: ArtifactFile, chunks: Chunks) -> None:
        if self._reads_back:
            there = self._store.read(parcel.root, ArtifactFile(parcel.place(file.path), file.size))
            if sha256_of(there) != sha256_of(chunks()):
                raise RequestRefused(f"artifact “{file.path}” reads back with other bytes than were sent")

    def _followers(self, parcel: Parcel) -> frozenset[str]:
        """The MLmodel files that follow the ids. A file has one size on both sides: that is how it is known there."""
        is_possible = all(len(old) == len(new) for old, new in parcel.ids.items())
        return followers(parcel.files) if parcel.ids and is_possible and not self._keeps_models else frozenset()
