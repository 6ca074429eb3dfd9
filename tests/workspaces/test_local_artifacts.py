"""Artifacts into a folder of this machine that does not take them."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runsync.errors import ChangedMeanwhile, RequestRefused
from runsync.workspaces.http import CHUNK
from runsync.workspaces.local_artifacts import read, walk, write

FULL = """
import io, resource, sys
from pathlib import Path
from runsync.errors import RequestRefused, RunsyncError
from runsync.workspaces.local_artifacts import write
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write(Path(sys.argv[1]), "big", lambda: io.BytesIO(b"x" * 2000))
except RunsyncError as error:
    print(isinstance(error, RequestRefused), error)
"""


@pytest.mark.parametrize("path", ["file/x", "file/x/y", "folder", "n" * 300])
def test_a_name_that_is_in_the_way_fails_one_artifact_and_not_the_whole(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/old").write_bytes(b"old")
    with pytest.raises(RequestRefused, match="cannot be written"):
        write(tmp_path, path, lambda: io.BytesIO(b"new"))
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == ["file", "folder", "folder/old"]


def test_a_disk_that_takes_no_more_stops_all_and_is_named(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"False {tmp_path} cannot be written: File too large; make room")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_written_to_while_it_is_read_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"A" * 2 * CHUNK)
    chunks = read(tmp_path, "model.ckpt")
    next(chunks)
    with (tmp_path / "model.ckpt").open("r+b") as file:
        file.write(b"B" * 2 * CHUNK)
    with pytest.raises(ChangedMeanwhile, match=r"model\.ckpt changed while it was read"):
        list(chunks)
    assert b"".join(read(tmp_path, "model.ckpt")) == b"B" * 2 * CHUNK


def test_what_cannot_be_read_is_listed_with_the_reason(tmp_path: Path) -> None:
    folder, outside = tmp_path / "artifacts", tmp_path / "outside"
    folder.mkdir()
    (folder / "good").write_bytes(b"1234")
    outside.write_bytes(b"secret")
    os.mkfifo(folder / "fifo")
    for name, target in (("same", "good"), ("nowhere", "gone"), ("up", ".."), ("here", "."), ("out", "../outside")):
        (folder / name).symlink_to(target)
    (folder / "loop").symlink_to("loop")
    told = {file.path: (file.size, file.fault) for file in walk(folder)}
    assert told.pop("good") == told.pop("same") == (4, "")
    assert {path: fault for path, (_, fault) in told.items()} == {
        "fifo": f"artifact {folder}/fifo is no plain file",
        "nowhere": f"artifact {folder}/nowhere is a link to nothing",
        "up": "artifact “up” lies outside its run's folder, by a link",
        "here": f"artifact {folder}/here is a link to a folder, which is not followed",
        "out": "artifact “out” lies outside its run's folder, by a link",
        "loop": "artifact “loop” is a link to itself",
    }
