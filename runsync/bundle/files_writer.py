"""Artifact files on their way into a bundle."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

from runsync.bundle import layout
from runsync.bundle.store import Store
from runsync.bundle.suspects import Reusable
from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, may_pass
from runsync.growing import Growing, RunFiles
from runsync.model.hashing import sha256_of
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile, Contents, Problem, Run


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is stored, as far as it went when it was listed where it is still growing."""

    file: ArtifactFile
    is_growing: bool = False


@dataclass(frozen=True, slots=True)
class Fetching:
    """The files of a run on their way; `problem` tells why they could not be listed."""

    files: Sequence[Future[Fetched | Problem]] = ()
    problem: Problem | None = None


class FilesWriter:
    """Stores files by their hash. `stored` tells which files the bundle has."""

    def __init__(self, store: Store, stored: Reusable, with_artifacts: bool) -> None:
        self.growing: list[str] = []
        """Paths of files that had more bytes by the time they were read."""
        self.may_pass: set[str] = set()
        """Runs of which another try may bring what this one did not."""
        self._store = store
        self._stored = stored
        self._with_artifacts = with_artifacts
        self._not_copied: set[str] = set()
        """Buckets that copies were refused from: their files are not read once more for a hash."""
        self._lock = threading.Lock()

    def fetch(self, run: Run, source: Source, pool: Executor, progress: Progress) -> Fetching:
        """Lists a run's files and has each fetched; waits for none of them."""
        if not self._with_artifacts:
            return Fetching()
        try:
            files = source.artifacts(run)
        except ITEM_ERRORS as error:
            return Fetching(problem=self._problem(run, "artifact list", "", error))
        return Fetching([pool.submit(self._fetch, run, file, source, progress) for file in files])

    def contents(self, fetching: Fetching, broken: Sequence[Problem]) -> Contents:
        """Waits for a run's files; `broken` is what else of it the source cannot read."""
        files: list[Fetched] = []
        problems = [*broken, *([fetching.problem] if fetching.problem else [])]
        for future in fetching.files:
            result = future.result()
            if isinstance(result, Problem):
                problems.append(result)
            else:
                files.append(result)
        growing = tuple(each.file.path for each in files if each.is_growing)
        with self._lock:
            self.growing += growing
        listed = tuple(each.file for each in files) if self._with_artifacts else None
        return Contents(0, listed, tuple(problems), growing)

    def _fetch(self, run: Run, file: ArtifactFile, source: Source, progress: Progress) -> Fetched | Problem:
        """Stores one file, or gives why it could not be had."""
        if file.fault:
            return Problem("artifact", file.path, file.fault)
        try:
            if sha256 := self._copy(run, file, source):
                progress.advance(bytes=file.size)
                return Fetched(replace(file, sha256=sha256))
            growing = Growing(RunFiles(source, run), file)
            sha256 = growing.carry(lambda: self._stream(growing.chunks(), progress))
            return Fetched(replace(growing.file, sha256=sha256), growing.is_cut)
        except ITEM_ERRORS as error:
            return self._problem(run, "artifact", file.path, error)

    def _problem(self, run: Run, kind: str, name: str, error: Exception) -> Problem:
        """A piece that could not be had."""
        if may_pass(error):
            self.may_pass.add(run.run_id)
        return Problem(kind, name, str(error))

    def _copy(self, run: Run, file: ArtifactFile, source: Source) -> str:
        """Has S3 copy a file; "" where it cannot. Where it keeps no hash of the file, that is read once for it."""
        here = self._store.locate("", 0, None)
        place = source.locate_artifact(run, file) if here is not None else None
        if here is None or place is None or place.endpoint != here.endpoint:
            return ""
        if place.sha256 is None and place.bucket in self._not_copied:
            return ""
        sha256 = place.sha256 or sha256_of(source.read_artifact(run, file))
        name = layout.blob(sha256)
        self._stored.verify([name])
        if self._stored.size(name) == file.size:
            return sha256
        if self._store.copy_in(place, name):
            self._stored.arrived(name, file.size)
            return sha256
        self._not_copied.add(place.bucket)
        return ""

    def _stream(self, chunks: Iterator[bytes], progress: Progress) -> str:
        incoming = self._store.incoming()
        try:
            for chunk in chunks:
                incoming.write(chunk)
                progress.advance(bytes=len(chunk))
            sha256 = incoming.sha256()
            self._stored.keep(incoming, layout.blob(sha256))
            return sha256
        finally:
            incoming.discard()
