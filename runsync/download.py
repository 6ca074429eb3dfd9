"""Downloads one version of a file over connections that may break, even if the file changes meanwhile.

A download resumes where it broke only if the server vouches for the bytes: by a strong ETag, or by a Last-Modified
that was a minute old (RFC 9110, 8.8.2.2). Otherwise it starts over, and continues once the same bytes have arrived.
A CRC compares them: it guards against accidents, which is enough, since whoever can write the file needs no collision,
and costs next to nothing. A file that has changed raises ChangedMeanwhile.
"""

import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Protocol, TypeVar
from zlib import crc32

from runsync.errors import ChangedMeanwhile, GrownMeanwhile, RequestRefused

SETTLED = 60.0
"""Seconds that a Last-Modified must be old: the file could have changed again within its second."""
PROGRESS = 16 << 10
"""Bytes that count as progress."""
STALLED = 300.0
"""Seconds of waiting in which fewer bytes than that come: no link that works is so slow."""
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)
_NUMBER = re.compile(r"\d{1,19}", re.ASCII)
_NOT_THE_SAME = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)

T = TypeVar("T")


class Broken(Exception):
    """The connection broke amid an answer."""


class Answer(Protocol):
    """What a server answered, before its body is read."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Their names may be written in any case."""

    @property
    def has_ranges(self) -> bool:
        """Whether what `read` gives are the bytes that ranges are counted in, and nothing that was unpacked."""

    def read(self) -> bytes:
        """The next bytes; b"" at the end. Raises Broken."""

    def close(self) -> None:
        """Drops the rest."""


class Line(Protocol):
    """What a download goes by."""

    def received(self, size: int) -> None:
        """Told of bytes that came; may wait, or raise Interrupted."""

    def again(self, failures: int, problem: str) -> None:
        """Waits before another try. Raises RequestRefused when there have been enough, and Interrupted."""


Ask = Callable[[Mapping[str, str]], Answer]
"""Sends the request with further headers. May raise RequestRefused."""


def download(ask: Ask, name: str, line: Line) -> Iterator[bytes]:
    """The bytes of a file, in pieces. `name` is what errors call it. Raises RequestRefused, ChangedMeanwhile."""
    file, failures = _File(name), 0
    while True:
        try:
            with closing(file.ask(ask)) as answer:
                gained = 0
                while piece := answer.read():
                    line.received(len(piece))
                    if fresh := file.fresh(piece):
                        gained += len(fresh)
                        yield fresh
                    if gained >= PROGRESS:
                        failures = 0
                file.end()
                return
        except Broken as error:
            if file.is_whole:
                return
            failures += 1
            line.again(failures, f"{name}: the connection breaks after {file.received} bytes ({error})")


def begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, of which the first was fetched already: what can be refused was."""
    return _resumed(next(chunks, b""), chunks)


def _resumed(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


def as_listed(chunks: Iterator[bytes], path: str, size: int) -> Iterator[bytes]:
    """The same chunks of an artifact, as many bytes as it was listed with. Raises GrownMeanwhile at the first too many,
    RequestRefused when they are fewer; the last chunk comes only once it is known to be the last."""
    held, received = b"", 0
    try:
        for chunk in chunks:
            if received + len(chunk) > size:
                held += chunk[: size - received]
                received = size
                raise GrownMeanwhile("")
            received += len(chunk)
            if held:
                yield held
            held = chunk
    except GrownMeanwhile:
        if received == size:
            raise GrownMeanwhile(f"artifact “{path}” is listed with {size} bytes and gave more", held) from None
    finally:
        if isinstance(chunks, Generator):
            chunks.close()  # drops the rest of an answer at once
    if received != size:
        raise RequestRefused(f"artifact “{path}” is listed with {size} bytes and gave {received}")
    if held:
        yield held


@dataclass(frozen=True, slots=True)
class Version:
    """What an answer tells of the file as it is: a strong ETag and Last-Modified ("" without), and its bytes."""

    tag: str
    modified: str
    is_settled: bool
    total: int | None

    @classmethod
    def of(cls, answer: Answer) -> "Version":
        """That of an answer, to a part or to the whole."""
        headers = {name.lower(): value for name, value in answer.headers.items()}
        tag, modified = headers.get("etag", ""), headers.get("last-modified", "")
        found = _RANGE.fullmatch(headers.get("content-range", ""))
        told = headers.get("content-length", "") if answer.status == HTTPStatus.OK else found[3] if found else ""
        is_strong = len(tag) > 2 and tag.startswith('"') and tag.endswith('"')
        is_settled = not tag and _seconds(headers.get("date", "")) - _seconds(modified) >= SETTLED
        total = int(told) if answer.has_ranges and _NUMBER.fullmatch(told) else None
        return cls(tag if is_strong else "", modified, is_settled, total)

    @property
    def vouches(self) -> bool:
        """Whether another answer with the same can only be of the same bytes."""
        return bool(self.tag) or self.is_settled

    def is_that_of(self, other: "Version") -> bool:
        """Whether it surely is the same one."""
        if self.total is not None and other.total is not None and self.total != other.total:
            return False
        return self.tag == other.tag if self.tag else self.is_settled and self.modified == other.modified

    def rest(self, received: int) -> dict[str, str]:
        """The headers that ask for the bytes after so many of this version, and for all where it is another.

        S3 and Azure do not document If-Range, and know If-Match.
        """
        asked = {"Range": f"bytes={received}-", "If-Range": self.tag or self.modified}
        return {**asked, "If-Match": self.tag} if self.tag else asked


class Progress:
    """Tells a line that works, however slowly, from one on which bytes only trickle."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._came = 0

    def watch(self, read: Callable[[], T], size: Callable[[T], int]) -> T:
        """What a read gives. Raises TimeoutError once PROGRESS bytes took longer than STALLED seconds of reading."""
        begun = time.monotonic()
        found = read()
        self._waited += time.monotonic() - begun
        self._came += size(found)
        if self._came >= PROGRESS:
            self._came, self._waited = 0, 0.0
        elif self._waited > STALLED:
            raise TimeoutError(f"timed out: {self._came} bytes came in {self._waited:.0f} s")
        return found


