"""Experiments of notebooks, in the workspace and in Git folders, are carried whole, and read back as what they were."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from emulators.databricks import Databricks, Fault
from support import oracle
from support.databricks import KEPT, DatabricksReader, DatabricksSeeder
from support.oracle import Reader
from support.rich import START
from support.servers import MlflowServer

import runsync
from runsync.kinds.permissions import Permissions
from runsync.model.selection import Selection
from runsync.runs.source import source_of
from workspaces.databricks.conftest import Start
from workspaces.databricks.test_objects import PERMISSIONS, counts, objects_in, whole

HOME = "/Users/ana@example.com"
NOTEBOOK = f"{HOME}/churn/train"
REPO = "/Repos/ana@example.com/models"
IN_GIT = f"{REPO}/fit"
IMPORTED = f"{HOME}/imported"
TEXT = "# Databricks notebook source\nprint('train')"
COMMIT = "0123abc" * 5 + "01234"
NO_LEVEL = "levels that experiments do not have, only notebooks"
SITE = "https://dev.cloud.databricks.com"


@dataclass(frozen=True)
class Facts:
    """Ids: of the notebook (and of its experiment), of the one in a Git folder, of that one's experiment, of runs."""

    notebook: str
    revision: str
    in_git: str
    in_git_experiment: str
    run: str
    run_in_git: str


def seed(workspace: Databricks) -> Facts:
    """Both kinds, each with a run that has points, params, tags, nested runs and a file."""
    node = workspace.add_notebook(NOTEBOOK, TEXT)
    workspace.add_repo(REPO)
    in_git = workspace.add_notebook(IN_GIT, TEXT)
    marks = {"mlflow.experiment.sourceType": "REPO_NOTEBOOK", "mlflow.experiment.sourceId": str(in_git.object_id)}
    at = {"mlflow.source.type": "NOTEBOOK", "mlflow.databricks.webappURL": SITE, "mlflow.databricks.workspaceID": "123"}
    git = {"Url": "https://github.com/acme/churn", "Provider": "gitHub", "Commit": COMMIT, "RelativePath": "fit"}
    with DatabricksSeeder(workspace) as seeder:
        experiment = seeder.create_experiment(IN_GIT, marks)
        of_notebook = {"notebookID": str(node.object_id), "notebookPath": NOTEBOOK}
        of_notebook["notebookRevisionID"] = str(node.revisions[0].at)
        of_git = {"notebookID": str(in_git.object_id), "notebookPath": IN_GIT}
        of_git |= {f"gitRepo{name}": value for name, value in git.items()}
        runs = [
            fill(seeder, str(node.object_id), at | {f"mlflow.databricks.{k}": v for k, v in of_notebook.items()}),
            fill(seeder, experiment, at | {f"mlflow.databricks.{k}": v for k, v in of_git.items()}),
        ]
        seeder.set_experiment_tag(str(node.object_id), "team", "churn")
        seeder.set_experiment_tag(experiment, "mlflow.note.content", "fits")
    return Facts(str(node.object_id), of_notebook["notebookRevisionID"], str(in_git.object_id), experiment, *runs)


def fill(seeder: DatabricksSeeder, experiment: str, tags: dict[str, str]) -> str:
    run = seeder.create_run(experiment, "trained", start_time=START, tags=tags)
    seeder.log_batch(
        run, params={"lr": "0.1"}, metrics=[("loss", 1 / step, START + step, step) for step in range(1, 9)]
    )
    seeder.put_artifact(run, "model/weights.bin", b"w" * 1000)
    child = seeder.create_run(experiment, "fold", start_time=START + 1, tags={"mlflow.parentRunId": run})
    for each in (child, run):
        seeder.finish(each)
    return run


def raw_tags(workspace: Databricks, name: str) -> dict[str, str]:
    """As the workspace has them."""
    (found,) = (each for each in workspace.tracking.experiments.values() if each.name == name)
    tags: dict[str, str] = found.tags
    return tags


def read_tags(where: Any, name: str) -> dict[str, str]:
    """As runsync reads them."""
    with closing(runsync.open_workspace(str(where))) as workspace:
        (found,) = workspace.experiments(Selection(experiments=(name,)))
        return dict(found.tags)


