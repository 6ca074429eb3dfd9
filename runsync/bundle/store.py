"""Where a bundle's files lie, behind one small protocol: see `local_store` and `s3_store`.

Files are written once under their final name (put-if-absent) and never changed.
"""

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from runsync.errors import BundleDamaged, NoRoom, RunsyncError
from runsync.model.stored_object import StoredObject

CHUNK = 1 << 20
MOST = 256 << 20
"""Bytes of a file that is read at once; all but blobs and metrics parts are."""
MOST_SMALL = 1 << 20
"""Bytes of the marker."""
ABANDONED = 24 * 3600.0
"""Seconds after which what nobody went on with is taken for that of a process that died."""
_FULL = {errno.ENOSPC, errno.EDQUOT}

NO_FILE = -1
"""The size of what stands in a file's place and is none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored file: its name below the bundle, bytes, and when it was written (epoch seconds).

    `odd` says what stands there instead of a file ("a FIFO", "a link"), and then `size` is NO_FILE: no size that a
    document states is the same.
    """

    name: str
    size: int
    modified: float
    odd: str = ""


class Incoming(Protocol):
    """A file on its way in, hashed as it is written. Gone without trace unless kept."""

    @property
    def size(self) -> int:
        """Bytes that were written so far."""

    def write(self, data: bytes) -> int:
        """Appends."""

    def sha256(self) -> str:
        """The hash (hex) of what was written so far."""

    def keep(self, name: str, replace: bool = False) -> None:
        """Puts the file there, durably, unless a file of that name and size is there already.

        One that is named by its hash and is broken is replaced too: on a disk its bytes are looked at, while S3 keeps
        checksums of its own.
        """

    def discard(self) -> None:
        """Drops it; harmless after `keep`."""


class Store(Protocol):
    """Names are relative, with `/`."""

    @property
    def folder(self) -> Path | None:
        """Where it lies on this machine; None for one that does not."""

    @property
    def address(self) -> str:
        """Of the bundle, as a user writes it."""

    def incoming(self) -> Incoming:
        """Begins a new file."""

    def create(self, name: str, content: bytes) -> bool:
        """Makes a small file that must not be there yet, at once and whole; False where there is one already."""

    def version(self, name: str) -> str:
        """What tells the file that stands there from another of its name; "" where there is none."""

    def replace(self, name: str, content: bytes, version: str) -> bool:
        """Writes a small file over that version of it; False, and nothing written, where another stands there by now.

        On a disk, and on an S3 without conditional writes, another may still come in the instant before.
        """

    def remove(self, name: str) -> None:
        """Deletes a file; harmless where there is none."""

    def move(self, name: str, new: str) -> None:
        """Gives a file another name; at no time is there neither, and a file of that name is replaced.

        Raises BundleDamaged, and nothing is changed, when there is none.
        """

    def open(self, name: str) -> IO[bytes]:
        """For reading here and there in it. Raises BundleDamaged when it is missing, no file, or cannot be read."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file from its first to its last. Raises BundleDamaged likewise."""

    def read(self, name: str, most: int = MOST) -> bytes:
        """All of a file of at most so many bytes. Raises BundleDamaged likewise, and for one that is larger."""

    def locate(self, name: str, size: int, sha256: str | None) -> StoredObject | None:
        """Where in S3 a file lies; None on a disk."""

    def hash_kept(self, name: str) -> str | None:
        """The SHA-256 (hex) that S3 itself keeps of a whole file; None where it keeps none, and on a disk."""

    def copy_in(self, source: StoredObject, name: str) -> bool:
        """Has S3 copy an object here; False where it cannot, and the bytes must be fetched."""

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none, NO_FILE for what is no file."""

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """The files whose name starts with `prefix` (which ends with `/`), in no order; temporary ones apart.

        What is no file (see `Entry`) is among them, so that it is told of rather than passed over.
        """

    def check_place(self) -> None:
        """Raises BucketNotFound where nothing could be put; costs a request."""

    def ahead(self) -> float | None:
        """Seconds that the clock of the place is ahead of this machine's; None where it does not tell."""

    def clear_temporary(self) -> None:
        """Removes what this process, and processes that were killed, left half-written."""

    def leave(self) -> None:
        """The same where it costs no request: a reader writes a lock too, and is to leave no trace."""


def too_large(place: str, most: int) -> BundleDamaged:
    """The error for a file that is not read, for it has more bytes than any such file needs."""
    return BundleDamaged(f"{place} is larger than the {most >> 20} MiB that such a file may have")


def joined(chunks: Iterable[bytes], most: int, place: str) -> bytes:
    """All bytes of a file. Raises BundleDamaged when they are more than `most`."""
    pieces, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise too_large(place, most)
        pieces.append(chunk)
    return b"".join(pieces)


def cannot_write(place: Path, error: OSError) -> RunsyncError:
    """The error for a disk that takes no more (full, read-only, gone). What is finished stays; a re-run goes on."""
    kind = NoRoom if error.errno in _FULL else RunsyncError
    return kind(
        f"{place} cannot be written: {error.strerror or error}; make room or choose another place, then run it again"
    )
