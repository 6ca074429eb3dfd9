"""Clouds that no test can reach: emulators, and gates in front of a real server."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Fleet
from emulators.azureml.gate import CLIENT, SECRET, TENANT
from emulators.azureml.gate import Gate as AzureGate
from emulators.databricks import Databricks
from emulators.sagemaker.gate import Gate as SageMakerGate
from emulators.sagemaker.gate import Key
from support.databricks import profile_file
from support.s3 import KEYS, S3Server
from support.secrets import MARK, SEARCH

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/old"
Environment = dict[str, str]


@contextmanager
def databricks(folder: Path) -> Iterator[tuple[str, Environment]]:
    """Its address, and what the environment must have to reach it."""
    place = SEARCH.holds_secrets(folder / "databrickscfg")
    with Databricks(rates=None) as workspace:
        place.write_text(profile_file({"lake": workspace}))
        yield "databricks://lake", {"DATABRICKS_CONFIG_FILE": str(place)}
        assert not workspace.violations, "\n".join(workspace.violations)


@contextmanager
def sagemaker(fleet: Fleet, folder: Path) -> Iterator[tuple[str, Environment]]:
    """Likewise."""
    key = Key(f"wJalrXUtnFEMI/K7MDENG+{MARK}")
    with SageMakerGate({ARN: fleet.get("mlflow3_a").url}, {"AKIDEXAMPLE": key}) as gate:
        yield (
            ARN,
            {
                "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
                "AWS_SECRET_ACCESS_KEY": key.secret,
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_CONFIG_FILE": str(folder / "aws-config"),
                "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws-credentials"),
                "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": gate.url,
            },
        )


@contextmanager
def azureml(fleet: Fleet) -> Iterator[tuple[str, Environment]]:
    """Likewise."""
    with AzureGate(fleet.get("mlflow3_a").url) as gate:
        yield (
            gate.address,
            {
                "AZURE_TENANT_ID": TENANT,
                "AZURE_CLIENT_ID": CLIENT,
                "AZURE_CLIENT_SECRET": SECRET,
                "AZURE_AUTHORITY_HOST": gate.url,
            },
        )


@contextmanager
def bucket(server: S3Server) -> Iterator[tuple[str, Environment]]:
    """Likewise, of a bundle in a bucket."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        made = server.bucket()
    yield f"{made.url}/{uuid.uuid4().hex[:8]}", made.environment
