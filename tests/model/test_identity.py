"""Who a run is: its fingerprint sees every change and nothing else, and ids in tags follow the run and come home."""

import dataclasses
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runsync.errors import NothingSelected, WrongUsage
from runsync.model.comparison import changed_run, compare_runs
from runsync.model.experiment import DELETED, Experiment
from runsync.model.identity import (
    COMPLETE,
    LINK_TAGS,
    MODEL_HISTORY,
    ORIGIN,
    PARENT,
    ROOT,
    SESSION,
    SOURCE,
    at_home,
    fingerprint,
    origin_of,
    own_tags_removed,
    renamed,
)
from runsync.model.naming import Naming
from runsync.model.provenance import originals
from runsync.model.run import ArtifactFile, Contents, DatasetInput, LatestMetric, ModelLink, Problem, Run

TEXT = st.text(max_size=8)
NAME = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
TIME = st.one_of(st.none(), st.integers(0, 2**52))
RUN_ID = st.text(string.hexdigits.lower()[:16], min_size=32, max_size=32)
PAIRS = st.dictionaries(NAME, TEXT, max_size=4)

RUN = st.builds(
    Run,
    run_id=RUN_ID,
    experiment_id=NAME,
    name=TEXT,
    user_id=TEXT,
    status=st.sampled_from(["RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED"]),
    start_time=TIME,
    end_time=TIME,
    lifecycle_stage=st.sampled_from(["active", "deleted"]),
    artifact_uri=TEXT,
    params=PAIRS,
    tags=PAIRS,
    latest_metrics=st.lists(
        st.builds(LatestMetric, NAME, st.floats(), st.integers(0, 2**52), st.integers(-9, 9)),
        max_size=3,
        unique_by=lambda metric: metric.key,
    ).map(tuple),
    dataset_inputs=st.lists(
        st.builds(DatasetInput, NAME, NAME, TEXT, TEXT, TEXT, TEXT, PAIRS),
        max_size=3,
        unique_by=lambda d: (d.name, d.digest),
    ).map(tuple),
    model_inputs=st.lists(st.builds(ModelLink, NAME, st.integers(0, 9)), max_size=2).map(tuple),
    model_outputs=st.lists(st.builds(ModelLink, NAME, st.integers(0, 9)), max_size=2).map(tuple),
)


@given(RUN)
def test_a_run_survives_its_document(run: Run) -> None:
    import json

    again = Run.from_document(json.loads(json.dumps(run.to_document(), allow_nan=False)))
    assert repr(again) == repr(run)


@given(st.integers(0, 99), st.none() | st.lists(st.builds(ArtifactFile, NAME, st.integers(0, 9), RUN_ID)).map(tuple))
def test_contents_survive_their_document(points: int, files: tuple[ArtifactFile, ...] | None) -> None:
    contents = Contents(points, files, (Problem("artifact", "x", "gone"),))
    assert Contents.from_document(contents.to_document()) == contents


@given(NAME, TEXT, TIME, PAIRS)
def test_an_experiment_survives_its_document(name: str, location: str, time: int | None, tags: dict[str, str]) -> None:
    experiment = Experiment("7", name, "deleted", location, time, time, tags)
    assert Experiment.from_document(experiment.to_document()) == experiment


@given(RUN, RUN)
def test_where_a_run_lies_does_not_change_its_fingerprint(run: Run, other: Run) -> None:
    moved = dataclasses.replace(
        run,
        run_id=other.run_id,
        experiment_id=other.experiment_id,
        artifact_uri=other.artifact_uri,
        tags={**run.tags, ORIGIN: run.run_id, COMPLETE: "x", SESSION: "y", SOURCE + "whatever": "z"},
    )
    assert fingerprint(moved) == fingerprint(run)


@given(RUN, st.randoms(use_true_random=False))
def test_the_order_in_which_a_server_tells_does_not_change_the_fingerprint(run: Run, chance: Any) -> None:
    def shuffled(items: Any) -> Any:
        items = list(items)
        chance.shuffle(items)
        return items

    other = dataclasses.replace(
        run,
        params=dict(shuffled(run.params.items())),
        tags=dict(shuffled(run.tags.items())),
        latest_metrics=tuple(shuffled(run.latest_metrics)),
        dataset_inputs=tuple(
            dataclasses.replace(d, tags=dict(shuffled(d.tags.items()))) for d in shuffled(run.dataset_inputs)
        ),
        model_outputs=tuple(shuffled(run.model_outputs)),
    )
    assert fingerprint(other) == fingerprint(run)


SEEN = ["name", "user_id", "status", "start_time", "end_time", "lifecycle_stage", "params", "tags"]
SEEN += ["latest_metrics", "dataset_inputs", "model_outputs"]


