"""sync and what was deleted at the source: told always, followed only when asked, and never too much of it."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from conftest import Pair, Runner
from support.oracle import assert_same
from support.proxy import FaultProxy
from support.seed import Seeder
from support.servers import MlflowServer

from transfer.commands import NEWEST, Report, read, sync, writes
from transfer.database import START, Database

FOLLOWED = ("--delete", "--max-delete", "100%")


@pytest.fixture
def runs(pair: Pair, seeder: Seeder, prefix: str) -> dict[str, str]:
    """Ten finished runs of one experiment, by name."""
    home = seeder.create_experiment(prefix + "ten")
    database, names = Database(pair.source), [f"run {n}" for n in range(10)]
    ids = database.add_runs(home, [(name, START + n) for n, name in enumerate(names)])
    for run_id in ids:
        database.add_points(run_id, "loss", [(START, 0, 0.5), (START + 1, 1, 0.25)])
    return dict(zip(names, ids, strict=True))


def deletions(report: Report, kind: str = "runs") -> dict[str, Any]:
    """What a report says of deletions that were not followed; empty when it says nothing."""
    told = [each for each in report["not_carried"] if each["what"] == f"deletions of {kind}"]
    assert len(told) < 2
    return told[0] if told else {}


def states(url: str, prefix: str) -> dict[str, str]:
    """The lifecycle stage of all runs, by name."""
    found = read(url, prefix + "*", artifacts=False).runs.values()
    return {run["info"]["run_name"]: run["info"]["lifecycle_stage"] for run in found}


def deleted(url: str, prefix: str) -> set[str]:
    return {name for name, stage in states(url, prefix).items() if stage == "deleted"}


@NEWEST
def test_deletions_are_told_and_not_followed(
    pair: Pair, seeder: Seeder, prefix: str, runs: dict[str, str], runsync: Runner
) -> None:
    sync(runsync, pair.source.url, pair.target.url, prefix + "*")
    seeder.delete_run(runs["run 4"])
    Database(pair.source).purge(runs["run 5"])
    with FaultProxy(pair.target.url) as proxy:
        for options in (("--dry-run",), ()):
            told = sync(runsync, pair.source.url, proxy.url, prefix + "*", *options)
            left = deletions(told)
            assert (left["count"], [name.split(" (")[0] for name in left["names"]]) == (2, ["run 4", "run 5"])
            assert "--delete" in left["why"]
            assert told["runs"]["unchanged"] == 9
        assert writes(proxy) == []
    assert deleted(pair.target.url, prefix) == set()
    shown = runsync("sync", pair.source.url, pair.target.url, "--experiment", prefix + "*")
    assert shown.returncode == 0
    assert "deletions of runs" in shown.stdout


@NEWEST
def test_deletions_are_followed_when_asked_and_so_are_restorations(
    pair: Pair, seeder: Seeder, prefix: str, runs: dict[str, str], runsync: Runner
) -> None:
    sync(runsync, pair.source.url, pair.target.url, prefix + "*")
    seeder.delete_run(runs["run 4"])
    Database(pair.source).purge(runs["run 5"])
    with FaultProxy(pair.source.url) as other_address:
        told = sync(runsync, other_address.url, pair.target.url, prefix + "*", *FOLLOWED)
        assert deletions(told)["count"] == 1  # of the purged run nothing is known but that it came from elsewhere
        assert deleted(pair.target.url, prefix) == set()

    asked = (prefix + "*", "--delete", "--max-delete", "2")
    with FaultProxy(pair.target.url) as proxy:
        planned = sync(runsync, pair.source.url, proxy.url, *asked, "--dry-run")
        assert writes(proxy) == []
        told = sync(runsync, pair.source.url, proxy.url, *asked)
        assert len(proxy.seen(r"runs/delete\?")) == 2
        assert not [line for line in writes(proxy) if "restore" in line or "log-batch" in line]
    for report, word in ((planned, "would be deleted"), (told, "deleted in the target")):
        (note,) = report["notes"]
        assert all(part in note for part in ("2 runs", word, "run 4", "run 5"))
    assert not deletions(told)
    assert deleted(pair.target.url, prefix) == {"run 4", "run 5"}
    with FaultProxy(pair.target.url) as proxy:
        again = sync(runsync, pair.source.url, proxy.url, *asked)
        assert (writes(proxy), again["notes"]) == ([], [])

    seeder.restore_run(runs["run 4"])
    sync(runsync, pair.source.url, pair.target.url, *asked)
    assert deleted(pair.target.url, prefix) == {"run 5"}


@NEWEST
def test_too_many_deletions_stop_a_sync_before_it_writes_anything(
    pair: Pair, seeder: Seeder, prefix: str, runs: dict[str, str], runsync: Runner
) -> None:
    sync(runsync, pair.source.url, pair.target.url, prefix + "*")
    for name in ("run 1", "run 2"):
        seeder.delete_run(runs[name])
    seeder.set_tag(runs["run 3"], "changed", "yes")
    with FaultProxy(pair.target.url) as proxy:
        for most in ((), ("--max-delete", "19%"), ("--max-delete", "1"), ("--max-delete", "0")):
            asked = ("--experiment", prefix + "*", "--delete", *most)
            done = runsync("sync", pair.source.url, proxy.url, *asked)
            assert (done.returncode, done.stdout) == (4, "")
            for part in ("2 of 10 active copies", f"--max-delete {most[1] if most else '10%'}", "nothing was written"):
                assert part in done.stderr
        assert writes(proxy) == []
    sync(runsync, pair.source.url, pair.target.url, prefix + "*", "--delete", "--max-delete", "20%")
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@NEWEST
def test_only_copies_from_that_very_source_are_ever_deleted(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, runs: dict[str, str], runsync: Runner
) -> None:
    told = sync(runsync, pair.source.url, pair.target.url, prefix + "*")
    there = told["id_map"]["experiments"]
    (home,) = there.values()
    own = receiver.create_run(home, "their own")
    receiver.finish(own)
    # The copies are deleted in the target, and then that is synced home: there the runs are native.
    for copy in list(told["id_map"]["runs"].values())[:3]:
        receiver.delete_run(copy)
    told = sync(runsync, pair.target.url, pair.source.url, prefix + "*", *FOLLOWED)
    assert deletions(told)["count"] == 3
    assert deleted(pair.source.url, prefix) == set()

    # And with its experiment, a run of the target's own does not go.
    seeder.delete_experiment(next(iter(there)))
    told = sync(runsync, pair.source.url, pair.target.url, prefix + "*", *FOLLOWED)
    assert states(pair.target.url, prefix) == {**dict.fromkeys(runs, "deleted"), "their own": "active"}
    assert deletions(told, "experiments")["count"] == 1
    assert read(pair.target.url, prefix + "*").experiments[prefix + "ten"]["lifecycle_stage"] == "active"


@NEWEST
def test_an_experiment_that_was_deleted_is_told_then_followed_and_comes_back(
    pair: Pair, seeder: Seeder, prefix: str, runs: dict[str, str], runsync: Runner
) -> None:
    (home,) = sync(runsync, pair.source.url, pair.target.url, prefix + "*")["id_map"]["experiments"]
    seeder.delete_run(runs["run 0"])
    sync(runsync, pair.source.url, pair.target.url, prefix + "*", "--delete")
    seeder.delete_experiment(home)
    with FaultProxy(pair.target.url) as proxy:
        told = sync(runsync, pair.source.url, proxy.url, prefix + "*")
        assert (deletions(told)["count"], deletions(told, "experiments")["count"]) == (9, 1)
        assert runsync("sync", pair.source.url, proxy.url, "--experiment", prefix + "*", "--delete").returncode == 4
        assert writes(proxy) == []
    told = sync(runsync, pair.source.url, pair.target.url, prefix + "*", *FOLLOWED)
    assert [note.split(" deleted")[0] for note in told["notes"]] == ["9 runs", "1 experiment"]
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])
    assert runsync("experiments", "restore", pair.target.url, prefix + "ten", "--yes").returncode == 0
    assert deleted(pair.target.url, prefix) == {"run 0"}  # as it was before the experiment
    sync(runsync, pair.source.url, pair.target.url, prefix + "*", *FOLLOWED)
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])
    seeder.restore_experiment(home)
    seeder.delete_run(runs["run 9"])
    sync(runsync, pair.source.url, pair.target.url, prefix + "*", *FOLLOWED)
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])
    with FaultProxy(pair.target.url) as proxy:
        sync(runsync, pair.source.url, proxy.url, prefix + "*", *FOLLOWED)
        assert writes(proxy) == []


@NEWEST
def test_what_was_merged_in_from_another_experiment_is_not_taken_for_gone(
    pair: Pair, seeder: Seeder, prefix: str, runs: dict[str, str], runsync: Runner
) -> None:
    other = seeder.create_run(seeder.create_experiment(prefix + "other"), "from elsewhere")
    seeder.finish(other)
    for name in ("ten", "other"):
        sync(runsync, pair.source.url, pair.target.url, prefix + name, "--rename", f"{prefix}{name}={prefix}all")
    asked = (prefix + "ten", "--rename", f"{prefix}ten={prefix}all")
    with FaultProxy(pair.target.url) as proxy:
        told = sync(runsync, pair.source.url, proxy.url, *asked, *FOLLOWED)
        assert writes(proxy) == []
    assert not deletions(told)
    assert deleted(pair.target.url, prefix) == set()


@NEWEST
def test_delete_needs_to_see_all_runs(pair: Pair, runsync: Runner) -> None:
    wrong: Sequence[tuple[str, ...]] = [
        ("--run", "0" * 32),
        ("--filter", "metrics.loss > 1"),
        ("--since", "7d"),
        ("--until", "7d"),
        ("--state", "active"),
    ]
    for options in wrong:
        done = runsync("sync", pair.source.url, pair.target.url, "--delete", *options)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--delete needs all runs" in done.stderr
    for text in ("many", "-1", "101%", "10.5", "%"):
        done = runsync("sync", pair.source.url, pair.target.url, f"--max-delete={text}")
        assert done.returncode == 2
        assert f"“{text}” is neither" in done.stderr


@pytest.mark.slow  # two servers of its own, to be synced as a whole
def test_an_experiment_that_is_no_longer_there_is_told_and_followed(
    start_server: Callable[..., MlflowServer], runsync: Runner
) -> None:
    source, target = start_server(), start_server()
    for server in (source, target):
        server.wait()
    with Seeder(source.url) as seeder:
        homes = [seeder.create_experiment(name) for name in ("kept", "purged")]
        runs = [seeder.create_run(home, "run") for home in homes]
    sync(runsync, source.url, target.url)
    Database(source).purge(runs[1])
    Database(source).execute("DELETE FROM experiments WHERE experiment_id = ?", homes[1])
    told = sync(runsync, source.url, target.url)
    assert [name.split(" (")[0] for name in deletions(told, "experiments")["names"]] == ["purged"]
    assert sync(runsync, source.url, target.url, "--experiment", "kept", "--delete")["notes"] == []
    assert runsync("sync", source.url, target.url, "--delete").returncode == 4
    told = sync(runsync, source.url, target.url, *FOLLOWED)
    assert len(told["notes"]) == 2
    found = read(target.url, "*")
    assert {name: e["lifecycle_stage"] for name, e in found.experiments.items() if name != "Default"} == {
        "kept": "active",
        "purged": "deleted",
    }
    assert sorted(run["info"]["lifecycle_stage"] for run in found.runs.values()) == ["active", "deleted"]
