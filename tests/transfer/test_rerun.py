"""Running it again: only what is missing is written, only what changed is read, and nothing is there twice."""

import uuid
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Fleet, Pair, Runner
from support.oracle import Workspace, assert_same, compare
from support.proxy import FaultProxy
from support.rich import Facts, small_workspace
from support.seed import Seeder, points
from support.servers import MlflowServer

from transfer.commands import (
    EACH_RELEASE,
    NEWEST,
    Report,
    copies_of,
    export,
    import_,
    read,
    reads_of_contents,
    verify,
    writes,
)
from transfer.database import START

NOTHING = {"created": 0, "updated": 0, "failed": 0}


class Carried(NamedTuple):
    """A workspace that went through a bundle into the target, and the report of that import. Tests leave them alone."""

    facts: Facts
    bundle: Path
    first: Report


@pytest.fixture(scope="module")
def once(fleet: Fleet) -> Iterator[dict[Pair, Carried]]:
    made: dict[Pair, Carried] = {}
    yield made
    for carried in made.values():
        fleet.purge(carried.facts.prefix)


@pytest.fixture
def carried(
    once: dict[Pair, Carried], pair: Pair, seeder: Seeder, tmp_path_factory: pytest.TempPathFactory, runsync: Runner
) -> Carried:
    if pair not in once:
        facts = small_workspace(seeder, f"carried-{uuid.uuid4().hex[:8]}-")
        bundle = tmp_path_factory.mktemp("carried") / "bundle"
        export(runsync, pair.source.url, bundle, facts.pattern)
        once[pair] = Carried(facts, bundle, import_(runsync, bundle, pair.target.url))
    return once[pair]


@EACH_RELEASE
def test_importing_again_writes_nothing(pair: Pair, carried: Carried, runsync: Runner) -> None:
    facts, bundle, first = carried
    with FaultProxy(pair.target.url) as proxy:
        second = import_(runsync, bundle, proxy.url)
        assert writes(proxy) == []
        assert proxy.count() < 20
    assert second["runs"] == {**NOTHING, "unchanged": len(facts.runs)}
    assert second["experiments"] == {**NOTHING, "unchanged": len(facts.experiments)}
    assert second["id_map"] == first["id_map"]
    assert (second["metric_points"], second["artifacts"]) == (0, 0)
    assert_same(pair.source.url, pair.target.url, [facts.pattern])


@EACH_RELEASE
def test_exporting_again_reads_no_history_and_no_artifacts(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    facts = small_workspace(seeder, prefix)
    for label in set(facts.runs) & {"running", "parent"}:
        seeder.finish(facts.runs[label])
    # A run that is still running may have got points behind its latest one: it is always read, and stored if it did.
    running = {run_id for run_id in facts.runs.values() if seeder.get_run(run_id)["info"]["status"] == "RUNNING"}
    export(runsync, pair.source.url, bundle, facts.pattern)
    with FaultProxy(pair.source.url) as proxy:
        second = export(runsync, proxy.url, bundle, facts.pattern)
        lines = reads_of_contents(proxy)
    assert {run_id for run_id in facts.runs.values() for line in lines if run_id in line} <= running
    assert [line for line in lines if not any(run_id in line for run_id in running)] == []
    assert second["runs"] == {"created": 0, "updated": 0, "unchanged": len(facts.runs), "failed": 0}
    verify(runsync, pair.source.url, bundle, facts.pattern, "--verify-artifacts")


@EACH_RELEASE
def test_a_run_that_changed_is_brought_up_to_date_in_place(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    home = seeder.create_experiment(prefix + "changing", {"state": "early"})
    run_id = seeder.create_run(home, "training", tags={"mood": "hopeful"})
    deleted = seeder.create_run(home, "restored later", start_time=START + 1)
    seeder.delete_run(deleted)
    points(seeder, run_id, "loss", 5)
    seeder.log_batch(run_id, params={"lr": "0.1"})
    seeder.put_artifact(run_id, "early.txt", b"early\n")
    export(runsync, pair.source.url, bundle, prefix + "*")
    first = import_(runsync, bundle, pair.target.url)

    points(seeder, run_id, "loss", 5, first_step=5, first_time=START + 5)
    points(seeder, run_id, "accuracy", 3)
    seeder.log_batch(run_id, params={"batch": "32"}, tags={"mood": "tired", "new": "tag"})
    seeder.log_dataset(run_id, "iris", "abc", tags={"mlflow.data.context": "training"})
    seeder.put_artifact(run_id, "late.txt", b"late\n")
    seeder.update_run(run_id, status="FINISHED", end_time=START + 99_000, name="trained")
    seeder.restore_run(deleted)
    seeder.set_experiment_tag(home, "state", "late")
    exported = export(runsync, pair.source.url, bundle, prefix + "*")
    assert exported["runs"]["updated"] == 2
    second = import_(runsync, bundle, pair.target.url)
    assert second["runs"] == {**NOTHING, "updated": 2, "unchanged": 0}
    assert second["metric_points"] == 8
    assert second["id_map"] == first["id_map"]
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])
    assert import_(runsync, bundle, pair.target.url)["runs"] == {**NOTHING, "unchanged": 2}