def renamed(name: str) -> str:
    return f"{IMPORTED}/{name.lstrip('/')}"


def same(source: Reader, target: Reader) -> None:
    found = oracle.compare(source.read(["/*"]), target.read([f"{IMPORTED}/*"]), rename=renamed)
    assert not found, "\n".join(found[:40])


def test_they_go_by_a_bundle_into_another_workspace_with_what_they_were_kept(start: Start, tmp_path: Path) -> None:
    dev, prod = start("dev"), start("prod", cloud="gcp")
    facts = seed(dev)
    bundle = str(tmp_path / "bundle")
    whole(runsync.export("databricks://dev", bundle))
    whole(runsync.import_(bundle, "databricks://prod", prefix=IMPORTED))
    same(DatabricksReader(dev), DatabricksReader(prod))
    for where in ("databricks://dev", bundle):
        checked = runsync.verify(where, "databricks://prod", prefix=IMPORTED, verify_artifacts=True)
        assert not checked.differences
    again = runsync.import_(bundle, "databricks://prod", prefix=IMPORTED)
    assert (again.experiments.unchanged, again.runs.unchanged) == (2, 4)
    of_notebook, of_git = raw_tags(prod, renamed(NOTEBOOK)), raw_tags(prod, renamed(IN_GIT))
    assert of_notebook["mlflow.experimentType"] == of_git["mlflow.experimentType"] == "MLFLOW_EXPERIMENT"
    assert of_notebook[f"{KEPT}mlflow.experimentType"] == "NOTEBOOK"
    assert of_notebook[f"{KEPT}mlflow.experiment.sourceName"] == NOTEBOOK
    assert of_git[f"{KEPT}mlflow.experiment.sourceType"] == "REPO_NOTEBOOK"
    assert of_git[f"{KEPT}mlflow.experiment.sourceId"] == facts.in_git
    for name in (NOTEBOOK, IN_GIT):
        read = read_tags("databricks://prod", renamed(name))
        there = {key: value for key, value in read.items() if not key.startswith("runsync.")}
        assert there == raw_tags(dev, name)


def test_they_go_to_open_source_and_back(start: Start, mlflow3_a: MlflowServer) -> None:
    dev, prod = start("dev"), start("prod")
    seed(dev)
    whole(runsync.sync("databricks://dev", mlflow3_a.url, prefix=IMPORTED))
    same(DatabricksReader(dev), Reader(mlflow3_a.url))
    told = read_tags(mlflow3_a.url, renamed(IN_GIT))
    assert told["mlflow.experiment.sourceType"] == "REPO_NOTEBOOK"
    back = Selection(experiments=(f"{IMPORTED}/*",))
    whole(runsync.sync(mlflow3_a.url, "databricks://prod", selection=back))
    same(DatabricksReader(dev), DatabricksReader(prod))
    assert raw_tags(prod, renamed(NOTEBOOK))[f"{KEPT}mlflow.experimentType"] == "NOTEBOOK"


def test_where_the_notebook_is_in_the_target_too_the_runs_go_into_its_experiment(start: Start, tmp_path: Path) -> None:
    dev, prod = start("dev"), start("prod")
    seed(dev)
    there = prod.add_notebook(NOTEBOOK, TEXT)
    chosen = Selection(experiments=(NOTEBOOK,))
    whole(runsync.export("databricks://dev", tmp_path / "bundle", selection=chosen))
    whole(runsync.import_(tmp_path / "bundle", "databricks://prod"))
    assert [each.experiment_id for each in prod.tracking.experiments.values()] == [str(there.object_id)]
    assert raw_tags(prod, NOTEBOOK)["team"] == "churn"
    assert not runsync.verify(str(tmp_path / "bundle"), "databricks://prod").differences
    again = runsync.import_(tmp_path / "bundle", "databricks://prod")
    assert (again.experiments.unchanged, again.runs.unchanged) == (1, 2)


