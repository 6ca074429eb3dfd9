"""What arrives: everything, exactly; and what cannot arrive is named."""

import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Pair, Runner
from support.oracle import assert_same
from support.rich import rich_workspace
from support.seed import Seeder, points

from transfer.commands import EACH_RELEASE, NEWEST, copies_of, export, import_, peak_memory, read, verify, without
from transfer.database import START, Database, Value


def climbing(count: int, first_step: int = 0) -> list[Value]:
    """Points a step and a second apart."""
    return [(START + 1000 * n, first_step + n, math.sin(n)) for n in range(count)]


# And from 3 to 2 in test_sync.
@pytest.mark.parametrize(
    "pair",
    [
        "2-to-default",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("2-to-3", "3-to-2", "3-to-3", "2-to-2")),
    ],
    indirect=True,
)
def test_a_rich_workspace_arrives_whole(pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner) -> None:
    facts = rich_workspace(seeder, prefix)
    source, target = pair.source.url, pair.target.url
    exported = export(runsync, source, bundle, facts.pattern)
    assert exported["runs"]["created"] == len(facts.runs)
    assert exported["experiments"]["created"] == len(facts.experiments)
    assert exported["metric_points"] == facts.points
    assert (exported["artifacts"], exported["artifact_bytes"]) == (facts.artifacts, facts.artifact_bytes)
    imported = import_(runsync, bundle, target, "--verify-artifacts")
    for count in ("metric_points", "artifacts", "artifact_bytes"):
        assert imported[count] == exported[count], count
    assert imported["id_map"]["runs"].keys() == set(facts.runs.values())
    assert_same(source, target, [facts.pattern])
    verified = verify(runsync, target, bundle, facts.pattern, "--verify-artifacts")
    assert (verified["runs"], verified["metric_points"]) == (len(facts.runs), facts.points)


@pytest.mark.parametrize("lengths", [(0, 1, 1000, 1001), pytest.param((25_000, 25_001), marks=pytest.mark.slow)])
@NEWEST
def test_histories_of_every_length_arrive(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner, lengths: tuple[int, ...]
) -> None:
    home = seeder.create_experiment(prefix + "lengths")
    database = Database(pair.source)
    for count in lengths:
        run_id = database.add_run(home, f"{count} points", start_time=START + count)
        if count:
            database.add_points(run_id, "loss", climbing(count))
    assert export(runsync, pair.source.url, bundle, prefix + "*")["metric_points"] == sum(lengths)
    assert import_(runsync, bundle, pair.target.url)["metric_points"] == sum(lengths)
    assert_same(pair.source.url, pair.target.url, [prefix + "*"], artifacts=False)


@pytest.mark.parametrize(
    "keys",
    [("by time only",), pytest.param(("by step", "by time only", "below zero"), marks=pytest.mark.slow)],
    ids=lambda keys: f"{len(keys)}",
)
@EACH_RELEASE
def test_no_history_is_cut_short_where_many_runs_share_a_key(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner, keys: tuple[str, ...]
) -> None:
    # The server's bulk call stops at 25,000 rows without a word, and the latest step need not tell how many there are.
    home = seeder.create_experiment(prefix + "shared key")
    database = Database(pair.source)
    every = {
        "by step": climbing(9_000),
        "by time only": [(START + n, -3, n / 7) for n in range(9_000)],
        "below zero": climbing(9_000, first_step=-9_000),
    }
    series = {key: every[key] for key in keys}
    runs = database.add_runs(home, [(f"run {n}", START + n) for n in range(3)])
    for run_id in runs:
        for key, values in series.items():
            database.add_points(run_id, key, values)
    alone = database.add_run(home, "one that is too long for a call")
    database.add_points(alone, "its own", climbing(25_001))
    assert export(runsync, pair.source.url, bundle, prefix + "*")["metric_points"] == 3 * len(keys) * 9_000 + 25_001
    wanted = {(run_id, key): values for run_id in runs for key, values in series.items()}
    assert stored_points(bundle) == wanted | {(alone, "its own"): climbing(25_001)}


def stored_points(bundle: Path) -> dict[tuple[str, str], list[Value]]:
    """All points in the bundle's parts, by run and key, in the order they lie there."""
    found: dict[tuple[str, str], list[Value]] = {}
    for part in bundle.glob("parts/*.parquet"):
        for row in pq.read_table(part).to_pylist():
            point = (row["timestamp"], row["step"], row["value"])
            found.setdefault((row["run_id"], row["key"]), []).append(point)
    return found


