"""Which runs the model registry of a server knows."""

import threading

from runsync.workspaces.http import Client
from runsync.workspaces.rest.server import API

PAGE = 10_000
"""Model versions a request; servers give at most 200,000."""


class ModelVersions:
    """The runs that a model version was made of; read once, when it is first asked."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._runs: set[str] | None = None
        self._lock = threading.Lock()

    def has(self, run_id: str) -> bool:
        """Whether a registered model version is linked to the run. Raises RequestRefused where there is no registry."""
        with self._lock:
            if self._runs is None:
                self._runs = self._read()
            return run_id in self._runs

    def _read(self) -> set[str]:
        found: set[str] = set()
        token = ""
        while True:
            asked = {"max_results": PAGE, **({"page_token": token} if token else {})}
            answer = self._client.get(f"{API}/model-versions/search", **asked)
            found.update(version.get("run_id", "") for version in answer.get("model_versions", []))
            token = answer.get("next_page_token", "")
            if not token:
                return found
