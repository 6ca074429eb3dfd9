"""Several at work on one server at once: what one of them is refused for it sends again, and each ends with exit 0."""

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from support.memory import export_into
from support.proxy import FaultProxy, Rule, kill, respond
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import COMPLETE, DUPLICATE_OF, ORIGIN, PARENT, SESSION
from runsync.model.run import DatasetInput
from runsync.model.selection import Selection
from runsync.runs.change import How
from runsync.testing.memory import START, MemorySource, run_with_metrics
from runsync.transfer.report import TransferReport

SQLITE = "(sqlite3.IntegrityError) UNIQUE constraint failed: tags.key, tags.run_uuid [SQL: INSERT …]"
POSTGRESQL = '(psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint "tag_pk"'
MYSQL = "(pymysql.err.IntegrityError) (1062, \"Duplicate entry 'k-1' for key 'tags.PRIMARY'\")"
DEADLOCK = "(pymysql.err.OperationalError) (1213, 'Deadlock found when trying to get lock')"
STALE = "StaleDataError: UPDATE statement on table 'runs' expected to update 1 row(s); 0 were matched."


def collision(told: str, code: str = "BAD_REQUEST", status: int = 400) -> Any:
    """How a server answers one of two that write the same at once."""
    return respond(status, body=json.dumps({"error_code": code, "message": told}).encode())


def source() -> MemorySource:
    """Two experiments, one deleted, each with two runs; they have something of all that is written to a server."""
    experiments = [Experiment("1", "kept", tags={"team": "vision"}), Experiment("2", "gone", DELETED)]
    made, points, files = [], {}, {}
    for home in experiments:
        for number in range(2):
            run_id = f"{home.experiment_id}{number:031}"
            points[run_id] = {"loss": [(step, START + step, 1 / (step + 1)) for step in range(5)]}
            files[run_id] = {"model.bin": bytes([number]) * 1000}
            parent = {"mlflow.parentRunId": f"{home.experiment_id}{0:031}"} if number else {}
            made.append(
                run_with_metrics(
                    run_id,
                    points[run_id],
                    experiment_id=home.experiment_id,
                    start_time=START + number,
                    lifecycle_stage=home.lifecycle_stage,
                    params={"lr": str(number)},
                    tags={"note": "x", **parent},
                    dataset_inputs=(DatasetInput("iris", "abc", tags={"mlflow.data.context": "training"}),),
                    artifact_uri=f"mlflow-artifacts:/{home.experiment_id}/{run_id}/artifacts",
                )
            )
    return MemorySource(experiments, made, points, files)  # type: ignore[arg-type]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    export_into(tmp_path / "bundle", source())
    return tmp_path / "bundle"


def lacking(report: TransferReport) -> list[dict[str, str]]:
    """What an import could not bring."""
    assert (report.exit_code == 0) == (not report.failed and not report.problems and not report.stopped)
    return [*report.failed, *report.problems]


def assert_whole(bundle: Path, url: str, prefix: str) -> None:
    """All is there, once."""
    verified = runsync.verify(str(bundle), url, prefix=prefix)
    assert verified.exit_code == 0, verified.to_document()
    wanted = Selection(experiments=(f"{prefix}*",))
    runs = [run for run in runsync.list_runs(url, selection=wanted).runs if "runsync.source.run_id" in run.tags]
    assert len(runs) == len({run.tags["runsync.source.run_id"] for run in runs}) == 4


def test_whatever_an_import_posts_is_sent_again_after_a_collision(
    mlflow3_b: MlflowServer, prefix: str, bundle: Path
) -> None:
    rules = [
        Rule(collision(SQLITE), "runs/set-tag", count=2),
        Rule(collision(POSTGRESQL), "runs/log-batch", count=2),
        Rule(collision(MYSQL, "INTERNAL_ERROR"), "runs/log-inputs"),
        Rule(collision(STALE), "runs/update"),
        Rule(collision(DEADLOCK), "runs/create"),
        Rule(collision(SQLITE), "experiments/create"),
        Rule(collision("changed meanwhile", "RESOURCE_CONFLICT", 409), "runs/delete"),
        Rule(collision(DEADLOCK), "experiments/delete"),
    ]
    with FaultProxy(mlflow3_b.url, *rules) as proxy:
        done = runsync.import_(bundle, proxy.url, prefix=prefix)
    assert lacking(done) == []
    assert [rule.path for rule in rules if not rule.fired] == []
    assert_whole(bundle, mlflow3_b.url, prefix)


