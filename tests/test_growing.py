"""Files that grow while they are read: kept as far as they went, where nothing but growth happens to them."""

from collections.abc import Callable, Iterator

import pytest

from runsync.download import as_listed
from runsync.errors import ChangedMeanwhile, GrownMeanwhile, RequestRefused
from runsync.growing import Growing
from runsync.model.run import ArtifactFile

LINE = b"epoch done\n"


class Source:
    """A source of one file, which `change` makes another one each time that it is opened."""

    def __init__(self, change: Callable[[bytes], bytes], listed_for_ever: bool = False) -> None:
        self.content = LINE * 10
        self.listed = len(self.content)
        self.opened = 0
        self._change = change
        self._is_fixed = listed_for_ever

    def list(self) -> tuple[ArtifactFile, ...]:
        size = self.listed if self._is_fixed else len(self.content)
        return (ArtifactFile("train.log", size),)

    def read(self, file: ArtifactFile) -> Iterator[bytes]:
        self.opened += 1
        self.content = self._change(self.content)
        pieces = (self.content[i : i + 7] for i in range(0, len(self.content), 7))
        return as_listed(pieces, file.path, file.size)


def carried(source: Source) -> tuple[bytes, Growing]:
    growing = Growing(source, *source.list())
    return growing.carry(lambda: b"".join(growing.chunks())), growing


def test_a_file_that_stays_as_it_is_is_read_once() -> None:
    source = Source(lambda content: content)
    content, growing = carried(source)
    assert (content, growing.is_cut, source.opened) == (LINE * 10, False, 1)


def test_a_log_that_grows_all_the_time_is_kept_as_far_as_it_was_listed_again() -> None:
    content, growing = carried(Source(lambda content: content + LINE))
    assert (content, growing.file.size, growing.is_cut) == (LINE * 11, len(LINE * 11), True)


def test_a_file_that_grew_once_is_whole() -> None:
    content, growing = carried(Source(lambda content: LINE * 15))
    assert (content, growing.file.size, growing.is_cut) == (LINE * 15, len(LINE * 15), False)


def test_an_empty_file_that_grows_is_kept() -> None:
    source = Source(lambda content: content + LINE)
    source.content = b""
    assert carried(source)[0] == LINE


def test_what_gives_more_than_is_listed_time_and_again_is_refused() -> None:
    source = Source(lambda content: content + LINE, listed_for_ever=True)
    with pytest.raises(GrownMeanwhile, match=r"“train\.log” is listed with 110 bytes and gave more"):
        carried(source)
    assert source.opened == 1


def test_a_file_that_is_written_anew_and_longer_is_no_growing_one() -> None:
    versions = iter(bytes([65 + n]) * (120 + n) for n in range(100))
    with pytest.raises(ChangedMeanwhile):
        carried(Source(lambda content: next(versions)))


def test_a_file_that_shrinks_is_refused() -> None:
    with pytest.raises(RequestRefused, match="is listed with 110 bytes and gave 11"):
        carried(Source(lambda content: LINE))


def test_who_is_told_the_size_never_has_all_bytes_of_a_file_that_is_refused() -> None:
    chunks = as_listed(iter((b"12345", b"67890", b"!")), "a", 10)
    assert next(chunks) == b"12345"
    with pytest.raises(GrownMeanwhile):
        next(chunks)
