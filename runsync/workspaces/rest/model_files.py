"""Files of models and of versions on their way into a server."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, RequestRefused, may_pass
from runsync.model.hashing import sha256_of
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile, Problem, Run
from runsync.model.wording import many
from runsync.workspaces.arrival.files import Stream
from runsync.workspaces.rest.artifacts import ArtifactStore, Root


@dataclass(slots=True)
class Parcel:
    """The files of one entity, and where they go: below `folder` of a root. `there` are bytes by path of what lies
    there already and needs no second look."""

    item: Any
    files: tuple[ArtifactFile, ...]
    root: Root | Run
    folder: str = ""
    there: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    retry: bool = False
    count: int = 0
    bytes: int = 0

    def miss(self, name: str, reason: object) -> None:
        """Notes a file that did not arrive, or with "" that none could be looked for."""
        self.problems.append(Problem("artifact" if name else "artifact list", name, str(reason)))
        self.retry = self.retry or may_pass(reason)

    def place(self, path: str) -> str:
        """Where a file lies below the root."""
        return f"{self.folder}/{path}" if self.folder else path


class ModelFiles:
    """Brings files; with `reads_back` each is read again, and its hash compared."""

    def __init__(self, store: ArtifactStore, reads_back: bool) -> None:
        self._store = store
        self._reads_back = reads_back

    def list(self, parcel: Parcel) -> dict[str, int]:
        """Bytes by path of what lies where a parcel goes. Raises RequestRefused."""
        start = parcel.place("")
        files = [file for file in self._store.list(parcel.root) if not file.fault and file.path.startswith(start)]
        return {file.path.removeprefix(start): file.size for file in files}

    def bring(self, parcels: Sequence[Parcel], source: EntitySource[Any], pool: Executor, progress: Progress) -> None:
        """Puts all files there, side by side, and looks whether they are there. What is not is noted on its parcel."""
        tasks = [
            (parcel, file, pool.submit(self._put, parcel, file, source, progress))
            for parcel in parcels
            for file in parcel.files
            if parcel.there.get(file.path) != file.size
        ]
        for parcel, file, task in tasks:
            try:
                task.result()
            except ITEM_ERRORS as error:
                parcel.miss(file.path, error)
            else:
                parcel.count += 1
                parcel.bytes += file.size
        for future in [pool.submit(self._look, parcel) for parcel in parcels if parcel.count]:
            future.result()

    def carry(self, parcel: Parcel, source: EntitySource[Any], progress: Progress) -> None:
        """The same of one parcel, file by file."""
        for file in parcel.files:
            try:
                if parcel.there.get(file.path) != file.size:
                    self._put(parcel, file, source, progress)
                    parcel.count += 1
                    parcel.bytes += file.size
            except ITEM_ERRORS as error:
                parcel.miss(file.path, error)
        if parcel.count:
            self._look(parcel)

    def _put(self, parcel: Parcel, file: ArtifactFile, source: EntitySource[Any], progress: Progress) -> None:
        file.check()
        place = parcel.place(file.path)

        def chunks() -> Iterator[bytes]:
            return source.read_file(parcel.item, file)

        self._store.write(parcel.root, place, file.size, lambda: Stream(chunks(), file.size))
        progress.advance(bytes=file.size)
        if self._reads_back:
            there = sha256_of(self._store.read(parcel.root, ArtifactFile(place, file.size)))
            if there != (file.sha256 or sha256_of(chunks())):
                raise RequestRefused(f"artifact “{file.path}” reads back with other bytes than were sent")

    def _look(self, parcel: Parcel) -> None:
        try:
            there = self.list(parcel)
        except ITEM_ERRORS as error:
            parcel.miss("", error)
            return
        missed = {problem.name for problem in parcel.problems}
        for file in parcel.files:
            if file.path not in missed and there.get(file.path) != file.size:
                found = many(there[file.path], "byte") if file.path in there else "nothing"
                parcel.miss(file.path, f"after the upload the target lists {found} instead of {file.size} bytes")
                parcel.retry = True
