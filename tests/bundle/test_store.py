"""The stores: files appear whole, once, and never change. What both must do, and then what the local one does more."""

import dataclasses
import errno
import os
import time
from pathlib import Path

import pytest
from support.processes import GONE

from runsync.bundle.local_store import LocalIncoming, LocalStore
from runsync.bundle.processes import here
from runsync.errors import BundleDamaged, RunsyncError


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "bundle")


def _put(store: LocalStore, name: str, content: bytes) -> None:
    incoming = store.incoming()
    incoming.write(content)
    incoming.keep(name)


def test_a_file_is_there_whole_once_it_is_kept_and_not_before(store: LocalStore) -> None:
    incoming = store.incoming()
    incoming.write(b"one ")
    assert list(store.list()) == []
    incoming.write(b"two")
    incoming.keep("deep/er/file")
    assert store.read("deep/er/file") == b"one two"
    assert store.size("deep/er/file") == incoming.size == 7
    (entry,) = store.list()
    assert (entry.name, entry.size) == ("deep/er/file", 7)


def test_a_file_that_is_discarded_leaves_no_trace(store: LocalStore) -> None:
    incoming = store.incoming()
    incoming.write(b"x")
    incoming.discard()
    store.clear_temporary()
    assert [p for p in store.folder.rglob("*") if p.is_file()] == []


def test_a_kept_file_survives_a_discard(store: LocalStore) -> None:
    incoming = store.incoming()
    incoming.keep("name")
    incoming.discard()
    assert store.read("name") == b""


def test_a_name_that_is_taken_keeps_its_first_content(store: LocalStore) -> None:
    _put(store, "name", b"first")
    _put(store, "name", b"other")
    assert store.read("name") == b"first"
    store.clear_temporary()
    assert not (store.folder / "tmp").exists()


def test_a_file_of_another_size_or_one_known_as_broken_is_replaced(store: LocalStore) -> None:
    """Names are hashes: what is not of the same size is not the same file, but a broken one."""
    _put(store, "name", b"")
    _put(store, "name", b"whole")
    assert store.read("name") == b"whole"
    incoming = store.incoming()
    incoming.write(b"sound")
    incoming.keep("name", replace=True)
    assert store.read("name") == b"sound"


def test_a_missing_file_is_named(store: LocalStore) -> None:
    assert store.size("parts/no") is None
    with pytest.raises(BundleDamaged, match=r"bundle/parts/no is missing$"):
        store.read("parts/no")


def test_a_folder_where_a_file_should_be_is_named(store: LocalStore) -> None:
    (store.folder / "parts/no").mkdir(parents=True)
    with pytest.raises(BundleDamaged, match=r"parts/no cannot be read: it is a folder"):
        store.read("parts/no")


def test_temporary_files_are_never_listed(store: LocalStore) -> None:
    incoming = store.incoming()
    incoming.write(b"on its way")
    _put(store, "parts/tmp", b"a name that only looks like it")
    assert [entry.name for entry in store.list()] == ["parts/tmp"]
    incoming.discard()


def test_only_what_processes_left_that_are_gone_or_that_is_a_day_old_is_cleared_away(store: LocalStore) -> None:
    """A process of that number in another container, or before a reboot, may run."""
    other_container = dataclasses.replace(GONE, namespace="4026532999-4026531834")
    processes = {"gone": GONE, "other container": other_container, "abandoned": other_container, "runs": here()}
    left = {name: store.folder / "tmp" / f"{process.token}_{name}" for name, process in processes.items()}
    for place in left.values():
        place.mkdir(parents=True)
        (place / "file").write_bytes(b"x")
    day_ago = time.time() - 86500
    for place in (left["abandoned"] / "file", left["abandoned"]):
        os.utime(place, (day_ago, day_ago))
    store.clear_temporary()
    assert [name for name, place in left.items() if place.exists()] == ["other container", "runs"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = LocalStore(tmp_path / "file" / "bundle")
    with pytest.raises(RunsyncError, match=r"file/bundle cannot be written: Not a directory; make room"):
        store.incoming()


def test_a_full_disk_is_told_with_the_place(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    incoming = store.incoming()
    incoming.write(b"x")
    monkeypatch.setattr("runsync.bundle.local_store.os.fsync", full)
    with pytest.raises(RunsyncError, match=r"bundle cannot be written: No space left on device") as caught:
        incoming.keep("name")
    assert caught.value.exit_code == 1
    incoming.discard()
    assert list(store.list()) == []


def test_a_file_that_was_cut_short_is_replaced(store: LocalStore) -> None:
    _put(store, "name", b"cut")
    _put(store, "name", b"cut no more")
    assert store.read("name") == b"cut no more"


def test_a_lock_is_made_though_another_thread_clears_away_temporary_files(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = LocalIncoming.write
    cleared: list[bytes] = []

    def clear_once(self: LocalIncoming, data: bytes) -> int:
        if not cleared:
            cleared.append(data)
            store.clear_temporary()
        return write(self, data)

    monkeypatch.setattr(LocalIncoming, "write", clear_once)
    assert store.create("locks/exclusive.json", b"{}")
    assert cleared
    assert store.read("locks/exclusive.json") == b"{}"