def test_changes_are_sent_again_after_a_collision(mlflow3_b: MlflowServer, prefix: str, bundle: Path) -> None:
    with Seeder(mlflow3_b.url) as seeder:
        experiment = seeder.create_experiment(prefix + "e")
        run_id = seeder.create_run(experiment, "run")
    paths = [f"runs/{what}" for what in ("log-batch", "set-tag", "update", "delete", "restore", "delete-tag")]
    paths += [f"experiments/{what}" for what in ("update", "set-experiment-tag", "delete", "restore")]
    with FaultProxy(mlflow3_b.url, *(Rule(collision(SQLITE), f"{path}$") for path in paths)) as proxy:
        url, only = proxy.url, Selection(runs=(run_id,))
        done = [
            runsync.tag_runs(url, {"a": "b"}, only),
            runsync.untag_runs(url, ["a"], only),
            runsync.rename_run(url, run_id, "other"),
            runsync.delete_selected_runs(url, only),
            runsync.restore_selected_runs(url, only),
            runsync.tag_experiments(url, [experiment], {"a": "b"}),
            runsync.rename_experiment(url, experiment, prefix + "f"),
            runsync.delete_experiments(url, [experiment]),
            runsync.restore_experiments(url, [experiment]),
        ]
        assert [report.exit_code for report in done] == [0] * len(done)
        assert [rule.path for rule in proxy.rules if not rule.fired] == []


def test_a_refusal_that_is_no_collision_is_told_at_once(mlflow3_b: MlflowServer, prefix: str, bundle: Path) -> None:
    rule = Rule(collision("no such run", "RESOURCE_DOES_NOT_EXIST", 404), "runs/log-batch", count=None)
    with FaultProxy(mlflow3_b.url, rule) as proxy:
        done = runsync.import_(bundle, proxy.url, prefix=prefix)
    assert done.exit_code == 3
    assert rule.fired == 4


@pytest.mark.parametrize(
    "moment",
    ["runs/create", *(pytest.param(path, marks=pytest.mark.slow) for path in ("runs/log-batch", "runs/set-tag"))],
)
def test_runs_and_experiments_that_another_import_has_deleted_by_then_are_filled_all_the_same(
    mlflow3_b: MlflowServer, prefix: str, bundle: Path, moment: str
) -> None:
    """It was as far as to delete what is deleted at the source."""
    with Seeder(mlflow3_b.url) as seeder:

        def other_import() -> None:
            found = seeder.post("experiments/search", filter=f"name = '{prefix}gone'", max_results=1)
            seeder.post("experiments/delete", experiment_id=found["experiments"][0]["experiment_id"])

        with FaultProxy(mlflow3_b.url, Rule(kill(other_import), moment, after=2)) as proxy:
            done = runsync.import_(bundle, proxy.url, prefix=prefix)
            assert any(request.fault for request in proxy.seen(moment))
    assert lacking(done) == []
    assert_whole(bundle, mlflow3_b.url, prefix)


PARENT_ID, CHILD_ID = (f"1{number:031}" for number in range(2))


def copy_id(server: MlflowServer, prefix: str, origin: str) -> str:
    """Its id."""
    with Seeder(server.url) as seeder:
        return str(copy_of(seeder, prefix, origin)["info"]["run_id"])


def copy_of(seeder: Seeder, prefix: str, origin: str) -> dict[str, Any]:
    """The run that an import made of one, as the server tells it."""
    [experiment] = seeder.post("experiments/search", filter=f"name = '{prefix}kept'", max_results=1)["experiments"]
    ids, condition = [experiment["experiment_id"]], f"tags.`{ORIGIN}` = '{origin}'"
    [run] = seeder.post("runs/search", experiment_ids=ids, filter=condition)["runs"]
    return cast("dict[str, Any]", run)


