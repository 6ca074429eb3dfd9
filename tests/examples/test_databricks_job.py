"""The Databricks job of the examples backs a workspace up, and its settings are such as Databricks knows."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from conftest import ROOT
from emulators.databricks import Databricks
from support.databricks import DatabricksSeeder

import runsync

JOB = ROOT / "examples" / "databricks"


def fake_dbutils(workspace: Databricks, parameters: dict[str, str]) -> SimpleNamespace:
    """What a notebook uses of dbutils."""
    context = SimpleNamespace(
        apiUrl=lambda: SimpleNamespace(get=lambda: workspace.url),
        apiToken=lambda: SimpleNamespace(get=lambda: workspace.token),
    )
    notebook = SimpleNamespace(getContext=lambda: context)
    entry = SimpleNamespace(getDbutils=lambda: SimpleNamespace(notebook=lambda: notebook))
    widgets = SimpleNamespace(text=parameters.setdefault, get=parameters.__getitem__)
    return SimpleNamespace(widgets=widgets, notebook=SimpleNamespace(entry_point=entry))


def test_the_notebook_leaves_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.setenv(name, "")
    code = compile((JOB / "nightly_export.py").read_text(), "nightly_export.py", "exec")
    with Databricks(rates=None) as workspace:
        with DatabricksSeeder(workspace) as seeder:
            seeder.call("POST", "experiments/create", {"name": f"{workspace.home}/nightly"})
        dbutils = fake_dbutils(workspace, {"target": str(tmp_path / "volume")})
        exec(code, {"dbutils": dbutils})
        assert workspace.token not in capsys.readouterr().out
    assert len(runsync.snapshots(tmp_path / "volume").snapshots) == 1


def test_databricks_knows_every_setting_of_the_job() -> None:
    from databricks.sdk.service.jobs import JobSettings

    document: dict[str, Any] = yaml.safe_load((JOB / "databricks.yml").read_text())
    for settings in document["resources"]["jobs"].values():
        assert JobSettings.from_dict(settings).as_dict() == settings
