"""What is written into a file store: whole runs, each or none; what a file cannot hold is refused by name."""

import dataclasses
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from runsync.errors import RequestRefused, WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.points import points_of_key
from runsync.model.run import DatasetInput, LatestMetric, ModelLink
from runsync.workspaces.direct.store import Arrival, Change, ExperimentChange, Query
from runsync.workspaces.files import is_file_store, open_store, write
from workspaces.files.small import START, Points, arrival, make_store, run_of
from workspaces.files.told import all_runs, points, unreadable


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns")
    run = run_of(
        "0123456789abcdef0123456789abcdef",
        name="a: #name 'x'",
        status="KILLED",
        end_time=None,
        lifecycle_stage="deleted",
        deleted_time=START + 5,
        tags={"mlflow.runName": "other", "uni code": "žluť\r\n\0 x", "empty": ""},
        model_inputs=(ModelLink("m-1"),),
        model_outputs=(ModelLink("m-2", 7),),
        latest_metrics=(LatestMetric("x", 3.0, START, 2),),
    )
    values = {"x": [(0, START + 9, -0.0), (2, START, 3.0), (1, START + 1, 1e-310)]}
    assert store.write_runs([arrival(run, points=values)]) == {}
    assert all_runs(store) == [run]
    assert points(store, run.run_id)["x"] == [[START, "3.0", 2], [START + 1, "1e-310", 1], [START + 9, "-0.0", 0]]


NAMES = {
    "../../x": "would lead elsewhere",
    "/etc/passwd": "would lead elsewhere",
    "a//b": "would lead elsewhere",
    "a/./b": "would lead elsewhere",
    "a/": "would lead elsewhere",
    "": "would lead elsewhere",
    "a" * 256: "longer than a file name can be",
    "é" * 128: "longer than a file name can be",
    "/".join(["a" * 200] * 11): "longer than a file name can be",
    "a\0b": "characters that a file name cannot have",
    "a\ud800b": "characters that a file name cannot have",
    ".DS_Store": "passed over in reading",
    "lr/deeper": "a file store cannot keep",
    "net": "a file store cannot keep both",
}


@pytest.mark.parametrize("name", NAMES, ids=[ascii(name)[:20] for name in NAMES])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_run_with_a_name_that_no_file_can_have_is_refused_by_name_and_the_others_go_in(
    name: str, is_new: bool, tmp_path: Path
) -> None:
    store = make_store(tmp_path / "mlruns", *([] if is_new else ["bad"]))
    before = all_runs(store)
    bad = run_of("bad", params={"lr": "1", "net/depth": "3", name: "x"}, status="FAILED")
    refused = store.write_runs([arrival(run_of("one")), arrival(bad, is_new), arrival(run_of("two"))])
    assert list(refused) == ["bad"]
    assert refused["bad"].startswith("param ")
    assert NAMES[name] in refused["bad"]
    there = {run.run_id: run for run in all_runs(store)}
    assert list(there) == ["bad", "one", "two"][is_new:]
    assert is_new or [there["bad"]] == before
    assert not (tmp_path / "mlruns/0/bad").exists() or not is_new
    assert unreadable(store) == {}
    odd = {"lr": [(0, START, 1.0)], "net/depth": [(0, START, 1.0)], name: [(0, START, 1.0)]}
    if "\ud800" not in name:  # which Arrow cannot hold either
        assert store.write_runs([arrival(run_of("metric"), points=odd)])["metric"].startswith("metric ")
    assert not (tmp_path / "mlruns/0/metric").exists()


def test_values_and_ids_that_cannot_be_kept_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns")
    refused = store.write_runs(
        [
            arrival(run_of("value", tags={"t": "\ud800"})),
            arrival(run_of("name", name="\ud800")),
            arrival(run_of("status", status="LOST")),
            arrival(run_of("../up")),
            arrival(run_of("model", model_outputs=(ModelLink("../m"),))),
            arrival(run_of("where", experiment_id="12")),
            arrival(run_of("who"), is_new=False),
        ]
    )
    assert refused == {
        "value": "tag “t”: it has characters that UTF-8 cannot hold",
        "name": "it has characters that UTF-8 cannot hold",
        "status": "status 'LOST' is not one that MLflow knows",
        "../up": "its id is not one that MLflow takes",
        "model": "output “../m”: its id cannot be the name of a folder",
        "where": "experiment 12 is not there",
        "who": "it is no longer there",
    }
    assert all_runs(store) == []
    assert sorted(path.name for path in (tmp_path / "mlruns/0").iterdir()) == ["datasets", "meta.yaml"]


