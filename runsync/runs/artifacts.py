"""list_artifacts and get_artifacts: the files of one run."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from runsync import threads
from runsync.bundle.address import Access
from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, GrownMeanwhile, NothingSelected, WrongUsage
from runsync.growing import Growing, has_grown
from runsync.model.hashing import sha256_of
from runsync.model.paths import folders_above, unfit_for_folders
from runsync.model.place import Place
from runsync.model.progress import Progress, Silent
from runsync.model.redact import without_credentials
from runsync.model.run import ArtifactFile, Run
from runsync.spelling import folded, spelled_otherwise
from runsync.threads import WORKERS
from runsync.transfer.find import find_run
from runsync.transfer.places import open_source
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


@dataclass(slots=True)
class ArtifactsReport:
    """`schemas/v1/artifacts-list-report.schema.json`."""

    place: Place
    run_id: str
    name: str
    files: tuple[ArtifactFile, ...]
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        document = {"format": "runsync-artifacts-list-report", "version": 1, **asdict(self)}
        return document | {"files": [file.to_document() | {"fault": file.fault} for file in self.files]}


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one file: fetched, kept (it was there already), left out (empty, and the run has files below a
    folder of its name: S3 has such objects for folders) or failed. A `growing` one had more than `size` bytes by the
    time it was read."""

    path: str
    size: int
    action: str
    error: str = ""
    growing: bool = False


