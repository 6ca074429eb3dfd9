"""A bundle on a local disk.

Every file is written to a temporary file of this process first, then fsync, then rename. What a power cut leaves is a
temporary file, never a torn one.
"""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from runsync.bundle import layout
from runsync.bundle.processes import Process, here
from runsync.bundle.store import ABANDONED, CHUNK, MOST, NO_FILE, Entry, cannot_write, joined, too_large
from runsync.errors import BundleDamaged, RunsyncError
from runsync.model import times
from runsync.model.stored_object import StoredObject

TEMPORARY = "tmp"
TRIES = 5
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems without hard links (exFAT, some shares) answer."""
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}
"""What those answer that do not sync folders, or a folder that we may write into and not read."""


class LocalStore:
    """A folder. It may be a link, and so may `blobs/` and `parts/` in it; no other link is followed.

    So a bundle whose `blobs/` was moved to another disk works, and one that somebody else made cannot have other files
    read or written. Neither a FIFO nor a device is read: that may block, or never end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ways = _Ways(folder)
        self.address = str(folder)
        self._temporary = folder / TEMPORARY / f"{here().token}_{os.urandom(4).hex()}"

    def incoming(self) -> "LocalIncoming":
        """A temporary file in the bundle's own folder, so that a rename can put it in place."""
        self._ways.refuse_link(TEMPORARY + "/")
        for _ in range(TRIES):
            try:
                _make_folder(self._temporary)
                return LocalIncoming(self.folder, self._temporary, self._ways)
            except FileNotFoundError as error:  # another process has just cleared away what was empty
                gone = error
            except OSError as error:
                raise cannot_write(self.folder, error) from None
        raise cannot_write(self.folder, gone)

    def open(self, name: str) -> IO[bytes]:
        """See `Store`."""
        file = self.folder / name
        self._ways.refuse_link(name)
        try:
            if odd := _odd(file.lstat()):
                raise BundleDamaged(f"{file} cannot be read: it is {odd}, not a file")
            descriptor = os.open(file, _READ)
        except FileNotFoundError:
            raise BundleDamaged(f"{file} is missing") from None
        except OSError as error:
            raise BundleDamaged(f"{file} cannot be read: {error.strerror}") from None
        if odd := _odd(os.fstat(descriptor)):  # it was replaced just now
            os.close(descriptor)
            raise BundleDamaged(f"{file} cannot be read: it is {odd}, not a file")
        return os.fdopen(descriptor, "rb")

    def chunks(self, name: str) -> Iterator[bytes]:
        """See `Store`."""
        with self.open(name) as stream:
            try:
                while chunk := stream.read(CHUNK):
                    yield chunk
            except OSError as error:
                raise BundleDamaged(f"{self.folder / name} cannot be read: {error.strerror}") from None

    def read(self, name: str, most: int = MOST) -> bytes:
        """See `Store`."""
        with self.open(name) as stream:
            if os.fstat(stream.fileno()).st_size > most:
                raise too_large(f"{self.folder / name}", most)
        return joined(self.chunks(name), most, f"{self.folder / name}")

    def create(self, name: str, content: bytes) -> bool:
        """See `Store`."""
        self._ways.refuse_link(name)
        if not content:
            return self._create_empty(self.folder / name)
        for _ in range(TRIES):
            incoming = self.incoming()
            try:
                incoming.write(content)
                return incoming.link(name)
            except FileNotFoundError as error:  # another thread has just cleared away our temporary files
                gone = error
            finally:
                incoming.discard()
        raise cannot_write(self.folder, gone)

    def _create_empty(self, final: Path) -> bool:
        """Without a temporary file: a full disk has room for this."""
        try:
            _make_folder(final.parent)
            final.open("xb").close()
            _sync_folder(final.parent)
        except FileExistsError:
            return False
        except OSError as error:
            raise cannot_write(self.folder, error) from None
        return True

    def version(self, name: str) -> str:
        """See `Store`."""
        if self._ways.link(name):
            return ""
        try:
            told = (self.folder / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            raise BundleDamaged(f"{self.folder / name} cannot be read: {error.strerror}") from None
        return f"{told.st_ino} {told.st_mtime_ns} {told.st_size}"

    def replace(self, name: str, content: bytes, version: str) -> bool:
        """See `Store`."""
        incoming = self.incoming()
        try:
            incoming.write(content)
            if self.version(name) != version:
                return False
            incoming.keep(name, replace=True)
        finally:
            incoming.discard()
        return True

    def remove(self, name: str) -> None:
        """See `Store`."""
        self._ways.refuse_link(name)
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.folder, error) from None

    def move(self, name: str, new: str) -> None:
        """See `Store`."""
        self._ways.refuse_link(name)
        self._ways.refuse_link(new)
        try:
            final = self.folder / new
            _make_folder(final.parent)
            (self.folder / name).replace(final)
            _sync_folder(final.parent)
            _sync_folder((self.folder / name).parent)
        except FileNotFoundError:
            raise BundleDamaged(f"{self.folder / name} is missing") from None
        except OSError as error:
            raise cannot_write(self.folder, error) from None

    def locate(self, name: str, size: int, sha256: str | None) -> StoredObject | None:
        """See `Store`."""
        return None

    def hash_kept(self, name: str) -> str | None:
        """See `Store`."""
        return None

    def copy_in(self, source: StoredObject, name: str) -> bool:
        """See `Store`."""
        return False

    def size(self, name: str) -> int | None:
        """See `Store`."""
        if self._ways.link(name):
            return NO_FILE
        try:
            told = (self.folder / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BundleDamaged(f"{self.folder / name} cannot be read: {error.strerror}") from None
        return NO_FILE if _odd(told) else told.st_size

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store`."""
        if prefix and self._ways.link(prefix):
            return
        leads_out = bool(prefix) and (self.folder / prefix).is_symlink()
        for where, folders, names in os.walk(self.folder / prefix, onerror=_unless_missing):
            place = Path(where)
            if leads_out:  # to who knows what
                folders[:] = [name for name in folders if layout.is_folder_of_blobs(name)]
            moved = []
            if place == self.folder:
                folders[:] = [name for name in folders if name != TEMPORARY]
                moved = [name for name in folders if f"{name}/" in layout.MOVABLE and (place / name).is_symlink()]
            odd = _in_place_of_files(place, folders)
            folders[:] = [name for name in folders if name not in odd]
            below = "" if place == self.folder else f"{place.relative_to(self.folder).as_posix()}/"
            for name in (*names, *(name for name in odd if name not in moved)):
                entry = _entry(f"{where}/{name}", below + name)
                if entry is not None:
                    yield entry
            for name in moved:
                yield from self.list(f"{name}/")

    def check_place(self) -> None:
        """See `Store`. Folders are made when they are needed."""

    def ahead(self) -> float | None:
        """See `Store`. A share dates files by the clock of its server. None on a disk that is full by now."""
        try:
            incoming = self.incoming()
        except RunsyncError:
            return None
        try:
            return incoming.modified() - times.utc_now().timestamp()
        finally:
            incoming.discard()

    def leave(self) -> None:
        """See `Store`."""
        self.clear_temporary()

    def clear_temporary(self) -> None:
        """Removes our temporary folder, those of processes that are gone, and those unchanged for a day."""
        if self._ways.link(TEMPORARY + "/"):
            return
        shutil.rmtree(self._temporary, ignore_errors=True)
        root = self.folder / TEMPORARY
        with suppress(OSError):  # another process works there, or has removed it just now
            for left in list(root.iterdir()):
                if Process.from_token(left.name.partition("_")[0]).is_gone or _is_abandoned(left):
                    shutil.rmtree(left, ignore_errors=True)
            root.rmdir()


class LocalIncoming:
    """See `Incoming`."""

    def __init__(self, folder: Path, temporary: Path, ways: "_Ways") -> None:
        self._folder = folder
        self._ways = ways
        self._path = temporary / os.urandom(8).hex()
        self._file = self._path.open("xb", buffering=0)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """See `Incoming`."""
        try:
            remaining = memoryview(data)
            while remaining:
                remaining = remaining[self._file.write(remaining) :]
        except OSError as error:
            raise cannot_write(self._folder, error) from None
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def sha256(self) -> str:
        """See `Incoming`."""
        return self._hash.hexdigest()

    def modified(self) -> float:
        """When it was written last (epoch seconds), as the file system dates it."""
        return os.fstat(self._file.fileno()).st_mtime

    def keep(self, name: str, replace: bool = False) -> None:
        """See `Incoming`."""
        final = self._folder / name
        if not replace and self._is_there(final):
            self.discard()
            return
        self._ways.refuse_link(name)
        if final.is_dir() and not final.is_symlink():
            raise BundleDamaged(f"{final} is a folder, not a file: move it away, then run it again")
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            _make_folder(final.parent)
            self._path.replace(final)
            _sync_folder(final.parent)
        except OSError as error:
            raise cannot_write(self._folder, error) from None

    def _is_there(self, final: Path) -> bool:
        try:
            told = final.lstat()
            if _odd(told) or told.st_size != self.size:
                return False
            if layout.hash_in(final.name) != self.sha256():
                return True
            with final.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").digest() == self._hash.digest()
        except OSError:
            return False

    def link(self, name: str) -> bool:
        """Puts the file there, durably; False if there is one of that name. Raises FileNotFoundError if this temporary
        file was removed.
        """
        final = self._folder / name
        self._ways.refuse_link(name)
        try:
            os.fsync(self._file.fileno())
            _make_folder(final.parent)
            self._link(final)
            _sync_folder(final.parent)
        except FileExistsError:
            return False
        except FileNotFoundError:
            raise
        except OSError as error:
            raise cannot_write(self._folder, error) from None
        return True

    def _link(self, final: Path) -> None:
        try:
            final.hardlink_to(self._path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            content = self._path.read_bytes()
            with final.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

    def discard(self) -> None:
        """See `Incoming`."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def _is_abandoned(left: Path) -> bool:
    """Whether nothing was written there for a day, by the clock of the file system: that of a file server, not ours."""
    os.utime(left.parent)
    changed = max(place.stat().st_mtime for place in (left, *left.rglob("*")))
    return left.parent.stat().st_mtime - changed > ABANDONED


def _make_folder(folder: Path) -> None:
    """Makes a folder and those above it that are missing, each durably."""
    if folder.is_dir():
        return
    if folder.exists() and not folder.is_dir():  # looked at again: another thread may have just made it
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""Opening a FIFO must not wait for who writes to it, and a link is none of the bundle's files."""
_ODD = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _odd(told: os.stat_result) -> str:
    """What this is instead of a file; "" for a file."""
    return "" if stat.S_ISREG(told.st_mode) else _ODD.get(stat.S_IFMT(told.st_mode), "something else")


class _Ways:
    """Which folders of a bundle may be gone into: none that is a link, but for those that may be moved.

    Each is looked at once: what somebody else puts there meanwhile is not what this keeps us from.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._plain = {""}

    def link(self, name: str) -> str:
        """The first link on the way to a file; "" where there is none."""
        way = name.rpartition("/")[0]
        if way in self._plain:
            return ""
        above = self.link(way)
        place = f"{self._folder}/{way}"
        if above or (f"{way}/" not in layout.MOVABLE and Path(place).is_symlink()):
            return above or place
        self._plain.add(way)
        return ""

    def refuse_link(self, name: str) -> None:
        """Raises BundleDamaged where there is one."""
        if link := self.link(name):
            raise BundleDamaged(f"{link} is a link, not a folder: put the folder itself there, then run it again")


def _entry(place: str, name: str) -> Entry | None:
    """What stands there; None when it was removed while we looked. There may be millions, so without a `Path`."""
    try:
        told = os.lstat(place)
    except FileNotFoundError:
        return None
    odd = _odd(told)
    return Entry(name, NO_FILE if odd else told.st_size, told.st_mtime, odd)


def _in_place_of_files(place: Path, folders: list[str]) -> list[str]:
    """Those of the folders in a place that are links, or are called as only files are."""
    return [name for name in folders if layout.is_file_name(name) or (place / name).is_symlink()]


def _unless_missing(error: OSError) -> None:
    """A folder that cannot be looked into is not an empty one."""
    if not isinstance(error, FileNotFoundError):
        raise BundleDamaged(f"{error.filename} cannot be read: {error.strerror}")


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
