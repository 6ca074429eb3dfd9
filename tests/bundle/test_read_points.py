"""Points of a metrics part are read by the thread that asks for them."""

import io
import threading
from pathlib import Path

import pytest
from support.memory import export_into

from runsync.bundle.parts import parquet_of, read_points
from runsync.testing.memory import small_source


class Watched(io.BytesIO):
    """Remembers which threads read it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.readers: set[int] = set()

    def read(self, size: int | None = -1, /) -> bytes:
        self.readers.add(threading.get_ident())
        return super().read(size)


@pytest.mark.parametrize("group", [None, 0], ids=["all", "a row group"])
def test_no_thread_of_arrow_holds_the_file_when_a_command_ends(tmp_path: Path, group: int | None) -> None:
    """A command whose work was done ended with "terminate called without an active exception" and exit code 134."""
    source = small_source()
    source.batch_size = 3
    export_into(tmp_path, source)
    (part,) = tmp_path.glob("parts/*.metrics.parquet")
    stream = Watched(part.read_bytes())
    with parquet_of(stream, str(part)) as file:
        stream.readers.clear()
        assert len(read_points(file, str(part), group)) == 53
    assert stream.readers == {threading.get_ident()}
