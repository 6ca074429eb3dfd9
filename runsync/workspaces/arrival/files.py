"""Artifact files of one run into a target, each compared with what the source has."""

import hashlib
import io
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from runsync.contract.source import Source
from runsync.errors import RequestRefused
from runsync.growing import Growing, RunFiles, note
from runsync.model.artifact_names import as_sent, restored
from runsync.model.hashing import sha256_of
from runsync.model.run import ArtifactFile, Run
from runsync.model.stored_object import StoredObject
from runsync.workspaces.arrival.arrange import Arranger, Holder, Tag, as_target
from runsync.workspaces.arrival.copy import Copy
from runsync.workspaces.arrival.model_ids import followers, with_ids
from runsync.workspaces.http import Opener, Readable

LOOKS_AGAIN = (0.5, 2.0)
"""Seconds after which a file that is not as it was sent is looked at again: another import may just be writing it."""
_EMPTY = sha256_of(())


class Artifacts(Holder, Protocol):
    """Where a target's artifact bytes lie, told by `Run.artifact_uri`. Each raises RequestRefused."""

    def list(self, run: Run, within: Collection[str] | None = None) -> tuple[ArtifactFile, ...]:
        """All files of a run, sorted by path; with `within`, those straight in these folders are enough."""

    def read(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one file, in chunks."""

    def write(
        self, run: Run, path: str, size: int, opener: Opener, locate: Callable[[], StoredObject | None] | None = None
    ) -> None:
        """Puts one file there, replacing it. `locate` tells where the source has the very bytes in S3."""


Expect = Callable[[Run, Sequence[str]], None]
"""Told which files of a run are going to be written."""


class FileWriter:
    """Writes files of runs; `before` is called with a copy before anything is written to it. With `keeps_models` no
    MLmodel file follows the ids (see `model_ids`)."""

    def __init__(
        self,
        artifacts: Artifacts,
        before: Callable[[Copy], None],
        expect: Expect | None = None,
        tag: Tag | None = None,
        keeps_models: bool = False,
    ) -> None:
        self.growing: list[str] = []
        """Paths of files that had more bytes by the time they were read."""
        self._artifacts = artifacts
        self._before = before
        self._expect = expect
        self._keeps_models = keeps_models
        self._arranger = Arranger(artifacts, tag)

    @property
    def notes(self) -> list[str]:
        """Files that were still growing, and those that were left out or renamed and are no loss."""
        return [*self._arranger.notes, *note(self.growing)]

    def arrange(self, copy: Copy, files: Sequence[ArtifactFile]) -> tuple[ArtifactFile, ...]:
        """See `Arranger`."""
        has_new_id = copy.run.run_id != copy.target_id and not self._keeps_models
        copy.models = followers(files) if has_new_id else frozenset()
        return self._arranger.arrange(copy, files)

    def expect(self, copy: Copy, paths: Sequence[str]) -> None:
        """These files are going to be written."""
        if self._expect is not None and paths:
            self._expect(as_target(copy), [_sent(copy, path) for path in paths])

    def upload(self, copy: Copy, file: ArtifactFile, source: Source, check_bytes: bool) -> "Uploaded":
        """Puts one file there. With `check_bytes` it is read back and its hash compared."""
        self._before(copy)
        return (self._upload_model if file.path in copy.models else self._upload)(copy, file, source, check_bytes)

    def _upload_model(self, copy: Copy, file: ArtifactFile, source: Source, check_bytes: bool) -> "Uploaded":
        original = b"".join(source.read_artifact(copy.run, file))
        content = _with_new_id(copy, original)
        at, path, opener = as_target(copy), _sent(copy, file.path), _opener_of(content)
        self._artifacts.write(at, path, len(content), opener)
        if check_bytes:
            self._compare_bytes(at, path, len(content), opener)
        return Uploaded(replace(file, sha256=sha256_of((original,))), len(content))

    def _upload(self, copy: Copy, file: ArtifactFile, source: Source, check_bytes: bool) -> "Uploaded":
        at, path = as_target(copy), _sent(copy, file.path)
        growing = Growing(RunFiles(source, copy.run), file)
        told = [file.sha256]

        def opener() -> Stream:
            chunks = growing.chunks()
            return Stream(chunks if file.sha256 else _hashed(chunks, told), growing.file.size)

        def write() -> None:
            told[1:] = [] if growing.file.size or file.sha256 else [_EMPTY]
            locate = partial(source.locate_artifact, copy.run, growing.file)
            self._artifacts.write(at, path, growing.file.size, opener, locate)

        growing.carry(write)
        if check_bytes:
            self._compare_bytes(at, path, growing.file.size, opener)
        return Uploaded(replace(growing.file, sha256=told[-1]), growing.file.size, growing.is_cut)

    def has_bytes(self, copy: Copy, file: ArtifactFile, size: int, source: Source) -> bool:
        """Whether the target's file of that size is what would be sent; the hash of `file` is known."""
        there = sha256_of(self._artifacts.read(as_target(copy), ArtifactFile(_sent(copy, file.path), size)))
        if file.path not in copy.models:
            return there == file.sha256
        content = _with_new_id(copy, b"".join(source.read_artifact(copy.run, file)))
        return there == sha256_of((content,))

    def listed(self, copy: Copy, those: Sequence[ArtifactFile] | None = None) -> dict[str, int]:
        """Path and size of the artifacts that the target has of the run; of `those` only, where it is given."""
        within = None if those is None else {_sent(copy, file.path).rpartition("/")[0] for file in those}
        files = restored(copy.tags_there, self._artifacts.list(as_target(copy), within))
        return {file.path: file.size for file in files if not file.fault}

    def expected_size(self, copy: Copy, file: ArtifactFile, source: Source) -> int:
        """Bytes that the file has in the target."""
        if file.path not in copy.models or len(copy.run.run_id) == len(copy.target_id):
            return file.size
        content = b"".join(source.read_artifact(copy.run, file))
        return len(_with_new_id(copy, content))

    def _compare_bytes(self, at: Run, path: str, size: int, opener: Opener) -> None:
        with closing(opener()) as stream:
            sent = sha256_of(iter(lambda: stream.read(1 << 20), b""))
        for pause in (0.0, *LOOKS_AGAIN):
            time.sleep(pause)
            if sent == sha256_of(self._artifacts.read(at, ArtifactFile(path, size))):
                return
        raise RequestRefused(f"artifact “{path}” reads back with other bytes than were sent")


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that is in the target: as the source has it (with its hash, where that is known now), the bytes that were
    written (None: it was there already), and whether it was still growing."""

    file: ArtifactFile
    size: int | None = None
    is_growing: bool = False


def _with_new_id(copy: Copy, content: bytes) -> bytes:
    return with_ids(content, {copy.run.run_id: copy.target_id})


def _sent(copy: Copy, path: str) -> str:
    """What the file is called in the target."""
    return as_sent(copy.tags_there, ArtifactFile(path, 0)).path


def _opener_of(content: bytes) -> Opener:
    return lambda: io.BytesIO(content)


def _hashed(chunks: Iterator[bytes], told: list[str | None]) -> Iterator[bytes]:
    """The chunks; once all are read, their hash is appended to `told`."""
    running = hashlib.sha256()
    for chunk in chunks:
        running.update(chunk)
        yield chunk
    told.append(running.hexdigest())


class Stream(Readable):
    """Chunks as a file of known length, for an upload that never holds it whole.

    No io base class: requests would ask it for its position, and send it chunked when it has none.
    """

    def __init__(self, chunks: Iterator[bytes], size: int) -> None:
        self._chunks = chunks
        self._left = b""
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def __len__(self) -> int:
        return self._size

    def close(self) -> None:
        """Lets go of what gives the chunks."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes (-1: what is at hand); b"" at the end."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._left = chunk
        piece = self._left if size < 0 else self._left[:size]
        self._left = self._left[len(piece) :]
        return piece
