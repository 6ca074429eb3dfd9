"""Artifact files in a folder of this machine: nothing outside of it is read or written, not by a link either."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from runsync.errors import AccessDenied, ChangedMeanwhile, GrownMeanwhile, RequestRefused, RunsyncError
from runsync.model.paths import escaped, unfit_for_folders, unsafe
from runsync.model.run import ArtifactFile
from runsync.spelling import folded, spelled_otherwise
from runsync.workspaces.http import CHUNK, Opener

_HALF = ".runsync-"
_IS_HALF = re.compile(r"\.runsync-[0-9a-f]{16}")
"""What files are called that are being written: they are no artifacts."""
_OF_NAMES = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


def folder_of(root: str) -> Path | None:
    """The folder that an artifact root is, an absolute path or a `file:` URI; None when it is something else."""
    try:
        parts = urlsplit(root)
    except ValueError:  # `//[…` is no host
        return None
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        return None
    return Path(unquote(parts.path) if parts.scheme else root)


def is_folder(path: Path) -> bool:
    """Whether a recorded place is a folder here; not where it is no path, or one that is closed to us."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_there(path: Path) -> bool:
    """Likewise, whether there is anything."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def walk(folder: Path) -> Iterator[ArtifactFile]:
    """All files below it. What cannot be read has its fault told: a name (or that of a folder above it) that is not
    UTF-8, a FIFO or device, a link to nothing, out of the folder, or to a folder, which is not followed."""
    for place, folders, names in os.walk(folder, onerror=_refuse):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in (*names, *links):
            if _IS_HALF.fullmatch(name):
                continue
            file = Path(place) / name
            path = file.relative_to(folder).as_posix()
            size, fault = _looked_at(folder, path)
            yield ArtifactFile(escaped(path), size, fault=unsafe(path) or fault)


def names_below(experiment: Path) -> Iterator[str]:
    """Paths of the artifacts of an experiment's runs, below its folder."""
    runs = (run / "artifacts" for run in experiment.iterdir() if run.is_dir()) if experiment.is_dir() else ()
    for run in runs:
        for place, _, files in os.walk(run):
            yield from (Path(place, name).relative_to(experiment).as_posix() for name in files)


def read(folder: Path, path: str) -> Iterator[bytes]:
    """The bytes of one file, in chunks. Raises RequestRefused."""
    place = inside(folder, path)
    with _opened(place) as stream:
        begun = os.fstat(stream.fileno())
        while chunk := stream.read(CHUNK):
            yield chunk
        ended = os.fstat(stream.fileno())
        if _version(ended) != _version(begun):
            kind = GrownMeanwhile if ended.st_size > begun.st_size else ChangedMeanwhile
            raise kind(f"artifact {place} changed while it was read: run it again to get the current version")


def fault(folder: Path, path: str) -> str:
    """Why one file cannot be read, as far as that shows without reading it; "" where nothing does."""
    try:
        with _opened(inside(folder, path)):
            return ""
    except RequestRefused as error:
        return str(error)


@contextmanager
def _opened(place: Path) -> Iterator[IO[bytes]]:
    try:
        with open(place, "rb", opener=_without_waiting) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise RequestRefused(f"artifact {place} is no plain file")
            yield stream
    except OSError as error:
        raise RequestRefused(f"artifact {place} cannot be read: {error.strerror}") from None


def _version(told: os.stat_result) -> tuple[int, int]:
    return told.st_size, told.st_mtime_ns


def _without_waiting(path: str, flags: int) -> int:
    """A pipe would have its reader wait for somebody who writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def write(folder: Path, path: str, opener: Opener) -> None:
    """Puts one file there, replacing it, whole or not at all. Raises RequestRefused, and RunsyncError for a disk that
    takes no more."""
    place = inside(folder, path)
    try:
        _write(folder, path, place, opener)
    except PermissionError as error:
        raise AccessDenied(f"artifact {place} cannot be written: {error.strerror}") from None
    except OSError as error:
        if error.errno in _OF_NAMES:
            raise RequestRefused(
                f"artifact {place} cannot be written: {error.strerror} (a file where a folder is to be, or the"
                " other way round, or a name that the disk does not take)"
            ) from None
        raise RunsyncError(
            f"{folder} cannot be written: {error.strerror or error}; make room or choose another place, then run it"
            " again"
        ) from error


def _write(folder: Path, path: str, place: Path, opener: Opener) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    # The same name each time: what a kill left is written over. Names that some disks take for one wait for each other.
    half = place.with_name(_HALF + hashlib.sha256(folded(place.name).encode()).hexdigest()[:16])
    with _alone(half) as file:
        try:
            if there := spelled_otherwise(folder, path):
                raise RequestRefused(f"artifact “{path}”: the disk takes it for “{there}”, which is there")
            with closing(opener()) as stream:
                shutil.copyfileobj(stream, file, CHUNK)
            file.flush()
            os.fsync(file.fileno())
            half.replace(place)
        except BaseException:
            half.unlink(missing_ok=True)
            raise


@contextmanager
def _alone(half: Path) -> Iterator[IO[bytes]]:
    """The file, empty, to be written by one import at a time, where the file system has locks."""
    while True:
        with half.open("ab") as file:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(half, file):
                file.truncate(0)
                yield file
                return


def _is_at(place: Path, file: IO[bytes]) -> bool:
    """Whether an open file still has that name: whoever wrote it before has given it another."""
    try:
        return os.path.samestat(place.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def inside(folder: Path, path: str) -> Path:
    """The file below a folder. Raises RequestRefused when it is outside, by a symbolic link too."""
    if reason := unfit_for_folders(path):
        raise RequestRefused(f"artifact “{escaped(path)}” cannot be in a folder: {reason}")
    place = folder / path
    try:
        is_inside = place.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        raise RequestRefused(f"artifact “{path}” is a link to itself") from None
    if not is_inside:
        raise RequestRefused(f"artifact “{path}” lies outside its run's folder, by a link")
    return place


def _looked_at(folder: Path, path: str) -> tuple[int, str]:
    """Bytes of a file (of what a link leads to), and why it cannot be read, as far as that shows."""
    file = folder / path
    told = file.lstat()
    if stat.S_ISLNK(told.st_mode):
        try:
            found = inside(folder, path).stat()
        except RequestRefused as error:
            return told.st_size, str(error)
        except OSError:
            return told.st_size, f"artifact {file} is a link to nothing"
        if stat.S_ISDIR(found.st_mode):
            return told.st_size, f"artifact {file} is a link to a folder, which is not followed"
        told = found
    return told.st_size, "" if stat.S_ISREG(told.st_mode) else f"artifact {file} is no plain file"


def _refuse(error: OSError) -> None:
    raise RequestRefused(f"artifacts in {error.filename} cannot be listed: {error.strerror}")
