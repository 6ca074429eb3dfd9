"""A stream cut into parts, some of them sent side by side; memory holds no more than those."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from runsync import threads
from runsync.errors import RequestRefused

if TYPE_CHECKING:
    from runsync.workspaces.http import Opener

Answer = TypeVar("Answer")

PART = 8 << 20
"""Bytes of a part, at least. (S3 wants 5 MiB.)"""
AT_ONCE = 3
MOST_PARTS = 10_000
"""Of one upload to S3."""


def part_size(size: int) -> int:
    """Bytes of each part of an upload of `size` bytes."""
    return max(PART, -(-size // MOST_PARTS))


def cut(read: Callable[[int], bytes], size: int, part: int) -> Iterator[bytes]:
    """All of a stream of `size` bytes in parts of `part` bytes, the last one shorter.

    Raises RequestRefused when it ends before, or has more.
    """
    left = size
    while left:
        piece = _exactly(read, min(part, left))
        left -= len(piece)
        if not piece:
            raise RequestRefused(f"the source gave {size - left} bytes instead of {size}")
        yield piece
    if read(1):
        raise RequestRefused(f"the source gave more than the {size} bytes it was listed with")


def body(opener: "Opener", size: int) -> "Opener | bytes":
    """What an upload of a file sends. An empty one is read first: one that cannot be read would arrive as empty. Raises
    what its reading does."""
    if size:
        return opener
    with closing(opener()) as stream:
        return b"".join(cut(stream.read, 0, PART))


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """That many bytes; fewer at the end."""
    gathered = bytearray()
    while len(gathered) < size and (piece := read(size - len(gathered))):
        gathered += piece
    return bytes(gathered)


def send_parts(parts: Iterable[bytes], send: Callable[[int, bytes], Answer]) -> list[Answer]:
    """What `send(number, part)` answers for each part, numbered from 1, in order. Raises what the first failure did."""
    answers: list[Future[Answer]] = []
    with threads.pool(AT_ONCE, "runsync-part") as pool:
        for number, part in enumerate(parts, 1):
            if number > AT_ONCE:
                answers[number - 1 - AT_ONCE].result()
            answers.append(pool.submit(send, number, part))
        return [answer.result() for answer in answers]
