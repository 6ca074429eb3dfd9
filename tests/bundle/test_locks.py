"""Locks: writers share a bundle, prune has it alone; what a dead process left is removed. On a disk and on S3."""

import dataclasses
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.processes import GONE

from runsync.bundle import holder, locks
from runsync.bundle.address import Access, locate
from runsync.bundle.holder import EXCLUSIVE, Standing, Watch, holders, standing, takeover_of
from runsync.bundle.local_store import LocalStore
from runsync.bundle.locks import exclusive, shared, unlock
from runsync.bundle.processes import UNKNOWN, Process, _start_of, here
from runsync.bundle.store import Store
from runsync.errors import BundleLocked
from runsync.s3 import S3Options
from runsync.version import VERSION

HERE = socket.gethostname()


ELSEWHERE = Process(1, "f" * 32, "4026531836-4026531834", 7)
"""On another machine, or before a reboot: nobody can tell whether it runs."""


@pytest.fixture(params=["disk", "S3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return locate(tmp_path / "bundle").store
    bucket = request.getfixturevalue("bucket")
    return locate(f"{bucket.url}/deep/er", Access(s3=S3Options(bucket.endpoint))).store


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holder, "LOOK_AGAIN", 0.05)


def leave(
    store: Store, name: str, process: Process = GONE, lifetime: int | None = 300, verb: str = "prune", clock: int = 0
) -> None:
    """A lock as some process left it, whose clock was so many seconds ahead."""
    then = (datetime.now(UTC) + timedelta(seconds=clock)).isoformat(timespec="seconds").replace("+00:00", "Z")
    document = {
        "format": "runsync-lock",
        "version": 1,
        "id": f"{random.getrandbits(128):032x}",
        "exclusive": name == EXCLUSIVE,
        "verb": verb,
        "host": HERE,
        "pid": process.pid,
        "created_at": "2026-11-23T02:15:00Z",
        "refreshed_at": then,
        "tool_version": VERSION,
    }
    if process.boot != UNKNOWN:
        document |= {"boot_id": process.boot, "namespace": process.namespace, "started": process.started}
    if lifetime is not None:
        document["lifetime"] = lifetime
    assert store.create(name, orjson.dumps(document))


def names(store: Store) -> list[str]:
    return sorted(entry.name for entry in store.list("locks/"))


def test_writers_share_a_bundle_and_leave_no_lock_behind(store: Store) -> None:
    with shared(store, "export") as one, shared(store, "copy") as other:
        one.confirm()
        other.confirm()
        assert sorted(one.verb for one in holders(store).values()) == ["copy", "export"]
    assert names(store) == []


def test_a_lock_is_given_back_also_after_an_error(store: Store) -> None:
    with pytest.raises(KeyError), exclusive(store, "prune"):
        raise KeyError
    assert names(store) == []


@pytest.mark.parametrize(("first", "second"), [(shared, exclusive), (exclusive, shared), (exclusive, exclusive)])
def test_prune_and_others_keep_each_other_off_and_the_holder_is_named(
    store: Store, first: Callable[..., Any], second: Callable[..., Any]
) -> None:
    with first(store, "export") as held:
        with pytest.raises(BundleLocked) as caught, second(store, "prune"):
            pass
        assert caught.value.exit_code == 11
        told = str(caught.value)
        assert f"is locked by export of process {os.getpid()} on {HERE}, since 20" in told
        assert "--retry-lock 5m" in told
        assert "runsync unlock" in told
        held.confirm()
        assert len(names(store)) == 1
    with second(store, "prune"):
        assert len(names(store)) == 1


def test_with_patience_a_lock_is_waited_for(store: Store) -> None:
    entered = threading.Event()
    leave_now = threading.Event()

    def hold() -> None:
        with shared(store, "export"):
            entered.set()
            leave_now.wait(300)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(300)
    threading.Timer(0.5, leave_now.set).start()
    with exclusive(store, "prune", patience=30) as lock:
        assert leave_now.is_set()
        lock.confirm()
    thread.join()


def test_patience_has_an_end(store: Store) -> None:
    with shared(store, "export"):
        begun = time.monotonic()
        with pytest.raises(BundleLocked), exclusive(store, "prune", patience=0.6):
            pass
        assert time.monotonic() - begun >= 0.6


def other(**fields: Any) -> Process:
    return dataclasses.replace(here(), **fields)


CANNOT_TELL = {
    "another boot": other(boot="0" * 32, pid=GONE.pid),
    "another pid namespace on this machine": other(namespace="4026532999-4026531834", pid=GONE.pid),
    "a system that tells nothing": Process(GONE.pid),
}


@pytest.mark.parametrize("left", [GONE, other(started=1)], ids=["gone", "its id was given to another process"])
@pytest.mark.parametrize("name", [EXCLUSIVE, "locks/shared-0123456789abcdef.json"])
def test_a_lock_of_a_process_that_is_gone_keeps_nobody_off_and_is_removed(
    store: Store, name: str, left: Process
) -> None:
    leave(store, name, left)
    with exclusive(store, "prune") as lock:
        lock.confirm()
        assert names(store) == [EXCLUSIVE]
    assert names(store) == []
    leave(store, EXCLUSIVE, left)
    with shared(store, "export") as lock:
        lock.confirm()
        assert EXCLUSIVE not in names(store)
    assert names(store) == []


@pytest.mark.parametrize("clock", [-86400, 0, 86400], ids=["a day behind", "the same clock", "a day ahead"])
@pytest.mark.parametrize("left", CANNOT_TELL.values(), ids=CANNOT_TELL)
def test_a_lock_of_a_process_that_may_run_stands_whatever_its_clock_says(
    tmp_path: Path, left: Process, clock: int
) -> None:
    store = locate(tmp_path / "bundle").store
    leave(store, EXCLUSIVE, left, clock=clock)
    for take in (shared, exclusive):
        with pytest.raises(BundleLocked, match="locked by prune of process"), take(store, "export"):
            pass
    assert unlock(store) == []
    assert names(store) == [EXCLUSIVE]


def age(store: Store, name: str, seconds: float) -> None:
    """As if a lock had been written so long ago by the clock of the store."""
    assert isinstance(store, LocalStore)
    then = time.time() - seconds
    os.utime(store.folder / name, (then, then))


@pytest.mark.parametrize("take", [shared, exclusive])
def test_a_lock_that_looks_abandoned_is_watched_for_its_lifetime_and_then_taken_over(
    tmp_path: Path, take: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    store = locate(tmp_path / "bundle").store
    leave(store, EXCLUSIVE, ELSEWHERE, lifetime=1)
    age(store, EXCLUSIVE, 2)
    begun = time.monotonic()
    with take(store, "export") as lock:
        assert time.monotonic() - begun >= 1
        lock.confirm()
    assert names(store) == []
    (told,) = caplog.messages
    assert "which did not refresh its lock for a while: watching it for up to 1 s" in told


def test_a_lock_that_is_refreshed_while_it_is_watched_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = locate(tmp_path / "bundle").store
    leave(store, EXCLUSIVE, ELSEWHERE)
    age(store, EXCLUSIVE, 400)
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:  # it wakes up
            store.remove(EXCLUSIVE)
            leave(store, EXCLUSIVE, ELSEWHERE)

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(BundleLocked), shared(store, "export"):
        pass
    assert len(looks) == 3
    assert names(store) == [EXCLUSIVE]


def test_time_in_which_this_machine_slept_is_not_watched_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = locate(tmp_path / "bundle").store
    leave(store, EXCLUSIVE, ELSEWHERE)
    found = list(standing(store))
    watch, now = Watch(), [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for passed in (0, 1, 3600, 1):
        now[0] += passed
        watch.look(found)
    assert watch.left(found[0]) > 290


def test_a_lock_of_another_process_that_runs_but_does_not_refresh_it_is_taken_over_like_one_from_elsewhere(
    tmp_path: Path,
) -> None:
    """It stands still, or has done with the bundle, and S3 carried out its write too late."""
    store = locate(tmp_path / "bundle").store
    with subprocess.Popen(["sleep", "600"]) as other_process:
        started = Process(other_process.pid, here().boot, here().namespace, _start_of(other_process.pid) or 0)
        assert started.is_running
        leave(store, EXCLUSIVE, started, lifetime=1)
        for take in (shared, exclusive):
            with pytest.raises(BundleLocked), take(store, "export"):
                pass
        assert unlock(store) == []
        age(store, EXCLUSIVE, 2)
        with shared(store, "export") as lock:
            lock.confirm()
        other_process.kill()
    assert names(store) == []


@pytest.mark.parametrize("take", [shared, exclusive])
def test_a_lock_that_comes_back_after_its_process_gave_it_back_keeps_that_process_from_nothing(
    store: Store, take: Callable[..., Any]
) -> None:
    with exclusive(store, "prune"):
        content = store.read(EXCLUSIVE)
        late = next(standing(store))
        assert not late.holder.is_done
    store.create(EXCLUSIVE, content)
    with take(store, "export") as lock:
        lock.confirm()
    assert names(store) == []
    store.create(EXCLUSIVE, content)
    assert [one.id for one in unlock(store)] == [late.holder.id]
    assert names(store) == []


def test_a_lock_of_the_first_releases_is_watched_for_half_an_hour(tmp_path: Path) -> None:
    store = locate(tmp_path / "bundle").store
    leave(store, EXCLUSIVE, Process(GONE.pid), lifetime=None)
    (found,) = standing(store)
    assert Watch().left(found) == 1800


def leave_takeover(store: Store, process: Process) -> None:
    """A process was killed between announcing that it removes a stale lock, and removing it."""
    leave(store, EXCLUSIVE)
    (stale,) = standing(store)
    leave(store, takeover_of(stale), process, verb="removal of a stale lock")


@pytest.mark.parametrize("take", [shared, exclusive])
def test_a_process_killed_while_it_removed_a_stale_lock_keeps_nobody_off(
    store: Store, take: Callable[..., Any]
) -> None:
    leave_takeover(store, GONE)
    with take(store, "prune") as lock:
        lock.confirm()
    assert [name for name in names(store) if name != EXCLUSIVE] == []


def test_unlock_removes_also_what_a_killed_removal_left(store: Store) -> None:
    leave_takeover(store, GONE)
    leave_takeover_of_another = [each.holder.verb for each in standing(store)]
    assert sorted(one.verb for one in unlock(store)) == sorted(leave_takeover_of_another)
    assert names(store) == []


def test_a_removal_under_way_elsewhere_is_not_disturbed(store: Store) -> None:
    leave_takeover(store, ELSEWHERE)
    with pytest.raises(BundleLocked, match="removal of a stale lock of process 1"), shared(store, "export"):
        pass
    assert len(names(store)) == 2


def test_a_lock_is_refreshed_while_it_is_held(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "REFRESH", 0.2)
    with exclusive(store, "prune") as lock:
        (first,) = holders(store).values()
        deadline = time.monotonic() + 300
        while next(iter(holders(store).values())).refreshed_at == first.refreshed_at:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (later,) = holders(store).values()
        assert (later.id, later.created_at) == (first.id, first.created_at)
        lock.confirm()
    time.sleep(0.5)
    assert names(store) == []


def test_who_lost_a_lock_is_told_and_does_not_take_the_next_holders(store: Store) -> None:
    with exclusive(store, "prune") as lost:
        store.remove(EXCLUSIVE)
        with pytest.raises(BundleLocked, match="removed the lock of this command"):
            lost.confirm()
        with exclusive(store, "other") as held:
            with pytest.raises(BundleLocked):
                lost.confirm()
            lost.release()
            held.confirm()


def test_a_refresher_does_not_bring_back_a_lock_that_was_taken_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "REFRESH", 1.0)
    with exclusive(store, "prune"):
        unlock(store, everything=True)
        time.sleep(1.5)
        assert names(store) == []


GARBAGE = [
    b"",
    b"\xff\xfe",
    b"{}",
    b"[1]",
    orjson.dumps(
        {
            "format": "runsync-lock",
            "version": 1,
            "id": "0" * 32,
            "exclusive": True,
            "verb": "prune",
            "host": "h",
            "pid": 1,
            "created_at": "then",
            "refreshed_at": "some day",
            "tool_version": "1",
        }
    ),
]


@pytest.mark.parametrize("content", GARBAGE, ids=["empty", "no text", "no lock", "a list", "no time"])
def test_a_lock_file_of_garbage_holds_others_off_until_it_was_watched(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = locate(tmp_path / "bundle").store
    store.create(EXCLUSIVE, content)
    for take in (shared, exclusive):
        with pytest.raises(BundleLocked, match=r"locked by an unknown command, since 20[^+]*Z:"), take(store, "export"):
            pass
    assert unlock(store) == []
    age(store, EXCLUSIVE, 1801)
    monkeypatch.setattr(holder.Watch, "left", lambda self, standing: 0.0)
    with exclusive(store, "prune") as lock:
        lock.confirm()
    assert names(store) == []


def test_unlock_removes_what_is_stale_and_all_when_asked(store: Store) -> None:
    leave(store, EXCLUSIVE)
    leave(store, "locks/shared-0123456789abcdef.json", ELSEWHERE, verb="export")
    assert [one.verb for one in unlock(store)] == ["prune"]
    assert [one.verb for one in holders(store).values()] == ["export"]
    assert [one.pid for one in unlock(store, everything=True)] == [1]
    assert names(store) == []


def test_who_saw_a_stale_lock_does_not_take_away_the_one_that_was_made_in_its_place(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(store, EXCLUSIVE)
    look = standing
    with ExitStack() as quicker:

        def look_too_early(store: Store) -> list[Standing]:
            seen = list(look(store))
            monkeypatch.setattr(locks, "standing", look)
            quicker.lock = quicker.enter_context(exclusive(store, "quicker"))  # type: ignore[attr-defined]
            return seen

        monkeypatch.setattr(locks, "standing", look_too_early)
        with pytest.raises(BundleLocked), exclusive(store, "slower"):
            pass
        quicker.lock.confirm()  # type: ignore[attr-defined]
        assert names(store) == [EXCLUSIVE]
    assert names(store) == []


def test_of_many_threads_that_want_a_bundle_alone_each_has_it_alone(store: Store) -> None:
    """Also when they begin at a lock that a dead process left, which all of them want to remove."""
    leave(store, EXCLUSIVE)
    inside: list[int] = []
    overlaps: list[list[int]] = []
    done: list[int] = []

    def work(number: int) -> None:
        with exclusive(store, "prune", patience=60) as lock:
            inside.append(number)
            time.sleep(0.02)
            if inside != [number]:
                overlaps.append(list(inside))
            lock.confirm()
            inside.remove(number)
            done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == []
    assert sorted(done) == list(range(6))
    assert names(store) == []


def test_a_writer_and_prune_are_never_in_at_once(store: Store) -> None:
    inside: list[str] = []
    wrong: list[list[str]] = []

    def work(take: Callable[..., Any], verb: str) -> None:
        for _ in range(2):
            with take(store, verb, patience=60):
                inside.append(verb)
                time.sleep(0.02)
                seen = list(inside)
                if "prune" in seen and len(seen) > 1:
                    wrong.append(seen)
                inside.remove(verb)

    with ExitStack() as stack:
        for take, verb in [(shared, "export"), (shared, "copy"), (exclusive, "prune")]:
            thread = threading.Thread(target=work, args=(take, verb))
            thread.start()
            stack.callback(thread.join)
    assert wrong == []
    assert names(store) == []


CONTENDER = """
import os, sys, time
from pathlib import Path
from runsync.bundle import holder, locks
from runsync.bundle.address import locate
holder.LOOK_AGAIN = 0.02
folder, inside = sys.argv[1:]
store = locate(folder).store
for _ in range(5):
    with locks.exclusive(store, "prune", 60) as lock:
        os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
        time.sleep(0.01)
        lock.confirm()
        os.unlink(inside)
"""


@pytest.mark.long
def test_of_many_processes_that_want_a_bundle_alone_each_has_it_alone(tmp_path: Path) -> None:
    store = locate(tmp_path / "bundle").store
    leave(store, EXCLUSIVE)
    arguments = [sys.executable, "-c", CONTENDER, str(tmp_path / "bundle"), str(tmp_path / "inside")]
    started = [subprocess.Popen(arguments, stderr=subprocess.PIPE, encoding="utf-8") for _ in range(4)]
    ended = [(process.communicate(timeout=300)[1], process.returncode) for process in started]
    assert ended == [("", 0)] * 4
    assert names(store) == []


def test_a_process_that_was_killed_keeps_nobody_off(tmp_path: Path) -> None:
    program = CONTENDER.replace("time.sleep(0.01)", "print('in', flush=True); time.sleep(60)")
    arguments = [sys.executable, "-c", program, str(tmp_path / "bundle"), str(tmp_path / "inside")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        store = locate(tmp_path / "bundle").store
        with pytest.raises(BundleLocked), shared(store, "export"):
            pass
        process.kill()
    with shared(store, "export") as lock:
        lock.confirm()


def test_a_lock_held_in_another_container_of_this_host_name_stands(tmp_path: Path) -> None:
    """Its process cannot be seen from here, and its id may be that of another process, or of none."""
    program = CONTENDER.replace("time.sleep(0.01)", "print('in', flush=True); time.sleep(60)")
    container = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    arguments = [*container, sys.executable, "-c", program, str(tmp_path / "bundle"), str(tmp_path / "inside")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8") as process:
        assert process.stdout is not None
        if process.stdout.readline() != "in\n":
            pytest.skip("only root may make namespaces")
        store = locate(tmp_path / "bundle").store
        for take in (shared, exclusive):
            with pytest.raises(BundleLocked), take(store, "export"):
                pass
        assert unlock(store) == []
        process.kill()


def test_a_machine_that_slept_while_it_deleted_looks_at_its_lock_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = locate(tmp_path / "bundle").store
    with exclusive(store, "prune") as lock:
        lock.confirm()
        store.remove(EXCLUSIVE)
        lock.confirm_lately()  # that was a moment ago
        now = time.clock_gettime(locks._CLOCK)
        monkeypatch.setattr(time, "clock_gettime", lambda clock: now + 3600)
        with pytest.raises(BundleLocked, match="removed the lock of this command"):
            lock.confirm_lately()
