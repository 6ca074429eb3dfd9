"""In front of a real MLflow server: tokens, deviations that Microsoft documents, artifacts of the run history."""

import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, unquote

import requests
from support.secrets import MARK, SEARCH, new_secret

from emulators.azureml.blobs import PLACE, Blobs
from emulators.sagemaker.gate import forward
from emulators.server import Reply, Request, Server

SCOPE = (
    "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-ml/providers/"
    "Microsoft.MachineLearningServices/workspaces/ws"
)
MLFLOW = f"/mlflow/v2.0{SCOPE}"
HISTORY = f"/history/v1.0{SCOPE}/experimentids/"
FOR = "https://management.azure.com/.default"
TENANT, CLIENT, SECRET = "contoso-tenant", "client-of-tests", f"cs~secret.of+azure/tests{MARK}"
A_PAGE = 2
_KEY = r"[A-Za-z_][A-Za-z0-9_]*"
_CONDITION = re.compile(
    rf"metrics\.{_KEY} (=|!=|>|>=|<|<=) [-\d.e]+|params\.{_KEY} (=|!=) '[^']*'|tags\.[\w.]+ = '[^']*'"
    r"|attributes\.run_id IN \(('[^']*'(, )?)+\)"
)
_API = {
    *("experiments/create", "experiments/search", "experiments/get", "experiments/get-by-name"),
    *("experiments/delete", "experiments/restore", "experiments/set-experiment-tag"),
    *("runs/create", "runs/update", "runs/get", "runs/search", "runs/delete", "runs/restore", "runs/set-tag"),
    *("runs/delete-tag", "runs/log-batch", "runs/log-inputs", "runs/log-metric", "runs/log-parameter"),
    "metrics/get-history",
    *(f"registered-models/{name}" for name in ("create", "get", "update", "search", "set-tag", "delete-tag")),
    *(f"model-versions/{name}" for name in ("create", "get", "update", "search", "delete", "set-tag", "delete-tag")),
    "model-versions/transition-stage",
}
"""Of its registry Microsoft's article tells no aliases, and that models are neither renamed nor deleted."""


@dataclass
class Token:
    """Good until a time (seconds since the epoch)."""

    until: float


