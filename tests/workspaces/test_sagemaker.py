"""MLflow on Amazon SageMaker: an ARN is an address, every request is signed, and nothing secret is ever told."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import Runner
from emulators.sagemaker.gate import Fault, Gate, Key
from support.oracle import assert_same
from support.rich import rich_workspace
from support.seed import Seeder
from support.servers import MlflowServer

from runsync.errors import WrongUsage
from runsync.workspaces.sagemaker.address import is_sagemaker, resolve

OLD = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/old"
NEW = "arn:aws:sagemaker:us-east-1:123456789012:mlflow-app/app-NEW"
KEY = Key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
PASSING = Key("passing/secret+of=tests", "IQoJb3JpZ2luX2VjEJ/token+of/tests==", datetime.now(UTC) + timedelta(hours=1))
SECRETS = (KEY.secret, PASSING.secret, PASSING.token, "Signature=", "AWS4-HMAC")


@pytest.fixture
def gate(mlflow3_a: MlflowServer, mlflow3_b: MlflowServer) -> Iterator[Gate]:
    with Gate({OLD: mlflow3_a.url, NEW: mlflow3_b.url}, {"AKIDEXAMPLE": KEY, "ASIAPASSING": PASSING}) as gate:
        yield gate


@pytest.fixture
def env(gate: Gate, tmp_path: Path) -> dict[str, str]:
    """As whom commands sign, and where to."""
    return {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": KEY.secret,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "aws-credentials"),
        "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": gate.url,
        "RUNSYNC_PATIENCE": "20",
    }


def assert_no_secret(folder: Path, *texts: str) -> None:
    """In texts and in every file below a folder."""
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("aws-")]
    for content in (*(text.encode() for text in texts), *(file.read_bytes() for file in files)):
        assert not [secret for secret in SECRETS if secret.encode() in content]


def test_a_workspace_goes_from_one_arn_to_another_whole_with_every_request_signed(
    gate: Gate, env: dict[str, str], prefix: str, runsync: Runner, tmp_path: Path
) -> None:
    source, target = gate.servers[OLD], gate.servers[NEW]
    with Seeder(source) as seeder:
        facts = rich_workspace(seeder, prefix)
    log = ("--log-file", tmp_path / "log")
    selected = ("--experiment", facts.pattern)
    exported = runsync("export", OLD, "bundle", *selected, *log, "--json", env=env)
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["source"]["address"] == OLD
    imported = runsync("import", "bundle", NEW, *selected, *log, env=env)
    assert imported.returncode == 0, imported.stdout + imported.stderr
    verified = runsync("verify", OLD, NEW, *selected, "--verify-artifacts", *log, env=env)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert_same(source, target, [facts.pattern])
    assert gate.seen
    assert not [seen for seen in gate.seen if seen.refusal]
    told = [text for done in (exported, imported, verified) for text in (done.stdout, done.stderr)]
    assert_no_secret(tmp_path, *told)
