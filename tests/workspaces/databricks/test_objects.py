"""Notebooks and permissions leave a Databricks workspace for a bundle, and come into another one, exactly or named."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from emulators.databricks import Databricks, Fault, too_many
from emulators.databricks.options import Doubts
from support.databricks import DatabricksSeeder
from support.servers import MlflowServer

import runsync
from runsync.bundle.check import check
from runsync.bundle.snapshot import open_snapshot
from runsync.errors import RequestRefused, WrongUsage
from runsync.kinds import BY_NAME
from runsync.kinds.kind import Entity
from runsync.kinds.notebooks import Notebook
from runsync.kinds.permissions import Permissions
from runsync.transfer.places import open_workspace
from runsync.transfer.report import TransferReport
from runsync.workspaces.databricks.notebooks import Notebooks
from runsync.workspaces.rest.workspace import RestWorkspace
from workspaces.databricks.conftest import Start

HOME = "/Users/ana@example.com"
NOTEBOOK = f"{HOME}/churn/train"
EXPERIMENT = f"{HOME}/churn/experiment"
FOLDER = f"{HOME}/imported"
OLD = "# Databricks notebook source\nprint('old')"
NEW = "# Databricks notebook source\nprint('new')\n\n# COMMAND ----------\n\nprint('cell')"


@dataclass
class Facts:
    """The experiment, the revisions of the notebook, and the runs that name them ("": none)."""

    experiment_id: str
    revisions: list[str]
    runs: dict[str, str]


def seed(workspace: Databricks) -> Facts:
    """An experiment with a run of each revision of a notebook, one that names none, and permissions."""
    node = workspace.add_notebook(NOTEBOOK, OLD)
    revisions = [str(node.revisions[0].at), workspace.save_notebook(node, NEW)]
    runs = {}
    with DatabricksSeeder(workspace) as seeder:
        experiment = seeder.create_experiment(EXPERIMENT)
        for revision in (*revisions, ""):
            run = seeder.create_run(experiment, f"of {revision or 'none'}")
            seeder.set_tag(run, "mlflow.databricks.notebookPath", NOTEBOOK)
            seeder.set_tag(run, "mlflow.databricks.notebookID", str(node.object_id))
            if revision:
                seeder.set_tag(run, "mlflow.databricks.notebookRevisionID", revision)
            runs[revision] = run
    workspace.add_user("bob@example.com", "science")
    workspace.permissions["experiments", experiment] = {
        ("user_name", "bob@example.com"): "CAN_READ",
        ("group_name", "science"): "CAN_EDIT",
        ("service_principal_name", workspace.principal.name): "CAN_MANAGE",
    }
    return Facts(experiment, revisions, runs)


NOTEBOOKS, PERMISSIONS = "notebooks", "permissions"


def objects_in(bundle: Path, kind: str) -> list[Entity]:
    return list(open_snapshot(bundle).entities(BY_NAME[kind]).all())


def notebooks_in(bundle: Path) -> dict[tuple[str, str], Notebook]:
    found = objects_in(bundle, NOTEBOOKS)
    return {(item.revision, item.format): item for item in found if isinstance(item, Notebook)}


def text_of(bundle: Path, item: Notebook) -> bytes:
    return (bundle / "blobs" / item.blobs[0].sha256[:2] / item.blobs[0].sha256).read_bytes()


def counts(report: TransferReport, kind: str) -> dict[str, int]:
    tally = report.objects[kind]
    told = {name: getattr(tally, name) for name in ("created", "updated", "unchanged", "failed")}
    return {name: count for name, count in told.items() if count}


def whole(report: TransferReport) -> None:
    """Nothing failed; notebooks and permissions may have stayed behind, which then is the exit code."""
    assert (report.failed, report.problems, report.stopped) == ([], [], "")
    left = {lost.kind for lost in report.left_behind}
    assert left <= {NOTEBOOKS, PERMISSIONS}
    assert report.exit_code == (3 if left else 0)


def source_at(workspace: Databricks, path: str) -> str:
    content: bytes = workspace.tree.need(path).revisions[-1].content
    return content.decode()


def test_the_very_revision_that_a_run_names_is_exported(start: Start, tmp_path: Path) -> None:
    facts = seed(start("dev"))
    report = runsync.export("databricks://dev", tmp_path / "b", notebooks=("SOURCE", "JUPYTER", "HTML", "DBC"))
    whole(report)
    assert counts(report, NOTEBOOKS) == {"created": 12}
    old, new = (notebooks_in(tmp_path / "b")[revision, "SOURCE"] for revision in facts.revisions)
    assert (text_of(tmp_path / "b", old), old.is_last, old.language) == (OLD.encode(), False, "PYTHON")
    assert (text_of(tmp_path / "b", new), new.is_last) == (NEW.encode(), False)
    assert old.runs == (facts.runs[facts.revisions[0]],)
    last = notebooks_in(tmp_path / "b")["", "SOURCE"]
    assert (text_of(tmp_path / "b", last), last.is_last) == (NEW.encode(), True)
    assert check(tmp_path / "b").faults == []


@pytest.mark.parametrize("answer", ["ignored", "refused"])
def test_where_revisions_cannot_be_had_the_last_one_is_and_that_is_said(
    start: Start, tmp_path: Path, answer: Any
) -> None:
    dev = start("dev", doubts=Doubts(revision_exports=answer))
    facts = seed(dev)
    whole(runsync.export("databricks://dev", tmp_path / "b", notebooks=("SOURCE",)))
    old, new = (notebooks_in(tmp_path / "b")[revision, "SOURCE"] for revision in facts.revisions)
    assert (text_of(tmp_path / "b", old), old.is_last) == (NEW.encode(), True)
    assert (text_of(tmp_path / "b", new), new.is_last) == (NEW.encode(), False)


def test_the_second_night_fetches_no_notebook(start: Start, tmp_path: Path) -> None:
    dev = start("dev")
    seed(dev)
    whole(runsync.export("databricks://dev", tmp_path / "b", notebooks=("SOURCE", "HTML")))
    dev.requests.clear()
    report = runsync.export("databricks://dev", tmp_path / "b", notebooks=("SOURCE", "HTML"))
    whole(report)
    assert counts(report, NOTEBOOKS) == {"unchanged": 6}
    assert not [seen for seen in dev.requests if seen.endpoint == "GET /api/2.0/workspace/export"]


def test_a_notebook_that_was_deleted_is_named_and_does_not_fail_the_night(start: Start, tmp_path: Path) -> None:
    dev = start("dev")
    seed(dev)
    dev.tree.remove(NOTEBOOK)
    report = runsync.export("databricks://dev", tmp_path / "b", notebooks=("SOURCE",))
    whole(report)
    left = {lost.what: lost for lost in report.not_carried}[f"{NOTEBOOKS} that the source no longer has"]
    assert (left.count, report.exit_code) == (3, 0)
    assert all(NOTEBOOK in name for name in left.names)


def test_notebooks_that_were_not_asked_for_are_named(start: Start, tmp_path: Path) -> None:
    seed(start("dev"))
    report = runsync.export("databricks://dev", tmp_path / "b")
    whole(report)
    assert {lost.what: lost.names for lost in report.not_carried}[NOTEBOOKS] == (NOTEBOOK,)
    assert (report.exit_code, NOTEBOOKS in report.objects) == (3, False)
    assert runsync.export("databricks://dev", tmp_path / "b", accept=["notebooks"]).exit_code == 0


def test_permissions_are_always_exported_with_what_is_inherited(start: Start, tmp_path: Path) -> None:
    dev = start("dev")
    facts = seed(dev)
    whole(runsync.export("databricks://dev", tmp_path / "b"))
    (kept,) = objects_in(tmp_path / "b", PERMISSIONS)
    assert isinstance(kept, Permissions)
    assert (kept.experiment_id, kept.experiment, kept.object_type) == (facts.experiment_id, EXPERIMENT, "experiment")
    assert {(g.principal_type, g.principal, g.level) for g in kept.direct} == {
        ("user", "bob@example.com", "CAN_READ"),
        ("group", "science", "CAN_EDIT"),
        ("service_principal", dev.principal.name, "CAN_MANAGE"),
    }
    inherited = [grant for grant in kept.grants if grant.inherited]
    assert ("user", "ana@example.com", "CAN_MANAGE") in {(g.principal_type, g.principal, g.level) for g in inherited}
    assert all(grant.inherited_from for grant in inherited)


def test_permissions_are_given_when_asked_for_and_missing_principals_are_named(start: Start, tmp_path: Path) -> None:
    dev, prod = start("dev"), start("prod")
    seed(dev)
    prod.add_user("bob@example.com")
    whole(runsync.export("databricks://dev", tmp_path / "b"))
    report = runsync.import_(tmp_path / "b", "databricks://prod")
    whole(report)
    assert {lost.what: lost.names for lost in report.not_carried}[PERMISSIONS] == (EXPERIMENT,)
    assert not prod.permissions
    planned = runsync.import_(tmp_path / "b", "databricks://prod", permissions=True, dry_run=True)
    assert counts(planned, PERMISSIONS) == {"created": 1}
    assert not prod.permissions
    report = runsync.import_(tmp_path / "b", "databricks://prod", permissions=True)
    whole(report)
    assert counts(report, PERMISSIONS) == {"created": 1}
    assert list(prod.permissions.values()) == [{("user_name", "bob@example.com"): "CAN_READ"}]
    missing = {lost.why: lost for lost in report.not_carried}["principals that the target does not have"]
    assert (missing.what, missing.count) == (PERMISSIONS, 2)
    assert any("science" in name for name in missing.names)
    again = runsync.import_(tmp_path / "b", "databricks://prod", permissions=True)
    whole(again)
    assert counts(again, PERMISSIONS) == {"unchanged": 1}


def test_nobody_loses_a_right_that_they_have_in_the_target(start: Start, tmp_path: Path) -> None:
    dev, prod = start("dev"), start("prod")
    seed(dev)
    prod.add_user("bob@example.com", "science")
    whole(runsync.sync("databricks://dev", "databricks://prod"))
    (experiment,) = prod.tracking.experiments
    prod.permissions["experiments", experiment] = {("user_name", "bob@example.com"): "CAN_MANAGE"}
    whole(runsync.sync("databricks://dev", "databricks://prod", permissions=True))
    assert prod.permissions["experiments", experiment] == {
        ("user_name", "bob@example.com"): "CAN_MANAGE",
        ("group_name", "science"): "CAN_EDIT",
    }


def test_notebooks_are_put_below_the_folder_at_the_paths_that_they_had(start: Start, tmp_path: Path) -> None:
    dev, prod = start("dev"), start("prod")
    facts = seed(dev)
    whole(runsync.export("databricks://dev", tmp_path / "b", notebooks=("SOURCE", "HTML")))
    before = {node.path for node in prod.tree.children(HOME)}
    planned = runsync.import_(tmp_path / "b", "databricks://prod", notebook_folder=FOLDER, dry_run=True)
    assert counts(planned, NOTEBOOKS) == {"created": 3}
    assert prod.tree.get(FOLDER) is None
    report = runsync.import_(tmp_path / "b", "databricks://prod", notebook_folder=FOLDER)
    whole(report)
    assert counts(report, NOTEBOOKS) == {"created": 3}
    assert source_at(prod, FOLDER + NOTEBOOK) == NEW
    assert source_at(prod, f"{FOLDER}{NOTEBOOK}@{facts.revisions[0]}") == OLD
    assert {node.path for node in prod.tree.children(HOME)} - before == {FOLDER, f"{HOME}/churn"}
    assert prod.tree.get(NOTEBOOK) is None, "nothing is put outside of the folder"


@pytest.mark.parametrize("form", ["SOURCE", "JUPYTER", "HTML", "DBC"])
def test_importing_notebooks_again_changes_nothing_and_writes_over_nothing(
    start: Start, tmp_path: Path, form: str
) -> None:
    dev, prod = start("dev"), start("prod")
    seed(dev)
    whole(runsync.export("databricks://dev", tmp_path / "b", notebooks=(form,)))
    whole(runsync.import_(tmp_path / "b", "databricks://prod", notebook_folder=FOLDER))
    again = runsync.import_(tmp_path / "b", "databricks://prod", notebook_folder=FOLDER + "/")
    assert counts(again, NOTEBOOKS) == {"unchanged": 3}
    names = [node.path for node in prod.tree.children(f"{FOLDER}{HOME}/churn")]
    edited = prod.tree.need(FOLDER + NOTEBOOK)
    prod.save_notebook(edited, "# Databricks notebook source\nmine")
    whole(runsync.import_(tmp_path / "b", "databricks://prod", notebook_folder=FOLDER))
    assert source_at(prod, FOLDER + NOTEBOOK).endswith("mine")
    others = {source_at(prod, name) for name in names if name.startswith(f"{FOLDER}{NOTEBOOK}@")}
    assert others == {OLD, NEW}, "what was not edited is there beside it"


@pytest.mark.parametrize("form", ["HTML", "DBC"])
def test_a_notebook_of_which_nobody_can_tell_whether_it_is_the_same_is_left_and_named(start: Start, form: str) -> None:
    prod = start("prod")
    node = prod.add_notebook(NOTEBOOK, NEW)
    workspace = open_workspace("databricks://prod")
    assert isinstance(workspace, RestWorkspace)
    item = Notebook(NOTEBOOK, "", form)
    with pytest.raises(RequestRefused, match=f"cannot be told from {form}: name another folder"):
        Notebooks(workspace.client).put((NOTEBOOK, f"{NOTEBOOK}@1"), item, b"in a format of other times", writes=True)
    workspace.close()
    assert len(node.revisions) == 1
    assert prod.tree.get(f"{NOTEBOOK}@1") is None


def test_answers_that_are_lost_make_no_second_notebook_and_no_failure(start: Start, tmp_path: Path) -> None:
    dev, prod = start("dev"), start("prod")
    seed(dev)
    prod.add_user("bob@example.com", "science")
    dev.faults.add(Fault("cut", "GET /api/2.0/workspace/export", times=2))
    whole(runsync.export("databricks://dev", tmp_path / "b", notebooks=("SOURCE",)))
    prod.faults.add(Fault("lose", "POST /api/2.0/workspace/import", times=2))
    prod.faults.add(Fault("lose", "PATCH /api/2.0/permissions/*"))
    prod.faults.add(too_many("GET /api/2.0/workspace/get-status"))
    report = runsync.import_(tmp_path / "b", "databricks://prod", notebook_folder=FOLDER, permissions=True)
    whole(report)
    assert (counts(report, NOTEBOOKS), counts(report, PERMISSIONS)) == ({"created": 3}, {"created": 1})
    assert len(prod.tree.children(f"{FOLDER}{HOME}/churn")) == 3


def test_without_a_folder_notebooks_are_named_as_left(start: Start, tmp_path: Path) -> None:
    dev, prod = start("dev"), start("prod")
    seed(dev)
    whole(runsync.export("databricks://dev", tmp_path / "b", notebooks=("SOURCE",)))
    report = runsync.import_(tmp_path / "b", "databricks://prod")
    left = {lost.what: lost for lost in report.not_carried}[NOTEBOOKS]
    assert (left.count, "--notebook-folder" in left.why) == (3, True)
    assert prod.tree.get(FOLDER) is None


@pytest.mark.parametrize("folder", ["imported", "/Users/../Shared", "//x", "/"])
def test_a_folder_that_is_none_is_refused(start: Start, tmp_path: Path, folder: str) -> None:
    dev = start("dev")
    seed(dev)
    whole(runsync.export("databricks://dev", tmp_path / "b", notebooks=("SOURCE",)))
    with pytest.raises(WrongUsage, match="notebook-folder"):
        runsync.import_(tmp_path / "b", "databricks://dev", notebook_folder=folder)


def test_sync_carries_notebooks_and_permissions_straight_through(start: Start) -> None:
    dev, prod = start("dev"), start("prod")
    seed(dev)
    prod.add_user("bob@example.com", "science")
    report = runsync.sync("databricks://dev", "databricks://prod", notebook_folder=FOLDER, permissions=True)
    whole(report)
    assert (counts(report, NOTEBOOKS), counts(report, PERMISSIONS)) == ({"created": 3}, {"created": 1})
    assert source_at(prod, FOLDER + NOTEBOOK) == NEW
    again = runsync.sync("databricks://dev", "databricks://prod", notebook_folder=FOLDER, permissions=True)
    assert (counts(again, NOTEBOOKS), counts(again, PERMISSIONS)) == ({"unchanged": 3}, {"unchanged": 1})


def test_a_server_that_has_no_place_for_them_has_them_named(
    start: Start, tmp_path: Path, mlflow3_a: MlflowServer
) -> None:
    seed(start("dev"))
    whole(runsync.export("databricks://dev", tmp_path / "b", notebooks=("SOURCE",)))
    report = runsync.import_(tmp_path / "b", mlflow3_a.url, prefix="objects-", permissions=True, notebook_folder=FOLDER)
    whole(report)
    left = {lost.what: (lost.count, lost.why) for lost in report.not_carried}
    assert left[NOTEBOOKS] == (3, "MLflow server has no place for them")
    assert left[PERMISSIONS] == (1, "MLflow server has no place for them")


def test_permissions_of_a_notebooks_experiment_are_those_of_the_notebook(start: Start, tmp_path: Path) -> None:
    dev = start("dev")
    node = dev.add_notebook(NOTEBOOK, OLD)
    with DatabricksSeeder(dev) as seeder:
        seeder.create_run(str(node.object_id), "in the notebook's experiment")
    dev.add_user("bob@example.com")
    dev.permissions["notebooks", str(node.object_id)] = {("user_name", "bob@example.com"): "CAN_RUN"}
    whole(runsync.export("databricks://dev", tmp_path / "b"))
    (kept,) = objects_in(tmp_path / "b", PERMISSIONS)
    assert isinstance(kept, Permissions)
    assert (kept.object_type, [(g.principal, g.level) for g in kept.direct]) == (
        "notebook",
        [("bob@example.com", "CAN_RUN")],
    )


def test_verify_compares_them_with_a_bundle_and_permissions_with_a_workspace_when_asked(
    start: Start, tmp_path: Path
) -> None:
    dev, prod = start("dev"), start("prod")
    facts = seed(dev)
    prod.add_user("bob@example.com", "science")
    bundle = str(tmp_path / "b")
    whole(runsync.export("databricks://dev", bundle, notebooks=("SOURCE",)))
    checked = runsync.verify("databricks://dev", bundle)
    assert (checked.differences, checked.objects) == ([], {PERMISSIONS: 1, NOTEBOOKS: 3})
    whole(runsync.import_(bundle, "databricks://prod"))
    checked = runsync.verify(bundle, "databricks://prod")
    assert (checked.differences, checked.objects) == ([], {})
    assert {left.kind: left.why for left in checked.left_out}[PERMISSIONS] == "--permissions compares them"
    assert checked.exit_code == 4
    assert runsync.verify(bundle, "databricks://prod", accept=[PERMISSIONS, NOTEBOOKS]).exit_code == 0
    (missing, *_) = runsync.verify(bundle, "databricks://prod", permissions=True).differences
    assert (missing.kind, missing.field, missing.source) == ("permissions", "permissions.science", "CAN_EDIT")
    dev.permissions["experiments", facts.experiment_id] = {("user_name", "bob@example.com"): "CAN_MANAGE"}
    dev.save_notebook(dev.tree.need(NOTEBOOK), "# Databricks notebook source\nchanged")
    found = {(d.kind, d.field) for d in runsync.verify("databricks://dev", bundle).differences}
    assert found >= {("notebook", "text"), ("permissions", "permissions.bob@example.com")}


def test_verify_is_content_with_what_an_import_gave(start: Start, tmp_path: Path) -> None:
    dev = start("dev")
    start("prod")
    seed(dev)
    dev.permissions = {key: {("group_name", "users"): "CAN_EDIT"} for key in dev.permissions}
    whole(runsync.export("databricks://dev", tmp_path / "b"))
    whole(runsync.import_(tmp_path / "b", "databricks://prod", permissions=True))
    checked = runsync.verify(str(tmp_path / "b"), "databricks://prod", permissions=True)
    assert (checked.differences, checked.objects) == ([], {PERMISSIONS: 1})


def test_diff_tells_what_became_of_them(start: Start, tmp_path: Path) -> None:
    dev = start("dev")
    facts = seed(dev)
    bundle = str(tmp_path / "b")
    first = runsync.export("databricks://dev", bundle, notebooks=("SOURCE",)).snapshot
    assert runsync.diff(bundle, "databricks://dev").changes == []
    dev.permissions["experiments", facts.experiment_id] = {("user_name", "bob@example.com"): "CAN_MANAGE"}
    revision = dev.save_notebook(dev.tree.need(NOTEBOOK), "# Databricks notebook source\nthird")
    with DatabricksSeeder(dev) as seeder:
        run = seeder.create_run(facts.experiment_id, "later")
        seeder.set_tag(run, "mlflow.databricks.notebookPath", NOTEBOOK)
        seeder.set_tag(run, "mlflow.databricks.notebookRevisionID", revision)
    whole(runsync.export("databricks://dev", bundle, notebooks=("SOURCE",)))
    for old, new in ((f"{bundle}@{first}", f"{bundle}@latest"), (f"{bundle}@{first}", "databricks://dev")):
        found = runsync.diff(old, new)
        told = {(c.kind, c.name, c.change) for c in found.changes if c.kind not in ("run", "experiment")}
        assert told == {
            ("permissions", EXPERIMENT, "changed"),
            ("notebook", f"{NOTEBOOK}@{revision} (SOURCE)", "added"),
            ("notebook", f"{NOTEBOOK} (SOURCE)", "changed"),
        }
        assert (found.objects[NOTEBOOKS].added, found.objects[NOTEBOOKS].changed) == (1, 1)
