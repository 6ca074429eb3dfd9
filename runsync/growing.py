"""Files that grow while they are read, as the log of a run that goes on.

Such a file is carried as far as it went when it was listed the last time, if that is all that happens to it: the
listing tells that it has grown, and its beginning reads the same once more. A body that goes on and on while the
listing stays as it was is refused, and a file that was rewritten or cut is read from the start.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from zlib import crc32

from runsync.errors import ChangedMeanwhile, GrownMeanwhile
from runsync.model.run import ArtifactFile, Run
from runsync.model.wording import many

if TYPE_CHECKING:
    from runsync.contract.entities import EntitySource
    from runsync.contract.source import Source

TRIES = 3
COMPARED = 64 << 20
"""Bytes from the start of a growing file that are read twice: nobody rewrites a file and leaves its beginning."""
NAMED = 5

T = TypeVar("T")


class Files(Protocol):
    """The files of one run or model."""

    def list(self) -> tuple[ArtifactFile, ...]:
        """All of them, as they are now. Raises RequestRefused."""

    def read(self, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one. Raises RequestRefused, BundleDamaged."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The artifacts of a run."""

    source: "Source"
    run: Run

    def list(self) -> tuple[ArtifactFile, ...]:
        """See `Files`."""
        return self.source.artifacts(self.run)

    def read(self, file: ArtifactFile) -> Iterator[bytes]:
        """See `Files`."""
        return self.source.read_artifact(self.run, file)


@dataclass(frozen=True, slots=True)
class EntityFiles:
    """The files of a logged model or a version."""

    source: "EntitySource[Any]"
    item: Any

    def list(self) -> tuple[ArtifactFile, ...]:
        """See `Files`."""
        return self.source.complete(self.item).artifacts or ()

    def read(self, file: ArtifactFile) -> Iterator[bytes]:
        """See `Files`."""
        return self.source.read_file(self.item, file)


class Growing:
    """One file on its way. `file` is as it was listed the last time; `is_cut` tells that it had more by the time it was
    read."""

    def __init__(self, files: Files, file: ArtifactFile) -> None:
        self.file = file
        self.is_cut = False
        self._files = files
        self._has_grown = False
        self._beginning = _Beginning()

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, as many as `file` has. Raises RequestRefused, BundleDamaged."""
        self._beginning, self.is_cut = _Beginning(), False
        try:
            for chunk in self._files.read(self.file):
                if self._has_grown:
                    self._beginning.take(chunk)
                yield chunk
        except GrownMeanwhile as error:
            if not self._has_grown:
                raise
            self._beginning.take(error.rest)
            self.is_cut = True
            yield error.rest

    def carry(self, act: Callable[[], T]) -> T:
        """What `act` gives, which reads `chunks`; again where the file changed while it was read."""
        for left in reversed(range(TRIES)):
            try:
                result = act()
                if self.is_cut:
                    self._compare_beginning()
                return result
            except GrownMeanwhile as error:
                if not left:
                    raise
                self._list_again(error)
            except ChangedMeanwhile:
                if not left:
                    raise
        raise AssertionError

    def _list_again(self, error: GrownMeanwhile) -> None:
        """Raises the error where the listing tells nothing of growth."""
        found = has_grown(self._files, self.file)
        if found is None:
            raise error
        self.file, self._has_grown = replace(self.file, size=found.size), True

    def _compare_beginning(self) -> None:
        again = _Beginning()
        with closing(_closable(self._files.read(self.file))) as chunks:
            try:
                while again.left and (chunk := next(chunks, b"")):
                    again.take(chunk)
            except GrownMeanwhile as error:
                again.take(error.rest)
        if again.crc != self._beginning.crc:
            raise ChangedMeanwhile(f"artifact “{self.file.path}” changed while it was read: run it again")


def has_grown(files: Files, file: ArtifactFile) -> ArtifactFile | None:
    """The file as it is listed now, where that is larger than it was."""
    found = next((one for one in files.list() if one.path == file.path), None)
    return found if found is not None and found.size > file.size else None


class _Beginning:
    """A checksum of the first bytes of a file."""

    def __init__(self) -> None:
        self.left = COMPARED
        self.crc = 0

    def take(self, chunk: bytes) -> None:
        if self.left:
            self.crc = crc32(chunk[: self.left], self.crc)
            self.left -= min(self.left, len(chunk))


def _closable(chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
    yield from chunks


def note(paths: Sequence[str]) -> list[str]:
    """What is to be said of files that were carried without their last bytes."""
    if not paths:
        return []
    few = ", ".join(paths[:NAMED]) + (", …" if len(paths) > NAMED else "")
    return [f"{many(len(paths), 'file')} grew while being read: kept as far as read, and read again next time ({few})"]
