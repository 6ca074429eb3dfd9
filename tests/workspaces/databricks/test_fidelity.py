"""Everything arrives in Databricks and out of it, exactly; what it cannot keep under its own name is told."""

from pathlib import Path

from support import oracle
from support.databricks import DatabricksReader, DatabricksSeeder
from support.oracle import Reader, Workspace
from support.rich import rich_workspace
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from runsync.model.selection import Selection
from runsync.transfer.report import TransferReport
from workspaces.databricks.conftest import Start

IMPORTED = "/Users/ana@example.com/imported"


def assert_same(one: Workspace, other: Workspace, folder: str = "") -> None:
    found = oracle.compare(one, other, rename=lambda name: f"{folder}/{name}" if folder else name)
    assert one.runs
    assert not found, "\n".join(found[:60])


def done(report: TransferReport) -> None:
    assert not report.failed, report.failed[:3]
    assert not report.problems, report.problems[:3]
    assert not report.stopped


def test_open_source_to_databricks_and_back(start: Start, mlflow3_a: MlflowServer, mlflow3_b: MlflowServer) -> None:
    lake = start("lake")
    with Seeder(mlflow3_a.url) as seeder:
        facts = rich_workspace(seeder, "lake-")
    selection = Selection(experiments=(facts.pattern,))
    report = runsync.sync(mlflow3_a.url, "databricks://lake", selection=selection, prefix=IMPORTED)
    done(report)
    source = Reader(mlflow3_a.url).read([facts.pattern])
    there = f"{IMPORTED}/{facts.pattern}"
    assert_same(source, DatabricksReader(lake).read([there]), IMPORTED)
    told = {lost.what: lost for lost in report.not_carried}["tags under their own names"]
    assert {"mlflow.user", "mlflow.rootRunId", "mlflow.log-model.history"} <= set(told.names)
    checked = runsync.verify(
        mlflow3_a.url, "databricks://lake", selection=selection, prefix=IMPORTED, verify_artifacts=True
    )
    assert not checked.differences
    again = runsync.sync(mlflow3_a.url, "databricks://lake", selection=selection, prefix=IMPORTED)
    assert again.runs.unchanged == again.runs.total == len(facts.runs)
    assert again.experiments.unchanged == again.experiments.total == len(facts.experiments)
    done(runsync.sync("databricks://lake", mlflow3_b.url, selection=Selection(experiments=(f"/Workspace{there}",))))
    assert_same(source, Reader(mlflow3_b.url).read([there]), IMPORTED)


def test_databricks_to_a_bundle_to_databricks(start: Start, tmp_path: Path) -> None:
    dev, prod = start("dev", user="ana@example.com"), start("prod", user="ana@example.com", cloud="adls")
    with DatabricksSeeder(dev) as seeder:
        facts = rich_workspace(seeder, "/Users/ana@example.com/rich-")
    exported = runsync.export("databricks://dev", tmp_path / "bundle")
    done(exported)
    done(runsync.import_(tmp_path / "bundle", "databricks://prod"))
    assert exported.metric_points == facts.points
    assert_same(DatabricksReader(dev).read([facts.pattern]), DatabricksReader(prod).read([facts.pattern]))
    for one, other in (("databricks://dev", "databricks://prod"), (str(tmp_path / "bundle"), "databricks://prod")):
        assert not runsync.verify(one, other, verify_artifacts=True).differences
