"""The Databricks job of the examples backs a workspace up, and its settings are such as Databricks knows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from conftest import ROOT
from emulators.databricks import Databricks
from support.databricks import DatabricksSeeder
from support.s3 import Bucket

import runsync

JOB = ROOT / "examples" / "databricks"


VARIABLES = ("HOST", "TOKEN", "CLIENT_ID", "CLIENT_SECRET", "AUTH_TYPE")
SCOPE = "platform"


def fake_dbutils(workspace: Databricks, parameters: dict[str, str]) -> SimpleNamespace:
    """What a notebook uses of dbutils."""
    context = SimpleNamespace(
        apiUrl=lambda: SimpleNamespace(get=lambda: workspace.url),
        apiToken=lambda: SimpleNamespace(get=lambda: workspace.token),
    )
    notebook = SimpleNamespace(getContext=lambda: context)
    entry = SimpleNamespace(getDbutils=lambda: SimpleNamespace(notebook=lambda: notebook))
    kept = {(SCOPE, "client-id"): workspace.client_id, (SCOPE, "client-secret"): workspace.client_secret}
    return SimpleNamespace(
        widgets=SimpleNamespace(text=parameters.setdefault, get=parameters.__getitem__),
        notebook=SimpleNamespace(entry_point=entry),
        secrets=SimpleNamespace(get=lambda scope, key: kept[scope, key]),
    )


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Runs the notebook in a workspace with one experiment; gives what it printed."""
    for name in VARIABLES:
        monkeypatch.setenv(f"DATABRICKS_{name}", "")
    code = compile((JOB / "nightly_export.py").read_text(), "nightly_export.py", "exec")
    with Databricks(rates=None) as workspace:
        with DatabricksSeeder(workspace) as seeder:
            seeder.call("POST", "experiments/create", {"name": f"{workspace.home}/nightly"})

        def run(**parameters: str) -> str:
            exec(code, {"dbutils": fake_dbutils(workspace, parameters)})
            told = capsys.readouterr().out
            assert not any(secret in told for secret in workspace.directory.secrets())
            return told

        yield run


def test_the_notebook_leaves_a_snapshot_in_a_volume(night: Callable[..., str], tmp_path: Path) -> None:
    told = night(target=str(tmp_path / "volume"))
    assert "'auth': 'pat'" in told
    assert len(runsync.snapshots(tmp_path / "volume").snapshots) == 1


def test_the_notebook_leaves_a_snapshot_on_s3_as_the_service_principal_of_a_secret_scope(
    night: Callable[..., str], bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    told = night(target=f"{bucket.url}/nightly", secret_scope=SCOPE)
    assert "'auth': 'oauth-m2m'" in told
    assert len(runsync.snapshots(f"{bucket.url}/nightly").snapshots) == 1


def test_databricks_knows_every_setting_of_the_job() -> None:
    from databricks.sdk.service.jobs import JobSettings

    document: dict[str, Any] = yaml.safe_load((JOB / "databricks.yml").read_text())
    for settings in document["resources"]["jobs"].values():
        assert JobSettings.from_dict(settings).as_dict() == settings
