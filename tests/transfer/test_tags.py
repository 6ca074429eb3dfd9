"""How many tags copies get, what those show, and that copies with other tags, or none, are found again."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.earlier import as_earlier
from support.seed import Seeder
from support.servers import MlflowServer
from support.stores import Filler, assert_same, contents, fill, opened, run_id

import runsync
from runsync.errors import WrongUsage
from runsync.model.experiment import ACTIVE, DELETED
from runsync.model.identity import COPY
from runsync.model.provenance import key_of
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.transfer.report import TransferReport
from runsync.workspaces.direct.store import Arrival, Change, ExperimentChange
from transfer.conftest import Make
from transfer.moves import all_runs

KINDS = pytest.mark.parametrize("kind", ["files", pytest.param("sqlite", marks=pytest.mark.slow)])
ALL = "100%"
LINKS = ("runsync.source.mlflow.parentRunId", "runsync.source.mlflow.rootRunId")
Tags = dict[str, dict[str, str]]


def own(tags: Any) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key.startswith("runsync.")}


def tags_of_runs(address: str) -> Tags:
    with opened(address) as workspace:
        return {run.run_id: own(run.tags) for run in all_runs(workspace)}


def tags_of_experiments(address: str) -> Tags:
    with opened(address) as workspace:
        return {e.experiment_id: own(e.tags) for e in workspace.experiments(Selection())}


def tags_on(server: Seeder, run_id: str) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in server.get_run(run_id)["data"]["tags"]}


@pytest.fixture
def source(make: Make) -> str:
    address = make("sqlite")
    with opened(address) as workspace:
        fill(Filler(workspace))
    return address


@pytest.mark.parametrize(
    ("source_kind", "target_kind", "by_bundle"),
    [
        *(("files", "postgres", False), ("sqlite", "files", False)),
        ("files", "sqlite", True),
        *(
            pytest.param(*kinds, marks=pytest.mark.slow)
            for kinds in (
                *(("files", "sqlite", False), ("sqlite", "sqlite", False)),
                *(("sqlite", "sqlite", True), ("sqlite", "files", True)),
            )
        ),
    ],
)
def test_a_copy_that_keeps_its_id_has_one_tag_and_it_shows_no_address(
    make: Make, source_kind: str, target_kind: str, by_bundle: bool, tmp_path: Path
) -> None:
    source, target = make(source_kind), make(target_kind)
    with opened(source) as workspace:
        fill(Filler(workspace))

    def bring() -> TransferReport:
        if not by_bundle:
            return runsync.sync(source, target)
        runsync.export(source, tmp_path / "bundle")
        return runsync.import_(tmp_path / "bundle", target)

    assert bring().exit_code == 0
    runs, experiments = tags_of_runs(target), tags_of_experiments(target)
    assert len(runs) == 7
    assert [set(tags) for tags in runs.values()] == [{COPY}] * 7
    assert all(set(tags) <= {COPY} for tags in experiments.values())
    assert sum(map(len, experiments.values())) >= 3
    shown = json.dumps([runs, experiments])
    assert str(tmp_path) not in shown
    assert "sqlite" not in shown
    before = contents(target)
    again = bring()
    assert (again.runs.unchanged, again.runs.updated, again.experiments.updated) == (7, 0, 0)
    assert (contents(target), tags_of_runs(target)) == (before, runs)
    assert runsync.verify(source, target).differences == []
    assert runsync.diff(source, target).changes == []


@KINDS
def test_what_has_the_tags_of_earlier_versions_is_known_and_loses_them_with_its_next_change(
    make: Make, source: str, kind: str
) -> None:
    target = make(kind)
    runsync.sync(source, target)
    as_earlier(target, source)
    before = tags_of_runs(target)
    assert all(len(tags) >= 5 for tags in before.values())
    again = runsync.sync(source, target)  # a running one is always looked at
    assert (again.runs.unchanged, again.runs.updated, again.experiments.updated) == (6, 1, 0)
    before[run_id("running")] = tags_of_runs(target)[run_id("running")]
    assert tags_of_runs(target) == before
    assert runsync.verify(source, target).differences == []
    with opened(source) as workspace:
        workspace.store.change_runs([Change(run_id("failed"), tags={"new": "1"})])
        workspace.store.change_experiment(ExperimentChange("101", tags={"new": "1"}))
    assert runsync.sync(source, target).runs.updated == 1
    after = tags_of_runs(target)
    assert set(after.pop(run_id("failed"))) == {COPY}
    assert after == {id: tags for id, tags in before.items() if id != run_id("failed")}
    assert set(tags_of_experiments(target)["101"]) == {COPY}
    assert runsync.sync(source, target, thorough=True).runs.created == 0
    assert [set(tags) for tags in tags_of_runs(target).values()] == [{COPY}] * 7
    assert_same(source, target)


@pytest.mark.parametrize(
    ("kind", "earlier"),
    [
        *(("sqlite", False), ("files", True)),
        *(pytest.param(*both, marks=pytest.mark.slow) for both in (("files", False), ("sqlite", True))),
    ],
)
def test_deletions_reach_only_what_came_from_there(make: Make, source: str, kind: str, earlier: bool) -> None:
    target = make(kind)
    runsync.sync(source, target)
    if earlier:
        as_earlier(target, source)
    _add_native(target)
    gone, deleted = _lose(source)
    done = runsync.sync(source, target, delete=True, max_delete="100%")
    assert done.exit_code == 0, done.to_document()
    stages = _stages(target)
    assert (stages[gone], stages[deleted], stages["a" * 32]) == (DELETED, DELETED, "active")
    if not earlier:
        assert set(tags_of_runs(target)[gone]) == set(tags_of_runs(target)[deleted]) == {COPY}


def _add_native(target: str) -> None:
    """A run that no import brought, in the experiment “alpha”."""
    run = Run("a" * 32, "101", "native", "ann", "FINISHED", 1, 2, artifact_uri=f"/nowhere/{'a' * 32}/artifacts")
    with opened(target) as workspace:
        assert workspace.store.write_runs([Arrival(run, is_new=True)]) == {}


def _stages(address: str) -> dict[str, str]:
    with opened(address) as workspace:
        return {run.run_id: run.lifecycle_stage for run in all_runs(workspace)}


def _lose(source: str) -> tuple[str, str]:
    """Takes away one active run of the source for good and deletes another; gives their ids."""
    import sqlite3
    from contextlib import closing

    gone, deleted = run_id("failed"), run_id("parent")
    with closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as database, database:
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            database.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (gone,))
    with opened(source) as workspace:
        workspace.store.change_runs([Change(deleted, lifecycle_stage=DELETED, deleted_time=1_700_000_000_000)])
    return gone, deleted


@KINDS
def test_without_tags_copies_have_none_and_are_found_by_their_ids(make: Make, source: str, kind: str) -> None:
    target = make(kind)
    first = runsync.sync(source, target, tags=False)
    assert (first.exit_code, first.runs.created) == (0, 7)
    assert not any(tags_of_runs(target).values())
    assert not any(tags_of_experiments(target).values())
    before = contents(target)
    again = runsync.sync(source, target, tags=False)
    assert (again.runs.unchanged, again.metric_points, again.artifacts) == (7, 0, 0)
    assert any("7 runs in the target compared in full" in note for note in again.notes)
    assert contents(target) == before
    assert runsync.verify(source, target).differences == []
    assert runsync.diff(source, target).changes == []
    _add_native(target)
    gone, deleted = _lose(source)
    done = runsync.sync(source, target, tags=False, delete=True, max_delete="100%")
    stages = _stages(target)
    assert (stages[gone], stages[deleted], stages["a" * 32]) == ("active", DELETED, "active")
    assert any("2 active runs in the target that the source does not have" in note for note in done.notes)
    assert not any(tags_of_runs(target).values())


@pytest.mark.parametrize("kind", [pytest.param("files", marks=pytest.mark.slow), "sqlite"])
def test_tags_go_and_come_as_asked(make: Make, source: str, kind: str) -> None:
    target = make(kind)
    runsync.sync(source, target)
    runsync.sync(source, target, tags=False)
    assert not any(tags_of_runs(target).values())
    assert not any(tags_of_experiments(target).values())
    assert runsync.sync(source, target).runs.created == 0
    assert runsync.sync(source, target).runs.unchanged == 7
    assert_same(source, target)


def test_on_a_server_a_copy_of_a_copy_keeps_where_it_was_born_and_shows_no_path(
    make: Make, source: str, mlflow3_a: MlflowServer, on_three: Seeder, prefix: str, tmp_path: Path
) -> None:
    middle, url, meant = make("sqlite"), mlflow3_a.url, Selection((f"{prefix}*",))
    runsync.sync(source, middle)
    runsync.export(middle, tmp_path / "bundle")
    runsync.import_(tmp_path / "bundle", url, prefix=prefix)
    made = {run.tags["runsync.source.run_id"]: own(run.tags) for run in runsync.list_runs(url, selection=meant).runs}
    assert made.keys() == {run_id(label) for label in ("child", "parent", "failed", "running", "deleted")} | {
        run_id("gone too"),
        run_id("gone before"),
    }
    assert {tags["runsync.source.experiment_id"] for tags in made.values()} == {"101", "103"}
    assert not [tags for tags in made.values() if "sqlite" in json.dumps(tags)]
    # From where they were born they are not made a second time.
    straight = runsync.sync(source, url, prefix=prefix)
    assert (straight.runs.created, straight.experiments.created) == (0, 0)
    # The server's copies have ids of their own, and go on with the id they were born with.
    away = make("sqlite")
    runsync.sync(url, away, selection=meant)
    told = tags_of_runs(away)
    assert {tags["runsync.source.run_id"] for tags in told.values()} == made.keys()
    assert all(set(tags) <= {COPY, "runsync.source.run_id", *LINKS} for tags in told.values())
    assert runsync.sync(source, away, prefix=prefix).runs.created == 0


def test_on_a_server_the_address_that_earlier_versions_wrote_is_known(
    make: Make, source: str, mlflow3_a: MlflowServer, on_three: Seeder, prefix: str
) -> None:
    url = mlflow3_a.url
    done = runsync.sync(source, url, prefix=prefix)
    new = done.id_map["runs"]
    assert tags_on(on_three, new[run_id("failed")])["runsync.from"] == key_of(source)
    for id in (new[run_id("failed")], new[run_id("parent")]):
        on_three.set_tag(id, "runsync.from", source)
    for id in done.id_map["experiments"].values():
        with suppress(Exception):  # a deleted one takes no tags
            on_three.set_experiment_tag(id, "runsync.from", source)
    gone, deleted = _lose(source)
    assert runsync.sync(source, url, prefix=prefix, delete=True, max_delete=ALL).runs.created == 0
    meant = Selection((f"{prefix}*",))
    stages = {run.run_id: run.lifecycle_stage for run in runsync.list_runs(url, selection=meant).runs}
    assert (stages[new[gone]], stages[new[deleted]], stages[new[run_id("child")]]) == (DELETED, DELETED, ACTIVE)


def test_on_a_server_copies_without_tags_are_refused(source: str, mlflow3_a: MlflowServer) -> None:
    with pytest.raises(WrongUsage, match="--no-tags is for databases and file stores"):
        runsync.sync(source, mlflow3_a.url, tags=False)


@KINDS
def test_without_tags_an_experiment_keeps_its_name_and_that_is_told(make: Make, source: str, kind: str) -> None:
    target = make(kind)
    runsync.sync(source, target, tags=False)
    with opened(source) as workspace:
        workspace.store.change_experiment(ExperimentChange("101", name="alpha 2"))
    done = runsync.sync(source, target, tags=False)
    assert (done.runs.created, done.experiments.created) == (0, 0)
    assert [note for note in done.notes if "“alpha” (101)" in note and "keeps its name" in note]
    with opened(target) as workspace:
        assert {e.name for e in workspace.experiments(Selection())} >= {"alpha", "empty", "gone"}
