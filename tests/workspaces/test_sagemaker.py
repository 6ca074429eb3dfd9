"""MLflow on Amazon SageMaker, named by its ARN: every request is signed."""

from pathlib import Path

import pytest
from emulators.sagemaker import SageMaker
from support.oracle import assert_same
from support.rich import rich_workspace
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from runsync.errors import AccessDenied
from runsync.model.selection import Selection


@pytest.mark.parametrize("kind", ["mlflow-tracking-server", "mlflow-app"])
def test_a_workspace_on_sagemaker_is_read_and_written(
    kind: str, mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Seeder(mlflow3_a.url) as seeder, SageMaker(mlflow3_b.url, kind=kind) as sagemaker:
        facts = rich_workspace(seeder, prefix)
        for name, value in environment(sagemaker).items():
            monkeypatch.setenv(name, value)
        selection = Selection(experiments=(facts.pattern,))
        report = runsync.sync(mlflow3_a.url, sagemaker.arn, selection=selection)
        assert not report.failed
        assert not report.problems
        assert report.target.address == sagemaker.arn
        assert not runsync.verify(mlflow3_a.url, sagemaker.arn, selection=selection).differences
        assert not sagemaker.refused
    assert_same(mlflow3_a.url, mlflow3_b.url, [facts.pattern])


def test_wrong_keys_are_told_of(mlflow3_b: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SageMaker(mlflow3_b.url) as sagemaker:
        for name, value in (environment(sagemaker) | {"AWS_SECRET_ACCESS_KEY": "wrong-secret"}).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(AccessDenied, match="check the AWS credentials") as caught:
            runsync.export(sagemaker.arn, tmp_path / "bundle")
        assert "secret" not in str(caught.value)


def environment(sagemaker: SageMaker) -> dict[str, str]:
    keys = sagemaker.keys
    return {
        "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": sagemaker.url,
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": keys.token,
    }
