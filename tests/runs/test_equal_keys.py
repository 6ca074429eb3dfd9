"""MySQL takes `team` and `Team` for one key: `runs tag` changes no other tag than the one that was named."""

import pytest
from support.changes import valid
from support.databases import Databases
from support.stores import START, Filler, opened, run_id

import runsync
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.model.selection import Selection


@pytest.fixture
def where(databases: Databases) -> str:
    """A database of two runs, one of them with tags."""
    address = databases.fresh("mysql").url
    with opened(address) as workspace:
        filler = Filler(workspace)
        home = filler.experiment(Experiment("7", "shop", artifact_location="/nowhere"))
        for label, tags in (("one", {"team": "vision", "note": "x"}), ("other", {})):
            filler.run(Run(run_id(label), home, label, "ann", "FINISHED", START, START + 1, tags=tags))
    return address


def tags_of(where: str, label: str) -> dict[str, str]:
    [run] = runsync.list_runs(where, selection=Selection(runs=(f"shop/{label}",))).runs
    return {key: value for key, value in run.tags.items() if not key.startswith("mlflow.")}


@pytest.mark.parametrize("key", ["Team", "téam"])
def test_a_key_that_is_one_with_another_changes_nothing_and_is_told(where: str, key: str) -> None:
    done = valid(runsync.tag_runs(where, {key: "audio", "note": "y"}, Selection(experiments=("shop",))))
    assert (done.exit_code, {item.name: item.action for item in done.items}) == (3, {"one": "failed", "other": "tag"})
    [failed] = done.of("failed")
    assert failed.error == f"tag “{key}”: to this database it is the same as “team”, so nothing was changed"
    assert tags_of(where, "one") == {"team": "vision", "note": "x"}
    assert tags_of(where, "other") == {key: "audio", "note": "y"}


def test_of_two_new_keys_that_are_one_neither_is_set(where: str) -> None:
    done = valid(runsync.tag_runs(where, {"Stage": "a", "stage": "b"}, Selection(runs=("shop/other",))))
    [failed] = done.of("failed")
    assert failed.error == "tag “stage”: to this database it is the same as “Stage”, so nothing was changed"
    assert tags_of(where, "other") == {}
