"""What is to become of one run's folder: written beside it first, then put in place by renames.

A new run: everything goes where it belongs, and `meta.yaml`, without which a folder is no run for MLflow and for us,
comes last. A run that is there: everything is written to `<run>/.runsync/` (which MLflow passes over) and renamed over
what was there, `meta.yaml` after the rest, and the mark that the copy is complete after that. What a killed import
left behind is thrown away by the next one.

MLflow knows no locks. Two imports are kept apart by a lock on the run's folder, where the file system has that. What
MLflow itself writes meanwhile is lost only where both write the same param, tag or metric in the same moment.
"""

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runsync.model.identity import COPY
from runsync.workspaces.files.layout import (
    ARTIFACTS,
    INPUTS,
    META,
    METRICS,
    OUTPUTS,
    PARAMS,
    TAGS,
    Broken,
    is_plain_file,
    is_plain_folder,
    why,
    why_no_key,
)

_STAGING = ".runsync"
_OF_ONE_FILE = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
"""What a file system says of a name that it does not take, or that leads elsewhere."""
LOCK_PATIENCE = 60.0
"""Seconds to wait for another import that writes the same run: it has at most some hundred runs in hand."""
_LOOK_AGAIN = 0.05


@dataclass(frozen=True, slots=True)
class Shape:
    """What a folder holds: `head` is the file without which it is none for MLflow and for us, and comes last but for
    `mark`, a tag that all of it is there. `folders` are always there; `texts` hold what is made anew."""

    head: str = META
    folders: tuple[str, ...] = (METRICS, PARAMS, ARTIFACTS, TAGS)
    texts: tuple[str, ...] = (PARAMS, TAGS, METRICS, INPUTS, OUTPUTS)
    mark: str = f"{TAGS}/{COPY}"


OF_RUN = Shape()
"""MLflow 3 takes a folder without the first three folders for no run."""


