"""Plain calls of a workspace, for tests of what it refuses."""

from dataclasses import dataclass
from typing import Any

import requests

from emulators.databricks import Databricks

MLFLOW = "/api/2.0/mlflow/"


@dataclass(frozen=True)
class Caller:
    """Sends requests to a workspace with its token, or with another one."""

    workspace: Databricks
    token: str | None = ""

    def __call__(self, method: str, path: str, **given: Any) -> requests.Response:
        """One request; a path without a slash before it is one of MLflow's."""
        path = path if path.startswith("/") else MLFLOW + path
        token = self.workspace.token if self.token == "" else self.token
        headers = given.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        return requests.request(method, self.workspace.url + path, headers=headers, timeout=300, **given)

    def post(self, where: str, /, **fields: Any) -> Any:
        """The document that a request with JSON is answered with."""
        answer = self("POST", where, json=fields)
        assert answer.ok, answer.text
        return answer.json()

    def get(self, where: str, /, **fields: Any) -> Any:
        """The document that a question is answered with."""
        answer = self("GET", where, params=fields)
        assert answer.ok, answer.text
        return answer.json()

    def refused(self, where: str, method: str = "POST", /, **fields: Any) -> tuple[int, str | int, str]:
        """Status, code and message of a request that is refused."""
        answer = self(method, where, **{"params" if method == "GET" else "json": fields})
        assert not answer.ok, answer.text
        document = answer.json()
        return answer.status_code, document["error_code"], document["message"]

    def experiment(self, name: str = "e", **fields: Any) -> str:
        """The id of a new experiment in the owner's home."""
        made = self.post("experiments/create", name=f"{self.workspace.home}/{name}", **fields)
        return str(made["experiment_id"])

    def run(self, experiment: str, **fields: Any) -> str:
        """The id of a new run."""
        made = self.post("runs/create", experiment_id=experiment, **fields)
        return str(made["run"]["info"]["run_id"])