@NEWEST
def test_a_thorough_export_finds_what_changed_out_of_sight(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    run_id = seeder.create_run(seeder.create_experiment(prefix + "hidden"), "run")
    points(seeder, run_id, "loss", 5)
    seeder.put_artifact(run_id, "replaced.txt", b"one way\n")
    seeder.finish(run_id)
    export(runsync, pair.source.url, bundle, prefix + "*")
    first = import_(runsync, bundle, pair.target.url)
    seeder.put_artifact(run_id, "replaced.txt", b"another\n")
    seeder.put_artifact(run_id, "added.txt", b"added\n")
    seeder.log_batch(run_id, metrics=[("loss", 0.5, START - 5, -5)])
    assert export(runsync, pair.source.url, bundle, prefix + "*")["runs"]["unchanged"] == 1
    assert export(runsync, pair.source.url, bundle, prefix + "*", "--thorough")["runs"]["updated"] == 1
    second = import_(runsync, bundle, pair.target.url)
    assert second["id_map"] == first["id_map"]
    assert second["metric_points"] == 1
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@NEWEST
def test_a_tag_that_somebody_added_to_a_copy_stays(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    run_id = seeder.create_run(seeder.create_experiment(prefix + "reviewed"), "run", tags={"a": "b"})
    points(seeder, run_id, "loss", 5)
    seeder.finish(run_id)
    export(runsync, pair.source.url, bundle, prefix + "*")
    copy = import_(runsync, bundle, pair.target.url)["id_map"]["runs"][run_id]
    receiver.set_tag(copy, "reviewed", "yes")
    with FaultProxy(pair.target.url) as proxy:
        import_(runsync, bundle, proxy.url)
        assert writes(proxy) == []
    assert read(pair.target.url, prefix + "*").runs[copy]["tags"]["reviewed"] == "yes"
    verify(runsync, bundle, pair.target.url)


@NEWEST
def test_a_run_that_is_partly_in_the_target_is_completed(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    # As a tag that somebody changed, or a copy that somebody deleted.
    home = seeder.create_experiment(prefix + "touched")
    ids = [seeder.create_run(home, label, tags={"owner": "ada"}) for label in ("retagged", "deleted")]
    for run_id in ids:
        points(seeder, run_id, "loss", 2)
        seeder.finish(run_id)
    export(runsync, pair.source.url, bundle, prefix + "*")
    new = import_(runsync, bundle, pair.target.url)["id_map"]["runs"]
    receiver.set_tag(new[ids[0]], "owner", "eve")
    receiver.delete_run(new[ids[1]])
    assert import_(runsync, bundle, pair.target.url)["id_map"]["runs"] == new
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@NEWEST
def test_importing_into_the_server_it_came_from_makes_no_second_run(
    pair: Pair, carried: Carried, runsync: Runner
) -> None:
    facts, bundle, _ = carried
    before = read(pair.source.url, facts.pattern)
    home = import_(runsync, bundle, pair.source.url)
    assert home["id_map"]["runs"] == {run_id: run_id for run_id in facts.runs.values()}
    assert read(pair.source.url, facts.pattern) == before


@NEWEST
def test_a_copy_beside_the_original_is_a_family_of_its_own(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, tmp_path: Path, runsync: Runner
) -> None:
    home = seeder.create_experiment(prefix + "family")
    parent = seeder.create_run(home, "parent", start_time=START + 10)
    seeder.finish(parent)
    seeder.finish(seeder.create_run(home, "child", tags={"mlflow.parentRunId": parent}))
    export(runsync, pair.source.url, bundle, prefix + "*")
    import_(runsync, bundle, pair.source.url, "--rename", f"{prefix}family={prefix}copy")
    assert_same(pair.source.url, pair.source.url, [prefix + "family"], rename=lambda _: prefix + "copy")

    both = tmp_path / "both"
    export(runsync, pair.source.url, both, prefix + "*")
    import_(runsync, both, pair.target.url)
    for name in ("family", "copy"):
        assert_same(pair.source.url, pair.target.url, [prefix + name])
    with FaultProxy(pair.target.url) as proxy:
        again = import_(runsync, both, proxy.url)
        assert writes(proxy) == []
    assert again["runs"] == {**NOTHING, "unchanged": 4}


@pytest.fixture
def chain(mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, mlflow2_b: MlflowServer) -> list[str]:
    """Three servers in a row."""
    return [mlflow3_a.url, mlflow3_b.url, mlflow2_b.url]


def test_a_run_keeps_its_origin_from_server_to_server_and_back(
    chain: list[str], prefix: str, tmp_path: Path, runsync: Runner
) -> None:
    with Seeder(chain[0]) as seeder:
        runs = family(seeder, prefix)
    pattern = prefix + "*"
    before = read(chain[0], pattern)
    for hop, (source, target) in enumerate(pairwise(chain)):
        export(runsync, source, tmp_path / f"hop {hop}", pattern)
        import_(runsync, tmp_path / f"hop {hop}", target)
    last = read(chain[2], pattern)
    assert compare(before, last) == []
    assert copies_of(last).keys() == runs
    with FaultProxy(chain[2]) as proxy:
        again = import_(runsync, tmp_path / "hop 1", proxy.url)
        assert writes(proxy) == []
    assert again["runs"] == {**NOTHING, "unchanged": len(runs)}

    # And back: B's copies are A's own runs.
    export(runsync, chain[1], tmp_path / "back", pattern)
    back = import_(runsync, tmp_path / "back", chain[0])
    assert set(back["id_map"]["runs"].values()) == runs
    assert_unchanged(before, read(chain[0], pattern))
    with FaultProxy(chain[0]) as proxy:
        import_(runsync, tmp_path / "back", proxy.url)
        assert writes(proxy) == []


def family(seeder: Seeder, prefix: str) -> set[str]:
    """A parent, its child, which has a point and a file, and a deleted run."""
    home = seeder.create_experiment(prefix + "family")
    parent, gone = (seeder.create_run(home, label, start_time=START + 10) for label in ("parent", "gone"))
    child = seeder.create_run(home, "child", tags={"mlflow.parentRunId": parent})
    points(seeder, child, "loss", 1)
    seeder.put_artifact(child, "file.txt", b"bytes\n")
    for run_id in (parent, child, gone):
        seeder.finish(run_id)
    seeder.delete_run(gone)
    return {parent, child, gone}


def assert_unchanged(before: Workspace, after: Workspace) -> None:
    """The same runs with the same contents."""
    assert after.experiments == before.experiments
    assert after.runs.keys() == before.runs.keys()
    for run_id, run in after.runs.items():
        assert run == before.runs[run_id]


@NEWEST
def test_an_import_without_artifacts_leaves_those_that_are_there_and_their_mark(
    pair: Pair, carried: Carried, runsync: Runner
) -> None:
    facts, bundle, _ = carried
    for options in (("--no-artifacts",), ()):
        again = import_(runsync, bundle, pair.target.url, *options)
        assert again["runs"]["unchanged"] == len(facts.runs)
        assert again["artifacts"] == 0