def test_a_run_that_another_import_takes_back_is_given_up_and_links_follow(
    mlflow3_b: MlflowServer, prefix: str, bundle: Path
) -> None:
    """The other import finishes a twin, while this one fills what it took for left over."""
    parent, child = (f"1{number:031}" for number in range(2))
    assert runsync.import_(bundle, mlflow3_b.url, prefix=prefix).exit_code == 0
    with Seeder(mlflow3_b.url) as seeder:
        ours = copy_of(seeder, prefix, parent)
        tags = {tag["key"]: tag["value"] for tag in ours["data"]["tags"]}
        for run_id in (ours["info"]["run_id"], copy_of(seeder, prefix, child)["info"]["run_id"]):
            seeder.post("runs/delete-tag", run_id=run_id, key=COMPLETE)
        made: list[str] = []

        def other_import() -> None:
            info = ours["info"]
            made.append(seeder.create_run(info["experiment_id"], start_time=info["start_time"], tags=tags))

        # Its last request before it looks for twins again.
        rule = Rule(kill(other_import), "artifacts/list")
        with FaultProxy(mlflow3_b.url, rule) as proxy:
            done = runsync.import_(bundle, proxy.url, prefix=prefix)
        assert rule.fired == len(made) == 1
        assert lacking(done) == []
        assert copy_of(seeder, prefix, parent)["info"]["run_id"] == made[0]
        assert {"key": PARENT, "value": made[0]} in copy_of(seeder, prefix, child)["data"]["tags"]
        taken_back = seeder.get_run(ours["info"]["run_id"])
    assert taken_back["info"]["lifecycle_stage"] == DELETED
    assert {"key": DUPLICATE_OF, "value": made[0]} in taken_back["data"]["tags"]


def test_what_killed_imports_left_of_a_run_that_is_whole_is_taken_back(
    mlflow3_b: MlflowServer, prefix: str, bundle: Path
) -> None:
    assert runsync.import_(bundle, mlflow3_b.url, prefix=prefix).exit_code == 0
    with Seeder(mlflow3_b.url) as seeder:
        whole = copy_of(seeder, prefix, f"1{0:031}")
        place, start = whole["info"]["experiment_id"], whole["info"]["start_time"]
        tags = {tag["key"]: tag["value"] for tag in whole["data"]["tags"] if tag["key"] != COMPLETE}
        unfinished = seeder.create_run(place, start_time=start, tags={**tags, SESSION: "killed+"})
        half_taken_back = seeder.create_run(place, start_time=start, tags={DUPLICATE_OF: whole["info"]["run_id"]})
        assert runsync.verify(str(bundle), mlflow3_b.url, prefix=prefix).exit_code == 4
        done = runsync.import_(bundle, mlflow3_b.url, prefix=prefix)
        left = [seeder.get_run(run_id) for run_id in (unfinished, half_taken_back)]
    assert lacking(done) == []
    assert [run["info"]["lifecycle_stage"] for run in left] == [DELETED, DELETED]
    assert all({"key": DUPLICATE_OF, "value": whole["info"]["run_id"]} in run["data"]["tags"] for run in left)
    assert_whole(bundle, mlflow3_b.url, prefix)


def test_a_run_that_a_killed_import_was_about_to_delete_is_deleted(
    mlflow3_b: MlflowServer, prefix: str, bundle: Path
) -> None:
    """It has been taken back but for that, and all else is whole."""
    assert runsync.import_(bundle, mlflow3_b.url, prefix=prefix).exit_code == 0
    with Seeder(mlflow3_b.url) as seeder:
        whole = copy_of(seeder, prefix, f"1{0:031}")["info"]
        left = seeder.create_run(whole["experiment_id"], tags={DUPLICATE_OF: whole["run_id"]})
        done = runsync.import_(bundle, mlflow3_b.url, prefix=prefix)
        assert (lacking(done), done.runs.unchanged) == ([], done.runs.total)
        assert seeder.get_run(left)["info"]["lifecycle_stage"] == DELETED


def test_a_copy_that_was_taken_back_and_is_active_again_stays_unless_the_other_is_active(
    mlflow3_b: MlflowServer, prefix: str, bundle: Path
) -> None:
    assert runsync.import_(bundle, mlflow3_b.url, prefix=prefix).exit_code == 0
    only = Selection(runs=(CHILD_ID,))
    with Seeder(mlflow3_b.url) as seeder:
        whole = copy_of(seeder, prefix, PARENT_ID)["info"]
        restored = seeder.create_run(whole["experiment_id"], tags={DUPLICATE_OF: whole["run_id"]})
        seeder.delete_run(whole["run_id"])
        done = runsync.import_(bundle, mlflow3_b.url, prefix=prefix, selection=only)
        assert seeder.get_run(restored)["info"]["lifecycle_stage"] == ACTIVE
        assert [note for note in done.notes if restored in note] == []
        seeder.restore_run(whole["run_id"])
        done = runsync.import_(bundle, mlflow3_b.url, prefix=prefix, selection=only)
        assert seeder.get_run(restored)["info"]["lifecycle_stage"] == DELETED
        assert [
            note for note in done.notes if f"deleted 1 second copy that an import had taken back: {restored}" in note
        ]


