"""verify tells of everything that is missing or otherwise, and of nothing else."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from conftest import Pair, Runner
from support.proxy import FaultProxy
from support.seed import Seeder, points

from transfer.commands import NEWEST, Report, export, import_, tree, verify, writes
from transfer.database import START, Database

Tamper = Callable[[Seeder, Database, str], object]
"""Does harm to the copy of a run."""


def family(seeder: Seeder, name: str, runs: Iterable[str]) -> dict[str, str]:
    """Runs by name, each with one of everything, and their parent, in an experiment."""
    home = seeder.create_experiment(name, {"team": "vision"})
    parent = seeder.create_run(home, "parent", start_time=START - 1)
    seeder.finish(parent)
    made = {}
    for run in runs:
        tags = {"mlflow.parentRunId": parent, "mood": "calm"}
        made[run] = run_id = seeder.create_run(home, run, tags=tags, user_id="ada")
        points(seeder, run_id, "loss", 5)
        seeder.log_batch(run_id, params={"lr": "0.1"})
        seeder.log_dataset(run_id, "data", "abc", tags={"mlflow.data.context": "training"})
        seeder.put_artifact(run_id, "folder/file.txt", b"one way\n")
        seeder.finish(run_id)
    return made


@pytest.fixture
def original(seeder: Seeder, prefix: str) -> str:
    return family(seeder, prefix + "home", ["child"])["child"]


@pytest.fixture
def copied(pair: Pair, original: str, prefix: str, bundle: Path, runsync: Runner) -> Report:
    """The id map of an import that brought all."""
    export(runsync, pair.source.url, bundle, prefix + "*")
    ids: Report = import_(runsync, bundle, pair.target.url)["id_map"]
    return ids


def change(column: str, value: object) -> Tamper:
    statement = f"UPDATE runs SET {column} = ? WHERE run_uuid = ?"
    return lambda seeder, database, run_id: database.execute(statement, value, run_id)


def delete(table: str, where: str) -> Tamper:
    statement = f"DELETE FROM {table} WHERE run_uuid = ? AND {where}"
    return lambda seeder, database, run_id: database.execute(statement, run_id)


HARMS: dict[str, tuple[Tamper, str]] = {
    "name": (lambda s, d, run_id: s.update_run(run_id, name="otherwise"), "name"),
    "status": (lambda s, d, run_id: s.update_run(run_id, status="FAILED"), "status"),
    "end time": (lambda s, d, run_id: s.update_run(run_id, end_time=START + 5), "end_time"),
    "start time": (change("start_time", START + 1), "start_time"),
    "user": (change("user_id", "eve"), "user_id"),
    "deleted": (lambda s, d, run_id: s.delete_run(run_id), "lifecycle_stage"),
    "param changed": (lambda s, d, run_id: d.set_param(run_id, "lr", "0.2"), "params.lr"),
    "param lost": (delete("params", "key = 'lr'"), "params.lr"),
    "tag changed": (lambda s, d, run_id: s.set_tag(run_id, "mood", "wild"), "tags.mood"),
    "tag lost": (delete("tags", "key = 'mood'"), "tags.mood"),
    "parent lost": (delete("tags", "key = 'mlflow.parentRunId'"), "tags.mlflow.parentRunId"),
    "parent another": (lambda s, d, run_id: s.set_tag(run_id, "mlflow.parentRunId", run_id), "tags.mlflow.parentRunId"),
    "point lost": (delete("metrics", "step = 2"), "metrics.loss"),
    "key lost": (delete("latest_metrics", "key = 'loss'"), "latest_metrics.loss"),
    "latest otherwise": (
        lambda s, d, run_id: d.execute("UPDATE latest_metrics SET value = 9 WHERE run_uuid = ?", run_id),
        "latest_metrics.loss",
    ),
    "inputs lost": (
        lambda s, d, run_id: d.execute("DELETE FROM inputs WHERE destination_id = ?", run_id),
        "dataset_inputs.data abc",
    ),
    "file shorter": (
        lambda s, d, run_id: s.put_artifact(run_id, "folder/file.txt", b"cut"),
        "artifacts.folder/file.txt",
    ),
}


@NEWEST
def test_every_harm_to_a_copy_is_told(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    # Of those that share a run none harms the same field.
    victims = {name: "deleted" if name == "deleted" else f"victim {n % 3}" for n, name in enumerate(sorted(HARMS))}
    runs = family(seeder, prefix + "home", ["unharmed", *sorted(set(victims.values()))])
    export(runsync, pair.source.url, bundle, prefix + "*")
    new = import_(runsync, bundle, pair.target.url)["id_map"]["runs"]
    verify(runsync, bundle, pair.target.url, "--verify-artifacts")
    for name, (harm, _) in HARMS.items():
        harm(receiver, Database(pair.target), new[runs[victims[name]]])
    wanted = {(victims[name], field) for name, (_, field) in HARMS.items()}
    assert len(wanted) == len(HARMS)
    for source in (bundle, pair.source.url):
        told = verify(runsync, source, pair.target.url, prefix + "*", code=4)["differences"]
        found = {(each["name"], each["field"]) for each in told}
        assert wanted - found == set()
        assert {name for name, _ in found} == set(victims.values())
    shown = runsync("verify", bundle, pair.target.url)
    assert shown.returncode == 4
    assert "params.lr" in shown.stdout


@NEWEST
def test_bytes_of_the_same_number_are_compared_when_asked_for(
    pair: Pair, receiver: Seeder, original: str, copied: Report, bundle: Path, runsync: Runner
) -> None:
    receiver.put_artifact(copied["runs"][original], "folder/file.txt", b"another\n")
    verify(runsync, bundle, pair.target.url)
    (told,) = verify(runsync, bundle, pair.target.url, "--verify-artifacts", code=4)["differences"]
    assert (told["id"], told["field"]) == (original, "artifacts.folder/file.txt")


@NEWEST
def test_a_missing_file_run_or_experiment_is_told(
    pair: Pair, seeder: Seeder, original: str, copied: Report, prefix: str, bundle: Path, runsync: Runner
) -> None:
    seeder.put_artifact(original, "late.txt", b"late\n")
    home = next(iter(copied["experiments"]))
    unknown = seeder.create_run(home, "later")
    seeder.create_experiment(prefix + "later", {})
    seeder.set_experiment_tag(home, "team", "sound")
    told = verify(runsync, pair.source.url, pair.target.url, prefix + "*", code=4)["differences"]
    found = {(each["kind"], each["name"], each["field"]) for each in told}
    assert found == {
        ("run", "child", "artifacts.late.txt"),
        ("run", "later", ""),
        ("experiment", prefix + "later", ""),
        ("experiment", prefix + "home", "tags.team"),
    }
    assert {each["id"] for each in told if each["name"] == "later"} == {unknown}
    chosen = verify(runsync, pair.source.url, pair.target.url, prefix + "home", "--run", unknown, code=4)
    assert [each["id"] for each in chosen["differences"] if each["kind"] == "run"] == [unknown]


@NEWEST
def test_more_in_the_target_is_no_difference(
    pair: Pair, receiver: Seeder, original: str, copied: Report, prefix: str, bundle: Path, runsync: Runner
) -> None:
    copy = copied["runs"][original]
    points(receiver, copy, "their own", 3)
    receiver.set_tag(copy, "reviewed", "yes")
    receiver.put_artifact(copy, "review.txt", b"good\n")
    receiver.create_run(copied["experiments"].popitem()[1], "their own")
    verify(runsync, bundle, pair.target.url, "--verify-artifacts")
    assert verify(runsync, pair.target.url, bundle, prefix + "*", code=4)["differences"]


@NEWEST
def test_verifying_writes_nothing(
    pair: Pair, original: str, copied: Report, prefix: str, bundle: Path, runsync: Runner
) -> None:
    before = tree(bundle)
    with FaultProxy(pair.source.url) as source, FaultProxy(pair.target.url) as target:
        verify(runsync, source.url, target.url, prefix + "*", "--verify-artifacts")
        verify(runsync, bundle, target.url, "--verify-artifacts")
        assert writes(source) + writes(target) == []
    assert tree(bundle) == before
