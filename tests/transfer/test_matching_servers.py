"""Copies on real servers are found by where they came from; a server renames experiments, and moves no runs."""

from collections.abc import Iterator

import pytest
from support.proxy import FaultProxy
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from runsync.model.experiment import Experiment
from runsync.model.identity import FROM, ORIGIN, ORIGIN_EXPERIMENT
from runsync.model.selection import Selection
from runsync.transfer.places import open_workspace
from runsync.workspaces.rest.experiments import RestExperiments
from transfer.commands import read, writes
from transfer.database import START, Database

Home = dict[str, str]
"""Ids of experiments by the letter that they were made with."""


@pytest.fixture
def source(mlflow3_a: MlflowServer) -> Iterator[Seeder]:
    with Seeder(mlflow3_a.url) as seeder:
        yield seeder


@pytest.fixture
def homes(source: Seeder, prefix: str) -> Home:
    """Three experiments, each with a run called after it."""
    made = {letter: source.create_experiment(prefix + letter) for letter in "abc"}
    for number, (letter, id) in enumerate(made.items()):
        source.finish(source.create_run(id, letter, start_time=START + number))
    return made


@pytest.fixture
def selection(prefix: str) -> Selection:
    return Selection(experiments=(prefix + "*",))


def rename(seeder: Seeder, id: str, name: str) -> None:
    seeder.post("experiments/update", experiment_id=id, new_name=name)


def swap(seeder: Seeder, homes: Home, prefix: str) -> None:
    """a and b change their names, c gets a new one."""
    for letter, new in (("a", "on the way"), ("b", "a"), ("a", "b"), ("c", "d")):
        rename(seeder, homes[letter], prefix + new)


def move(server: MlflowServer, run_id: str, experiment_id: str) -> None:
    Database(server).execute("UPDATE runs SET experiment_id = ? WHERE run_uuid = ?", experiment_id, run_id)


def where(url: str, prefix: str) -> dict[str, list[str]]:
    """The names of active runs, by that of their active experiment without the prefix."""
    workspace = open_workspace(url)
    try:
        chosen = workspace.experiments(Selection(experiments=(prefix + "*",), state="active"))
        runs = [run for batch in workspace.batches(chosen, Selection(state="active")) for run in batch.runs]
    finally:
        workspace.close()
    return {
        e.name.removeprefix(prefix): sorted(run.name for run in runs if run.experiment_id == e.experiment_id)
        for e in chosen
    }


class Killed(BaseException):
    """Nothing catches it: the process is gone."""


def test_names_follow_the_source_also_when_killed_at_each_renaming(
    mlflow3_a: MlflowServer,
    mlflow3_b: MlflowServer,
    source: Seeder,
    homes: Home,
    prefix: str,
    selection: Selection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection)
    assert (done.exit_code, done.runs.created) == (0, 3)
    swap(source, homes, prefix)
    whole = RestExperiments.rename

    def stopping(self: RestExperiments, experiment: Experiment, name: str) -> None:
        whole(self, experiment, name)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RestExperiments, "rename", stopping)
        for _ in range(2):
            with pytest.raises(Killed):
                runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection)
    told = runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection)
    assert (told.exit_code, told.runs.created, told.runs.unchanged) == (0, 0, 3)
    assert where(mlflow3_b.url, prefix) == {"b": ["a"], "a": ["b"], "d": ["c"]}
    assert runsync.verify(mlflow3_a.url, mlflow3_b.url, selection=selection).differences == []
    with FaultProxy(mlflow3_b.url) as proxy:
        runsync.sync(mlflow3_a.url, proxy.url, selection=selection)
        assert writes(proxy) == []


