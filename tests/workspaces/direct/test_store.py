"""What every store that is reached without a server keeps, whatever it is made of."""

import dataclasses
import math
import random
import threading
from collections.abc import Sequence

import pyarrow as pa
import pytest

from runsync.errors import RequestRefused
from runsync.model.experiment import DELETED, Experiment
from runsync.model.numbers import stored
from runsync.model.points import as_table, distinct, missing, points_of_key
from runsync.model.run import DatasetInput, LatestMetric, ModelLink, Run
from runsync.workspaces.direct.editor import DirectEditor
from runsync.workspaces.direct.store import Arrival, Change, DirectStore, ExperimentChange, Query
from workspaces.direct.conftest import Opener

LOCATION = "s3://bucket/place/{experiment_id}"


def run_id(number: int) -> str:
    return f"{number:032x}"


def make_experiment(store: DirectStore, name: str = "vision", experiment_id: str = "7") -> str:
    return store.create_experiment(Experiment(experiment_id, name, artifact_location=LOCATION))


def make_run(number: int, experiment_id: str, **more: object) -> Run:
    plain = Run(run_id(number), experiment_id, f"run {number}", "ada", "FINISHED", 1_000 + number, 2_000 + number)
    return dataclasses.replace(plain, artifact_uri=f"s3://b/{number}", **more)  # type: ignore[arg-type]


def read(store: DirectStore, query: Query) -> list[Run]:
    store.refresh()
    return [run for batch in store.batches(query) for run in batch.runs]


def history(store: DirectStore, run_id: str) -> pa.Table:
    store.refresh()
    with store.histories([run_id]) as histories:
        return as_table(histories.of(run_id))


def write(store: DirectStore, runs: Sequence[Run]) -> None:
    assert store.write_runs([Arrival(run, is_new=True) for run in runs]) == {}


def test_an_experiment_is_read_back_as_it_was_made(store: DirectStore) -> None:
    tags = {"team": "vision", "naïve 😀": "a\nb", "empty": ""}
    made = Experiment("41", "näme 😀", DELETED, LOCATION, 1_600_000_000_001, 1_600_000_000_002, tags)
    assert store.create_experiment(made) == "41"
    store.refresh()
    expected = dataclasses.replace(made, artifact_location="s3://bucket/place/41")
    assert [e for e in store.experiments() if e.experiment_id == "41"] == [expected]


def test_an_id_that_is_taken_gives_another(store: DirectStore) -> None:
    first = make_experiment(store, "one", "12")
    second = make_experiment(store, "two", "12")
    third = make_experiment(store, "three", "")
    assert first == "12"
    assert len({first, second, third}) == 3
    store.refresh()
    locations = {e.experiment_id: e.artifact_location for e in store.experiments()}
    assert locations[second] == f"s3://bucket/place/{second}"


def test_a_name_that_is_taken_is_refused_also_by_a_deleted_experiment(store: DirectStore) -> None:
    store.create_experiment(Experiment("3", "taken", DELETED))
    with pytest.raises(RequestRefused, match="taken"):
        store.create_experiment(Experiment("4", "taken"))


def test_an_experiment_is_changed_and_untagged(store: DirectStore) -> None:
    made = store.create_experiment(Experiment("5", "old", "active", "s3://b/5", 11, 12, {"keep": "1", "drop": "2"}))
    store.change_experiment(ExperimentChange(made, "new", DELETED, None, 99, {"more": "3"}, ["drop", "never there"]))
    store.refresh()
    (found,) = [e for e in store.experiments() if e.experiment_id == made]
    assert found == Experiment(made, "new", DELETED, "s3://b/5", 11, 99, {"keep": "1", "more": "3"})


def test_what_somebody_else_changes_of_an_experiment_is_not_undone(store: DirectStore) -> None:
    """What was read before is not written again."""
    made = store.create_experiment(Experiment("5", "old", "active", "s3://b/5", 11, 12, {"keep": "1"}))
    store.experiments()
    for change in (
        ExperimentChange(made, "new"),
        ExperimentChange(made, last_update_time=98),
        ExperimentChange(made, tags={"theirs": "2"}),
        ExperimentChange(made, lifecycle_stage=DELETED, last_update_time=99),
        ExperimentChange(made, untagged=["keep"]),
        ExperimentChange(made, creation_time=10),
    ):
        store.change_experiment(change)
    store.refresh()
    (found,) = [e for e in store.experiments() if e.experiment_id == made]
    assert found == Experiment(made, "new", DELETED, "s3://b/5", 10, 99, {"theirs": "2"})
    store.create_experiment(Experiment("6", "taken"))
    with pytest.raises(RequestRefused, match="taken"):
        store.change_experiment(ExperimentChange(made, "taken"))


