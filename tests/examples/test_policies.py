"""The S3 policies of the examples allow what each command needs, and no more: IAM is enforced by the S3 server."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
import requests
from conftest import ROOT, Runner
from support.s3 import KEYS, Bucket
from support.seed import Seeder
from support.servers import MlflowServer

POLICIES = ROOT / "examples" / "s3"
DELETED = ("locks", "claims", "suspects")
"""Folders that a writer may delete in."""
ROLES = ("writer", "pruner", "reader")

Environment = Callable[[str], Mapping[str, str]]


@pytest.fixture
def credentials(bucket: Bucket) -> Environment:
    """What a command needs in its environment to work with the rights of one of the policies."""
    iam: Any = boto3.client("iam", endpoint_url=bucket.endpoint, region_name="us-east-1")
    made: dict[str, Mapping[str, str]] = {}
    for role in ROLES:
        name = f"{role}-{bucket.name}"
        iam.create_user(UserName=name)
        document = (POLICIES / f"{role}.json").read_text().replace("example-backups", bucket.name)
        iam.put_user_policy(UserName=name, PolicyName=role, PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        made[role] = {
            **bucket.environment,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
    iam.close()
    return made.__getitem__


@contextmanager
def enforced(bucket: Bucket) -> Iterator[None]:
    """From here on the S3 server looks at signatures and policies."""
    url = f"{bucket.endpoint}/moto-api/reset-auth"
    before = requests.post(url, data=b"0", timeout=300).json()["PREVIOUS_INITIAL_NO_AUTH_ACTION_COUNT"]
    try:
        yield
    finally:
        requests.post(url, data=str(before).encode(), timeout=300)


@pytest.fixture
def experiment(mlflow3_a: MlflowServer, prefix: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run with a file small enough for one request, and one that goes up in parts."""
    for limit in ("runsync.s3.PART", "runsync.s3.MULTIPART", "runsync.bundle.s3_store.MULTIPART"):
        monkeypatch.setattr(limit, 5 << 20)
    with Seeder(mlflow3_a.url) as seeder:
        run_id = seeder.create_run(seeder.create_experiment(prefix + "model"), "run")
        seeder.put_artifact(run_id, "small.txt", b"bytes\n")
        seeder.put_artifact(run_id, "large.bin", bytes(11 << 20))
        seeder.finish(run_id)
    return prefix + "model"


def test_each_policy_allows_what_its_commands_need(
    experiment: str,
    bucket: Bucket,
    credentials: Environment,
    mlflow3_a: MlflowServer,
    mlflow3_b: MlflowServer,
    runsync: Runner,
) -> None:
    where = f"{bucket.url}/mlflow"
    only = ("--experiment", experiment)
    keep = ("--keep-last", "1", "--prune", "--yes")
    with enforced(bucket):
        for role, arguments in [
            ("writer", ("export", mlflow3_a.url, where, *only)),
            ("writer", ("export", mlflow3_a.url, where, *only, "--thorough")),
            ("reader", ("check", where)),
            ("reader", ("inspect", f"{where}@latest")),
            ("reader", ("import", where, mlflow3_b.url)),
            ("reader", ("verify", where, mlflow3_b.url, "--verify-artifacts")),
            ("pruner", ("forget", where, *keep)),
            ("reader", ("check", where)),
        ]:
            done = runsync(*arguments, env=credentials(role))
            assert done.returncode == 0, f"{role}: {arguments}\n{done.stdout}{done.stderr}"
    keys = list(bucket.files("mlflow/"))
    assert len([key for key in keys if "/snapshots/" in key]) == 1
    assert not [key for key in keys if "/locks/" in key]


def test_a_writer_cannot_delete_and_a_reader_cannot_write(
    experiment: str, bucket: Bucket, credentials: Environment, mlflow3_a: MlflowServer, runsync: Runner
) -> None:
    where = f"{bucket.url}/mlflow"
    only = ("--experiment", experiment)
    assert runsync("export", mlflow3_a.url, where, *only, env=credentials("writer")).returncode == 0
    before = {key for key in bucket.files("mlflow/") if "/locks/" not in key}
    with enforced(bucket):
        for role, arguments in [
            ("writer", ("forget", where, "--keep-last", "0", "--keep-within", "0d", "--prune", "--yes")),
            ("writer", ("export", mlflow3_a.url, f"{bucket.url}/elsewhere", *only)),
            ("reader", ("export", mlflow3_a.url, where, *only, "--thorough")),
        ]:
            done = runsync(*arguments, env=credentials(role))
            assert done.returncode not in (0, 3), arguments
            assert "Traceback" not in done.stderr
        for role in ("writer", "reader"):
            assert _refused(bucket, credentials(role), "delete_object", sorted(before)[0])
        assert _refused(bucket, credentials("reader"), "put_object", "mlflow/locks/mine")
        assert not _refused(bucket, credentials("writer"), "delete_object", "mlflow/locks/mine")
        assert not _refused(bucket, credentials("pruner"), "delete_object", "mlflow/blobs/none")
    assert {key for key in bucket.files("mlflow/") if "/locks/" not in key} == before


def _refused(bucket: Bucket, environment: Mapping[str, str], operation: str, key: str) -> bool:
    s3: Any = boto3.client(
        "s3",
        endpoint_url=bucket.endpoint,
        region_name=KEYS["AWS_DEFAULT_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    try:
        getattr(s3, operation)(Bucket=bucket.name, Key=key)
    except s3.exceptions.ClientError as error:
        return bool(error.response["Error"]["Code"] == "AccessDenied")
    finally:
        s3.close()
    return False


def test_the_bucket_policy_denies_deletion_to_all_but_the_pruner() -> None:
    policy = json.loads((POLICIES / "bucket.json").read_text())
    denied, insecure = policy["Statement"]
    assert {denied["Effect"], insecure["Effect"]} == {"Deny"}
    assert denied["NotResource"] == [f"arn:aws:s3:::example-backups/mlflow/{name}/*" for name in DELETED]
    assert denied["Condition"]["ArnNotLike"]["aws:PrincipalArn"].endswith("role/runsync-pruner")


@pytest.mark.parametrize("role", ["writer", "reader"])
def test_nobody_but_the_pruner_may_delete_more_than_locks_claims_and_notes(role: str) -> None:
    policy = json.loads((POLICIES / f"{role}.json").read_text())
    for statement in policy["Statement"]:
        assert not [action for action in statement["Action"] if "*" in action]
        if any("Delete" in action for action in statement["Action"]):
            assert all(resource.split("/")[-2] in DELETED for resource in statement["Resource"])