def test_the_source_of_their_runs_has_the_right_page_before_and_after(start: Start, tmp_path: Path) -> None:
    dev, prod = start("dev"), start("prod")
    facts = seed(dev)
    bundle = str(tmp_path / "bundle")
    whole(runsync.export("databricks://dev", bundle))
    report = runsync.import_(bundle, "databricks://prod", prefix=IMPORTED)
    revision = f"{SITE}/?o=123#notebook/{facts.notebook}/revision/{facts.revision}"
    commit = f"https://github.com/acme/churn/commit/{COMMIT}"
    for where, ids in (("databricks://dev", {}), (bundle, {}), ("databricks://prod", report.id_map["runs"])):
        assert source_of(where, ids.get(facts.run, facts.run)).url == revision
        in_git = source_of(where, ids.get(facts.run_in_git, facts.run_in_git))
        assert (in_git.url, in_git.code.path) == (commit, "fit")
        assert in_git.code.notebook is not None
        assert in_git.code.notebook.url == f"{SITE}/?o=123#notebook/{facts.in_git}"
    assert prod.tracking.runs


@pytest.mark.parametrize("answer", ["nothing", "not found"])
def test_their_permissions_are_read_from_the_notebook(start: Start, tmp_path: Path, answer: str) -> None:
    dev = start("dev")
    facts = seed(dev)
    dev.add_user("bob@example.com")
    for notebook, level in ((facts.notebook, "CAN_RUN"), (facts.in_git, "CAN_EDIT")):
        dev.permissions["notebooks", notebook] = {("user_name", "bob@example.com"): level}
    if answer == "not found":
        where = "GET /api/2.0/permissions/experiments/*"
        dev.faults.add(Fault("status", where, 404, "RESOURCE_DOES_NOT_EXIST", "no", times=None))
    whole(runsync.export("databricks://dev", tmp_path / "b"))
    kept = {item.experiment: item for item in objects_in(tmp_path / "b", PERMISSIONS) if isinstance(item, Permissions)}
    assert {name: [(g.principal, g.level) for g in item.direct] for name, item in kept.items()} == {
        NOTEBOOK: [("bob@example.com", "CAN_RUN")],
        IN_GIT: [("bob@example.com", "CAN_EDIT")],
    }
    assert {item.object_type for item in kept.values()} == {"notebook"}


def test_their_permissions_are_given_where_the_target_has_them(start: Start, tmp_path: Path) -> None:
    dev, prod = start("dev"), start("prod")
    facts = seed(dev)
    for lake in (dev, prod):
        lake.add_user("bob@example.com", "science")
        lake.add_user("eve@example.com")
    levels = {"bob@example.com": "CAN_RUN", "eve@example.com": "CAN_RUN"}
    dev.permissions["notebooks", facts.notebook] = {("user_name", name): level for name, level in levels.items()}
    dev.permissions["notebooks", facts.in_git] = {("group_name", "science"): "CAN_EDIT"}
    there = str(prod.add_notebook(NOTEBOOK, TEXT).object_id)
    prod.permissions["notebooks", there] = {("user_name", "eve@example.com"): "CAN_MANAGE"}
    bundle = tmp_path / "b"
    whole(runsync.export("databricks://dev", bundle))
    into = {IN_GIT: f"{HOME}/fit"}
    report = runsync.import_(bundle, "databricks://prod", permissions=True, rename=into)
    whole(report)
    assert counts(report, PERMISSIONS) == {"created": 1, "updated": 1}
    assert prod.permissions["notebooks", there] == {
        ("user_name", "bob@example.com"): "CAN_RUN",
        ("user_name", "eve@example.com"): "CAN_MANAGE",
    }
    assert not runsync.verify(str(bundle), "databricks://prod", permissions=True, rename=into).differences
    apart = runsync.import_(bundle, "databricks://prod", permissions=True, prefix=IMPORTED)
    assert {lost.why: lost.count for lost in apart.not_carried}[
        "levels that experiments do not have, only notebooks"
    ] == 2
    seen = runsync.verify(str(bundle), "databricks://prod", permissions=True, prefix=IMPORTED)
    assert seen.differences == []
    (left,) = [one for one in seen.left_out if one.kind == "permissions"]
    assert (left.count, left.why) == (2, "of levels that experiments do not have, only notebooks")
    (experiment,) = (e.experiment_id for e in prod.tracking.experiments.values() if e.name == renamed(IN_GIT))
    assert prod.permissions["experiments", experiment] == {("group_name", "science"): "CAN_EDIT"}
