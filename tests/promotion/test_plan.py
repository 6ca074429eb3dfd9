"""A plan is done exactly, or not at all."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from support.databases import Databases

import runsync
from promotion.conftest import Promote, Registry, Trained, set_alias
from runsync.errors import PlanOutdated

GATES: dict[str, Any] = {"require": ["metrics.auc > 0.6"], "better_than": ["champion"], "on": "metrics.loss down"}


@pytest.fixture
def plan(promote: Promote, tmp_path: Path) -> Path:
    """Version 1 is champion, and version 2 is planned."""
    promote("churn/1")
    report = promote("churn/2", **GATES, plan=tmp_path / "plan.json")
    assert (report.action, report.dry_run, report.exit_code) == ("promoted", True, 0)
    return tmp_path / "plan.json"


def test_a_plan_changes_nothing_and_is_done_once(plan: Path, prod: Registry) -> None:
    assert (prod.versions, runsync.show_model(prod.url, "churn").aliases) == (1, {"champion": 1})
    done = runsync.apply_plan(plan)
    assert (done.action, done.version, [gate.passed for gate in done.gates]) == ("promoted", 2, [True, True])
    again = runsync.apply_plan(plan)
    assert (again.action, again.exit_code, prod.versions) == ("already there", 0, 2)


def test_a_plan_names_the_version_and_not_the_alias(promote: Promote, prod: Registry, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    promote("churn@candidate", plan=file)
    assert json.loads(file.read_text())["model"] == "churn/3"


def other_champion(prod: Registry) -> None:
    """Somebody moves the alias."""
    set_alias(prod, "champion", 2)


def other_metric(prod: Registry) -> None:
    """Somebody changes what the champion has for its loss."""
    with closing(sqlite3.connect(prod.url.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE latest_metrics SET value = 0.45 WHERE key = 'loss'")
        database.execute("UPDATE logged_model_metrics SET metric_value = 0.45 WHERE metric_name = 'loss'")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (other_champion, "the alias named version 1 then, and names version 2 now"),
        (other_metric, "has 0.5” then, and finds"),
    ],
)
def test_a_plan_is_refused_once_something_has_changed(
    plan: Path, promote: Promote, prod: Registry, change: Callable[[Registry], None], told: str
) -> None:
    promote("churn/3", alias="other")
    change(prod)
    before = runsync.show_model(prod.url, "churn").aliases
    report = runsync.apply_plan(plan)
    assert (report.action, report.exit_code) == ("refused", 4)
    assert told in report.promotions[0].error
    assert (prod.versions, runsync.show_model(prod.url, "churn").aliases) == (2, before)


def test_a_plan_is_refused_once_the_files_at_the_source_are_others(
    trained: Trained, databases: Databases, prod: Registry, tmp_path: Path
) -> None:
    dev = databases.fresh("sqlite")
    (tmp_path / "dev").mkdir()
    runsync.sync(trained.url, dev.url, access=runsync.Access(artifacts=str(tmp_path / "dev")))
    file = tmp_path / "plan.json"
    source = str(tmp_path / "dev")
    assert runsync.promote(dev.url, prod.url, model="churn/1", plan=file, source_artifacts=source).action == "promoted"
    (model,) = (path for path in (tmp_path / "dev").rglob("factor.txt") if path.read_text() == "2")
    model.write_text("9")
    with pytest.raises(PlanOutdated, match="churn/1 has other files than when the plan was made"):
        runsync.apply_plan(file)
    assert runsync.list_models(prod.url).models == []


def test_a_refused_plan_is_written_and_never_done(
    carried: Path, prod: Registry, runsync: Runner, tmp_path: Path
) -> None:
    file = tmp_path / "plan.json"
    done = runsync("promote", carried, prod.url, "churn/1", "--require", "metrics.auc > 2", "--plan", file)
    assert (done.returncode, json.loads(file.read_text())["promotions"][0]["action"]) == (4, "refused")
    applied = runsync("promote", "--apply", file)
    assert (applied.returncode, "was refused: make another plan" in applied.stderr) == (4, True)


@pytest.mark.parametrize(
    "target",
    ["http://ada:secret@127.0.0.1:9", "http://token@127.0.0.1:9", "postgresql://ada:secret@127.0.0.1:9/mlflow"],
)
def test_a_plan_holds_no_password(carried: Path, tmp_path: Path, target: str) -> None:
    with pytest.raises(runsync.RunsyncError, match="a plan would hold the password of "):
        runsync.promote(str(carried), target, model="churn/1", plan=tmp_path / "plan.json")


def test_a_user_of_a_database_is_no_secret(carried: Path, tmp_path: Path) -> None:
    with pytest.raises(runsync.RunsyncError, match=r"127\.0\.0\.1:9"):  # nobody is there
        runsync.promote(str(carried), "postgresql://ada@127.0.0.1:9/mlflow", model="churn/1", plan=tmp_path / "p.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "runsync-promotion-plan", "version": 2}'])
def test_what_is_no_plan_is_told(runsync: Runner, tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    done = runsync("promote", "--apply", "plan.json")
    assert (done.returncode, "is no plan of a promotion" in done.stderr) == (2, True)
    assert runsync("promote", "--apply", "gone.json").returncode == 2
