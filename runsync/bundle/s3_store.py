"""A bundle on S3: the same files under `s3://bucket/prefix`.

An object appears whole or not at all, so nothing is renamed: a file is gathered (in memory, from 8 MiB on in a
temporary file of this machine) until its hash, and so its name, is known; then it is sent, and S3 is told the hash to
compare.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO

from runsync.bundle.store import ABANDONED, MOST, Entry, cannot_write, joined
from runsync.errors import BucketNotFound, BundleDamaged
from runsync.model.stored_object import StoredObject
from runsync.s3 import MULTIPART, S3, split
from runsync.s3_errors import Missing, Refused
from runsync.whole_file import SUFFIX, beginning, clear

IN_MEMORY = 8 << 20
ASK_FIRST = 1 << 20
"""Bytes above which S3 is asked whether it has a file before that is sent on the condition that it has not."""


class S3Store:
    """Objects below a prefix."""

    folder = None

    def __init__(self, url: str, s3: S3) -> None:
        self.bucket, prefix = split(url)
        self.prefix = f"{prefix}/" if prefix else ""
        self.address = f"s3://{self.bucket}/{prefix}".rstrip("/")
        self.s3 = s3

    def incoming(self) -> "S3Incoming":
        """See `Store`."""
        return S3Incoming(self)

    def create(self, name: str, content: bytes) -> bool:
        """See `Store`; by a conditional write. The very same content counts as ours: an answer may have been lost."""
        if self.s3.create(self.bucket, self.prefix + name, content, len(content)):
            return True
        try:
            return self.read(name) == content
        except BundleDamaged:
            return False

    def version(self, name: str) -> str:
        """See `Store`."""
        try:
            return self.s3.look(self.bucket, self.prefix + name).tag
        except Missing:
            return ""

    def replace(self, name: str, content: bytes, version: str) -> bool:
        """See `Store`; by a conditional write, so that one which S3 carries out late harms nothing."""
        if self.s3.replace(self.bucket, self.prefix + name, content, version):
            return True
        try:
            return self.read(name) == content  # the answer to the first try was lost
        except BundleDamaged:
            return False

    def remove(self, name: str) -> None:
        """See `Store`."""
        self.s3.remove(self.bucket, self.prefix + name)

    def move(self, name: str, new: str) -> None:
        """See `Store`; a copy, then a deletion."""
        try:
            self.s3.copy(
                StoredObject(self.s3.endpoint, self.bucket, self.prefix + name, 0), self.bucket, self.prefix + new
            )
        except Missing as error:
            raise BundleDamaged(str(error)) from None
        self.remove(name)

    def open(self, name: str) -> IO[bytes]:
        """A copy on this machine, in memory or in a temporary file."""
        copy = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        try:
            for chunk in self.chunks(name):
                copy.write(chunk)
        except BaseException:
            copy.close()
            raise
        copy.seek(0)
        return copy

    def chunks(self, name: str) -> Iterator[bytes]:
        """See `Store`."""
        try:
            yield from self.s3.chunks(self.bucket, self.prefix + name)
        except Missing as error:
            raise BundleDamaged(str(error)) from None

    def read(self, name: str, most: int = MOST) -> bytes:
        """See `Store`."""
        return joined(self.chunks(name), most, f"{self.address}/{name}")

    def size(self, name: str) -> int | None:
        """See `Store`."""
        return self.s3.size(self.bucket, self.prefix + name)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See `Store`."""
        for found in self.s3.list(self.bucket, self.prefix + prefix):
            yield Entry(found.key.removeprefix(self.prefix), found.size, found.modified)

    def locate(self, name: str, size: int, sha256: str | None) -> StoredObject | None:
        """See `Store`."""
        return StoredObject(self.s3.endpoint, self.bucket, self.prefix + name, size, sha256)

    def hash_kept(self, name: str) -> str | None:
        """See `Store`."""
        try:
            return self.s3.sha256(self.bucket, self.prefix + name)
        except Missing as error:
            raise BundleDamaged(str(error)) from None

    def copy_in(self, source: StoredObject, name: str) -> bool:
        """See `Store`; also False when S3 will not copy: these credentials may not read there, the object changed."""
        if source.endpoint != self.s3.endpoint:
            return False
        try:
            self.s3.copy(source, self.bucket, self.prefix + name)
        except (Missing, Refused):
            return False
        return True

    def check_place(self) -> None:
        """See `Store`."""
        if not self.s3.has_bucket(self.bucket):
            raise BucketNotFound(
                f"there is no bucket “{self.bucket}” at {self.s3.endpoint}: make it first, or check its name and the "
                "endpoint (--s3-endpoint)"
            )

    def ahead(self) -> float | None:
        """See `Store`."""
        return self.s3.ahead

    def leave(self) -> None:
        """See `Store`: nothing of it is in the bucket."""

    def clear_temporary(self) -> None:
        """Removes what waited on this machine's disk in a process that was killed, and ends uploads in parts that one
        left a day ago or longer, where that is allowed to us."""
        clear(Path(tempfile.gettempdir()))
        try:
            self.s3.abandon_uploads(self.bucket, self.prefix, ABANDONED)
        except Refused:
            return


class S3Incoming:
    """See `Incoming`."""

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self._memory: BytesIO | None = BytesIO()
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """See `Incoming`."""
        try:
            if self._memory is not None and self.size + len(data) > IN_MEMORY:
                self._file = tempfile.NamedTemporaryFile(prefix=beginning(), suffix=SUFFIX, delete=False)  # noqa: SIM115
                self._file.write(self._memory.getbuffer())
                self._memory = None
            (self._memory or self._of_disk()).write(data)
        except OSError as error:
            raise cannot_write(Path(tempfile.gettempdir()), error) from None
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def sha256(self) -> str:
        """See `Incoming`."""
        return self._hash.hexdigest()

    def keep(self, name: str, replace: bool = False) -> None:
        """See `Incoming`."""
        s3, bucket, key = self._store.s3, self._store.bucket, self._store.prefix + name
        try:
            if self.size > ASK_FIRST and not replace and s3.size(bucket, key) == self.size:
                return
            if self.size > MULTIPART:
                self._of_disk().flush()
                s3.upload(bucket, key, self._of_disk().name)
                return
            made = not replace and s3.create(bucket, key, self._content(), self.size, self.sha256())
            if not made and (replace or s3.size(bucket, key) != self.size):
                s3.put(bucket, key, self._content(), self.size, self.sha256())
        finally:
            self.discard()

    def discard(self) -> None:
        """See `Incoming`."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
        self._memory = None

    def _content(self) -> bytes | IO[bytes]:
        if self._memory is not None:
            return self._memory.getvalue()
        self._of_disk().seek(0)
        return self._of_disk()

    def _of_disk(self) -> IO[bytes]:
        assert self._file is not None
        return self._file
