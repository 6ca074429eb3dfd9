"""Files that are there whole or not at all, whenever the process is killed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident
from typing import IO

from runsync.bundle.processes import Process, here

PREFIX, SUFFIX = ".runsync-", ".part"


@contextmanager
def whole_file(place: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes its name at the end of the block; an error leaves what was there. A link stays one,
    and a device is written to as it is. Raises OSError."""
    place = place.resolve()
    if place.exists() and not place.is_file():
        with place.open("wb") as device:
            yield device
        return
    # mkstemp would make files that only their owner may read.
    waiting = place.with_name(f"{beginning()}{get_ident()}{SUFFIX}")
    try:
        with waiting.open("wb") as file:
            yield file
        waiting.replace(place)
    finally:
        with suppress(OSError):
            waiting.unlink()


def beginning() -> str:
    """How the name of a file of this process begins that is not whole yet; it ends on `SUFFIX`."""
    return f"{PREFIX}{here().token}-"


def clear(folder: Path) -> None:
    """Removes what processes that were killed left half-written in a folder."""
    for left in folder.glob(f"{PREFIX}*{SUFFIX}"):
        token = left.name.removeprefix(PREFIX).rpartition("-")[0]
        if Process.from_token(token).is_gone:
            with suppress(OSError):
                left.unlink()