@dataclass
class Gate:
    """`server` is the MLflow behind it. `lasts` is how many seconds a token does; `cuts`: histories have no pages."""

    server: str
    lasts: float = 3600.0
    cuts: bool = False
    tokens: dict[str, Token] = field(default_factory=dict)
    blobs: Blobs = field(default_factory=Blobs)
    seen: list[tuple[Request, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        SEARCH.keep(SECRET, "a client secret")
        self._server = Server(self._answer)
        self.blobs.url = self.url = self._server.url
        self.address = f"{self.url}/mlflow/v1.0{SCOPE}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def token(self) -> str:
        """A new one."""
        text = new_secret("a bearer token", "eyJ0eXAi.")
        self.tokens[text] = Token(time.time() + self.lasts)
        return text

    def _answer(self, request: Request) -> Reply:
        try:
            reply = self._reply(request)
        except _Refused as error:
            reply = error.reply
        self.seen.append((request, reply.status))
        return reply

    def _reply(self, request: Request) -> Reply:
        path = request.target.partition("?")[0]
        if path.startswith(PLACE):
            return self.blobs.answer(request)
        if path == f"/{TENANT}/oauth2/v2.0/token":
            return self._login(request)
        token = self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if token is None or token.until <= time.time():
            raise _Refused(401, "UserError", "Bearer token not provided or invalid.")
        if path.startswith(HISTORY):
            return self._history(request, path.removeprefix(HISTORY))
        name = path.removeprefix(f"{MLFLOW}/api/2.0/mlflow/")
        if name not in _API:
            raise _Refused(404, "UserError", f"no such path: {path}")
        self._check(name, request)
        inner = Request(
            request.method, request.target.removeprefix(MLFLOW), _without_token(request.headers), request.body
        )
        reply = forward(self.server, inner)
        return _cut(reply) if self.cuts and name == "metrics/get-history" else reply

    def _login(self, request: Request) -> Reply:
        form = dict(parse_qsl(request.body.decode()))
        good = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET, "scope": FOR}
        if form != good:
            body = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}
            return Reply(401, json.dumps(body).encode(), {"Content-Type": "application/json"})
        told = {"token_type": "Bearer", "expires_in": self.lasts, "access_token": self.token()}
        return Reply(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _check(self, name: str, request: Request) -> None:
        body = json.loads(request.body) if request.body else {}
        if name == "runs/search":
            _check_search(body)
        elif name == "experiments/search" and (body.get("order_by") or body.get("filter")):
            raise _invalid("experiments are neither ordered nor filtered")
        elif name == "metrics/get-history":
            asked = int(parse_qs(request.target.partition("?")[2]).get("max_results", ["25000"])[0])
            if asked >= 1000:
                raise _Refused(400, "UserError", f"MaxResults = {asked} is invalid: MaxResults must be less than 1000.")
        elif name == "runs/log-batch":
            self._check_batch(body)

    def _check_batch(self, body: Mapping[str, Any]) -> None:
        most = max(Counter(metric["key"] for metric in body.get("metrics", ())).values(), default=0)
        if most > 250:
            raise _over("MetricV2Dto.Value/Count", 250, most)
        if body.get("params"):
            with requests.Session() as session:
                session.trust_env = False
                answer = session.get(f"{self.server}/api/2.0/mlflow/runs/get", params={"run_id": body["run_id"]})
            there = {param["key"] for param in answer.json()["run"]["data"].get("params", ())}
            there |= {param["key"] for param in body["params"]}
            if len(there) > 200:
                raise _over("Parameters", 200, len(there))

    def _history(self, request: Request, rest: str) -> Reply:
        """Artifacts of one run, whose blobs are named by run and path."""
        found = re.fullmatch(r"([^/]+)/runs/([^/]+)/artifacts(/contentinfo|/batch/metadata)?", rest)
        if not found:
            raise _Refused(404, "UserError", "no such path")
        run_id, act = found[2], found[3] or ""
        query = parse_qs(request.target.partition("?")[2])
        if act == "/batch/metadata" and request.method == "POST":
            paths = [entry["path"] for entry in json.loads(request.body)["paths"]]
            told = {path: {"path": path, "contentUri": self.blobs.sign(f"{run_id}/{path}", "cw")} for path in paths}
            return _json({"artifacts": {}, "artifactContentInformation": told, "errors": {}})
        if act == "/contentinfo":
            path = query["path"][0]
            if f"{run_id}/{path}" not in self.blobs.files:
                raise _Refused(404, "UserError", f"no artifact {path}")
            return _json({"path": path, "contentUri": self.blobs.sign(f"{run_id}/{path}", "r")})
        paths = sorted(n.removeprefix(f"{run_id}/") for n in self.blobs.files if n.startswith(f"{run_id}/"))
        start = int(query.get("continuationToken", ["0"])[0])
        listed: dict[str, Any] = {"value": [{"path": p, "container": run_id} for p in paths[start : start + A_PAGE]]}
        if start + A_PAGE < len(paths):
            base = request.target.partition("?")[0]
            listed["nextLink"] = f"{self.url}{base}?continuationToken={start + A_PAGE}"
        return _json(listed)


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str, error_code: str = "") -> None:
        super().__init__(message)
        # As mlflow issue 10694 shows it, but for what it nests in the text.
        body = {"error_code": error_code or ("BAD_REQUEST" if status == 400 else code), "message": message}
        self.reply = Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def _invalid(message: str) -> _Refused:
    return _Refused(400, "ValidationError", message, "INVALID_PARAMETER_VALUE")


def _over(name: str, limit: int, size: int) -> _Refused:
    text = f"A field of the entity is over the size limit. FieldName={name}, Limit={limit}, Size={size}."
    return _invalid(text)


def _check_search(body: Mapping[str, Any]) -> None:
    for condition in filter(None, re.split(r" AND ", body.get("filter") or "")):
        if not _CONDITION.fullmatch(condition):
            raise _invalid(f"not supported in filters: {unquote(condition)}")
    for order in body.get("order_by") or ():
        if not re.fullmatch(r"(start_time|end_time) (ASC|DESC)", order):
            raise _invalid(f"not supported in order_by: {order}")


def _without_token(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "authorization"}


def _json(body: Mapping[str, Any]) -> Reply:
    return Reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})


def _cut(reply: Reply) -> Reply:
    document = json.loads(reply.body)
    document.pop("next_page_token", None)
    return _json(document)
