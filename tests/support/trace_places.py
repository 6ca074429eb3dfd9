"""A database with traces of all kinds, a server on it, and a bundle of it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import requests

import runsync
from support.databases import Databases
from support.servers import MlflowServer


class Places(NamedTuple):
    """The same traces in three places, with the ids of what MLflow's client made."""

    server: str
    database: str
    bundle: str
    ids: dict[str, str]

    @property
    def all(self) -> tuple[str, str, str]:
        """Their addresses."""
        return self.server, self.database, self.bundle


@pytest.fixture(scope="session")
def places(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """Only read."""
    from conftest import executable

    from support.traces_client import client

    database, folder = databases.fresh("sqlite"), tmp_path_factory.mktemp("traces")
    ids = client("fill", database.for_mlflow, str(folder))
    for home in (ids["run"], f"models/{ids['model']}"):
        (folder / "traced" / home / "artifacts").mkdir(parents=True)
    extra = ("--backend-store-uri", database.for_mlflow)
    with MlflowServer(executable("3"), folder=folder / "server", gunicorn=True, extra=extra) as server:
        post(server.url, "traces", {"trace": {"trace_info": sibling(ids)}})
        post(server.url, "traces/tr-sibling/assessments", {"assessment": OF_SESSION})
        bundle = folder / "bundle"
        runsync.export(database.url, bundle, accept=["prompts", "issues"])
        yield Places(server.url, database.url, str(bundle), ids)


def post(url: str, path: str, body: dict[str, Any]) -> Any:
    answer = requests.post(f"{url}/api/3.0/mlflow/{path}", json=body, timeout=30)
    assert answer.ok, answer.text
    return answer.json()


def sibling(ids: dict[str, str]) -> dict[str, Any]:
    """A trace of the same session as the one without spans, with hardly anything else."""
    return {
        "trace_id": "tr-sibling",
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": ids["other"]}},
        "request_time": "2023-11-14T22:13:21.500Z",
        "state": "OK",
        "trace_metadata": {"mlflow.trace.session": "session-2"},
        "tags": {"team": "Ops", "n": "5"},
        "assessments": [],
    }


OF_SESSION = {
    "assessment_name": "tone",
    "trace_id": "tr-sibling",
    "source": {"source_type": "HUMAN", "source_id": "ada"},
    "feedback": {"value": 4},
    "metadata": {"mlflow.trace.session": "session-2"},
    "create_time": "2024-01-01T00:00:00Z",
    "last_update_time": "2024-01-01T00:00:00Z",
}
"""What somebody says of a whole session."""
