"""Filling a workspace over plain REST, independently of runsync."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

import requests

API = "/api/2.0/mlflow"
MOST_METRICS = 1000
MOST_PARAMS = 100
IDLE = 2.0
"""Seconds after which a connection is not used again: servers close theirs after 5, maybe just as a request is sent."""

Point = tuple[str, float, int, int]
"""Key, value, timestamp in milliseconds, step."""


def tags_of(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Tags or params as MLflow's messages have them."""
    return [{"key": key, "value": value} for key, value in (tags or {}).items()]


def wire_value(value: float) -> float | str:
    """A metric value as MLflow reads it; bare NaN would make it drop the rest of the body without a word."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


class Seeder:
    """Writes to one MLflow server; every call raises `requests.HTTPError` when the server refuses it."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(headers or {})
        self._artifact_uris: dict[str, str] = {}
        self._last_call = time.monotonic()

    def call(self, method: str, path: str, /, body: Any = None, **parameters: Any) -> dict[str, Any]:
        """Any request below `/api/2.0/mlflow/`; the answer as a document."""
        url = f"{self.url}{API}/{path}"
        if time.monotonic() - self._last_call > IDLE:
            self._session.close()
        answer = self._session.request(method, url, json=body, params=parameters or None, timeout=300)
        self._last_call = time.monotonic()
        if method == "DELETE":  # MLflow leaves the body unread, and gunicorn then closes the connection
            self._session.close()
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text}", response=answer)
        document: dict[str, Any] = answer.json()
        return document

    def post(self, path: str, /, **body: Any) -> dict[str, Any]:
        """A POST; fields that are None are left out."""
        return self.call("POST", path, {name: value for name, value in body.items() if value is not None})

    def create_experiment(
        self, name: str, tags: Mapping[str, str] | None = None, artifact_location: str | None = None
    ) -> str:
        """A new experiment; its id."""
        location = artifact_location
        answer = self.post("experiments/create", name=name, tags=tags_of(tags), artifact_location=location)
        return str(answer["experiment_id"])

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        """Sets one tag."""
        self.post("experiments/set-experiment-tag", experiment_id=experiment_id, key=key, value=value)

    def delete_experiment(self, experiment_id: str) -> None:
        """Marks it deleted, and its runs with it."""
        self.post("experiments/delete", experiment_id=experiment_id)

    def restore_experiment(self, experiment_id: str) -> None:
        """Marks it active, and all its runs with it."""
        self.post("experiments/restore", experiment_id=experiment_id)

    def create_run(
        self,
        experiment_id: str,
        name: str | None = None,
        *,
        start_time: int = 1_700_000_000_000,
        tags: Mapping[str, str] | None = None,
        user_id: str | None = None,
    ) -> str:
        """A new run, RUNNING; its id."""
        run = self.post(
            "runs/create",
            experiment_id=experiment_id,
            run_name=name,
            start_time=start_time,
            tags=tags_of(tags),
            user_id=user_id,
        )["run"]
        run_id = str(run["info"]["run_id"])
        self._artifact_uris[run_id] = run["info"]["artifact_uri"]
        return run_id

    def get_run(self, run_id: str) -> dict[str, Any]:
        """The run as the server tells it."""
        run: dict[str, Any] = self.call("GET", "runs/get", run_id=run_id)["run"]
        return run

    def update_run(
        self, run_id: str, *, status: str | None = None, end_time: int | None = None, name: str | None = None
    ) -> None:
        """Sets status, end time (milliseconds) or name."""
        self.post("runs/update", run_id=run_id, status=status, end_time=end_time, run_name=name)

    def finish(self, run_id: str, status: str = "FINISHED", end_time: int = 1_700_000_100_000) -> None:
        """Ends a run."""
        self.update_run(run_id, status=status, end_time=end_time)

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Sets one tag."""
        self.post("runs/set-tag", run_id=run_id, key=key, value=value)

    def delete_run(self, run_id: str) -> None:
        """Marks it deleted."""
        self.post("runs/delete", run_id=run_id)

    def restore_run(self, run_id: str) -> None:
        """Marks it active."""
        self.post("runs/restore", run_id=run_id)

    def log_batch(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        metrics: Sequence[Point] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Any number of params, points and tags, in as many requests as it takes."""
        pairs, labels = tags_of(params), tags_of(tags)
        points = [
            {"key": key, "value": wire_value(value), "timestamp": timestamp, "step": step}
            for key, value, timestamp, step in metrics
        ]
        for start in range(0, len(points), MOST_METRICS):
            self.post("runs/log-batch", run_id=run_id, metrics=points[start : start + MOST_METRICS])
        for start in range(0, len(pairs), MOST_PARAMS):
            self.post("runs/log-batch", run_id=run_id, params=pairs[start : start + MOST_PARAMS])
        for start in range(0, len(labels), MOST_PARAMS):
            self.post("runs/log-batch", run_id=run_id, tags=labels[start : start + MOST_PARAMS])

    def log_dataset(
        self,
        run_id: str,
        name: str,
        digest: str,
        *,
        source_type: str = "local",
        source: str = "{}",
        schema: str | None = None,
        profile: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """One dataset input."""
        dataset = {"name": name, "digest": digest, "source_type": source_type, "source": source}
        dataset |= {"schema": schema} if schema is not None else {}
        dataset |= {"profile": profile} if profile is not None else {}
        self.log_inputs(run_id, [{"tags": tags_of(tags), "dataset": dataset}])

    def log_inputs(self, run_id: str, datasets: Sequence[Mapping[str, Any]]) -> None:
        """Dataset inputs as MLflow's messages have them."""
        self.post("runs/log-inputs", run_id=run_id, datasets=list(datasets))

    def put_artifact(self, run_id: str, path: str, content: bytes | Iterable[bytes]) -> None:
        """One file of a run."""
        self.put_file(self._artifact_uri(run_id), path, content)

    def put_file(self, uri: str, path: str, content: bytes | Iterable[bytes]) -> None:
        """One file below a root: through the server's proxy, or to disk where the server does not serve artifacts."""
        if uri.startswith("mlflow-artifacts:"):
            self._upload(urlsplit(uri).path.strip("/") + "/" + path, content)
        else:
            parts = urlsplit(uri)
            place = Path(unquote(parts.path) if parts.scheme else uri, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if isinstance(content, bytes) else b"".join(content))

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _upload(self, path: str, content: bytes | Iterable[bytes]) -> None:
        url = f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{quote(path)}"
        answer = self._session.put(url, data=content, timeout=300)
        if not answer.ok:
            raise requests.HTTPError(f"PUT {path}: {answer.status_code} {answer.text}", response=answer)

    def _artifact_uri(self, run_id: str) -> str:
        if run_id not in self._artifact_uris:
            self._artifact_uris[run_id] = self.get_run(run_id)["info"]["artifact_uri"]
        return self._artifact_uris[run_id]


def points(
    seeder: Seeder, run_id: str, key: str, n: int, *, first_step: int = 0, first_time: int = 1_700_000_000_000
) -> None:
    """Logs `n` points of one key, a step and a millisecond apart, 1000 a call."""
    steps = range(first_step, first_step + n)
    seeder.log_batch(run_id, metrics=[(key, step * 0.5 + 0.1, first_time + step, step) for step in steps])
