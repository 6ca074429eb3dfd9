"""Standard streams that are always open, and that fail a command only when there is something to do about it.

A reader that has seen enough (`| head`), a stream that was closed before we began (`>&-`), a terminal that is gone:
what is written from then on is dropped, as nobody wants it. A disk that is full is told once. A character that the
encoding of a stream lacks is written as `plain` has it.
"""

import errno
import io
import os
import sys
from types import FrameType
from typing import Any, TextIO

from runsync.cli.plain import PLAIN

_NOBODY_READS = frozenset({errno.EPIPE, errno.EBADF, errno.ECONNRESET, errno.ESHUTDOWN})


class _Output(io.FileIO):
    """Raises the first error that a user can mend; drops what is written after any error."""

    def __init__(self, descriptor: int, is_vital: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._is_vital = is_vital
        self._is_terminal = self.isatty()
        self.trouble: OSError | None = None

    def write(self, data: Any) -> int:
        if self.trouble is None:
            try:
                return super().write(data)
            except OSError as error:
                self.trouble = error
                if self._is_vital and not self.is_unread:
                    raise
        return memoryview(data).nbytes

    @property
    def is_unread(self) -> bool:
        """Whether nobody reads what is written."""
        if self.trouble is None:
            return False
        return self.trouble.errno in _NOBODY_READS or (self._is_terminal and self.trouble.errno == errno.EIO)


def prepare() -> None:
    """Puts such streams in place of sys.stdin, sys.stdout and sys.stderr."""
    _open_missing()
    sys.stdin = sys.stdin or io.TextIOWrapper(io.BufferedReader(io.FileIO(os.devnull)))
    sys.stdout = _prepared(sys.stdout, is_vital=True)
    sys.stderr = _prepared(sys.stderr, is_vital=False)


def is_writing(frame: FrameType | None) -> bool:
    """Whether a signal came amid a write. An exception there would leave the buffers to write the same once more."""
    return frame is not None and frame.f_code is _Output.write.__code__


def trouble() -> OSError | None:
    """Why stdout takes no more."""
    output = _raw(sys.stdout)
    return output.trouble if output else None


def is_unicode(stream: TextIO) -> bool:
    """Whether every character can be written to it."""
    return (stream.encoding or "").lower().replace("_", "-").startswith("utf-")


def is_unread() -> bool:
    """Whether nobody reads stdout any more."""
    output = _raw(sys.stdout)
    return output is not None and output.is_unread


def _open_missing() -> None:
    """Nothing else may get the number of a standard stream: a database would, and then what is printed goes there."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the first number that is free
            os.set_inheritable(number, True)


def _prepared(stream: TextIO | None, is_vital: bool) -> TextIO:
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(io.FileIO(os.devnull, "w")), encoding="utf-8")
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(stream.fileno(), is_vital)),
        encoding=stream.encoding,
        errors=PLAIN,  # never an error: a name that latin-1 lacks does not undo a snapshot
        line_buffering=not is_vital or stream.isatty(),
    )


def _raw(stream: TextIO) -> _Output | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Output) else None
