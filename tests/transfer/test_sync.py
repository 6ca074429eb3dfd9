"""sync: all arrives straight through, and again only what has changed."""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Pair, Runner
from support.oracle import assert_same
from support.proxy import FaultProxy, Rule, kill_after
from support.rich import Facts, rich_workspace, small_workspace
from support.seed import Seeder, points

from transfer.commands import NEWEST, copies_of, export, import_, read, reads_of_contents, sync, verify, writes
from transfer.database import START
from transfer.test_killed import killed_at

Start = Callable[..., "subprocess.Popen[str]"]
Make = Callable[[Seeder, str], Facts]

NOTHING = {"created": 0, "updated": 0, "failed": 0}


def trained(seeder: Seeder, home: str, name: str, start_time: int = START) -> str:
    """A finished run with points and a file."""
    run_id = seeder.create_run(home, name, start_time=start_time)
    points(seeder, run_id, "loss", 3)
    seeder.put_artifact(run_id, "model/weights.bin", f"weights of {name}\n".encode())
    seeder.finish(run_id)
    return run_id


def asked_of(proxy: FaultProxy, runs: dict[str, str]) -> set[str]:
    """The names of the runs whose contents were read."""
    return {name for name, run_id in runs.items() for line in reads_of_contents(proxy) if run_id in line}


@pytest.mark.parametrize("pair", ["3-to-2", pytest.param("3-to-3", marks=pytest.mark.slow)], indirect=True)
def test_a_rich_workspace_arrives_whole_and_again_nothing_is_written(
    pair: Pair, seeder: Seeder, prefix: str, runsync: Runner
) -> None:
    facts = rich_workspace(seeder, prefix)
    with FaultProxy(pair.source.url) as source, FaultProxy(pair.target.url) as target:
        first = sync(runsync, source.url, target.url, facts.pattern, "--verify-artifacts")
        assert first["runs"] == {**NOTHING, "created": len(facts.runs), "unchanged": 0}
        told = (first["metric_points"], first["artifacts"], first["artifact_bytes"])
        assert told == (facts.points, facts.artifacts, facts.artifact_bytes)
        assert first["id_map"]["runs"].keys() == set(facts.runs.values())
        assert all("bundle" not in each["why"] for each in first["not_carried"])
        assert_same(pair.source.url, pair.target.url, [facts.pattern])

        for proxy in (source, target):
            proxy.clear()
        second = sync(runsync, source.url, target.url, facts.pattern)
        assert writes(source) == writes(target) == []
        # Runs that are still running are looked at: a point may have come behind their latest one.
        running = {name for name, id in facts.runs.items() if seeder.get_run(id)["info"]["status"] == "RUNNING"}
        assert asked_of(source, facts.runs) <= running - facts.deleted_runs
    assert second["runs"] == {**NOTHING, "unchanged": len(facts.runs)}
    assert second["experiments"] == {**NOTHING, "unchanged": len(facts.experiments)}
    assert second["id_map"] == first["id_map"]
    verify(runsync, pair.source.url, pair.target.url, facts.pattern, "--verify-artifacts")


@NEWEST
def test_only_runs_that_changed_are_read_and_written(pair: Pair, seeder: Seeder, prefix: str, runsync: Runner) -> None:
    home = seeder.create_experiment(prefix + "many")
    runs = {f"run {n}": trained(seeder, home, f"run {n}", START + n) for n in range(5)}
    with FaultProxy(pair.source.url) as source, FaultProxy(pair.target.url) as target:
        new = sync(runsync, source.url, target.url, prefix + "*")["id_map"]["runs"]
        for proxy in (source, target):
            proxy.clear()
        sync(runsync, source.url, target.url, prefix + "*")
        assert (writes(target), asked_of(source, runs), reads_of_contents(target)) == ([], set(), [])

        points(seeder, runs["run 3"], "loss", 2, first_step=3, first_time=START + 3)
        seeder.put_artifact(runs["run 3"], "model/more.bin", b"more\n")
        seeder.set_tag(runs["run 1"], "stage", "production")
        for proxy in (source, target):
            proxy.clear()
        told = sync(runsync, source.url, target.url, prefix + "*")
        assert asked_of(source, runs) == {"run 1", "run 3"}
        assert asked_of(target, {name: new[run_id] for name, run_id in runs.items()}) <= {"run 1", "run 3"}
        uploads = target.seen("mlflow-artifacts", "PUT")
        assert [upload.path.rsplit("/", 1)[-1] for upload in uploads] == ["more.bin"]
    assert told["runs"] == {**NOTHING, "updated": 2, "unchanged": 3}
    assert (told["metric_points"], told["artifacts"]) == (2, 1)
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@NEWEST
def test_a_file_replaced_in_place_is_brought_with_the_change_of_its_run_or_by_thorough(
    pair: Pair, seeder: Seeder, prefix: str, runsync: Runner
) -> None:
    home = seeder.create_experiment(prefix + "hidden")
    runs = [trained(seeder, home, name) for name in ("touched", "untouched")]
    for run_id in runs:
        seeder.put_artifact(run_id, "replaced.txt", b"one way\n")
    sync(runsync, pair.source.url, pair.target.url, prefix + "*")
    for run_id in runs:
        seeder.put_artifact(run_id, "replaced.txt", b"another\n")
        seeder.log_batch(run_id, metrics=[("loss", 0.5, START - 5, -5)])
    seeder.set_tag(runs[0], "touched", "yes")
    told = sync(runsync, pair.source.url, pair.target.url, prefix + "*")
    assert (told["runs"]["updated"], told["metric_points"], told["artifacts"]) == (1, 1, 1)
    told = sync(runsync, pair.source.url, pair.target.url, prefix + "*", "--thorough")
    assert told["runs"] == {**NOTHING, "updated": 1, "unchanged": 1}
    assert (told["metric_points"], told["artifacts"]) == (1, 1)
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])
    with FaultProxy(pair.target.url) as proxy:
        sync(runsync, pair.source.url, proxy.url, prefix + "*", "--thorough")
        assert writes(proxy) == []