@pytest.mark.parametrize("field", SEEN)
@given(run=RUN, other=RUN)
@pytest.mark.long
def test_a_change_of_any_field_changes_the_fingerprint(field: str, run: Run, other: Run) -> None:
    changed = dataclasses.replace(run, **{field: getattr(other, field)})
    if repr(_sorted(getattr(changed, field))) != repr(_sorted(getattr(run, field))):
        assert fingerprint(changed) != fingerprint(run)


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, tuple):
        plain = [dataclasses.replace(v, tags=dict(sorted(v.tags.items()))) if hasattr(v, "tags") else v for v in value]
        return sorted(map(repr, plain))
    return value


def test_every_field_of_a_run_is_either_seen_or_knowingly_left_out() -> None:
    left_out = {"run_id", "experiment_id", "artifact_uri", "model_inputs", "deleted_time"}
    assert {field.name for field in dataclasses.fields(Run)} == set(SEEN) | left_out


# Ids in tags.

OLD_IDS = [f"{letter}" * 32 for letter in "abcd"]
NEW_IDS = {old: old.replace(old[0], digit) for old, digit in zip(OLD_IDS, "1234", strict=True)}


@st.composite
def _linked(draw: st.DrawFn) -> Run:
    run = draw(RUN)
    run_id = OLD_IDS[0]
    tags = dict(run.tags)
    for tag in LINK_TAGS:
        target = draw(st.sampled_from([None, *OLD_IDS, "e" * 32]))
        if target:
            tags[tag] = target
    if draw(st.booleans()):
        tags[MODEL_HISTORY] = f'[{{"run_id": "{run_id}", "artifact_path": "model"}}]'
    return dataclasses.replace(run, run_id=run_id, tags=tags)


def _copy(run: Run, resolve: dict[str, str]) -> Run:
    """A faithful copy of a run in a target that holds the runs of `resolve`."""
    tags = renamed(run, NEW_IDS[run.run_id], resolve.get) | originals(run)
    return dataclasses.replace(run, run_id=NEW_IDS[run.run_id], experiment_id="99", tags=tags)


@given(_linked())
def test_links_follow_the_runs_and_a_link_to_a_run_that_is_not_there_is_left_out(run: Run) -> None:
    tags = renamed(run, NEW_IDS[run.run_id], NEW_IDS.get)
    for tag in LINK_TAGS:
        assert tags.get(tag) == NEW_IDS.get(run.tags.get(tag, ""))
    if MODEL_HISTORY in run.tags:
        assert NEW_IDS[run.run_id] in tags[MODEL_HISTORY]
        assert run.run_id not in tags[MODEL_HISTORY]
    plain = {k: v for k, v in run.tags.items() if k not in (*LINK_TAGS, MODEL_HISTORY)}
    assert {k: v for k, v in tags.items() if k not in (*LINK_TAGS, MODEL_HISTORY)} == own_tags_removed(plain)


@given(_linked())
def test_the_values_that_change_on_the_way_are_kept_beside(run: Run) -> None:
    kept = originals(run)
    assert kept[ORIGIN] == run.run_id
    assert kept[SOURCE + "experiment_id"] == run.experiment_id
    for tag in (*LINK_TAGS, MODEL_HISTORY):
        assert kept.get(SOURCE + tag) == run.tags.get(tag)


@given(_linked())
def test_a_copy_of_a_copy_keeps_the_id_the_run_was_born_with(run: Run) -> None:
    copy = _copy(run, NEW_IDS)
    assert origin_of(copy) == origin_of(run) == run.run_id
    assert originals(copy) == originals(run)


@given(_linked())
def test_a_copy_whose_links_all_arrived_reads_at_home_as_the_run_does(run: Run) -> None:
    run = dataclasses.replace(run, tags={k: v for k, v in run.tags.items() if v != "e" * 32})
    back = {new: old for old, new in NEW_IDS.items()}
    copy = _copy(run, NEW_IDS)
    assert at_home(copy, lambda i: back.get(i, i)).tags == at_home(run, lambda i: i).tags
    assert list(compare_runs(run, copy, lambda i: i, lambda i: back.get(i, i), OLD_IDS.__contains__)) == []


@given(_linked(), st.sampled_from(LINK_TAGS))
def test_a_link_that_got_lost_though_both_runs_are_there_is_a_difference(run: Run, tag: str) -> None:
    """The old id in a `runsync.source.` tag excuses a lost link only when the other run is not in the target."""
    run = dataclasses.replace(run, tags={**run.tags, tag: OLD_IDS[1]})
    copy = _copy(run, NEW_IDS)
    copy = dataclasses.replace(copy, tags={k: v for k, v in copy.tags.items() if k != tag})
    back = {new: old for old, new in NEW_IDS.items()}
    found = list(compare_runs(run, copy, lambda i: i, lambda i: back.get(i, i), OLD_IDS.__contains__))
    assert [d.field for d in found] == [f"tags.{tag}"]