@pytest.mark.slow
@NEWEST
def test_a_million_points_of_one_key_arrive_in_little_memory(
    pair: Pair,
    seeder: Seeder,
    prefix: str,
    bundle: Path,
    runsync: Runner,
    tmp_path: Path,
) -> None:
    home = seeder.create_experiment(prefix + "million")
    database = Database(pair.source)
    run_id = database.add_run(home, "long")
    database.add_points(run_id, "loss", climbing(1_000_000))
    assert peak_memory("export", pair.source.url, bundle, "--experiment", prefix + "*") < 300
    (part,) = bundle.glob("parts/*.parquet")
    assert part.stat().st_size <= 15 * 1_000_000
    id_map = tmp_path / "ids.json"
    assert peak_memory("import", bundle, pair.target.url, "--id-map", id_map) < 300
    copy = json.loads(id_map.read_bytes())["runs"][run_id]
    assert Database(pair.target).points(copy, "loss") == database.points(run_id, "loss")
    assert import_(runsync, bundle, pair.target.url)["runs"]["unchanged"] == 1


@EACH_RELEASE
def test_a_param_longer_than_servers_take_is_named_and_never_cut(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    home = seeder.create_experiment(prefix + "long params")
    run_id = seeder.create_run(home, "long")
    seeder.log_batch(run_id, params={"fits": "f" * 6000, "short": "s"}, metrics=[("loss", 1.0, START, 0)])
    seeder.finish(run_id)
    Database(pair.source).set_param(run_id, "too long", "x" * 7000)
    export(runsync, pair.source.url, bundle, prefix + "*")
    told = import_(runsync, bundle, pair.target.url, code=3)
    (problem,) = told["problems"]
    assert (problem["run_id"], problem["kind"], problem["name"]) == (run_id, "param", "too long")
    assert "7000" in problem["reason"]
    ((_, copy),) = read(pair.target.url, prefix + "*").runs.items()
    assert copy["params"] == {"fits": "f" * 6000, "short": "s"}
    assert copy["info"]["status"] == "FINISHED"
    shown = runsync("import", bundle, pair.target.url)
    assert shown.returncode == 3
    assert "too long" in shown.stdout + shown.stderr
    lacking = verify(runsync, bundle, pair.target.url, code=4)["differences"]
    assert [difference["field"] for difference in lacking] == ["params.too long"]


@EACH_RELEASE
def test_tags_longer_than_servers_promise_arrive_or_are_named(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    home = seeder.create_experiment(prefix + "long tags")
    # Servers check tags that are set, and not those that a run is made with.
    run_id = seeder.create_run(home, "long", tags={"long": "t" * 9000, "odd@key": "kept", "short": "s"})
    seeder.finish(run_id)
    export(runsync, pair.source.url, bundle, prefix + "*")
    result = runsync("import", bundle, pair.target.url, "--json")
    told = json.loads(result.stdout)
    missing = {(problem["kind"], problem["name"]) for problem in told["problems"]}
    assert missing <= {("tag", "long")}
    assert result.returncode == (3 if missing else 0)
    (copy,) = read(pair.target.url, prefix + "*").runs.values()
    wanted = {"long": "t" * 9000, "odd@key": "kept", "short": "s", "mlflow.runName": "long"}
    assert without(copy["tags"], "mlflow.user") == without(wanted, *(name for _, name in missing))


@NEWEST
def test_an_experiment_of_that_name_is_used(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    name = prefix + "churn"
    home = seeder.create_experiment(name, {"mlflow.note.content": "What it is for.", "team": "vision"})
    run_id = seeder.create_run(home, "carried")
    points(seeder, run_id, "loss", 3)
    there = receiver.create_experiment(name, {"theirs": "stays", "team": "nobody"})
    own = receiver.create_run(there, "their own", tags={"a": "b"})
    before = receiver.get_run(own)
    export(runsync, pair.source.url, bundle, name)
    told = import_(runsync, bundle, pair.target.url)
    assert told["id_map"]["experiments"] == {home: there}
    assert told["experiments"]["created"] == 0
    found = read(pair.target.url, name)
    tags = {"mlflow.note.content": "What it is for.", "team": "vision", "theirs": "stays"}
    assert found.experiments[name]["tags"] == tags
    assert copies_of(found) == {run_id: [told["id_map"]["runs"][run_id]]}
    assert receiver.get_run(own) == before
    assert import_(runsync, bundle, pair.target.url)["runs"]["unchanged"] == 1


@EACH_RELEASE
def test_a_deleted_experiment_of_that_name_is_a_clear_choice(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    for label in ("gone", "other"):
        run_id = seeder.create_run(seeder.create_experiment(prefix + label), label)
        points(seeder, run_id, "loss", 2)
        seeder.finish(run_id)
    gone = receiver.create_experiment(prefix + "gone")
    receiver.delete_experiment(gone)
    source, target = pair.source.url, pair.target.url
    export(runsync, source, bundle, prefix + "*")

    refused = import_(runsync, bundle, target, code=3)
    for failed in refused["failed"]:
        assert "--restore-deleted" in failed["error"]
        assert "--rename" in failed["error"]
    assert {(failed["kind"], failed["name"]) for failed in refused["failed"]} == {
        ("experiment", prefix + "gone"),
        ("run", "gone"),
    }
    assert refused["runs"]["created"] == 1
    assert_same(source, target, [prefix + "other"])
    assert read(target, prefix + "gone").experiments[prefix + "gone"]["lifecycle_stage"] == "deleted"

    renamed = import_(runsync, bundle, target, prefix + "gone", "--rename", f"{prefix}gone={prefix}new name")
    assert renamed["runs"]["created"] == 1
    assert_same(source, target, [prefix + "gone"], rename=lambda name: f"{prefix}new name")

    restored = import_(runsync, bundle, target, "--restore-deleted")
    assert gone in restored["id_map"]["experiments"].values()
    assert_same(source, target, [prefix + "gone", prefix + "other"])
    assert import_(runsync, bundle, target)["runs"] == {"created": 0, "updated": 0, "unchanged": 2, "failed": 0}


@NEWEST
def test_restoring_an_experiment_leaves_its_deleted_runs_deleted(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    # MLflow restores all runs of an experiment with it, also those that were deleted one by one.
    home = seeder.create_experiment(prefix + "churn")
    seeder.create_run(home, "active")
    seeder.delete_run(seeder.create_run(home, "deleted"))
    export(runsync, pair.source.url, bundle, prefix + "*")
    (copy,) = import_(runsync, bundle, pair.target.url)["id_map"]["experiments"].values()
    receiver.delete_experiment(copy)
    import_(runsync, bundle, pair.target.url, "--restore-deleted")
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@EACH_RELEASE
def test_experiments_arrive_under_the_names_that_were_asked_for(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    for label in ("one", "two"):
        seeder.finish(seeder.create_run(seeder.create_experiment(prefix + label, {"label": label}), label))
    export(runsync, pair.source.url, bundle, prefix + "*")
    naming = ("--rename", f"{prefix}one={prefix}first", "--prefix", f"{prefix}from a/")
    import_(runsync, bundle, pair.target.url, *naming)
    names = {prefix + "one": prefix + "first", prefix + "two": f"{prefix}from a/{prefix}two"}
    assert read(pair.target.url, prefix + "*").experiments.keys() == set(names.values())
    assert_same(pair.source.url, pair.target.url, [prefix + "one", prefix + "two"], rename=names.__getitem__)
    assert verify(runsync, pair.source.url, pair.target.url, prefix + "*", *naming)["runs"] == 2
    verify(runsync, bundle, pair.target.url, code=4)


@NEWEST
def test_artifacts_left_out_at_first_are_brought_by_a_later_import(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    run_id = seeder.create_run(seeder.create_experiment(prefix + "files"), "files")
    seeder.put_artifact(run_id, "folder/file.txt", b"bytes\n")
    seeder.finish(run_id)
    export(runsync, pair.source.url, bundle, prefix + "*")
    import_(runsync, bundle, pair.target.url, "--no-artifacts")
    (copy,) = read(pair.target.url, prefix + "*").runs.values()
    assert copy["artifacts"] == {}
    verify(runsync, bundle, pair.target.url, "--no-artifacts")
    verify(runsync, bundle, pair.target.url, code=4)
    import_(runsync, bundle, pair.target.url)
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])
