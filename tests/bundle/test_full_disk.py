"""On a disk that is full to the last byte, what frees room works; what needs room ends with one line."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.memory import export_to
from support.nights import all_contents, fill, source_of_night

from runsync.bundle import locks, repack
from runsync.bundle.bundle import Bundle, create_bundle
from runsync.bundle.check import check
from runsync.bundle.forget import forget
from runsync.bundle.prune import prune
from runsync.bundle.retention import Policy
from runsync.bundle.unlock import unlock
from runsync.errors import NoRoom

pytestmark = pytest.mark.long


def _mount(kind: str, tmp_path: Path, place: Path) -> bool:
    options = ["-t", "tmpfs", "-o", "size=8m", "tmpfs"]
    if kind == "ext4":
        image = tmp_path / "image"
        image.write_bytes(b"")
        os.truncate(image, 8 << 20)
        if shutil.which("mkfs.ext4") is None or _fails(["mkfs.ext4", "-q", str(image)]):
            return False
        options = ["-o", "loop", str(image)]
    return not _fails(["mount", *options, str(place)])


def _fails(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


@pytest.fixture(params=["tmpfs", "ext4"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A real file system of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if not _mount(request.param, tmp_path, place):
        pytest.skip("this needs root, and the tools of the file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill_up(disk: Path) -> None:
    """Takes all that is left, to the last byte."""
    descriptor = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    size = 1 << 20
    while size:
        try:
            os.write(descriptor, b"x" * size)
        except OSError:
            size //= 2
    os.close(descriptor)


@pytest.fixture
def full(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle of four nights on a full disk."""
    monkeypatch.setattr(repack, "LARGEST", 8)
    monkeypatch.setattr(repack, "MOST_SMALL", 1)
    bundle = create_bundle(small_disk / "bundle")
    with locks.shared(bundle.store, "export"):
        fill(bundle, 4, runs=5)
    fill_up(small_disk)
    with pytest.raises(NoRoom):
        bundle.store.create("probe", b"x")
    return bundle


def test_forget_and_prune_free_room_on_a_full_disk(full: Bundle) -> None:
    before = all_contents(full)
    report = forget(full.address, Policy(last=1), prune=True)
    assert report.prune is not None
    assert report.prune.removed_files > 0
    (left,) = full.snapshot_ids()
    assert all_contents(full) == {left: before[left]}
    found = check(full.address)
    assert (found.faults, found.unused, found.foreign) == ([], [], [])
    assert [entry.name for entry in full.store.list() if entry.name.startswith(("locks", "claims"))] == []
    export_to(full, source_of_night(4, 5))


def test_prune_frees_room_on_a_full_disk(full: Bundle) -> None:
    """Not even a manifest goes first that would make room for a lock and an announcement."""
    folder = Path(full.address)
    (folder.parent / "filler").unlink()
    forget(folder, Policy(last=1))
    fill_up(folder.parent)
    before = all_contents(full)
    assert prune(full.address).removed_files > 0
    assert all_contents(full) == before
    assert check(full.address).faults == []


def test_a_full_disk_holds_off_others_by_an_empty_lock(full: Bundle) -> None:
    with locks.exclusive(full.store, "prune") as lock:
        lock.confirm()
        assert full.store.size("locks/exclusive.json") == 0
        (unknown,) = unlock(full.address).held
        assert unknown.verb == "an unknown command"
    assert unlock(full.address).held == []


def test_an_export_to_a_full_disk_ends_with_one_line_and_leaves_nothing(full: Bundle) -> None:
    before = sorted(entry.name for entry in full.store.list())
    report = export_to(full, source_of_night(5, 5))
    assert "No space left on device; make room" in report.stopped
    assert sorted(entry.name for entry in full.store.list()) == before
    assert check(full.address).faults == []
