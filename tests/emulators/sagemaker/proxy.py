"""A SageMaker tracking server on loopback: it checks signatures, and a real MLflow server does the rest."""

import json
import secrets
import time
from typing import Self

import requests

from emulators.sagemaker.signature import Keys, Unsigned, verify
from emulators.server import Reply, Request, Server

KINDS = {
    "mlflow-tracking-server": ("sagemaker-mlflow", "x-mlflow-sm-tracking-server-arn"),
    "mlflow-app": ("sagemaker", "x-sm-mlflow-app-arn"),
}
"""The service that a kind of server is signed for, and the header that names the server."""
HOP = {"host", "connection", "authorization", "content-length", "accept-encoding", "transfer-encoding"}


class SageMaker:
    """A tracking server (or an MLflow app) before a real MLflow server; `with` starts it and stops it.

    `arn` is its address; `environment` has what a client needs: keys, region, and where to find it. `refused` tells
    why requests were refused, `requests` which ones came (`METHOD /path`).
    """

    def __init__(self, mlflow: str, *, kind: str = "mlflow-tracking-server", region: str = "eu-west-1") -> None:
        service, self._header = KINDS[kind]
        account = str(10**11 + secrets.randbelow(10**11))
        self.arn = f"arn:aws:sagemaker:{region}:{account}:{kind}/experiments"
        self.keys = Keys(
            f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20), secrets.token_hex(40), region, service
        )
        self.requests: list[str] = []
        self.refused: list[str] = []
        self._mlflow = mlflow
        self._session = requests.Session()
        self._session.trust_env = False
        self._server = Server(self._answer)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        self._session.close()

    @property
    def url(self) -> str:
        """Where it answers, in the place of `https://REGION.experiments.sagemaker.aws`."""
        return self._server.url

    @property
    def environment(self) -> dict[str, str]:
        """What a client finds in its environment."""
        return {
            "AWS_ACCESS_KEY_ID": self.keys.access_key,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_key,
            "AWS_SESSION_TOKEN": self.keys.token,
            "AWS_DEFAULT_REGION": self.keys.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": self.url,
        }

    @property
    def secrets(self) -> frozenset[str]:
        """What may be seen nowhere."""
        return frozenset({self.keys.secret_key, self.keys.token})

    def _answer(self, request: Request) -> Reply:
        path = request.target.partition("?")[0]
        self.requests.append(f"{request.method} {path}")
        try:
            verify(request, self.keys, frozenset({self._header}), time.time())
            if request.headers[self._header] != self.arn:
                raise Unsigned(f"{self._header} names another server")
        except Unsigned as why:
            self.refused.append(f"{request.method} {path}: {why}")
            return Reply(403, json.dumps({"message": str(why)}).encode(), {"Content-Type": "application/json"})
        return self._forward(request)

    def _forward(self, request: Request) -> Reply:
        kept = {
            name: value
            for name, value in request.headers.items()
            if name not in HOP and not name.startswith("x-amz-") and name != self._header
        }
        answer = self._session.request(
            request.method,
            self._mlflow + request.target,
            headers=kept,
            data=request.body or None,
            allow_redirects=False,
            timeout=120,
        )
        headers = {name: answer.headers[name] for name in ("Content-Type",) if name in answer.headers}
        return Reply(answer.status_code, answer.content, headers)