@NEWEST
def test_a_running_run_is_looked_at_until_it_has_ended(
    pair: Pair, seeder: Seeder, prefix: str, runsync: Runner
) -> None:
    run_id = seeder.create_run(seeder.create_experiment(prefix + "live"), "live")
    points(seeder, run_id, "loss", 5)
    seeder.put_artifact(run_id, "first.txt", b"1\n")
    sync(runsync, pair.source.url, pair.target.url, prefix + "*")
    seeder.log_batch(run_id, metrics=[("loss", 0.5, START - 5, -5)])
    seeder.put_artifact(run_id, "second.txt", b"2\n")
    told = sync(runsync, pair.source.url, pair.target.url, prefix + "*")
    assert (told["runs"]["updated"], told["metric_points"], told["artifacts"]) == (1, 1, 1)
    seeder.finish(run_id)
    sync(runsync, pair.source.url, pair.target.url, prefix + "*")
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])
    with FaultProxy(pair.source.url) as proxy:
        sync(runsync, proxy.url, pair.target.url, prefix + "*")
        assert reads_of_contents(proxy) == []


@NEWEST
def test_import_and_sync_find_each_others_runs_whole(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    facts = small_workspace(seeder, prefix)
    first = sync(runsync, pair.source.url, pair.target.url, facts.pattern)
    export(runsync, pair.source.url, bundle, facts.pattern)
    with FaultProxy(pair.target.url) as proxy:
        imported = import_(runsync, bundle, proxy.url)
        assert writes(proxy) == []
        again = sync(runsync, pair.source.url, proxy.url, facts.pattern)
        assert writes(proxy) == []
    assert imported["id_map"] == again["id_map"] == first["id_map"]


@NEWEST
def test_artifacts_left_out_at_first_are_brought_by_a_later_sync(
    pair: Pair, seeder: Seeder, prefix: str, runsync: Runner
) -> None:
    run_id = trained(seeder, seeder.create_experiment(prefix + "files"), "files")
    sync(runsync, pair.source.url, pair.target.url, prefix + "*", "--no-artifacts")
    (copy,) = read(pair.target.url, prefix + "*").runs.values()
    assert copy["artifacts"] == {}
    sync(runsync, pair.source.url, pair.target.url, prefix + "*")
    seeder.set_tag(run_id, "late", "yes")
    seeder.put_artifact(run_id, "late.txt", b"late\n")
    sync(runsync, pair.source.url, pair.target.url, prefix + "*", "--no-artifacts")
    told = sync(runsync, pair.source.url, pair.target.url, prefix + "*")
    assert told["artifacts"] == 1
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@NEWEST
def test_runs_come_home_and_what_is_native_there_stays(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, runsync: Runner
) -> None:
    facts = small_workspace(seeder, prefix)
    before = read(pair.source.url, facts.pattern)
    there = sync(runsync, pair.source.url, pair.target.url, facts.pattern)["id_map"]
    own = receiver.create_run(there["experiments"][facts.experiments[prefix + "main"]], "their own")
    untouched = read(pair.target.url, facts.pattern).runs[own]

    home = sync(runsync, pair.target.url, pair.source.url, facts.pattern)
    assert set(facts.runs.values()) < set(home["id_map"]["runs"].values())
    assert home["runs"]["created"] == 1
    after = read(pair.source.url, facts.pattern)
    copied = home["id_map"]["runs"][own]
    assert {run_id: run for run_id, run in after.runs.items() if run_id != copied} == before.runs

    with FaultProxy(pair.source.url) as proxy:
        sync(runsync, pair.target.url, proxy.url, facts.pattern)
        assert writes(proxy) == []
    sync(runsync, pair.source.url, pair.target.url, facts.pattern)
    found = read(pair.target.url, facts.pattern).runs
    assert found[own] == untouched
    assert len(found) == len(facts.runs) + 1


@NEWEST
def test_a_workspace_is_not_synced_onto_itself(pair: Pair, seeder: Seeder, prefix: str, runsync: Runner) -> None:
    trained(seeder, seeder.create_experiment(prefix + "original"), "run")
    seeder.create_experiment(prefix + "x")
    before = read(pair.source.url, prefix + "*")
    other_spelling = pair.source.url.replace("127.0.0.1", "localhost")
    for target, options in ((pair.source.url, ()), (other_spelling, ("--rename", f"{prefix}x={prefix}y"))):
        done = runsync("sync", pair.source.url, target, "--experiment", prefix + "*", *options)
        assert (done.returncode, done.stdout) == (2, "")
        assert "same workspace" in done.stderr
    assert read(pair.source.url, prefix + "*") == before
    copied = sync(runsync, pair.source.url, other_spelling, prefix + "original", "--prefix", prefix + "copy of ")
    assert copied["runs"]["created"] == 1
    name = f"{prefix}copy of {prefix}original"
    assert_same(pair.source.url, pair.source.url, [prefix + "original"], rename=lambda _: name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "times", "requests"),
    [pytest.param(small_workspace, 2, 80, id="twice"), pytest.param(rich_workspace, 10, 300, id="10 times")],
)
@NEWEST
def test_a_killed_sync_goes_on_without_duplicates(
    pair: Pair,
    seeder: Seeder,
    prefix: str,
    runsync: Runner,
    start_runsync: Start,
    make: Make,
    times: int,
    requests: int,
) -> None:
    facts = make(seeder, prefix)
    chance = random.Random(times)
    processes: list[subprocess.Popen[str]] = []
    killed = 0
    uploads: list[str] = []
    with FaultProxy(pair.target.url) as proxy:
        for _ in range(times):
            proxy.clear()
            proxy.add(killed_at(processes, chance.randrange(4, 10 + requests // times), chance))
            processes.append(start_runsync("sync", pair.source.url, proxy.url, "--experiment", facts.pattern))
            killed += processes[-1].wait(300) == -signal.SIGKILL
            uploads += [r.path for r in proxy.seen("mlflow-artifacts", "PUT") if r.status == 200]
        proxy.clear()
        # A run that is deleted at the source, if the kill came between its mark and its deletion, is left to --delete.
        sync(runsync, pair.source.url, proxy.url, facts.pattern, "--delete", "--max-delete", "100%")
        uploads += [request.path for request in proxy.seen("mlflow-artifacts", "PUT")]
    assert killed >= times // 2
    assert len(uploads) == len(set(uploads))
    assert_same(pair.source.url, pair.target.url, [facts.pattern])
    assert sync(runsync, pair.source.url, pair.target.url, facts.pattern)["runs"]["unchanged"] == len(facts.runs)
    assert all(len(ids) == 1 for ids in copies_of(read(pair.target.url, facts.pattern, artifacts=False)).values())


@NEWEST
def test_a_sync_that_is_asked_to_stop_does_so_at_once_and_says_so(
    pair: Pair, seeder: Seeder, prefix: str, runsync: Runner, start_runsync: Start
) -> None:
    home = seeder.create_experiment(prefix + "few")
    for name in "abc":
        trained(seeder, home, name)
    processes: list[subprocess.Popen[str]] = []

    def stop() -> None:
        processes[-1].send_signal(signal.SIGTERM)
        time.sleep(0.3)

    with FaultProxy(pair.target.url, Rule(kill_after(stop), "log-batch", after=1)) as proxy:
        processes.append(start_runsync("sync", pair.source.url, proxy.url, "--experiment", prefix + "*"))
        stdout, stderr = processes[-1].communicate(timeout=300)
    assert processes[-1].returncode == 130, stdout + stderr
    assert "Traceback" not in stdout + stderr
    assert len(stderr.strip().splitlines()) == 1
    sync(runsync, pair.source.url, pair.target.url, prefix + "*")
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@NEWEST
def test_a_dry_run_tells_what_a_sync_would_do_and_writes_nothing(
    pair: Pair, seeder: Seeder, prefix: str, runsync: Runner
) -> None:
    facts = small_workspace(seeder, prefix)
    with FaultProxy(pair.target.url) as proxy:
        planned = sync(runsync, pair.source.url, proxy.url, facts.pattern, "--dry-run")
        assert writes(proxy) == []
    done = sync(runsync, pair.source.url, pair.target.url, facts.pattern)
    assert planned["dry_run"]
    for kind in ("experiments", "runs", "not_carried"):
        assert planned[kind] == done[kind]
