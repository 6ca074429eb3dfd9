"""The emulated tracking server of SageMaker lets in what botocore signs, and nothing else."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from support.servers import MlflowServer

from emulators.sagemaker import SageMaker

HEADERS = {
    "mlflow-tracking-server": "x-mlflow-sm-tracking-server-arn",
    "mlflow-app": "x-sm-mlflow-app-arn",
}


@pytest.fixture(params=list(HEADERS))
def tracking(request: pytest.FixtureRequest, mlflow3_a: MlflowServer) -> Iterator[tuple[SageMaker, dict[str, str]]]:
    with SageMaker(mlflow3_a.url, kind=request.param) as server:
        yield server, {HEADERS[request.param]: server.arn}


def send(server: SageMaker, method: str, path: str, headers: dict[str, str], body: bytes = b"", **change: str) -> Any:
    keys = server.keys
    request = AWSRequest(method, server.url + path, headers | {"Content-Type": "application/json"}, body)
    request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    credentials = Credentials(keys.access_key, keys.secret_key, keys.token)
    SigV4Auth(credentials, change.pop("service", keys.service), keys.region).add_auth(request)
    sent = dict(request.headers.items()) | change
    return requests.request(method, server.url + path, headers=sent, data=body, timeout=30)


def test_what_is_well_signed_reaches_the_server(tracking: tuple[SageMaker, dict[str, str]], prefix: str) -> None:
    server, headers = tracking
    name = f'{{"name": "{prefix}ü"}}'.encode()
    made = send(server, "POST", "/api/2.0/mlflow/experiments/create", headers, name)
    assert made.ok
    query = f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={prefix}%C3%BC"
    found = send(server, "GET", query, headers)
    assert found.json()["experiment"]["experiment_id"] == made.json()["experiment_id"]
    assert not server.refused


def test_what_is_not_well_signed_is_refused(tracking: tuple[SageMaker, dict[str, str]]) -> None:
    server, headers = tracking
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    (name,) = headers
    refused = [
        requests.get(server.url + path, headers=headers, timeout=30),
        send(server, "GET", path, {}),
        send(server, "GET", path, headers, service="s3"),
        send(server, "GET", path, headers, **{name: server.arn + "x"}),
        send(server, "GET", path, headers, **{"X-Amz-Date": "20200101T000000Z"}),
        send(server, "GET", path, headers, **{"X-Amz-Security-Token": "another"}),
        send(server, "GET", path.replace("1", "1&filter=a+b"), headers),
        send(server, "GET", path, {name: server.arn + "x"}),
    ]
    assert [each.status_code for each in refused] == [403] * 8
    assert len(server.refused) == 8
    assert send(server, "GET", path, headers).ok