@given(_linked())
def test_a_link_to_a_run_that_is_not_in_the_target_is_kept_by_its_old_id(run: Run) -> None:
    run = dataclasses.replace(run, tags={**run.tags, PARENT: "e" * 32})
    copy = _copy(run, NEW_IDS)
    back = {new: old for old, new in NEW_IDS.items()}
    assert list(compare_runs(run, copy, lambda i: i, lambda i: back.get(i, i), OLD_IDS.__contains__)) == []
    bare = dataclasses.replace(copy, tags={k: v for k, v in copy.tags.items() if k != SOURCE + PARENT})
    found = compare_runs(run, bare, lambda i: i, lambda i: back.get(i, i), OLD_IDS.__contains__)
    assert [d.field for d in found] == [f"tags.{PARENT}"]


def _nobody(origin: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("field", "value"),
    [("status", "FAILED"), ("end_time", None), ("name", "other"), ("user_id", ""), ("params", {}), ("tags", {})],
)
def test_a_difference_is_told_with_its_field(field: str, value: object) -> None:
    run = Run("a", "1", "n", "u", "FINISHED", 1, 2, params={"p": "1"}, tags={"t": "1"})
    found = list(compare_runs(run, dataclasses.replace(run, **{field: value}), str, str, _nobody))  # type: ignore[arg-type]
    assert [d.field.partition(".")[0] for d in found] == [field]


def test_more_in_the_target_is_no_difference() -> None:
    run = Run("a", "1", params={"p": "1"}, tags={PARENT: "b", ROOT: "b"})
    more = dataclasses.replace(run, params={"p": "1", "q": "2"}, tags={**run.tags, "t": "1"})
    assert list(compare_runs(run, more, str, str, _nobody)) == []


def test_experiments_are_called_as_they_were_renamed_else_with_the_prefix() -> None:
    experiments = [Experiment(id, name) for id, name in (("1", "a"), ("2", "b"), ("3", "c"))]
    names = Naming({"a": "b", "3": "d"}, "old-").among(experiments)
    assert [names.of(experiment) for experiment in experiments] == ["b", "old-b", "d"]
    assert [names.of_name(name) for name in ("a", "b", "c", "gone")] == ["b", "old-b", "d", "old-gone"]


def test_a_name_that_two_experiments_have_is_refused_with_the_ids_and_an_id_is_taken() -> None:
    experiments = [Experiment(id, "x") for id in ("11", "12")]
    with pytest.raises(WrongUsage, match=r"“x” means 2 experiments.*\n  id:11 .*\n  id:12 "):
        Naming({"x": "y"}).among(experiments)
    names = Naming({"11": "y"}).among(experiments)
    assert [names.of(experiment) for experiment in experiments] == ["y", "x"]


def test_an_id_that_is_also_the_name_of_another_experiment_is_refused_with_both_ways_out() -> None:
    one, other = Experiment("11", "x"), Experiment("12", "11")
    with pytest.raises(WrongUsage, match=r"“11” means 2 experiments.*\n  id:11  “x”.*\n  id:12  “11”"):
        Naming({"11": "y"}).among([one, other])
    assert Naming({"x": "y"}).among([one, other]).of(one) == "y"
    assert Naming({"12": "y"}).among([one, other]).of(other) == "y"
    twin = Experiment("13", "x")
    assert Naming({"id:11": "y"}).among([one, other, twin]).of(one) == "y"


def test_a_rename_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(NothingSelected, match="“z”, which is not among"):
        Naming({"z": "y"}).among([Experiment("1", "a")])


def test_a_deleted_experiment_makes_room_for_an_active_one_of_its_name() -> None:
    """Databricks has such."""
    old, new = Experiment("11", "x", DELETED), Experiment("12", "x")
    names = Naming(prefix="p/").among([old, new])
    assert [names.of(experiment) for experiment in (old, new)] == ["p/x (old 11)", "p/x"]


@given(RUN, NAME, NAME)
def test_a_tag_with_another_name_than_the_run_is_kept_or_set_to_that_name(run: Run, name: str, tagged: str) -> None:
    """Servers set it to the name; bundles and stores keep it. Another value still is a difference."""
    run = dataclasses.replace(run, name=name, tags={"mlflow.runName": tagged})
    other = dataclasses.replace(run, run_id="c" * 32, tags={"mlflow.runName": name})
    for target in (run, other):
        assert list(compare_runs(run, target, str, lambda id: run.run_id, _nobody)) == []
        assert list(changed_run(run, target)) == []
    third = dataclasses.replace(run, run_id="c" * 32, tags={"mlflow.runName": name + tagged})
    fields = [found.field for found in compare_runs(run, third, str, lambda id: run.run_id, _nobody)]
    assert fields == [found.field for found in changed_run(run, third)] == ["tags.mlflow.runName"]
