"""Where data goes that is no report: stdout, or a file that is there whole or not at all."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import click

from runsync.cli import streams
from runsync.cli.plain import PLAIN
from runsync.errors import RunsyncError, WrongUsage
from runsync.model.printable import printable
from runsync.whole_file import clear, whole_file

output = click.option(
    "--output", metavar="FILE", help="Write to this file instead of stdout; it appears once it is complete."
)

csv_safe = click.option(
    "--csv-safe",
    is_flag=True,
    help="In CSV, put an apostrophe before values that a spreadsheet would run as formulas.",
)


def format_of(name: str | None, formats: Sequence[str]) -> str:
    """The format that the name of a file ends on; the first of the formats where it is none of them."""
    ending = Path(name or "").suffix.removeprefix(".").lower()
    return ending if ending in formats else formats[0]


class ReaderGone(Exception):
    """Nobody reads stdout any more: what a command would still print need not be made."""


class _Stdout(io.RawIOBase):
    """Data on its way to stdout. Raises ReaderGone once nobody reads it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._stream.write(data)
        if streams.is_unread():
            raise ReaderGone
        return memoryview(data).nbytes


class _Terminal(_Stdout):
    """Text on its way to a terminal: its control characters, ends of lines apart, do no harm."""

    def write(self, data: Any) -> int:
        lines = bytes(data).decode(errors="replace").replace("\r\n", "\n").split("\n")
        super().write("\n".join(printable(line) for line in lines).encode(sys.stdout.encoding, PLAIN))
        return len(data)


@contextmanager
def opened(name: str | None, binary: bool = False) -> Iterator[IO[bytes]]:
    """Stdout or a file. Raises WrongUsage for what is no text on a terminal."""
    if name is None or name == "-":
        if binary and sys.stdout.isatty():
            raise WrongUsage("that is no text for a terminal: write it into a file with --output")
        stream = sys.stdout.buffer
        yield cast(IO[bytes], _Terminal(stream) if sys.stdout.isatty() else _Stdout(stream))
        stream.flush()
        return
    place = Path(name)
    clear(place.parent)
    try:
        with whole_file(place) as file:
            yield file
    except OSError as error:
        raise RunsyncError(f"cannot write {place.resolve()}: {error.strerror or error}") from None