def test_a_present_run_is_brought_up_to_date(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns", "run")
    (tmp_path / "mlruns/0/run/artifacts/model.bin").write_bytes(b"bytes")
    new = run_of(
        "run",
        name="renamed",
        status="FAILED",
        end_time=START + 9000,
        params={"more": "1"},
        tags={"mlflow.runName": "renamed", "runsync.copy": "mark"},
        dataset_inputs=(DatasetInput("test", "d", "local", "{}", "[1]", "", {}),),
    )
    more: Points = {
        "loss": [(0, START, 0.5), (2, START + 20, math.nan), (3, START + 5, math.inf)],
        "new": [(1, START, 1.0)],
    }
    for _ in range(2):
        assert store.write_runs([arrival(new, is_new=False, points=more)]) == {}
        (run,) = all_runs(store)
        assert run.params == {"lr": "0.1", "net/depth": "3", "empty": "", "more": "1"}
        assert run.tags == {"mlflow.runName": "renamed", "a/b": "c", "runsync.copy": "mark"}
        assert (run.name, run.status, run.end_time) == ("renamed", "FAILED", START + 9000)
        assert [d.name for d in run.dataset_inputs] == ["test", "train"]
        told = points(store, "run")
        assert told["loss"] == [
            [START, "0.5", 0],
            [START + 5, "inf", 3],
            [START + 10, "0.25", 1],
            [START + 20, "nan", 2],
        ]
        assert list(told) == ["loss", "new", "val/acc"]
    folder = tmp_path / "mlruns/0/run"
    assert (folder / "metrics/loss").read_bytes().startswith(f"{START} 0.5 0\n{START + 10} 0.25 1\n".encode())
    assert (folder / "artifacts/model.bin").read_bytes() == b"bytes"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("artifacts", "inputs", "meta.yaml", "metrics", "params", "tags")
    ]


