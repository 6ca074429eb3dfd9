"""What of a logged model a database has no place for, told before anything is written."""

from collections.abc import Callable

import pytest
from support.databases import Databases

from runsync.kinds.logged_models import LoggedModel
from runsync.model.experiment import Experiment
from runsync.workspaces.direct.models import Write
from runsync.workspaces.sql.store import SqlStore

Open = Callable[[str], SqlStore]
ID = "m-" + "1" * 32


def test_keys_that_are_one_to_mysql_are_named_one_by_one(databases: Databases, opened: Open) -> None:
    models = opened(databases.fresh("mysql").url).models
    keys = ("lr", "LR", "l\u0155", "depth", "d\u00e9pth", "\u0434")
    fitted = models.fitted(LoggedModel(ID, "0", params=dict.fromkeys(keys, "1"), tags=dict.fromkeys(keys[3:], "x")))
    assert sorted(fitted.item.params) == ["depth", "lr", "\u0434"]
    assert sorted(fitted.item.tags) == ["depth", "\u0434"]
    assert [(one.kind, one.name) for one in fitted.left_out] == [
        *(("param", "LR"), ("param", "l\u0155"), ("param", "d\u00e9pth"), ("tag", "d\u00e9pth"))
    ]
    assert fitted.left_out[0].reason == "to this database its name is “lr”"


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "mysql"])
def test_a_logged_model_without_a_time_arrives(databases: Databases, opened: Open, kind: str) -> None:
    store = opened(databases.fresh(kind).url)
    experiment_id = store.create_experiment(Experiment("", "vision"))
    store.models.write_logged_models([Write(LoggedModel(ID, experiment_id, "net"), "s3://b")])
    store.refresh()
    (found,) = store.models.logged_models([experiment_id])
    assert (found.item.name, found.item.created_at) == ("net", 0)