@dataclass(slots=True)
class GetReport:
    """`schemas/v1/artifacts-get-report.schema.json`. With `dry_run` what would be done."""

    place: Place
    run_id: str
    into: str
    dry_run: bool = False
    files: list[Fetched] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all is there, 3 some files failed."""
        return PARTLY_DONE if any(file.action == FAILED for file in self.files) else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "format": "runsync-artifacts-get-report",
            "version": 1,
            **asdict(self),
            "exit_code": self.exit_code,
        }


def list_artifacts(
    where: str, run: str, path: str = "", *, workers: int = WORKERS, access: Access | None = None
) -> ArtifactsReport:
    """The files of a run (its id, the beginning of it, or its name), or those below a path, sorted.

    Raises NothingSelected when there is no such run or path.
    """
    with open_source(where, "artifacts list", access=access or Access(), workers=workers) as source:
        found = find_run(source, run)
        files = _chosen(source.artifacts(found), [path] if path else [])
        return ArtifactsReport(source.place, found.run_id, found.name, tuple(files))


def get_artifacts(
    where: str,
    run: str,
    paths: Sequence[str] = (),
    *,
    into: str | Path = ".",
    dry_run: bool = False,
    verify: bool = False,
    workers: int = WORKERS,
    access: Access | None = None,
    progress: Progress | None = None,
) -> GetReport:
    """Fetches files and folders of a run (default: all) into a folder, under the paths they have in the run.

    A file that is there is kept, so that running it again finishes: with the same hash where the source knows it, as a
    bundle does, else with the same size and time (see `_time_of`); `verify` reads those again, and compares them byte
    by byte. A path that would leave the folder fails. Raises NothingSelected when there is no such run or path,
    WrongUsage for an address as the folder.
    """
    if "://" in str(into):
        raise WrongUsage(f"files are fetched into a folder, not to {without_credentials(str(into))}")
    progress = progress or Silent()
    with (
        open_source(where, "artifacts get", access=access or Access(), workers=workers) as source,
        threads.pool(workers) as pool,
    ):
        found = find_run(source, run)
        report = GetReport(source.place, found.run_id, str(into), dry_run)
        files = list(_chosen(source.artifacts(found), paths))
        progress.expect(len(files))
        wanted, others = _arranged(files)
        if not dry_run:
            for folder in {(Path(into) / file.path).parent for file in wanted}:
                _clear(folder)
        fetch = partial(_fetch, source, found, Path(into), dry_run, verify, progress)
        first, later = _told_apart(wanted)
        done = [*others, *pool.map(fetch, first), *map(fetch, later)]
        report.files = sorted(done, key=lambda file: file.path)
    return report


def read_artifact(
    where: str,
    run: str,
    path: str,
    *,
    workers: int = WORKERS,
    access: Access | None = None,
    growing: Callable[[ArtifactFile], object] = lambda file: None,
) -> Iterator[bytes]:
    """The bytes of one file of a run, in pieces; `growing` is told of a file that had more than those by then. Raises
    NothingSelected, RequestRefused, BundleDamaged."""
    with open_source(where, "artifacts get", access=access or Access(), workers=workers) as source:
        found = find_run(source, run)
        file = next((file for file in source.artifacts(found) if file.path == path), None)
        if file is None:
            raise NothingSelected(f"the run has no file “{path}” (runsync artifacts list shows what it has)")
        try:
            yield from source.read_artifact(found, file)
        except GrownMeanwhile as error:
            if not has_grown(source, found, file):
                raise
            yield error.rest
            growing(file)


def _chosen(files: Iterable[ArtifactFile], paths: Sequence[str]) -> Iterator[ArtifactFile]:
    """The files of these paths or below them. Raises NothingSelected for a path without any."""
    wanted = dict.fromkeys(path.strip("/") for path in paths)
    missing = set(wanted)
    for file in files:
        above = {path for path in wanted if not path or file.path == path or file.path.startswith(f"{path}/")}
        missing -= above
        if above or not wanted:
            yield file
    if missing - {""}:
        raise NothingSelected(f"the run has nothing at “{min(missing)}” (runsync artifacts list shows what it has)")


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
            others.append(Fetched(file.path, file.size, FAILED, "the run has a folder of the same name"))
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


def _fetch(
    source: Source, run: Run, into: Path, dry_run: bool, verify: bool, progress: Progress, file: ArtifactFile
) -> Fetched:
    place = into / file.path
    try:
        if not place.parent.resolve().is_relative_to(into.resolve()):
            return Fetched(file.path, file.size, FAILED, f"cannot write {place}: a link leads out of {into}")
        if there := spelled_otherwise(into, file.path):
            return Fetched(file.path, file.size, FAILED, f"the disk takes it for {into / there}, which is there")
        is_there = _is_same(place, run, file) and (not verify or _has_bytes_of(place, source, run, file))
        action = KEPT if is_there else FETCHED
        if action == FETCHED and not dry_run:
            growing = Growing(source, run, file)
            growing.carry(lambda: _write(place, growing.chunks(), progress))
            file = growing.file
            if growing.is_cut:
                progress.advance(runs=1)
                return Fetched(file.path, file.size, FETCHED, growing=True)
            if time := _time_of(run, file):
                with suppress(OSError):  # not every disk lets its times be set: then it is fetched again next time
                    os.utime(place, ns=(time, time))
    except ITEM_ERRORS as error:
        return Fetched(file.path, file.size, FAILED, str(error))
    except OSError as error:
        return Fetched(file.path, file.size, FAILED, f"cannot write {place}: {error.strerror or error}")
    progress.advance(runs=1)
    return Fetched(file.path, file.size, action)


def _is_same(place: Path, run: Run, file: ArtifactFile) -> bool:
    """By hash; where none is known by size and time, for a file of that size may be another run's."""
    if not place.is_file() or place.stat().st_size != file.size:
        return False
    if file.sha256 is None:
        return place.stat().st_mtime_ns == _time_of(run, file)
    with place.open("rb") as there:
        return sha256_of(iter(lambda: there.read(_CHUNK), b"")) == file.sha256


def _has_bytes_of(place: Path, source: Source, run: Run, file: ArtifactFile) -> bool:
    """Reads the file of the run; nothing more of a file whose hash was compared."""
    if file.sha256 is not None:
        return True
    with place.open("rb") as there:
        return all(there.read(len(chunk)) == chunk for chunk in source.read_artifact(run, file)) and not there.read(1)


def _time_of(run: Run, file: ArtifactFile) -> int | None:
    """The time in nanoseconds that a fetched file gets: when its run ended, to the millisecond as servers tell it. What
    is below a millisecond tells this file of this run from others. None while a run goes on, and its files change."""
    if run.end_time is None or not 0 < run.end_time < _LATEST:
        return None
    name = hashlib.sha256(f"{run.run_id}/{file.path}".encode(errors="surrogatepass")).digest()
    return run.end_time * _MILLISECOND + int.from_bytes(name[:4], "big") % _MILLISECOND


def _write(place: Path, chunks: Iterator[bytes], progress: Progress) -> None:
    """Under a name of its own first: a file of the right name is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(place) as file:
        for chunk in chunks:
            file.write(chunk)
            progress.advance(bytes=len(chunk))