def test_a_run_that_was_moved_is_named_and_with_delete_made_anew_where_it_belongs(
    mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, homes: Home, prefix: str, selection: Selection
) -> None:
    ids = runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection).id_map["runs"]
    names = {run["info"]["run_name"]: id for id, run in read(mlflow3_a.url, prefix + "*").runs.items()}
    move(mlflow3_a, names["a"], homes["b"])
    with FaultProxy(mlflow3_b.url) as proxy:
        told = runsync.sync(mlflow3_a.url, proxy.url, selection=selection)
        assert writes(proxy) == []
    assert (told.exit_code, told.runs.unchanged, told.id_map["runs"]) == (3, 3, ids)
    (problem,) = told.problems
    assert (problem["run_id"], problem["kind"]) == (names["a"], "experiment")
    assert "sync --delete creates it again" in problem["reason"]
    differences = runsync.verify(mlflow3_a.url, mlflow3_b.url, selection=selection).differences
    assert [(d.id, d.field) for d in differences] == [(names["a"], "experiment")]

    followed = runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection, delete=True, max_delete="1")
    assert (followed.exit_code, followed.runs.created) == (0, 1)
    assert any("created again in the experiment" in note for note in followed.notes)
    assert not any("deletions" in left.what for left in followed.not_carried)
    assert where(mlflow3_b.url, prefix) == {"a": [], "b": ["a", "b"], "c": ["c"]}
    assert runsync.verify(mlflow3_a.url, mlflow3_b.url, selection=selection).differences == []
    with FaultProxy(mlflow3_b.url) as proxy:
        again = runsync.sync(mlflow3_a.url, proxy.url, selection=selection, delete=True)
        assert (again.exit_code, writes(proxy)) == (0, [])


def test_a_run_moved_by_hand_in_the_target_is_not_made_again(
    mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, homes: Home, prefix: str, selection: Selection
) -> None:
    ids = runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection).id_map["runs"]
    with Seeder(mlflow3_b.url) as seeder:
        own = seeder.create_experiment(f"favourites of {prefix}")
    (run_id, copy) = next(iter(ids.items()))
    move(mlflow3_b, copy, own)
    told = runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection)
    assert (told.exit_code, told.runs.created, told.id_map["runs"]) == (3, 0, ids)
    (problem,) = told.problems
    assert (problem["run_id"], "mlflow gc" in problem["reason"]) == (run_id, True)
    followed = runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection, delete=True, max_delete="100%")
    assert (followed.exit_code, followed.runs.created) == (3, 0)
    differences = runsync.verify(mlflow3_a.url, mlflow3_b.url, selection=selection).differences
    assert [(d.id, d.field) for d in differences] == [(run_id, "experiment")]
    # The advice, followed to the letter.
    Database(mlflow3_b).purge(copy)
    told = runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection)
    assert (told.exit_code, told.runs.created) == (0, 1)
    assert runsync.verify(mlflow3_a.url, mlflow3_b.url, selection=selection).differences == []


def test_an_experiment_made_anew_under_the_name_of_a_deleted_one_is_another_one(
    mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, source: Seeder, homes: Home, prefix: str, selection: Selection
) -> None:
    runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection)
    source.delete_experiment(homes["a"])
    followed = runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection, delete=True, max_delete="1")
    assert followed.exit_code == 0
    # As mlflow gc does with an experiment and its runs.
    for table in ("experiment_tags", "runs", "experiments"):
        Database(mlflow3_a).execute(f"DELETE FROM {table} WHERE experiment_id = ?", homes["a"])
    anew = source.create_experiment(prefix + "a")
    source.finish(source.create_run(anew, "new", start_time=START))
    told = runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection)
    assert (told.exit_code, told.experiments.created, told.runs.created) == (0, 1, 1)
    assert where(mlflow3_b.url, prefix) == {"a": ["new"], "b": ["b"], "c": ["c"]}
    assert runsync.verify(mlflow3_a.url, mlflow3_b.url, selection=selection).differences == []


def test_second_copies_that_earlier_versions_made_are_differences(
    mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, homes: Home, prefix: str, selection: Selection
) -> None:
    told = runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection)
    copy = told.id_map["experiments"][homes["c"]]
    (origin,) = (id for id, run in read(mlflow3_a.url, prefix + "c").runs.items())
    tags = {ORIGIN: origin, ORIGIN_EXPERIMENT: homes["c"], FROM: mlflow3_a.url}
    with Seeder(mlflow3_b.url) as seeder:
        seeder.create_run(copy, "c", tags=tags)
        again = seeder.create_experiment(prefix + "c-old", tags={ORIGIN_EXPERIMENT: homes["c"], FROM: mlflow3_a.url})
        seeder.create_run(again, "c", tags=tags)
    checked = runsync.verify(mlflow3_a.url, mlflow3_b.url, selection=selection)
    found = {(d.kind, d.id, d.field): d.target for d in checked.differences}
    assert found.keys() == {("experiment", homes["c"], "copies"), ("run", origin, "copies")}
    assert found["run", origin, "copies"].startswith("3: also ")
    noted = runsync.sync(mlflow3_a.url, mlflow3_b.url, selection=selection)
    assert (noted.runs.created, [n for n in noted.notes if "another copy" in n] != []) == (0, True)
