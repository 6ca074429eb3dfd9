"""Fetching the files of a run or of a model into a folder: each is whole or not there, and what is there is kept."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runsync.errors import ITEM_ERRORS, WrongUsage
from runsync.growing import Files, Growing
from runsync.model.hashing import sha256_of
from runsync.model.paths import folders_above, unfit_for_folders
from runsync.model.progress import Progress
from runsync.model.redact import without_credentials
from runsync.model.run import ArtifactFile
from runsync.spelling import folded, spelled_otherwise
from runsync.whole_file import clear, whole_file

FETCHED = "fetched"
KEPT = "kept"
LEFT_OUT = "left out"
FAILED = "failed"
PARTLY_DONE = 3
_CHUNK = 1 << 20
_MILLISECOND = 1_000_000
"""In nanoseconds."""
_LATEST = 1 << 43
"""Epoch milliseconds that any file system takes: the year 2248."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one file: fetched, kept (it was there already), left out (empty, and there are files below a
    folder of its name: S3 has such objects for folders) or failed. A `growing` one had more than `size` bytes by the
    time it was read."""

    path: str
    size: int
    action: str
    error: str = ""
    growing: bool = False


def exit_code_of(files: Iterable[Fetched]) -> int:
    """0 all is there, 3 some files failed."""
    return PARTLY_DONE if any(file.action == FAILED for file in files) else 0


def folder_to_fill(into: str | Path) -> Path:
    """Raises WrongUsage for an address."""
    if "://" in str(into):
        raise WrongUsage(f"files are fetched into a folder, not to {without_credentials(str(into))}")
    return Path(into)


@dataclass(frozen=True, slots=True)
class Fetch:
    """Files of the run or model `id` on their way into a folder.

    `settled_at` is when they changed last, in epoch milliseconds; None while they may still change. A file that is
    there is kept: with the same hash where one is known, else with the same size and time. `verify` reads those again,
    and compares them byte by byte.
    """

    files: Files
    id: str
    settled_at: int | None
    into: Path
    dry_run: bool
    verify: bool

    def all(self, files: Sequence[ArtifactFile], pool: Executor, progress: Progress) -> list[Fetched]:
        """Fetches these, several side by side; gives what became of each, by path."""
        progress.expect(len(files))
        wanted, others = _arranged(files)
        if not self.dry_run:
            for folder in {(self.into / file.path).parent for file in wanted}:
                _clear(folder)
        first, later = _told_apart(wanted)
        fetch = partial(self._one, progress)
        done = [*others, *pool.map(fetch, first), *map(fetch, later)]
        return sorted(done, key=lambda file: file.path)

    def _one(self, progress: Progress, file: ArtifactFile) -> Fetched:
        place = self.into / file.path
        try:
            if not place.parent.resolve().is_relative_to(self.into.resolve()):
                return Fetched(file.path, file.size, FAILED, f"cannot write {place}: a link leads out of {self.into}")
            if there := spelled_otherwise(self.into, file.path):
                return Fetched(
                    file.path, file.size, FAILED, f"the disk takes it for {self.into / there}, which is there"
                )
            is_there = self._is_same(place, file) and (not self.verify or self._has_bytes_of(place, file))
            action = KEPT if is_there else FETCHED
            if action == FETCHED and not self.dry_run:
                growing = Growing(self.files, file)
                growing.carry(lambda: _write(place, growing.chunks(), progress))
                file = growing.file
                if growing.is_cut:
                    progress.advance(runs=1)
                    return Fetched(file.path, file.size, FETCHED, growing=True)
                if time := self._time_of(file):
                    with suppress(OSError):  # not every disk lets its times be set: then it is fetched again next time
                        os.utime(place, ns=(time, time))
        except ITEM_ERRORS as error:
            return Fetched(file.path, file.size, FAILED, str(error))
        except OSError as error:
            return Fetched(file.path, file.size, FAILED, f"cannot write {place}: {error.strerror or error}")
        progress.advance(runs=1)
        return Fetched(file.path, file.size, action)

    def _is_same(self, place: Path, file: ArtifactFile) -> bool:
        """By hash; where none is known by size and time, for a file of that size may be another run's."""
        if not place.is_file() or place.stat().st_size != file.size:
            return False
        if file.sha256 is None:
            return place.stat().st_mtime_ns == self._time_of(file)
        with place.open("rb") as there:
            return sha256_of(iter(lambda: there.read(_CHUNK), b"")) == file.sha256

    def _has_bytes_of(self, place: Path, file: ArtifactFile) -> bool:
        """Reads the file again; nothing more of a file whose hash was compared."""
        if file.sha256 is not None:
            return True
        with place.open("rb") as there:
            return all(there.read(len(chunk)) == chunk for chunk in self.files.read(file)) and not there.read(1)

    def _time_of(self, file: ArtifactFile) -> int | None:
        """The time in nanoseconds that a fetched file gets: when it was settled, to the millisecond as servers tell it.
        What is below a millisecond tells this file of this run from others. None while files may change."""
        if self.settled_at is None or not 0 < self.settled_at < _LATEST:
            return None
        name = hashlib.sha256(f"{self.id}/{file.path}".encode(errors="surrogatepass")).digest()
        return self.settled_at * _MILLISECOND + int.from_bytes(name[:4], "big") % _MILLISECOND


def _arranged(files: Sequence[ArtifactFile]) -> tuple[list[ArtifactFile], list[Fetched]]:
    """The files that a folder can hold, and what is to be told of the others."""
    wanted, others = [], []
    folders = folders_above(file.path for file in files)
    for file in files:
        if file.fault:
            others.append(Fetched(file.path, file.size, FAILED, file.fault))
        elif why := unfit_for_folders(file.path):
            others.append(Fetched(file.path, file.size, FAILED, f"its path is refused: {why}"))
        elif file.path in folders and file.size:
            others.append(Fetched(file.path, file.size, FAILED, "there is a folder of the same name"))
        elif file.path in folders:
            others.append(Fetched(file.path, file.size, LEFT_OUT))
        else:
            wanted.append(file)
    return wanted, others


def _told_apart(files: Sequence[ArtifactFile]) -> tuple[list[ArtifactFile], list[ArtifactFile]]:
    """Files that may come side by side, and those after them that some disk takes for one of these."""
    first: dict[str, ArtifactFile] = {}
    for file in files:
        first.setdefault(folded(file.path), file)
    return list(first.values()), [file for file in files if first[folded(file.path)] is not file]


def _clear(folder: Path) -> None:
    with suppress(OSError):  # a name that the disk does not take is told with the file
        clear(folder)


def _write(place: Path, chunks: Iterator[bytes], progress: Progress) -> None:
    """Under a name of its own first: a file of the right name is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(place) as file:
        for chunk in chunks:
            file.write(chunk)
            progress.advance(bytes=len(chunk))
