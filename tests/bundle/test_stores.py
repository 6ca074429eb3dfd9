"""What every store must do, on a disk and on S3 alike."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Runner
from workspaces.files.small import make_store

from runsync.bundle.address import Access, locate
from runsync.bundle.store import Store
from runsync.errors import BundleDamaged
from runsync.s3 import S3Options

LARGE = bytes(range(256)) * (9 << 12)
"""9 MiB: more than an incoming file keeps in memory."""


@pytest.fixture(params=["disk", "S3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return locate(tmp_path / "bundle").store
    bucket = request.getfixturevalue("bucket")
    return locate(f"{bucket.url}/deep/er", Access(s3=S3Options(bucket.endpoint))).store


def put(store: Store, name: str, content: bytes, replace: bool = False) -> None:
    incoming = store.incoming()
    incoming.write(content[: len(content) // 2])
    incoming.write(content[len(content) // 2 :])
    assert incoming.sha256() == hashlib.sha256(content).hexdigest()
    assert incoming.size == len(content)
    incoming.keep(name, replace)
    incoming.discard()


@pytest.mark.parametrize("content", [b"", b"x", LARGE], ids=["empty", "one byte", "large"])
def test_what_was_put_is_read_back(store: Store, content: bytes) -> None:
    put(store, "parts/name", content)
    assert store.read("parts/name") == content
    assert b"".join(store.chunks("parts/name")) == content
    with store.open("parts/name") as stream:
        stream.seek(len(content) // 2)
        assert stream.read() == content[len(content) // 2 :]
    assert store.size("parts/name") == len(content)
    assert [(e.name, e.size) for e in store.list()] == [("parts/name", len(content))]


def test_nothing_is_there_before_it_is_kept_and_nothing_after_it_is_discarded(store: Store) -> None:
    incoming = store.incoming()
    incoming.write(LARGE)
    assert list(store.list()) == []
    incoming.discard()
    store.clear_temporary()
    assert list(store.list()) == []


def test_a_name_that_is_taken_keeps_its_content_unless_it_is_replaced_or_was_cut_short(store: Store) -> None:
    put(store, "name", b"first")
    put(store, "name", b"other")
    assert store.read("name") == b"first"
    put(store, "name", b"whole again")
    assert store.read("name") == b"whole again"
    put(store, "name", b"replaced!!!", replace=True)
    assert store.read("name") == b"replaced!!!"


def test_a_file_is_written_over_the_version_that_was_seen_and_over_no_other(store: Store) -> None:
    assert store.version("locks/one") == ""
    put(store, "locks/one", b"first")
    first = store.version("locks/one")
    assert first
    assert store.replace("locks/one", b"other", first)
    assert store.read("locks/one") == b"other"
    assert not store.replace("locks/one", b"third", first)
    assert store.read("locks/one") == b"other"
    other = store.version("locks/one")
    store.remove("locks/one")
    assert not store.replace("locks/one", b"third", other)
    assert store.size("locks/one") is None


def test_of_many_who_create_a_file_at_once_one_succeeds(store: Store) -> None:
    made: list[int] = []
    begin = threading.Barrier(8)

    def create(number: int) -> None:
        begin.wait()
        if store.create("locks/one", b"%d" % number):
            made.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert store.read("locks/one") == b"%d" % made[0]


def test_what_is_not_there_is_told(store: Store) -> None:
    assert store.size("no/such") is None
    for read in (store.read, store.open, lambda name: list(store.chunks(name))):
        with pytest.raises(BundleDamaged, match="no/such is missing"):
            read("no/such")


def test_a_removed_file_is_gone_and_may_be_removed_again(store: Store) -> None:
    put(store, "a/b", b"x")
    store.remove("a/b")
    store.remove("a/b")
    assert store.size("a/b") is None
    assert list(store.list()) == []


@pytest.mark.usefixtures("short_pages")
def test_a_list_tells_what_is_below_a_prefix_however_much_it_is(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda number: store.create(f"blobs/{number:04d}", b""), range(45)))
    put(store, "parts/x", b"")
    assert sorted(e.name for e in store.list("blobs/")) == [f"blobs/{number:04d}" for number in range(45)]
    assert len(list(store.list())) == 46


def test_a_place_below_a_file_is_one_that_cannot_be_made_and_no_damaged_bundle(tmp_path: Path, runsync: Runner) -> None:
    make_store(tmp_path / "mlruns", "run")
    (tmp_path / "file").touch()
    for below in ("file/b", "file/a/b"):
        done = runsync("export", tmp_path / "mlruns", tmp_path / below)
        assert done.returncode == 1
        assert f"{tmp_path / below} cannot be made: {tmp_path / 'file'} is not a folder" in done.stderr
