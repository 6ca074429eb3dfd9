"""MLflow on Amazon SageMaker: a tracking server, or an MLflow app, named by its ARN; botocore signs each request.

Endpoints, services and headers are those of the plugin sagemaker-mlflow (0.5). The API is that of open-source MLflow.
"""

import hashlib
import os
import re
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from runsync import config
from runsync.errors import AccessDenied, WrongUsage
from runsync.model.limits import UNLIMITED, Limits
from runsync.model.protocol import Place
from runsync.workspaces.address import Address
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.http import CHUNK, Client, Patience
from runsync.workspaces.rest.artifacts import ArtifactStore
from runsync.workspaces.rest.server import meet
from runsync.workspaces.rest.workspace import RestWorkspace
from runsync.workspaces.s3_artifacts import S3Artifacts, options_for

KIND = "SageMaker"
_ARN = re.compile(r"arn:[\w-]+:sagemaker:(?P<region>[\w-]+):\d+:(?P<kind>mlflow-tracking-server|mlflow-app)/.+")
ENDPOINTS = {
    "mlflow-tracking-server": "https://{region}.experiments.sagemaker.aws",
    "mlflow-app": "https://mlflow.sagemaker.{region}.app.aws",
}
SERVICES = {"mlflow-tracking-server": "sagemaker-mlflow", "mlflow-app": "sagemaker"}
HEADERS = {"mlflow-tracking-server": "x-mlflow-sm-tracking-server-arn", "mlflow-app": "x-sm-mlflow-app-arn"}
ENDPOINT_VARIABLE = "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT"


def is_sagemaker(where: str, config_path: str | None = None) -> bool:
    """Whether an address, or a name of `runsync.toml`, is the ARN of an MLflow on SageMaker."""
    return _ARN.fullmatch(_arn(where, config_path)) is not None


def open_sagemaker(
    where: str,
    config_path: str | None,
    workers: int,
    patience: Patience | None = None,
    limits: Limits = UNLIMITED,
) -> RestWorkspace:
    """The server of an ARN. Raises WrongUsage, WorkspaceUnreachable, AccessDenied."""
    arn = _arn(where, config_path)
    found = _ARN.fullmatch(arn)
    if found is None:
        raise WrongUsage(f"{arn} is no ARN of an MLflow on SageMaker")
    url = os.environ.get(ENDPOINT_VARIABLE) or ENDPOINTS[found["kind"]].format(region=found["region"])
    connections = workers + 4
    address = Address(url.rstrip("/"), "", Credentials())
    signature = Signature(arn, found["kind"], found["region"])
    client = Client(address.url, address.credentials, connections, patience, limits, signature)
    try:
        server = meet(client, address)
    except AccessDenied as error:
        told = f"{arn} refuses us (HTTP {error.status}): check the AWS credentials (AWS_PROFILE, …) and their rights"
        raise AccessDenied(told, error.status, error.code) from None
    artifacts = ArtifactStore(client, server, S3Artifacts(options_for(address), connections, limits))
    return RestWorkspace(client, server, artifacts, Place(KIND, arn, server.version))


class Signature(AuthBase):
    """Signs each request (SigV4) with the credentials that boto3 finds, which it renews itself."""

    kind = "sigv4"

    def __init__(self, arn: str, kind: str, region: str) -> None:
        import botocore.session

        credentials = botocore.session.get_session().get_credentials()
        if credentials is None:
            raise WrongUsage("there are no AWS credentials to sign requests with: set AWS_PROFILE, or log in")
        self._credentials: Any = credentials
        self._header = {HEADERS[kind]: arn}
        self._scope = (SERVICES[kind], region)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """See `requests.auth.AuthBase`. What is signed is the body's hash, so a stream is read first."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        body: Any = request.body or b""
        if hasattr(body, "read"):
            body = request.body = b"".join(iter(partial(body.read, CHUNK), b""))
        body = body.encode() if isinstance(body, str) else body
        place, sign, query = (request.url or "").partition("?")
        request.url = place + sign + query.replace("+", "%20")
        signed = {**self._header, "X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}
        asked: Any = AWSRequest(request.method, request.url, signed, body)
        SigV4Auth(self._credentials.get_frozen_credentials(), *self._scope).add_auth(asked)
        request.headers.update(dict(asked.headers.items()))
        return request

    def renew(self, response: requests.Response) -> bool:
        """See `http.Identity`."""
        return False


def _arn(where: str, config_path: str | None) -> str:
    if urlsplit(where).scheme == "arn":
        return where
    return str(config.workspaces(config_path).get(where, {}).get("uri", where))