@pytest.fixture
def second_copies(mlflow3_b: MlflowServer, prefix: str, bundle: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What two killed imports left of a parent and its child, twice complete: ids by origin, those that are to stay
    first."""
    assert runsync.import_(bundle, mlflow3_b.url, prefix=prefix).exit_code == 0
    hidden = [copy_id(mlflow3_b, prefix, origin) for origin in (PARENT_ID, CHILD_ID)]
    with Seeder(mlflow3_b.url) as seeder:
        for run_id in hidden:
            seeder.post("runs/delete-tag", run_id=run_id, key=ORIGIN)
        assert runsync.import_(bundle, mlflow3_b.url, prefix=prefix).exit_code == 0
        again = [copy_id(mlflow3_b, prefix, origin) for origin in (PARENT_ID, CHILD_ID)]
        for run_id, origin in zip(hidden, (PARENT_ID, CHILD_ID), strict=True):
            seeder.set_tag(run_id, ORIGIN, origin)
    pairs = {origin: sorted(pair) for origin, *pair in zip((PARENT_ID, CHILD_ID), hidden, again, strict=True)}
    return {o: ids[0] for o, ids in pairs.items()}, {o: ids[1] for o, ids in pairs.items()}


def test_second_complete_copies_that_nobody_changed_are_taken_back_and_links_follow(
    mlflow3_b: MlflowServer, prefix: str, bundle: Path, second_copies: tuple[dict[str, str], dict[str, str]]
) -> None:
    stay, go = second_copies
    assert runsync.verify(str(bundle), mlflow3_b.url, prefix=prefix).exit_code == 4
    planned = runsync.import_(bundle, mlflow3_b.url, prefix=prefix, dry_run=True)
    assert "would take back 2 second copies that killed imports left" in planned.notes
    done = runsync.import_(bundle, mlflow3_b.url, prefix=prefix)
    assert (lacking(done), done.runs.unchanged) == ([], done.runs.total)
    assert "took back 2 second copies that killed imports left" in done.notes
    assert_whole(bundle, mlflow3_b.url, prefix)
    with Seeder(mlflow3_b.url) as seeder:
        for origin, run_id in go.items():
            run = seeder.get_run(run_id)
            assert run["info"]["lifecycle_stage"] == DELETED
            assert {"key": DUPLICATE_OF, "value": stay[origin]} in run["data"]["tags"]
        child = seeder.get_run(stay[CHILD_ID])
    assert child["info"]["lifecycle_stage"] == ACTIVE
    assert {"key": PARENT, "value": stay[PARENT_ID]} in child["data"]["tags"]
    again = runsync.import_(bundle, mlflow3_b.url, prefix=prefix)
    assert [note for note in again.notes if "second cop" in note] == []


def test_a_child_outside_the_selection_follows_the_copy_of_its_parent_that_stays(
    mlflow3_b: MlflowServer, prefix: str, bundle: Path, second_copies: tuple[dict[str, str], dict[str, str]]
) -> None:
    stay, go = second_copies
    with Seeder(mlflow3_b.url) as seeder:
        seeder.set_tag(stay[CHILD_ID], PARENT, go[PARENT_ID])
        seeder.delete_run(go[CHILD_ID])
        done = runsync.import_(bundle, mlflow3_b.url, prefix=prefix, selection=Selection(runs=(PARENT_ID,)))
        assert lacking(done) == []
        assert {"key": PARENT, "value": stay[PARENT_ID]} in seeder.get_run(stay[CHILD_ID])["data"]["tags"]
    assert runsync.verify(str(bundle), mlflow3_b.url, prefix=prefix).exit_code == 0


def tag(seeder: Seeder, run_id: str) -> None:
    seeder.set_tag(run_id, "mlflow.note.content", "the good one")


def log_behind_the_latest_step(seeder: Seeder, run_id: str) -> None:
    seeder.log_batch(run_id, metrics=[("loss", 5.0, START - 1, 0)])


def register_a_model(seeder: Seeder, run_id: str) -> None:
    name, root = f"model-{run_id}", seeder.get_run(run_id)["info"]["artifact_uri"]
    seeder.post("registered-models/create", name=name)
    seeder.post("model-versions/create", name=name, run_id=run_id, source=root)


def nest_a_run(seeder: Seeder, run_id: str) -> None:
    home = seeder.get_run(run_id)["info"]["experiment_id"]
    seeder.create_run(home, "by hand", tags={PARENT: run_id})


def nest_a_run_elsewhere(seeder: Seeder, run_id: str) -> None:
    seeder.create_run(seeder.create_experiment(f"elsewhere {run_id}"), "by hand", tags={PARENT: run_id})


def bring_other_files(seeder: Seeder, run_id: str) -> None:
    """As the mark tells: of the same paths and sizes."""
    seeder.set_tag(run_id, COMPLETE, mark_of(seeder, run_id).rpartition(":")[0] + ":" + "0" * 32)


def mark_of(seeder: Seeder, run_id: str) -> str:
    [mark] = [tag["value"] for tag in seeder.get_run(run_id)["data"]["tags"] if tag["key"] == COMPLETE]
    return str(mark)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (tag, "their fields differ"),
        pytest.param(log_behind_the_latest_step, "their metrics differ", marks=pytest.mark.slow),
        pytest.param(
            lambda seeder, run_id: seeder.put_artifact(run_id, "notes.txt", b"mine"),
            "their artifacts differ",
            marks=pytest.mark.slow,
        ),
        (bring_other_files, "made of different states of the run"),
        (nest_a_run, "runs that are no copies are nested in it"),
        pytest.param(nest_a_run_elsewhere, "runs that are no copies are nested in it", marks=pytest.mark.slow),
        (register_a_model, "a model version is registered from it"),
        pytest.param(
            lambda seeder, run_id: seeder.set_tag(run_id, COMPLETE, "0:5:-"),
            "made of different states of the run",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_second_copies_that_somebody_changed_are_only_named(
    mlflow3_b: MlflowServer,
    prefix: str,
    bundle: Path,
    second_copies: tuple[dict[str, str], dict[str, str]],
    change: Callable[[Seeder, str], object],
    why: str,
) -> None:
    stay, go = second_copies
    with Seeder(mlflow3_b.url) as seeder:
        change(seeder, go[PARENT_ID])
        try:
            done = runsync.import_(bundle, mlflow3_b.url, prefix=prefix)
            assert lacking(done) == []
            assert [note for note in done.notes if f"{go[PARENT_ID]} beside {stay[PARENT_ID]} ({why})" in note]
            runs = [seeder.get_run(run_id) for run_id in (go[PARENT_ID], stay[PARENT_ID])]
            assert [run["info"]["lifecycle_stage"] for run in runs] == [ACTIVE, ACTIVE]
            # Whichever a person deletes, it stays so.
            seeder.delete_run(stay[PARENT_ID])
            assert runsync.import_(bundle, mlflow3_b.url, prefix=prefix).exit_code == 0
            assert seeder.get_run(stay[PARENT_ID])["info"]["lifecycle_stage"] == DELETED
        finally:
            if change is register_a_model:  # other tests count the models of the server
                seeder.call("DELETE", "registered-models/delete", {"name": f"model-{go[PARENT_ID]}"})


def test_a_copy_of_a_copy_that_somebody_made_by_hand_is_only_named(
    mlflow3_b: MlflowServer, prefix: str, bundle: Path, second_copies: tuple[dict[str, str], dict[str, str]]
) -> None:
    """As scripts make one: with all tags, and so with those that name the import."""
    stay, go = second_copies
    with Seeder(mlflow3_b.url) as seeder:
        [session] = [t["value"] for t in seeder.get_run(stay[PARENT_ID])["data"]["tags"] if t["key"] == SESSION]
        seeder.set_tag(go[PARENT_ID], SESSION, session)
        done = runsync.import_(bundle, mlflow3_b.url, prefix=prefix)
        assert [note for note in done.notes if "(not both made by imports)" in note]
        assert seeder.get_run(go[PARENT_ID])["info"]["lifecycle_stage"] == ACTIVE


def test_an_import_that_is_taken_back_in_its_last_moment_is_clean_when_it_is_run_again(
    mlflow3_b: MlflowServer, prefix: str, bundle: Path
) -> None:
    """Its run waits for a parent that is not imported; while it is finished, the other import takes it back."""
    accept = ("parent-links",)
    only = Selection(runs=(CHILD_ID,))
    made: list[str] = []
    with Seeder(mlflow3_b.url) as seeder:

        def other_import() -> None:
            ours = copy_of(seeder, prefix, CHILD_ID)
            info, tags = ours["info"], {tag["key"]: tag["value"] for tag in ours["data"]["tags"]}
            made.append(seeder.create_run(info["experiment_id"], start_time=info["start_time"], tags=tags))
            seeder.set_tag(info["run_id"], DUPLICATE_OF, made[0])
            seeder.post("runs/delete-tag", run_id=info["run_id"], key=ORIGIN)
            seeder.delete_run(info["run_id"])

        with FaultProxy(mlflow3_b.url, Rule(kill(other_import), "runs/update")) as proxy:
            done = runsync.import_(bundle, proxy.url, prefix=prefix, selection=only, accept=accept)
        assert (len(made), done.exit_code) == (1, 3)
        again = runsync.import_(bundle, mlflow3_b.url, prefix=prefix, selection=only, accept=accept)
        assert (lacking(again), again.exit_code) == ([], 0)
        assert copy_of(seeder, prefix, CHILD_ID)["info"]["run_id"] == made[0]
    assert runsync.import_(bundle, mlflow3_b.url, prefix=prefix).exit_code == 0
    assert_whole(bundle, mlflow3_b.url, prefix)


def test_an_experiment_that_a_third_restores_is_deleted_again(
    mlflow3_b: MlflowServer, prefix: str, bundle: Path
) -> None:
    """Refused, for another import has deleted it, and by the time this one looks a third has restored it."""
    with Seeder(mlflow3_b.url) as seeder:

        def found() -> str:
            [one] = seeder.post("experiments/search", filter=f"name = '{prefix}gone'", max_results=1)["experiments"]
            return str(one["experiment_id"])

        place: list[str] = []

        def delete() -> None:
            place.append(found())
            seeder.delete_experiment(place[0])

        rules = [
            Rule(kill(delete), "experiments/delete$"),
            Rule(kill(lambda: seeder.restore_experiment(place[0])), r"experiments/get\?", after=0),
        ]
        with FaultProxy(mlflow3_b.url, *rules) as proxy:
            done = runsync.import_(bundle, proxy.url, prefix=prefix)
    assert [rule.fired for rule in rules] == [1, 1]
    assert lacking(done) == []
    assert_whole(bundle, mlflow3_b.url, prefix)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each gives, done side by side."""
    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result() for future in [pool.submit(act) for act in acts]]


