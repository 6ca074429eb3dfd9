"""Files that commands write appear whole, and stay as private as they were."""

import stat
from pathlib import Path

import pytest

from runsync.whole_file import whole_file


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    place = tmp_path / "report.csv"
    place.write_text("old")
    place.chmod(0o600)
    with whole_file(place) as file:
        file.write(b"new")
    assert (place.read_bytes(), stat.S_IMODE(place.stat().st_mode)) == (b"new", 0o600)


def test_two_files_of_one_folder_may_be_written_at_once(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as first, whole_file(tmp_path / "b") as second:
        first.write(b"a")
        second.write(b"b")
    assert {place.name: place.read_bytes() for place in tmp_path.iterdir()} == {"a": b"a", "b": b"b"}


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.write_text("old")

    def stop() -> None:
        with whole_file(place) as file:
            file.write(b"half")
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        stop()
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a": b"old"}