def test_a_run_is_read_back_with_all_that_it_was(store: DirectStore) -> None:
    experiment_id = make_experiment(store)
    rich = make_run(
        1,
        experiment_id,
        status="KILLED",
        lifecycle_stage=DELETED,
        deleted_time=1_700_000_000_123,
        params={"lr": "0.1", "näme/a b": "x" * 500, "empty": ""},
        tags={"mlflow.runName": "run 1", "mlflow.note.content": "a\r\nb 😀", "mlflow.user": "ada"},
        dataset_inputs=(
            DatasetInput("train", "d1", "local", "{}", "[1]", '{"rows": 3}', {"mlflow.data.context": "training"}),
            DatasetInput("train", "d2", "code", "{}", "", "", {}),
        ),
    )
    open_one = make_run(2, experiment_id, status="RUNNING", end_time=None, tags={"mlflow.runName": "run 2"})
    write(store, [rich, open_one])
    assert read(store, Query((experiment_id,))) == [rich, open_one]


def test_links_to_logged_models_are_kept(opener: Opener, request: pytest.FixtureRequest) -> None:
    if "sqlite-2" in request.node.callspec.id:
        pytest.skip("MLflow 2 has no logged models")
    store = opener.open()
    experiment_id = make_experiment(store)
    read_one, wrote = (ModelLink("m-" + "a" * 32, 0),), (ModelLink("m-" + "b" * 32, 7), ModelLink("m-" + "c" * 32, 8))
    write(store, [make_run(1, experiment_id, model_inputs=read_one, model_outputs=wrote)])
    (found,) = read(store, Query((experiment_id,)))
    assert (found.model_inputs, found.model_outputs) == (read_one, wrote)


