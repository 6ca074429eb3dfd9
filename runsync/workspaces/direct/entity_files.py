"""Files of logged models and versions into the artifacts of a store, many side by side."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, RequestRefused, may_pass
from runsync.growing import EntityFiles as ItemFiles
from runsync.growing import Growing
from runsync.model.hashing import sha256_of
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile, Problem, Run
from runsync.workspaces.arrival.files import Stream
from runsync.workspaces.direct.artifacts import DirectArtifacts


@dataclass(slots=True)
class Load:
    """The files of one entity, as the source has it, on their way to the artifacts of `owner`. `by_size`: a file of
    the right size there is the right one, as nobody but an import that was interrupted has brought it."""

    item: Any
    files: Sequence[ArtifactFile]
    owner: Run
    by_size: bool
    written: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    retry: bool = False

    def miss(self, path: str, error: object) -> None:
        """A file does not arrive."""
        self.problems.append(Problem("artifact", path, str(error)))
        self.retry = self.retry or may_pass(error)


class EntityFiles:
    """Writes them; with `check` each is read back."""

    def __init__(self, artifacts: DirectArtifacts, check: bool) -> None:
        self._artifacts = artifacts
        self._check = check

    def carry(self, loads: Sequence[Load], source: EntitySource[Any], pool: Executor, progress: Progress) -> None:
        """What did not arrive is noted."""
        loads = [load for load in loads if load.files]
        there = list(pool.map(self._listed, loads))
        waiting: list[tuple[Load, ArtifactFile, Future[int]]] = []
        for load, sizes in zip(loads, there, strict=True):
            for file in load.files:
                future = pool.submit(self._bring, load, file, sizes.get(file.path), source)
                waiting.append((load, file, future))
        for load, file, future in waiting:
            try:
                size = future.result()
            except ITEM_ERRORS as error:
                load.miss(file.path, error)
                continue
            load.written += size >= 0
            load.bytes += max(size, 0)
            progress.advance(bytes=max(size, 0))

    def _listed(self, load: Load) -> dict[str, int]:
        try:
            return {file.path: file.size for file in self._artifacts.list(load.owner)}
        except RequestRefused:
            return {}  # whoever writes there will hear why

    def _bring(self, load: Load, file: ArtifactFile, size: int | None, source: EntitySource[Any]) -> int:
        """How many bytes were written; -1 where it was there."""
        file.check()
        if why := self._artifacts.refused(load.owner, file.path):
            raise RequestRefused(why)
        if size == file.size and self._is_same(load, file):
            return -1

        growing = Growing(ItemFiles(source, load.item), file)

        def write() -> None:
            size = growing.file.size
            self._artifacts.write(load.owner, file.path, size, lambda: Stream(growing.chunks(), size))

        growing.carry(write)
        if self._check and self._hash(load, growing.file) != sha256_of(growing.chunks()):
            raise RequestRefused(f"artifact “{file.path}” reads back with other bytes than were sent")
        return growing.file.size

    def _is_same(self, load: Load, file: ArtifactFile) -> bool:
        return self._hash(load, file) == file.sha256 if file.sha256 else load.by_size and not self._check

    def _hash(self, load: Load, file: ArtifactFile) -> str:
        return sha256_of(self._chunks(load, file))

    def _chunks(self, load: Load, file: ArtifactFile) -> Iterator[bytes]:
        return self._artifacts.read(load.owner, ArtifactFile(file.path, file.size))