class _File:
    """What has come of one file so far, and what vouches for it."""

    def __init__(self, name: str) -> None:
        self.received = 0
        self._name = name
        self._version: Version | None = None
        self._has_ranges = True
        self._crc = self._crc_again = 0
        self._skip = 0

    def ask(self, ask: Ask) -> Answer:
        """The answer to a request for what is still to come, or for all."""
        wanted: Mapping[str, str] = {}
        if self.received and self._version is not None and self._version.vouches and self._has_ranges:
            wanted = self._version.rest(self.received)
        try:
            answer = ask(wanted)
        except RequestRefused as error:
            if self.received and error.status in _NOT_THE_SAME:
                raise self._changed() from None
            raise
        try:
            self._meet(answer, is_part=bool(wanted))
        except BaseException:
            answer.close()
            raise
        return answer

    def _meet(self, answer: Answer, is_part: bool) -> None:
        version = Version.of(answer)
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            self._meet_part(answer, version, is_part)
        elif answer.status in _NOT_THE_SAME and self.received:
            raise self._changed()
        elif answer.status != HTTPStatus.OK:
            raise RequestRefused(f"{self._name}: the server answered {answer.status}", answer.status)
        elif self._version is None or not self.received:
            self._version, self._has_ranges = version, answer.has_ranges
        elif self._version.vouches and not self._version.is_that_of(version):
            raise self._changed()
        else:
            self._skip, self._crc_again = self.received, 0

    def _meet_part(self, answer: Answer, version: Version, is_part: bool) -> None:
        told = {name.lower(): value for name, value in answer.headers.items()}.get("content-range", "")
        found = _RANGE.fullmatch(told)
        if not is_part or not answer.has_ranges or found is None or int(found[1]) != self.received:
            asked = f"the bytes from {self.received} on" if is_part else "the whole file"
            raise RequestRefused(
                f"{self._name}: the server was asked for {asked} and sent “{told[:60]}”; "
                "a proxy in between may be at fault: download it another way, or tell the administrator"
            )
        assert self._version is not None
        if not self._version.is_that_of(version):
            raise self._changed()

    def fresh(self, piece: bytes) -> bytes:
        """What of a piece has not come before."""
        if self._skip:
            before, piece = piece[: self._skip], piece[self._skip :]
            self._skip -= len(before)
            if not self._is_vouched:
                self._crc_again = crc32(before, self._crc_again)
                if not self._skip and self._crc_again != self._crc:
                    raise self._changed()
        if not self._is_vouched:
            self._crc = crc32(piece, self._crc)
        self.received += len(piece)
        return piece

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing, as far as that was told."""
        return self._version is not None and self.received == self._version.total and not self._skip

    def end(self) -> None:
        """The answer has ended."""
        if self._skip:
            raise self._changed()

    @property
    def _is_vouched(self) -> bool:
        return self._version is not None and self._version.vouches

    def _changed(self) -> ChangedMeanwhile:
        return ChangedMeanwhile(f"{self._name} changed while it was read: run it again to get the current version")


def _seconds(header: str) -> float:
    """Epoch seconds of a date; NaN where it is none."""
    try:
        return parsedate_to_datetime(header).timestamp()
    except (ValueError, OverflowError):
        return float("nan")