def test_runs_come_oldest_first_each_once_and_as_asked(store: DirectStore) -> None:
    experiment_id, other = make_experiment(store), make_experiment(store, "other", "8")
    order = list(range(1, 451))
    random.Random(5).shuffle(order)
    runs = [make_run(number, experiment_id, start_time=1_000 + number // 2) for number in order]
    runs += [make_run(2_000, other), make_run(2_001, experiment_id, lifecycle_stage=DELETED, start_time=9_000)]
    write(store, runs)
    all_of_them = [*(run_id(number) for number in range(1, 451)), run_id(2_001)]
    both = (experiment_id, "123456", "not a number", "99999999999999999999")

    def ids(**asked: object) -> list[str]:
        return [run.run_id for run in read(store, Query(both, **asked))]  # type: ignore[arg-type]

    assert ids() == all_of_them
    assert ids(newest_first=True) == all_of_them[::-1]
    assert ids(state="active") == all_of_them[:-1]
    assert ids(state="deleted") == [run_id(2_001)]
    assert ids(since=1_224, until=1_225) == [run_id(number) for number in range(448, 451)]
    assert ids(run_ids=(run_id(30), run_id(2_000), run_id(4), "nobody")) == [run_id(4), run_id(30)]
    assert ids(run_ids=tuple(all_of_them), newest_first=True) == all_of_them[::-1]
    assert {key: count for key, count in store.run_counts().items() if count} == {experiment_id: 451, other: 1}


def test_batches_are_of_some_hundred_runs(store: DirectStore) -> None:
    experiment_id = make_experiment(store)
    write(store, [make_run(number, experiment_id) for number in range(600)])
    store.refresh()
    sizes = [len(batch.runs) for batch in store.batches(Query((experiment_id,)))]
    assert sum(sizes) == 600
    assert max(sizes) <= 500


VALUES = [
    0.1,
    1 / 3,
    5e-324,
    -2.2250738585072014e-308,
    1.7976931348623157e308,
    -1e22,
    math.nan,
    3.0,
    -0.21642700820597987,
]
KEYS = ["loss", "val/näme 1", "Loss", 'odd "key", with\nlines', "a"]


def points(seed: int = 1, count: int = 400) -> list[pa.RecordBatch]:
    chance = random.Random(seed)
    return [
        points_of_key(
            key,
            [chance.choice([0, -3, 2**62, 5]) for _ in range(count)],
            [1_700_000_000_000 + chance.randrange(20) for _ in range(count)],
            [chance.choice([*VALUES, chance.gauss(0, 1e-200)]) for _ in range(count)],
        )
        for key in KEYS
    ]


def test_a_history_is_read_back_to_the_last_bit_and_in_order(opener: Opener) -> None:
    store = opener.open()
    experiment_id = make_experiment(store)
    wanted = distinct(pa.Table.from_batches(points()))
    given = [batch for key in KEYS for batch in points() if batch["key"][0].as_py() == key]
    keys = KEYS if "mysql" not in store.place.address else [key for key in KEYS if key != "Loss"]
    given = [batch for batch in given if batch["key"][0].as_py() in keys]
    wanted = distinct(pa.Table.from_batches(given).unify_dictionaries())
    assert store.write_runs([Arrival(make_run(1, experiment_id), True, without_duplicates(given))]) == {}
    found = history(store, run_id(1))
    assert len(found) == len(wanted)
    assert len(missing(wanted, distinct(found))) == 0
    order = [
        (key.encode(), timestamp, step, 0.0 if math.isnan(value) else value)
        for key, step, timestamp, value in zip(
            *(found[name].to_pylist() for name in ("key", "step", "timestamp", "value")), strict=True
        )
    ]
    assert order == sorted(order)


def without_duplicates(batches: Sequence[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """As an Arrival has them: no point twice."""
    kept = []
    for batch in batches:
        seen: dict[tuple[object, ...], int] = {}
        for place, row in enumerate(batch.select(["timestamp", "step", "value"]).to_pylist()):
            seen.setdefault((row["timestamp"], row["step"], repr(row["value"])), place)
        kept.append(batch.take(pa.array(list(seen.values()))))
    return kept


def test_infinities_are_read_back_as_the_store_holds_them(opener: Opener) -> None:
    store = opener.open()
    experiment_id = make_experiment(store)
    given = [math.inf, -math.inf, math.nan]
    store.write_runs([Arrival(make_run(1, experiment_id), True, [points_of_key("x", [1, 2, 3], [1, 2, 3], given)])])
    expected = [stored(value) for value in given] if opener.clamps_infinity else given
    assert repr(history(store, run_id(1))["value"].to_pylist()) == repr(expected)


def test_the_latest_metrics_follow_step_then_time_then_value(store: DirectStore) -> None:
    experiment_id = make_experiment(store)
    given = [
        points_of_key("step", [5, 9, 7], [30, 10, 20], [1.0, 2.0, 3.0]),
        points_of_key("time", [5, 5, 5], [30, 10, 20], [1.0, 2.0, 3.0]),
        points_of_key("value", [5, 5, 5], [30, 30, 30], [1.0, 3.0, 2.0]),
        points_of_key("nan", [5, 5], [30, 30], [math.nan, -1.0]),
        points_of_key("less than nan", [5, 5], [30, 30], [math.nan, 1.0]),
        points_of_key("later", [1], [1], [1.0]),
    ]
    assert store.write_runs([Arrival(make_run(1, experiment_id), True, given)]) == {}
    (found,) = read(store, Query((experiment_id,)))
    latest = {metric.key: metric for metric in found.latest_metrics}
    assert latest["step"] == LatestMetric("step", 2.0, 10, 9)
    assert latest["time"] == LatestMetric("time", 1.0, 30, 5)
    assert latest["value"] == LatestMetric("value", 3.0, 30, 5)
    assert math.isnan(latest["nan"].value)
    assert latest["less than nan"].value == 1.0

    more = [points_of_key("later", [1, 0], [1, 9], [2.0, 9.0]), points_of_key("new", [0], [0], [4.0])]
    assert store.write_runs([Arrival(make_run(1, experiment_id), False, more)]) == {}
    (found,) = read(store, Query((experiment_id,)))
    latest = {metric.key: metric for metric in found.latest_metrics}
    assert latest["later"] == LatestMetric("later", 2.0, 1, 1)
    assert latest["new"].value == 4.0
    assert latest["step"] == LatestMetric("step", 2.0, 10, 9)


def test_a_run_that_is_there_is_brought_up_to_date(store: DirectStore) -> None:
    experiment_id = make_experiment(store)
    first = make_run(
        1, experiment_id, params={"a": "1", "b": "2"}, tags={"t": "1", "u": "2", "mlflow.runName": "run 1"}
    )
    write(store, [first])
    used = DatasetInput("train", "d1", "local", "{}", "[1]", "{}", {"context": "training"})
    later = make_run(
        *(1, experiment_id),
        status="FAILED",
        end_time=5_000,
        name="renamed",
        params={"b": "3", "c": "4"},
        tags={"u": "3"},
        dataset_inputs=(used,),
    )
    for _ in range(2):
        assert store.write_runs([Arrival(later, is_new=False)]) == {}
    (found,) = read(store, Query((experiment_id,)))
    expected = dataclasses.replace(
        later,
        params={"a": "1", "b": "3", "c": "4"},
        tags={"t": "1", "u": "3", "mlflow.runName": "renamed"},
    )
    assert found == expected


def test_points_that_are_there_are_not_added_again(store: DirectStore) -> None:
    experiment_id = make_experiment(store)
    store.write_runs([Arrival(make_run(1, experiment_id), True, [points_of_key("x", [1, 2], [1, 2], [1.0, math.nan])])])
    more = [points_of_key("x", [3], [3], [3.0])]
    store.write_runs([Arrival(make_run(1, experiment_id), False, more)])
    assert history(store, run_id(1))["step"].to_pylist() == [1, 2, 3]


def test_an_editor_changes_names_states_and_tags_only(store: DirectStore) -> None:
    experiment_id = make_experiment(store)
    first = make_run(1, experiment_id, params={"a": "1"}, tags={"keep": "1", "drop": "2", "mlflow.runName": "run 1"})
    store.write_runs([Arrival(first, True, [points_of_key("x", [1], [1], [1.0])])])
    changed = dataclasses.replace(first, name="new name", lifecycle_stage=DELETED, deleted_time=77)
    gone = ["drop", "never there"]
    store.change_runs([Change(run_id(1), "new name", DELETED, 77, tags={"more": "3"}, untagged=gone)])
    (found,) = read(store, Query((experiment_id,)))
    tags = {"keep": "1", "more": "3", "mlflow.runName": "new name"}
    assert found == dataclasses.replace(changed, tags=tags, latest_metrics=(LatestMetric("x", 1.0, 1, 1),))


def test_a_new_name_stands_in_the_tag_that_repeats_it_also_when_there_was_none(store: DirectStore) -> None:
    first = make_run(1, make_experiment(store), tags={})
    store.write_runs([Arrival(first, True)])
    store.change_runs([Change(run_id(1), "new name")])
    (found,) = read(store, Query((first.experiment_id,)))
    assert (found.name, found.tags["mlflow.runName"]) == ("new name", "new name")


@pytest.mark.usefixtures("aside_at_once")
def test_what_a_server_writes_just_before_a_run_is_tagged_renamed_or_deleted_is_not_undone(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, server = opener.open(), opener.open()
    running = make_run(1, make_experiment(store), status="RUNNING", tags={"mlflow.runName": "run 1"})
    write(store, [running])
    change, times = store.change_runs, iter((91, 92, 93))

    def late(changes: Sequence[Change]) -> None:
        ended = dataclasses.replace(running, status="FINISHED", end_time=next(times), tags={})
        assert server.write_runs([Arrival(ended, is_new=False)]) == {}
        change(changes)

    monkeypatch.setattr(store, "change_runs", late)
    editor, query = DirectEditor(store), Query((running.experiment_id,))
    editor.tag_run(running.run_id, {"a": "1"})
    (tagged,) = read(store, query)
    assert (tagged.status, tagged.end_time, tagged.tags["a"]) == ("FINISHED", 91, "1")
    editor.rename_run(running.run_id, "other")
    (renamed,) = read(store, query)
    assert (renamed.status, renamed.end_time, renamed.name) == ("FINISHED", 92, "other")
    editor.delete_run(running.run_id, 7)
    (deleted,) = read(store, query)
    assert (deleted.status, deleted.end_time, deleted.lifecycle_stage) == ("FINISHED", 93, DELETED)


def test_a_run_whose_points_cannot_be_read_is_refused_and_the_others_are_in(store: DirectStore) -> None:
    experiment_id = make_experiment(store)

    def torn() -> object:
        yield points_of_key("x", [1], [1], [1.0])
        raise RequestRefused("the source said no")

    arrivals = [
        Arrival(make_run(1, experiment_id), True),
        Arrival(make_run(2, experiment_id), True, torn()),  # type: ignore[arg-type]
        Arrival(make_run(3, experiment_id), True),
    ]
    assert store.write_runs(arrivals) == {run_id(2): "the source said no"}
    assert [run.run_id for run in read(store, Query((experiment_id,)))] == [run_id(1), run_id(3)]


def test_a_run_that_came_or_went_meanwhile_is_refused(store: DirectStore) -> None:
    experiment_id = make_experiment(store)
    write(store, [make_run(1, experiment_id)])
    arrivals = [
        Arrival(make_run(1, experiment_id), is_new=True),
        Arrival(make_run(2, experiment_id), is_new=False),
        Arrival(make_run(3, experiment_id), is_new=True),
    ]
    assert set(store.write_runs(arrivals)) == {run_id(1), run_id(2)}
    assert [run.run_id for run in read(store, Query((experiment_id,)))] == [run_id(1), run_id(3)]


@pytest.mark.usefixtures("aside_at_once")
def test_what_is_read_stays_as_it_is_until_refresh(opener: Opener, request: pytest.FixtureRequest) -> None:
    if "files" in request.node.callspec.id:
        pytest.skip("a folder has no snapshots")
    reader, writer = opener.open(), opener.open()
    experiment_id = make_experiment(writer)
    write(writer, [make_run(1, experiment_id)])
    reader.refresh()
    seen = reader.batches(Query((experiment_id,)))
    assert reader.run_counts()[experiment_id] == 1
    if "sqlite" in request.node.callspec.id:
        pytest.skip("in a test of its own: without a write-ahead log SQLite's writer waits for its readers")
    write(writer, [make_run(2, experiment_id)])
    assert [run.run_id for batch in seen for run in batch.runs] == [run_id(1)]
    with reader.histories([run_id(2)]) as histories:
        assert list(histories.of(run_id(2))) == []
    assert len(read(reader, Query((experiment_id,)))) == 2


def test_many_threads_read_and_write_at_once(store: DirectStore) -> None:
    experiment_id = make_experiment(store)
    write(store, [make_run(number, experiment_id) for number in range(50)])
    errors: list[BaseException] = []

    def one(first: int) -> None:
        try:
            for number in range(first, first + 5):
                given = [points_of_key("x", [number], [number], [number])]
                assert store.write_runs([Arrival(make_run(number, experiment_id), True, given)]) == {}
                store.refresh()
                assert len([run for batch in store.batches(Query((experiment_id,))) for run in batch.runs]) >= 50
                with store.histories([run_id(number)]) as histories:
                    assert [batch.num_rows for batch in histories.of(run_id(number))] == [1]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(1_000 * place,)) for place in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.run_counts()[experiment_id] == 70


def test_histories_of_many_runs_may_be_read_piece_by_piece_beside_other_calls(store: DirectStore) -> None:
    experiment_id = make_experiment(store)
    counts = {number: number % 7 * 10 for number in range(60)}
    arrivals = [
        Arrival(
            make_run(n, experiment_id), True, [points_of_key(k, [0] * c, list(range(c)), [float(n)] * c) for k in "ab"]
        )
        for n, c in counts.items()
    ]
    assert store.write_runs(arrivals) == {}
    store.refresh()
    ids = [run_id(number) for number in counts]
    with store.histories(ids) as histories, store.histories(ids[::2]) as others:
        for number, count in counts.items():
            pieces = histories.of(run_id(number))
            first = next(pieces, None)
            assert store.run_counts()[experiment_id] == 60
            if number % 2 == 0:
                assert sum(batch.num_rows for batch in others.of(run_id(number))) == 2 * count
            found = ([first] if first else []) + list(pieces)
            assert sum(batch.num_rows for batch in found) == 2 * count
            assert {value for batch in found for value in batch["value"].to_pylist()} <= {float(number)}