def test_points_behind_a_torn_line_make_no_line_of_two_and_a_damaged_file_is_left_alone(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns", "run", "bad")
    (tmp_path / "mlruns/0/run/metrics/loss").write_bytes(b"5 0.5 1\n6 0.")
    (tmp_path / "mlruns/0/bad/metrics/loss").write_bytes(b"5 0.5 1\nrubbish\n")
    more = {"loss": [(2, 7, 0.5)]}
    changed = [
        dataclasses.replace(arrival(run_of(run_id, status="FAILED"), False, more), run=run_of(run_id, status="FAILED"))
        for run_id in ("run", "bad")
    ]
    why = "its file in the target: line 2 is no point of a metric: rubbish"
    assert store.write_runs(changed) == {"bad": f"metric “loss”: {why}"}
    assert (tmp_path / "mlruns/0/run/metrics/loss").read_bytes() == b"5 0.5 1\n7 0.5 2\n"
    assert (tmp_path / "mlruns/0/bad/metrics/loss").read_bytes() == b"5 0.5 1\nrubbish\n"
    assert "status: 3" in (tmp_path / "mlruns/0/bad/meta.yaml").read_text()


def test_what_a_killed_import_left_of_a_run_is_named_and_filled_up(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns")
    folder = tmp_path / "mlruns/0/run"
    for name in ("params/old", "metrics/old", "tags/lr/x", "inputs/x/meta.yaml", "artifacts/model.bin", ".runsync/3"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"left over")
    (reason,) = unreadable(store).values()
    assert reason.startswith("it has no meta.yaml: an import or a training run that was stopped")
    assert store.run_counts() == {"0": 0}
    assert store.write_runs([arrival(run_of("run"))]) == {}
    assert all_runs(store) == [dataclasses.replace(run_of("run"), latest_metrics=all_runs(store)[0].latest_metrics)]
    assert list(points(store, "run")) == ["loss", "val/acc"]
    assert (folder / "artifacts/model.bin").read_bytes() == b"left over"
    assert not (folder / ".runsync").exists()


def test_a_run_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns", "run")
    before = all_runs(store)
    assert store.write_runs([arrival(run_of("run", status="FAILED"))]) == {"run": "it was made meanwhile: run it again"}
    assert all_runs(store) == before


def test_of_two_imports_of_the_same_run_at_once_one_makes_it_and_the_other_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "LOCK_PATIENCE", 0.1)
    store = make_store(tmp_path / "mlruns")
    other = open_store(tmp_path / "mlruns", create=False)
    answers: list[object] = []

    def slow() -> Iterator[pa.RecordBatch]:
        answers.append(dict(other.write_runs([arrival(run_of("run", status="FAILED"))])))
        yield points_of_key("loss", [0], [START], [1.0])

    assert store.write_runs([Arrival(run_of("run"), True, slow())]) == {}
    assert answers == [{"run": "another import is writing it: run this import again"}]
    assert [run.status for run in all_runs(store)] == ["FINISHED"]


def test_an_import_waits_for_another_that_has_the_same_run_in_hand(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns", "old")
    other = open_store(tmp_path / "mlruns", create=False)
    answers: list[object] = []
    wanted = [run_of("old", tags={"t": "1"}), run_of("run"), run_of("more")]

    def second() -> None:
        answers.append(dict(other.write_runs([arrival(run, run.run_id != "old") for run in wanted])))
        other.change_runs([Change("run", tags={"changed": "yes"})])

    thread = threading.Thread(target=second)

    def slow() -> Iterator[pa.RecordBatch]:
        thread.start()
        while not (tmp_path / "mlruns/0/more/meta.yaml").exists():  # the other goes on with what is free
            time.sleep(0.01)
        yield points_of_key("loss", [0], [START], [1.0])

    assert store.write_runs([Arrival(run_of("run"), True, slow())]) == {}
    thread.join()
    assert answers == [{"run": "it was made meanwhile: run it again"}]
    assert {run.run_id: run.tags.get("changed") for run in all_runs(store)} == {"old": None, "run": "yes", "more": None}
    assert unreadable(store) == {}
    assert not [*tmp_path.rglob(".runsync*")]


def test_an_import_that_waits_makes_the_run_when_the_other_gives_up(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns")
    other = open_store(tmp_path / "mlruns", create=False)
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(dict(other.write_runs([arrival(run_of("run"))]))))

    def failing() -> Iterator[pa.RecordBatch]:
        thread.start()
        time.sleep(0.2)
        raise RequestRefused("the source broke")
        yield

    assert store.write_runs([Arrival(run_of("run"), True, failing())]) == {"run": "the source broke"}
    thread.join()
    assert answers == [{}]
    assert [run.run_id for run in all_runs(store)] == ["run"]


def test_a_source_that_fails_in_the_middle_of_a_run_leaves_nothing_of_it(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns")

    def failing(error: Exception) -> Iterator[pa.RecordBatch]:
        yield points_of_key("loss", [0], [START], [1.0])
        raise error

    arrivals = [arrival(run_of("one")), Arrival(run_of("bad"), True, failing(RequestRefused("no")))]
    assert store.write_runs(arrivals) == {"bad": "no"}
    with pytest.raises(ValueError, match="boom"):
        store.write_runs([arrival(run_of("two")), Arrival(run_of("bad"), True, failing(ValueError("boom")))])
    assert [run.run_id for run in all_runs(store)] == ["one"]
    assert unreadable(store) == {}
    assert not (tmp_path / "mlruns/0/bad").exists()


def test_editors_change_runs_and_take_tags_away(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns", "run")
    run = all_runs(store)[0]
    store.change_runs([Change("run", lifecycle_stage="deleted", deleted_time=START + 7, tags={"x": "1"})])
    (told,) = all_runs(store, state="deleted")
    assert told == dataclasses.replace(
        run, lifecycle_stage="deleted", deleted_time=START + 7, tags={**run.tags, "x": "1"}
    )
    assert all_runs(store, state="active") == []
    store.change_runs([Change("run", untagged=["x", "a/b", "not there", "../../params/lr"])])
    store.change_runs([Change("run", "new", "active", tags={"a": "now a file"})])
    (told,) = all_runs(store)
    assert (told.name, told.lifecycle_stage, told.deleted_time) == ("new", "active", None)
    assert told.tags == {"mlflow.runName": "new", "a": "now a file"}
    assert told.params == run.params
    for change in (Change("gone", "new"), Change("gone", untagged=["x"])):
        with pytest.raises(RequestRefused, match="run gone is no longer there"):
            store.change_runs([change])


def test_a_deleted_run_without_a_time_has_no_null_for_mlflow_gc_to_stumble_over(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns")
    store.write_runs([arrival(run_of("run", lifecycle_stage="deleted"))])
    assert "deleted_time" not in yaml.safe_load((tmp_path / "mlruns/0/run/meta.yaml").read_text())
    store.change_runs([Change("run", lifecycle_stage="active")])
    assert yaml.safe_load((tmp_path / "mlruns/0/run/meta.yaml").read_text())["deleted_time"] is None


def test_experiments_keep_their_ids_where_these_are_free_and_fit(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    store = make_store(root)
    made = Experiment("123456789", "one", "active", "s3://b/{experiment_id}", 5, 6, {"a/b": "c", "e": ""})
    assert store.create_experiment(made) == "123456789"
    (root / "77/tags").mkdir(parents=True)
    assert store.create_experiment(Experiment("77", "killed before")) == "77"
    (root / "78/run").mkdir(parents=True)
    deleted = Experiment("5", "gone", "deleted", "", 7, 8)
    assert store.create_experiment(deleted) == "5"
    for number, wanted in enumerate(["", "0", "78", "123456789", "5", "models", "../x", "a" * 65, "tags/x"]):
        got = store.create_experiment(Experiment(wanted, f"new {number}", artifact_location="x/{experiment_id}"))
        assert got != wanted
        assert len(got) == 18
        assert (root / got / "meta.yaml").exists()
    store.refresh()
    there = {e.experiment_id: e for e in store.experiments()}
    assert len(there) == 13
    assert there["123456789"] == dataclasses.replace(made, artifact_location="s3://b/123456789")
    assert there["5"] == deleted
    assert (root / ".trash/5/meta.yaml").exists()
    for name in ("one", "gone", "Default"):
        with pytest.raises(RequestRefused, match=f"there is an experiment '{name}' already") as refused:
            store.create_experiment(Experiment("", name))
        assert refused.value.code == "RESOURCE_ALREADY_EXISTS"
    with pytest.raises(RequestRefused, match=r"tag “\.\./x”: its name would lead elsewhere"):
        store.create_experiment(Experiment("99", "odd", tags={"../x": "1"}))
    assert not (root / "99").exists()


def test_experiments_are_renamed_deleted_and_restored_with_their_runs(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    store = make_store(root)
    store.create_experiment(Experiment("7", "one", "active", "file:///x/7", 5, 6, {"a": "b", "c": "d"}))
    store.write_runs([arrival(run_of("run", experiment_id="7"))])
    gone = Experiment("7", "two", "deleted", "ignored", 5, 9, {"e": "f"})
    for _ in range(2):
        store.change_experiment(ExperimentChange("7", "two", "deleted", last_update_time=9, tags={"e": "f"}))
        store.refresh()
        assert store.experiments()[0] == dataclasses.replace(
            gone, artifact_location="file:///x/7", tags={"a": "b", "c": "d", "e": "f"}
        )
    assert not (root / "7").exists()
    assert [run.run_id for run in all_runs(store)] == ["run"]
    assert store.write_runs([arrival(run_of("late", experiment_id="7"))]) == {}
    store.change_runs([Change("late", "changed")])
    assert points(store, "late")["loss"] == points(store, "run")["loss"]
    store.change_experiment(ExperimentChange("7", lifecycle_stage="active", untagged=["a", "e", "not there"]))
    store.refresh()
    assert store.experiments()[0].creation_time == 5
    assert store.experiments()[0].tags == {"c": "d"}
    assert (root / "7/late/meta.yaml").exists()
    with pytest.raises(RequestRefused, match="there is an experiment 'Default' already"):
        store.change_experiment(ExperimentChange("7", "Default"))
    for change in (ExperimentChange("8", "x"), ExperimentChange("8", untagged=["x"])):
        with pytest.raises(RequestRefused, match="experiment 8 is not there"):
            store.change_experiment(change)


def test_many_imports_at_once_make_an_experiment_of_one_name_once(tmp_path: Path) -> None:
    make_store(tmp_path / "mlruns")
    made: list[str] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        store = open_store(tmp_path / "mlruns", create=True)
        barrier.wait()
        try:
            made.append(store.create_experiment(Experiment("", "same")))
        except RequestRefused:
            made.append("refused")

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made)[1:] == ["refused"] * 7


def test_queries_choose_by_id_state_and_time_in_order(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns", "b", "a", "d", "c")
    store.create_experiment(Experiment("7", "other"))
    store.write_runs([arrival(run_of("e", experiment_id="7", start_time=START + 500, lifecycle_stage="deleted"))])
    store.refresh()

    def ids(**query: object) -> str:
        return "".join(run.run_id for run in all_runs(store, **query))

    assert ids() == "beadc"
    assert ids(newest_first=True) == "cdaeb"
    assert ids(state="active") == "badc"
    assert ids(state="deleted") == "e"
    assert ids(since=START + 500, until=START + 2000) == "ead"
    assert ids(run_ids=("c", "e", "x", "../a", "c")) == "ec"
    assert [run.run_id for batch in store.batches(Query(("7",))) for run in batch.runs] == ["e"]
    assert store.run_counts() == {"0": 4, "7": 1}


def test_the_artifacts_of_a_moved_or_deleted_store_are_found_in_it(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns", "run")
    home = Path(f"{tmp_path}/mlruns/0/run/artifacts")
    (run,) = all_runs(store)
    elsewhere = dataclasses.replace(run, artifact_uri="/elsewhere/0/run/artifacts")
    assert store.artifact_folder(elsewhere) is None, "MLflow makes the folder also when files go elsewhere"
    of_that_name = dataclasses.replace(run, artifact_uri="/elsewhere/mlruns/0/run/artifacts")
    assert store.artifact_folder(of_that_name) == home
    for uri in ("mlflow-artifacts:/mlruns/0/run/artifacts", ""):
        assert store.artifact_folder(dataclasses.replace(run, artifact_uri=uri)) is None
    home.rmdir()  # as version control leaves it
    assert store.artifact_folder(of_that_name) == home
    home.mkdir()
    (home / "model.txt").write_text("1")
    assert store.artifact_folder(run) == home
    for uri, told in {
        "/elsewhere/0/run/artifacts": home,
        "file:///elsewhere/a%20b/artifacts": home,
        home.as_uri(): None,
        str(home): None,
        "s3://bucket/0/run/artifacts": None,
        "mlflow-artifacts:/0/run/artifacts": home,
        "": home,
    }.items():
        assert store.artifact_folder(dataclasses.replace(run, artifact_uri=uri)) == told, uri
    assert store.artifact_folder(dataclasses.replace(run, run_id="../run")) is None
    assert store.artifact_folder(dataclasses.replace(run, experiment_id="5")) is None
    store.change_experiment(ExperimentChange("0", lifecycle_stage="deleted"))
    assert store.artifact_folder(dataclasses.replace(run, artifact_uri=home.as_uri())) == (
        tmp_path / "mlruns/.trash/0/run/artifacts"
    )


def test_a_new_store_gets_its_experiment_0_last_unless_it_came(tmp_path: Path) -> None:
    first = open_store(tmp_path / "first", create=True)
    assert first.experiments() == []
    first.close()
    assert not (tmp_path / "first").exists(), "nothing was written"
    came = Experiment("0", "Default", "active", "file:///there/0", creation_time=11, last_update_time=12)
    second = open_store(tmp_path / "second", create=True)
    second.create_experiment(came)
    second.close()
    assert open_store(tmp_path / "second", create=False).experiments() == [came]
    third = open_store(tmp_path / "third", create=True)
    third.create_experiment(Experiment("7", "seven"))
    third.close()
    there = {e.experiment_id: e.name for e in open_store(tmp_path / "third", create=False).experiments()}
    assert there == {"0": "Default", "7": "seven"}


def test_an_experiment_is_not_taken_for_a_store(tmp_path: Path) -> None:
    make_store(tmp_path / "mlruns", "run")
    assert not is_file_store(tmp_path / "mlruns/0")
    for create in (True, False):
        with pytest.raises(WrongUsage, match="is one experiment of a file store"):
            open_store(tmp_path / "mlruns/0", create=create)
