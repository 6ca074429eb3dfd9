"""Files that appear whole or not at all, even if the process is killed."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from runsync.bundle.processes import Process, here

PREFIX, SUFFIX = ".runsync-", ".part"


@contextmanager
def whole_file(place: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes its name at the end of the block; an error leaves what was there.

    A file that is replaced keeps its permissions, a link stays a link, and a device is written to directly. Raises
    OSError.
    """
    place = place.resolve()
    if place.exists() and not place.is_file():
        with place.open("wb") as device:
            yield device
        return
    # mkstemp would make files that only their owner may read.
    waiting = place.with_name(f"{beginning()}{secrets.token_hex(4)}{SUFFIX}")
    try:
        with waiting.open("xb") as file:
            if place.exists():
                with suppress(OSError):  # a disk without permissions
                    shutil.copymode(place, waiting)
            yield file
        waiting.replace(place)
    finally:
        with suppress(OSError):
            waiting.unlink()


def beginning() -> str:
    """The start of the name of an unfinished file of this process; the name ends with `SUFFIX`."""
    return f"{PREFIX}{here().token}-"


def clear(folder: Path) -> None:
    """Removes the unfinished files that killed processes left in a folder."""
    for left in folder.glob(f"{PREFIX}*{SUFFIX}"):
        token = left.name.removeprefix(PREFIX).rpartition("-")[0]
        if Process.from_token(token).is_gone:
            with suppress(OSError):
                left.unlink()
