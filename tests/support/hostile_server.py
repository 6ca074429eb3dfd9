"""A server that serves a good little workspace, and answers one kind of request in one way that no server should."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

OTHER_KINDS = ("registered-models", "prompts", "logged-models", "traces")
"""The good server has them, and they stay behind."""
RUNS = [f"{number:032x}" for number in (0xA1, 0xB2, 0xC3)]
FILES = {"model/MLmodel": b"run_id: none\n", "model/data.bin": bytes(range(256)) * 20, "notes.txt": b"notes\n"}
MODEL_ID = f"m-{0xE7:032x}"
MODEL_FILES = {"MLmodel": b"flavors: {}\n", "model.bin": b"weights" * 100}
POINTS = [{"key": "loss", "value": 1 / (step + 1), "step": step, "timestamp": 1000 + step} for step in range(5)]


def _run(run_id: str, number: int) -> dict[str, Any]:
    return {
        "info": {
            "run_id": run_id,
            "run_uuid": run_id,
            "experiment_id": "1",
            "run_name": f"run {number}",
            "user_id": "ana",
            "status": "FINISHED",
            "start_time": 1000 + number,
            "end_time": 2000 + number,
            "lifecycle_stage": "active",
            "artifact_uri": f"mlflow-artifacts:/1/{run_id}/artifacts",
        },
        "data": {
            "params": [{"key": "lr", "value": "0.1"}],
            "tags": [{"key": "mlflow.runName", "value": f"run {number}"}, {"key": "team", "value": "vision"}],
            "metrics": [POINTS[-1]],
        },
        "inputs": {
            "dataset_inputs": [
                {
                    "tags": [{"key": "mlflow.data.context", "value": "training"}],
                    "dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "{}", "schema": "{}"},
                }
            ],
            "model_inputs": [{"model_id": MODEL_ID}],
        },
        "outputs": {"model_outputs": [{"model_id": MODEL_ID, "step": 3}]},
    }


EXPERIMENTS = [
    {
        "experiment_id": str(number),
        "name": name,
        "artifact_location": f"mlflow-artifacts:/{number}",
        "lifecycle_stage": "active",
        "creation_time": 1,
        "last_update_time": 2,
        "tags": [{"key": "team", "value": "vision"}],
    }
    for number, name in enumerate(("Default", "train"))
]
MODEL: dict[str, Any] = {
    "info": {
        "model_id": MODEL_ID,
        "experiment_id": "1",
        "name": "net",
        "creation_timestamp_ms": 1000,
        "last_updated_timestamp_ms": 2000,
        "artifact_uri": f"mlflow-artifacts:/1/models/{MODEL_ID}/artifacts",
        "status": "LOGGED_MODEL_READY",
        "model_type": "net",
        "source_run_id": RUNS[0],
        "tags": [{"key": "reviewed", "value": "yes"}],
    },
    "data": {
        "params": [{"key": "depth", "value": "3"}],
        "metrics": [
            {**POINTS[-1], "model_id": MODEL_ID, "run_id": RUNS[0], "dataset_name": "d", "dataset_digest": "1"}
        ],
    },
}
VERSION: dict[str, Any] = {
    "name": "churn",
    "version": "1",
    "creation_timestamp": 1000,
    "last_updated_timestamp": 2000,
    "current_stage": "None",
    "description": "the first",
    "source": f"models:/{MODEL_ID}",
    "run_id": RUNS[0],
    "status": "READY",
    "tags": [{"key": "reviewed", "value": "yes"}],
    "aliases": ["champion"],
}
REGISTERED: dict[str, Any] = {
    "name": "churn",
    "creation_timestamp": 1000,
    "last_updated_timestamp": 2000,
    "description": "who leaves",
    "latest_versions": [VERSION],
    "tags": [{"key": "team", "value": "vision"}],
    "aliases": [{"alias": "champion", "version": "1"}],
}
_ALL = {run_id: _run(run_id, number) for number, run_id in enumerate(RUNS)}


@dataclass
class Good:
    """An answer as it should be; `document` where it is JSON."""

    document: dict[str, Any] | None = None
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def bytes(self) -> bytes:
        return self.body if self.document is None else json.dumps(self.document).encode()


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any]
    headers: Mapping[str, str]


Answering = Callable[["Handler", Asked, Good], None]
"""Answers a request in a way of its own, given what would have been right."""


@dataclass(frozen=True)
class Fault:
    """What is wrong: which requests meet it (a pattern of method and path) and how they are answered."""

    name: str
    where: str
    answer: Answering


def good(asked: Asked) -> Good:
    """What a good server answers."""
    path = asked.path.removeprefix("/ajax-api").removeprefix("/api")
    for pattern, answer in _ROUTES:
        if re.fullmatch(pattern, f"{asked.method} {path}"):
            return answer(asked)
    body = {"error_code": "ENDPOINT_NOT_FOUND", "message": f"no {path}"}
    return Good(body, status=404)


def _search(asked: Asked) -> Good:
    is_wanted = "1" in asked.body.get("experiment_ids", [])
    condition = str(asked.body.get("filter", ""))
    is_source = "runsync." not in condition
    named = re.findall(r"'([0-9a-f]{32})'", condition) if "IN (" in condition else list(_ALL)
    since = re.search(r"start_time >= (\d+)", condition)
    least = int(since[1]) if since else 0
    found = [run for run_id, run in _ALL.items() if run_id in named and run["info"]["start_time"] >= least]
    return Good({"runs": found} if is_wanted and is_source else {})


def _files(asked: Asked) -> Good:
    folder = asked.query.get("path", "")
    inside = [path for path in FILES if path.startswith(f"{folder}/" if folder else "")]
    names = {"/".join(path.split("/")[: folder.count("/") + (2 if folder else 1)]) for path in inside}
    entries = [
        {"path": name, "is_dir": False, "file_size": len(FILES[name])}
        if name in FILES
        else {"path": name, "is_dir": True}
        for name in sorted(names)
    ]
    return Good({"root_uri": "mlflow-artifacts:/1", "files": entries})


def _bytes(asked: Asked) -> Good:
    path = asked.path.partition("/artifacts/")[2].partition("/artifacts/")[2] or asked.query.get("path", "")
    files = MODEL_FILES if f"/models/{MODEL_ID}/" in asked.path else FILES
    return Good(body=files.get(path, b"?"), headers={"Content-Type": "application/octet-stream"})


def _files_of_model(asked: Asked) -> Good:
    files = [{"path": path, "is_dir": False, "file_size": len(content)} for path, content in MODEL_FILES.items()]
    is_root = not asked.query.get("artifact_directory_path")
    return Good({"root_uri": MODEL["info"]["artifact_uri"], "files": files if is_root else []})


def _models(asked: Asked) -> Good:
    wanted = asked.body.get("experiment_ids") or json.loads(asked.query.get("experiment_ids", '["1"]'))
    return Good({"models": [MODEL] if "1" in wanted else []})


def _history(asked: Asked) -> Good:
    return Good({"metrics": POINTS})


def _bulk(asked: Asked) -> Good:
    ids = parse_qs(asked.headers["X-Query"]).get("run_id", [])
    return Good({"metrics": [{**point, "run_id": run_id} for run_id in ids for point in POINTS]})


def _made(asked: Asked) -> Good:
    return Good({"run": {"info": {**_ALL[RUNS[0]]["info"], "run_id": "f" * 32}, "data": {}}})


_ROUTES: list[tuple[str, Callable[[Asked], Good]]] = [
    (r"GET /version", lambda asked: Good(body=b"3.1.0", headers={"Content-Type": "text/plain"})),
    (r"GET /health", lambda asked: Good(body=b"OK", headers={"Content-Type": "text/plain"})),
    (r"\w+ /2.0/mlflow/experiments/search", lambda asked: Good({"experiments": EXPERIMENTS})),
    (r"POST /2.0/mlflow/runs/search", _search),
    (r"GET /2.0/mlflow/runs/get", lambda asked: Good({"run": _ALL.get(asked.query["run_id"], _ALL[RUNS[0]])})),
    (r"GET /2.0/mlflow/metrics/get-history-bulk", _bulk),
    (r"GET /2.0/mlflow/metrics/get-history", _history),
    (r"GET /2.0/mlflow/artifacts/list", _files),
    (r"GET /2.0/mlflow-artifacts/artifacts/.*|GET /get-artifact", _bytes),
    (r"PUT /2.0/mlflow-artifacts/artifacts/.*", lambda asked: Good({})),
    (r"\w+ /2.0/mlflow/logged-models/search", _models),
    (r"GET /2.0/mlflow/logged-models/[^/]+", lambda asked: Good({"model": MODEL})),
    (r"GET /2.0/mlflow/logged-models/[^/]+/artifacts/directories", _files_of_model),
    (r"POST /2.0/mlflow/logged-models.*", lambda asked: Good({"model": MODEL})),
    (r"PATCH /2.0/mlflow/logged-models/.*", lambda asked: Good({"model": MODEL})),
    (r"GET /2.0/mlflow/registered-models/search", lambda asked: Good({"registered_models": [REGISTERED]})),
    (r"GET /2.0/mlflow/registered-models/get", lambda asked: Good({"registered_model": REGISTERED})),
    (r"GET /2.0/mlflow/registered-models/alias", lambda asked: Good({"model_version": VERSION})),
    (r"POST /2.0/mlflow/registered-models/create", lambda asked: Good({"registered_model": REGISTERED})),
    (r"GET /2.0/mlflow/model-versions/search", lambda asked: Good({"model_versions": [VERSION]})),
    (r"GET /2.0/mlflow/model-versions/get", lambda asked: Good({"model_version": VERSION})),
    (r"GET /2.0/mlflow/model-versions/get-download-uri", lambda asked: Good({"artifact_uri": VERSION["source"]})),
    (r"POST /2.0/mlflow/model-versions/create", lambda asked: Good({"model_version": {**VERSION, "version": "2"}})),
    (r"\w+ /2.0/mlflow/(registered-models|model-versions)/[a-z-]+", lambda asked: Good({})),
    (r"POST /3.0/mlflow/traces/search", lambda asked: Good({"traces": [{}]})),
    (r"POST /2.0/mlflow/experiments/create", lambda asked: Good({"experiment_id": "7"})),
    (r"GET /2.0/mlflow/experiments/get-by-name", lambda asked: Good({"experiment": EXPERIMENTS[1]})),
    (r"POST /2.0/mlflow/runs/create", _made),
    (r"POST /2.0/mlflow/(runs|experiments)/[a-z-]+", lambda asked: Good({})),
]
EXPORTED = tuple(
    f"/{path}"
    for path in (
        *("experiments/search", "runs/search", "runs/get", "metrics/get-history-bulk", "artifacts/list"),
        *("artifacts/artifacts/", "registered-models/search", "logged-models/search", "traces/search"),
    )
)


MODELS = tuple(
    f"/{path}"
    for path in (
        *("registered-models/search", "registered-models/get", "registered-models/create", "logged-models/search"),
        *("model-versions/search", "model-versions/get", "model-versions/create", "model-versions/get-download-uri"),
        *(f"logged-models/{MODEL_ID}$", "artifacts/directories", "models/m-[0-9a-f]+/artifacts/", "logged-models$"),
    )
)
"""What verbs on models ask for."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server: "_Listening"

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def answer(self) -> None:
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        body = json.loads(content) if content[:1] == b"{" else {}
        asked = Asked(self.command, parts.path, query, body, {**self.headers, "X-Query": parts.query})
        self.server.count += 1
        right, fault = good(asked), self.server.fault
        with suppress(ConnectionError):
            if fault is not None and re.search(fault.where, f"{self.command} {parts.path}"):
                self.server.met += 1
                fault.answer(self, asked, right)
            else:
                self.send(right)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

    def send(self, told: Good, length: int | None = None) -> None:
        """Sends an answer; `length` is what the header says."""
        content = told.bytes()
        self.head(told.status, {**told.headers, "Content-Length": str(len(content) if length is None else length)})
        if self.command != "HEAD":
            self.wfile.write(content)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Sends status and headers."""
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def raw(self, pieces: Iterator[bytes], pause: float = 0.0) -> None:
        """Sends bytes as they are, then hangs up."""
        self.close_connection = True
        with suppress(OSError):
            for piece in pieces:
                if self.server.closing.wait(pause) if pause else self.server.closing.is_set():
                    return
                self.wfile.write(piece)


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    fault: Fault | None = None
    count = met = 0

    def __init__(self) -> None:
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up on it, and well they may."""


class HostileServer:
    """While in a `with`; `fault` may be set at any time, and `met` counts the requests that met it."""

    def __init__(self, fault: Fault | None = None) -> None:
        self._listening = _Listening()
        self._listening.fault = fault
        self.url = f"http://127.0.0.1:{self._listening.server_address[1]}"

    @property
    def met(self) -> int:
        return self._listening.met

    @property
    def requests(self) -> int:
        return self._listening.count

    def meet(self, fault: Fault | None) -> None:
        """Another fault from now on."""
        self._listening.met, self._listening.fault = 0, fault

    def __enter__(self) -> Self:
        serve = self._listening.serve_forever
        threading.Thread(target=serve, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listening.closing.set()
        self._listening.shutdown()
        self._listening.server_close()