TIMES = [pytest.param(1, id="once"), pytest.param(10, id="10 times", marks=pytest.mark.slow)]


@pytest.mark.parametrize("times", TIMES)
def test_three_imports_at_once_all_end_well_and_make_each_run_once(
    mlflow3_b: MlflowServer, prefix: str, bundle: Path, times: int
) -> None:
    for number in range(times):
        place = f"{prefix}{number}-"
        done = at_once(*[partial(runsync.import_, bundle, mlflow3_b.url, prefix=place)] * 3)
        assert [lacking(report) for report in done] == [[], [], []]
        assert_whole(bundle, mlflow3_b.url, place)


def test_an_import_while_runs_are_deleted_loses_nothing(mlflow3_b: MlflowServer, prefix: str, bundle: Path) -> None:
    """What the user deletes amid the import is told as failed, if at all, and the next import brings it whole."""
    chance = random.Random(12)
    selection = Selection((f"{prefix}kept",), filter="params.lr IN ('0', '1')")

    def delete() -> list[int]:
        return [_deleted(mlflow3_b.url, selection) for _ in range(chance.randrange(3, 6))]

    imported, deleted = at_once(lambda: runsync.import_(bundle, mlflow3_b.url, prefix=prefix), delete)
    assert imported.exit_code in (0, 3)
    assert set(deleted) <= {0, 1, 3}
    assert runsync.import_(bundle, mlflow3_b.url, prefix=prefix).exit_code == 0
    assert_whole(bundle, mlflow3_b.url, prefix)


def _deleted(url: str, selection: Selection) -> int:
    try:
        return runsync.delete_selected_runs(url, selection, how=How()).exit_code
    except runsync.RunsyncError as error:  # not there yet
        return error.exit_code
