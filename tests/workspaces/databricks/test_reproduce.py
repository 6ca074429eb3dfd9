"""A run is reproduced in its workspace: its notebook at its revision, and its cluster or one like it."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from conftest import ROOT
from emulators.databricks import Databricks, Fault, too_many
from support.databricks import DatabricksSeeder

import runsync
from runsync.cli.journal import Journal
from runsync.cli.root import cli
from runsync.errors import WrongUsage
from runsync.runs.reproduce import ReproduceReport
from workspaces.databricks.conftest import Start

HOME = "/Users/ana@example.com"
NOTEBOOK = f"{HOME}/churn/train"
FOLDER = f"{HOME}/again"
OLD = "# Databricks notebook source\nprint('as it ran')"
SETTINGS: dict[str, Any] = {
    "cluster_name": "shared",
    "spark_version": "15.4.x-scala2.12",
    "node_type_id": "i3.xlarge",
    "driver_node_type_id": "i3.xlarge",
    "autotermination_minutes": 120,
    "num_workers": 2,
}
CREATE = "/api/2.1/clusters/create"
XGBOOST = {"pypi": {"package": "xgboost==2.0"}}


def seed(workspace: Databricks, cluster_id: str, **tags: str) -> str:
    """A run of a notebook that was changed since, on a cluster with a library; its id."""
    node = workspace.add_notebook(NOTEBOOK, OLD)
    revision = str(node.revisions[0].at)
    workspace.save_notebook(node, "# Databricks notebook source\nprint('changed')")
    told = {
        "notebookPath": NOTEBOOK,
        "notebookID": str(node.object_id),
        "notebookRevisionID": revision,
        "webappURL": workspace.url,
        "workspaceID": workspace.workspace_id,
        "cluster.id": cluster_id,
        "cluster.info": json.dumps({**SETTINGS, "disk_spec": {"disk_count": 0}}),
        "cluster.libraries": json.dumps({"installable": [XGBOOST], "redacted": [{"jar": "hidden"}]}),
        **tags,
    }
    with DatabricksSeeder(workspace) as seeder:
        run: str = seeder.create_run(seeder.create_experiment(f"{HOME}/churn/experiment"), "churn")
        for name, value in told.items():
            seeder.set_tag(run, f"mlflow.databricks.{name}", value)
    return run


def valid(report: ReproduceReport) -> ReproduceReport:
    schema = json.loads((ROOT / "schemas/v1/reproduce-report.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(report.to_document())))
    return report


def source_at(workspace: Databricks, path: str) -> str:
    content: bytes = workspace.tree.need(path).revisions[-1].content
    return content.decode()


def told(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments, obj={"journal": Journal(list(arguments))}, standalone_mode=False)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_the_notebook_is_cloned_as_it_ran_and_the_runs_own_cluster_started(start: Start) -> None:
    dev = start("dev")
    cluster = dev.clusters.add(SETTINGS, dev.owner.name, "TERMINATED")
    run = seed(dev, cluster.cluster_id)
    report = valid(runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER))
    assert (report.missing, report.exit_code) == ([], 0)
    assert report.notebook is not None
    assert (report.notebook.path, report.notebook.is_new) == (f"{FOLDER}/train", True)
    assert source_at(dev, report.notebook.path) == OLD
    assert report.cluster is not None
    assert (report.cluster.action, report.cluster.cluster_id) == ("start", cluster.cluster_id)
    assert cluster.state == "PENDING"
    assert list(dev.clusters.by_id) == [cluster.cluster_id]
    assert report.cluster.installed == ()
    attach = next(note for note in report.notes if "no public API attaches" in note)
    assert f"{dev.url}/?o={dev.workspace_id}#notebook/" in attach
    assert "“shared”" in attach


def test_again_clones_nothing_and_starts_nothing(start: Start) -> None:
    dev = start("dev")
    run = seed(dev, dev.clusters.add(SETTINGS, dev.owner.name, "TERMINATED").cluster_id)
    runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER)
    again = runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER)
    assert again.notebook is not None
    assert again.cluster is not None
    assert (again.notebook.is_new, again.cluster.action) == (False, "running")


def test_where_the_cluster_is_gone_one_like_it_is_made_once_with_its_libraries(start: Start) -> None:
    dev = start("dev")
    run = seed(dev, "1009-000000-gone")
    report = valid(runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER))
    assert report.cluster is not None
    (made,) = dev.clusters.by_id.values()
    assert (report.cluster.action, report.cluster.cluster_id) == ("create", made.cluster_id)
    settings = {name: value for name, value in made.settings.items() if name != "custom_tags"}
    assert settings == SETTINGS
    assert made.libraries == [XGBOOST]
    assert any("disk_spec" in note for note in report.notes)
    assert any("redacted" in note for note in report.notes)
    again = runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER)
    assert again.cluster is not None
    assert (again.cluster.action, again.cluster.cluster_id) == ("running", made.cluster_id)
    assert len(dev.clusters.by_id) == 1


def test_an_answer_that_is_lost_makes_no_second_cluster(start: Start) -> None:
    dev = start("dev")
    run = seed(dev, "1009-000000-gone")
    dev.faults.add(Fault("lose", "POST /api/2.1/clusters/create"))
    report = valid(runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER))
    (made,) = dev.clusters.by_id.values()
    assert (report.missing, made.libraries, dev.count(CREATE)) == ([], [XGBOOST], 1)


def test_where_nobody_knows_whether_a_cluster_was_made_no_other_is(start: Start) -> None:
    dev = start("dev")
    run = seed(dev, "1009-000000-gone")
    dev.faults.add(Fault("status", "POST /api/2.1/clusters/create", 500))
    report = valid(runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER))
    assert [m.what for m in report.missing] == ["cluster"]
    assert (dev.clusters.by_id, dev.count(CREATE)) == ({}, 1)
    busy = dev.faults.add(too_many("POST /api/2.1/clusters/create", retry_after=0))
    again = runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER)
    assert (again.missing, len(dev.clusters.by_id), busy.met) == ([], 1, 1)


def test_an_answer_that_is_lost_is_no_cluster_that_does_not_start(start: Start) -> None:
    dev = start("dev")
    cluster = dev.clusters.add(SETTINGS, dev.owner.name, "TERMINATED")
    run = seed(dev, cluster.cluster_id)
    dev.faults.add(Fault("lose", "POST /api/2.1/clusters/start"))
    report = valid(runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER))
    assert (report.missing, cluster.state) == ([], "PENDING")
    assert dev.count("/api/2.1/clusters/start") == 1


def test_libraries_and_the_cluster_can_be_left_out(start: Start) -> None:
    dev = start("dev")
    run = seed(dev, "1009-000000-gone")
    report = runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER, notebook_only=True)
    assert (report.cluster, dev.clusters.by_id) == (None, {})
    runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER, libraries=False)
    (made,) = dev.clusters.by_id.values()
    assert made.libraries == []


def test_a_dry_run_and_show_cluster_do_nothing_and_tell_all(start: Start) -> None:
    dev = start("dev")
    run = seed(dev, "1009-000000-gone")
    report = valid(runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER, dry_run=True))
    assert report.notebook is not None
    assert report.cluster is not None
    assert (report.notebook.is_new, report.cluster.action, report.cluster.settings) == (True, "create", SETTINGS)
    shown = told("runs", "reproduce", "databricks://dev", run, "--notebook-folder", FOLDER, "--show-cluster")
    assert "would be cloned to" in shown
    assert "would be made like that of the run" in shown
    assert '"spark_version": "15.4.x-scala2.12"' in shown
    assert "xgboost==2.0" in shown
    assert (dev.tree.get(FOLDER), dev.clusters.by_id) == (None, {})


def test_a_cluster_that_the_run_does_not_describe_is_missing_and_the_notebook_there(start: Start) -> None:
    dev = start("dev")
    run = seed(dev, "1009-000000-gone", **{"cluster.info": "{broken", "cluster.libraries": "[]"})
    report = valid(runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER))
    assert report.exit_code == 3
    assert [(m.what, "is gone" in m.why) for m in report.missing] == [("cluster", True)]
    assert source_at(dev, f"{FOLDER}/train") == OLD


def test_nothing_is_written_over_in_the_folder(start: Start) -> None:
    dev = start("dev")
    run = seed(dev, "")
    dev.add_notebook(f"{FOLDER}/train", "# Databricks notebook source\nmine")
    report = runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER, notebook_only=True)
    assert report.notebook is not None
    assert source_at(dev, f"{FOLDER}/train").endswith("mine")
    assert source_at(dev, report.notebook.path) == OLD
    assert report.notebook.path.startswith(f"{FOLDER}/train@")


def test_a_notebook_that_is_gone_is_named(start: Start) -> None:
    dev = start("dev")
    run = seed(dev, dev.clusters.add(SETTINGS, dev.owner.name, "TERMINATED").cluster_id)
    dev.tree.remove(NOTEBOOK)
    report = valid(runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER))
    assert [m.what for m in report.missing] == ["notebook"]
    assert report.cluster is not None
    assert report.cluster.action == "start"


def test_only_a_workspace_with_notebooks_takes_a_notebook_folder(start: Start, tmp_path: Path) -> None:
    dev = start("dev")
    run = seed(dev, "")
    runsync.export("databricks://dev", tmp_path / "b", notebooks=("SOURCE",))
    with pytest.raises(WrongUsage, match="no Databricks workspace"):
        runsync.reproduce(str(tmp_path / "b"), run, notebook_folder=FOLDER)
    with pytest.raises(WrongUsage, match="--into"):
        runsync.reproduce("databricks://dev", run)


@pytest.mark.parametrize("place", ["workspace", "bundle"])
def test_a_local_folder_gets_the_notebook_too_from_a_workspace_or_a_bundle(
    start: Start, tmp_path: Path, place: str
) -> None:
    dev = start("dev")
    run = seed(dev, "")
    where = "databricks://dev"
    if place == "bundle":
        where = str(tmp_path / "b")
        runsync.export("databricks://dev", where, notebooks=("SOURCE",))
    report = valid(runsync.reproduce(where, run, tmp_path / "again"))
    assert (tmp_path / "again/notebook/train.py").read_text() == OLD
    assert "notebook" not in {m.what for m in report.missing}


def test_the_page_of_the_revision_and_the_place_in_git_are_told(start: Start) -> None:
    dev = start("dev")
    commit = "0123abc" * 5 + "01234"
    git = {"gitRepoUrl": "https://github.com/acme/churn.git", "gitRepoCommit": commit, "gitRepoProvider": "gitHub"}
    run = seed(dev, "", **git, gitRepoRelativePath="notebooks/train")
    found = runsync.source_of("databricks://dev", run).to_document()
    notebook = found["notebook"]
    assert found["url"] == (
        f"{dev.url}/?o={dev.workspace_id}#notebook/{notebook['notebook_id']}/revision/{notebook['revision']}"
    )
    assert (found["repository"], found["commit"], found["path"]) == (
        "https://github.com/acme/churn.git",
        commit,
        "notebooks/train",
    )
    schema = json.loads((ROOT / "schemas/v1/source-report.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(found)
    assert "notebooks/train" in told("runs", "source", "databricks://dev", run)


@pytest.mark.parametrize(
    "tags", [{"notebookRevisionID": "1/../../../bob/x"}, {"notebookPath": f"{HOME}/churn/.."}], ids=["revision", "path"]
)
def test_what_a_run_says_leads_to_no_other_folder(start: Start, tags: dict[str, str]) -> None:
    dev = start("dev")
    run = seed(dev, "", **tags)
    dev.add_notebook(f"{FOLDER}/train", "print('of somebody')")
    report = runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER, notebook_only=True)
    assert report.notebook is None
    assert [missing.what for missing in report.missing] == ["notebook"]


def test_a_token_of_a_package_index_is_not_shown_and_installed_all_the_same(start: Start) -> None:
    dev = start("dev")
    library = {"pypi": {"package": "private==1", "repo": "https://me:index-token@pypi.example.com/simple"}}
    run = seed(dev, "gone", **{"cluster.libraries": json.dumps({"installable": [library]})})
    report = runsync.reproduce("databricks://dev", run, notebook_folder=FOLDER)
    assert report.cluster is not None
    assert report.cluster.installed == ({"pypi": {"package": "private==1", "repo": "pypi.example.com/simple"}},)
    assert "index-token" not in json.dumps(report.to_document())