class NoPlace(Broken):
    """The folder has no place for a param, tag or metric (a file by its path below the run's folder)."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{_spoken(name)}: {reason}")
        self.reason = reason


class Held(Broken):
    """Another import is writing the run in this moment."""


class Draft:
    """Changes to the folder of a run, a logged model or a trace, none of which shows before `commit`. Raises Broken for
    what cannot be written, and Held where another import has it for longer than `patience` seconds."""

    def __init__(self, folder: str, is_new: bool, patience: float = 0.0, shape: Shape = OF_RUN) -> None:
        self.folder = folder
        self.is_new = is_new
        self._shape = shape
        self._staged: dict[str, str] = {}
        self._made: set[str] = set()
        deadline = time.monotonic() + patience
        while not self._take(deadline):
            pass  # another import took its folder back, and with it the lock
        try:
            self._begin()
        except BaseException:
            os.close(self._lock)
            raise

    def put(self, name: str, data: bytes) -> None:
        """The whole content of a file, by its path below the run's folder (see `key_path`)."""
        with self.stream(name) as write:
            write(data)

    @contextlib.contextmanager
    def stream(self, name: str) -> Iterator[Callable[[bytes], object]]:
        """The content of a file, piece by piece; for a name that was there before more is added behind."""
        staged = self._staged.get(name)
        if staged is None:
            staged = self._place(name)
            self._staged[name] = staged
        handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            yield lambda data: _write(handle, data)
        finally:
            os.close(handle)

    def holds(self, name: str) -> bool:
        """Whether anything was written of a file."""
        return name in self._staged

    def present(self, name: str) -> str | None:
        """The path of a file as it is now; None where it is not there."""
        path = f"{self.folder}/{name}"
        return path if is_plain_file(path) else None

    def commit(self) -> None:
        """Puts everything in place."""
        for name in sorted(self._staged, key=lambda n: (n == self._shape.head) + 2 * (n == self._shape.mark)):
            target = f"{self.folder}/{name}"
            if self._staged[name] != target:
                Path(self._staged[name]).replace(target)
        Path(self.folder, _STAGING).rmdir()

    def drop(self) -> None:
        """Takes back what was written, as far as it does not show yet."""
        shutil.rmtree(f"{self.folder}/{_STAGING}", ignore_errors=True)
        if self.is_new and not is_plain_file(f"{self.folder}/{self._shape.head}"):
            self._clear()
            with contextlib.suppress(OSError):
                Path(self.folder, ARTIFACTS).rmdir()
            with contextlib.suppress(OSError):
                Path(self.folder).rmdir()

    def close(self) -> None:
        """Lets go of the folder."""
        os.close(self._lock)

    def _take(self, deadline: float) -> bool:
        """Locks the folder; whether it is still there then."""
        if self.is_new:
            with contextlib.suppress(FileExistsError):
                Path(self.folder).mkdir()
        if not is_plain_folder(self.folder):
            raise Broken("it is no longer there" if not self.is_new else "its folder is a link or a file")
        try:
            self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            while not _locked(self._lock):
                if time.monotonic() >= deadline:
                    raise Held("another import is writing it: run this import again")
                time.sleep(_LOOK_AGAIN)
            if _is_at(self.folder, self._lock):
                return True
        except BaseException:
            os.close(self._lock)
            raise
        os.close(self._lock)
        return False

    def _begin(self) -> None:
        if is_plain_file(f"{self.folder}/{self._shape.head}") == self.is_new:
            raise Broken("it was made meanwhile: run it again" if self.is_new else "it is no longer there")
        _remove(Path(self.folder, _STAGING))
        if self.is_new:
            self._clear()
        Path(self.folder, _STAGING).mkdir()
        for name in self._shape.folders:
            self._folder(f"{self.folder}/{name}")

    def _clear(self) -> None:
        """Takes away what is left of an attempt that did not come to its end; artifacts stay."""
        for name in self._shape.texts:
            _remove(Path(self.folder, name))

    def _place(self, name: str) -> str:
        """Where a file is written to before it shows."""
        target = f"{self.folder}/{name}"
        parts = name.split("/")[:-1]
        for depth in range(len(parts)):
            try:
                self._folder("/".join([self.folder, *parts[: depth + 1]]))
            except Broken as error:
                raise NoPlace(name, str(error)) from error
        with contextlib.suppress(OSError):
            Path(target).rmdir()  # an empty folder, as MLflow leaves it where a tag was deleted
        if is_plain_folder(target):
            raise NoPlace(name, "there is another one below it, and a file store cannot keep both")
        if self.is_new and name != self._shape.head:
            return target
        return f"{self.folder}/{_STAGING}/{len(self._staged)}"

    def _folder(self, path: str) -> None:
        if path in self._made:
            return
        name = path[len(self.folder) + 1 :]
        with contextlib.suppress(FileExistsError):
            Path(path).mkdir()
        if name in self._staged or not is_plain_folder(path):
            raise Broken(f"{_spoken(name)} is there too or is a link, and a file store cannot keep anything below it")
        self._made.add(path)


def key_path(kind: str, key: str) -> str:
    """The path of a param, tag or metric below a run's folder. Raises Broken for a key that no file can have."""
    if reason := why_no_key(key):
        raise NoPlace(f"{kind}/{key}", reason)
    return f"{kind}/{key}"


def why_no_place(error: Broken | OSError) -> str:
    """Why a file could not be put. Raises the error where it is not about this one file."""
    if isinstance(error, OSError) and error.errno not in _OF_ONE_FILE:
        raise error
    return error.reason if isinstance(error, NoPlace) else why(error)


def replace_file(target: Path, data: bytes, staged: Path) -> None:
    """A small file is there whole and on the disk, or as it was. `staged` is where MLflow does not look."""
    with staged.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(target)


def _locked(handle: int) -> bool:
    """Locks a folder, where the file system has that; False when somebody else has it locked."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _is_at(folder: str, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(folder), os.fstat(handle))  # noqa: PTH116
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _write(handle: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]


def settle(folder: str) -> None:
    """What was written to the file system of this folder is on the disk: one call for thousands of small files."""
    sync = _syncfs()
    if sync is None:
        os.sync()
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if sync(handle) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), folder)
    finally:
        os.close(handle)


@functools.cache
def _syncfs() -> Callable[[int], int] | None:
    """Linux only; Python has no name for it."""
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    return found


def _spoken(name: str) -> str:
    """How a user calls `params/lr`: param lr."""
    kind, _, key = name.partition("/")
    return f"{kind.removesuffix('s')} {ascii(key)[1:-1][:100]}"
