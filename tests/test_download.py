"""A download gives one version of a file whole, or fails, whatever the server and the line do."""

import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate

import pytest

from runsync import download as subject
from runsync.download import Broken, as_listed, download
from runsync.errors import ChangedMeanwhile, RequestRefused

OLD = bytes(range(200)) * 2
NOW = 1_700_000_000
VERSIONS = {
    "rewritten": bytes(reversed(OLD)),
    "appended": OLD + b"more",
    "cut short": OLD[:150],
    "the same": OLD,
    "other at the end": OLD[:-1] + b"!",
}
VALIDATORS = ("strong tag", "weak tag", "old date", "fresh date", "nothing")
SERVERS = (
    "obeys",
    "passes over If-Range",
    "tells no version of a part",
    "knows no ranges",
    "begins at 0",
    "off by one",
)


@dataclass
class Given:
    """See `download.Answer`. Breaks after `keep` bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    keep: int | None = None
    has_ranges: bool = True
    is_closed: bool = False

    def read(self) -> bytes:
        if self.keep is not None and self.keep <= 0:
            raise Broken("cut")
        piece = self.body[:70] if self.keep is None else self.body[: min(70, self.keep)]
        self.body = self.body[len(piece) :]
        self.keep = None if self.keep is None else self.keep - len(piece)
        return piece

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Server:
    """One file, with another version from the second request on; the first answers break after `cuts` bytes each."""

    validator: str
    way: str
    then: bytes
    cuts: list[int]
    asked: list[Mapping[str, str]] = field(default_factory=list)
    answers: list[Given] = field(default_factory=list)

    def __call__(self, wanted: Mapping[str, str]) -> Given:
        content = self.then if self.asked else OLD
        self.asked.append(wanted)
        keep = self.cuts.pop(0) if self.cuts else None
        self.answers.append(self.answer(wanted, content, keep))
        return self.answers[-1]

    def answer(self, wanted: Mapping[str, str], content: bytes, keep: int | None) -> Given:
        told = self.told(content)
        is_other = wanted.get("If-Range") not in (None, told.get("ETag"), told.get("Last-Modified"))
        if "Range" not in wanted or self.way == "knows no ranges" or (is_other and self.way == "obeys"):
            return Given(200, {**told, "content-length": str(len(content))}, content, keep)
        start = int(wanted["Range"].removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            return Given(416, {}, b"")
        begin = {"begins at 0": 0, "off by one": start - 1}.get(self.way, start)
        part = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        told = {} if self.way == "tells no version of a part" else told
        return Given(206, {**told, "Content-Range": part}, content[begin:], keep)

    def told(self, content: bytes) -> dict[str, str]:
        name = str(list(VERSIONS.values()).index(content)) if content != OLD else "old"
        times = {"Date": formatdate(NOW)}
        return {
            "strong tag": {"ETag": f'"{name}"', **times},
            "weak tag": {"ETag": f'W/"{name}"', **times},
            "old date": {**times, "Last-Modified": formatdate(NOW - 90 - 60 * sum(name.encode()))},
            "fresh date": {**times, "Last-Modified": formatdate(NOW - 10)},
            "nothing": {},
        }[self.validator]


class Line:
    """See `download.Line`: three tries."""

    def received(self, size: int) -> None:
        pass

    def again(self, failures: int, problem: str) -> None:
        if failures >= 3:
            raise RequestRefused(problem)


@pytest.mark.parametrize("way", SERVERS)
@pytest.mark.parametrize("validator", VALIDATORS)
def test_no_answer_makes_a_mixture_of_two_versions(validator: str, way: str) -> None:
    for (name, then), cuts in itertools.product(VERSIONS.items(), ([1], [70], [200], [390], [100, 100], [0], [399])):
        server = Server(validator, way, then, list(cuts))
        try:
            got = b"".join(download(server, "file", Line()))
        except RequestRefused:
            got = None
        assert got in (None, OLD, then), (name, cuts)
        assert all(answer.is_closed for answer in server.answers)
        if name == "the same" and way in ("obeys", "knows no ranges"):
            assert got == OLD, (name, cuts)


@pytest.mark.parametrize("validator", ["strong tag", "old date"])
def test_what_the_server_vouches_for_is_taken_up_where_it_broke(validator: str) -> None:
    server = Server(validator, "obeys", OLD, [100, 100])
    assert b"".join(download(server, "file", Line())) == OLD
    assert [wanted.get("Range") for wanted in server.asked] == [None, "bytes=100-", "bytes=200-"]
    assert ("If-Match" in server.asked[1]) == (validator == "strong tag")


@pytest.mark.parametrize("validator", ["weak tag", "fresh date", "nothing"])
def test_where_nothing_vouches_it_begins_again(validator: str) -> None:
    server = Server(validator, "obeys", OLD, [100, 200])
    assert b"".join(download(server, "file", Line())) == OLD
    assert server.asked == [{}, {}, {}]


def test_what_is_unpacked_on_the_way_is_never_asked_for_from_the_middle() -> None:
    server = Server("strong tag", "obeys", OLD, [100])
    packed = server.answer

    def unpacked(wanted: Mapping[str, str], content: bytes, keep: int | None) -> Given:
        answer = packed(wanted, content, keep)
        answer.has_ranges = False
        return answer

    server.answer = unpacked  # type: ignore[method-assign]
    assert b"".join(download(server, "file", Line())) == OLD
    assert server.asked == [{}, {}]


def test_a_file_that_changed_is_told_so() -> None:
    server = Server("nothing", "obeys", VERSIONS["rewritten"], [100])
    with pytest.raises(ChangedMeanwhile, match=r"^file changed while it was read: run it again"):
        b"".join(download(server, "file", Line()))


def test_a_part_that_nobody_asked_for_is_refused_with_what_came() -> None:
    part = Given(206, {"Content-Range": "bytes 0-49/100"}, bytes(50))
    with pytest.raises(RequestRefused, match="asked for the whole file and sent “bytes 0-49/100”"):
        b"".join(download(lambda wanted: part, "file", Line()))


def test_a_line_that_brings_nothing_new_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte a try is no progress."""
    server = Server("strong tag", "obeys", OLD, [1] * 400)
    with pytest.raises(RequestRefused, match="the connection breaks after 3 bytes"):
        b"".join(download(server, "file", Line()))
    monkeypatch.setattr(subject, "PROGRESS", 1)
    server = Server("strong tag", "obeys", OLD, [1] * 399)
    assert b"".join(download(server, "file", Line())) == OLD


def test_reading_ends_with_the_first_byte_too_many() -> None:
    read = []

    def endless() -> Iterator[bytes]:
        for piece in itertools.repeat(b"x" * 40):
            read.append(piece)
            yield piece

    with pytest.raises(RequestRefused, match="“a” is listed with 100 bytes and gave more"):
        list(as_listed(endless(), "a", 100))
    assert len(read) == 3


def test_bytes_that_trickle_are_no_progress_and_a_slow_line_is() -> None:
    now = [0.0]

    def read(seconds: float, size: int) -> int:
        now[0] += seconds
        return size

    with pytest.MonkeyPatch.context() as clock:
        clock.setattr(time, "monotonic", lambda: now[0])
        slow, slower = subject.Progress(), subject.Progress()
        for _ in range(1000):
            slow.watch(lambda: read(10, 1000), int)
        with pytest.raises(TimeoutError, match="timed out: 301 bytes came in 301 s"):
            [slower.watch(lambda: read(1, 1), int) for _ in range(1000)]
