"""Which runs the model registry of a server knows."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.workspaces.http import Client, Portion
from runsync.workspaces.http.fields import every, pages, text
from runsync.workspaces.rest.server import API

PAGE = 10_000
"""Model versions a request at first; servers give at most 200,000."""


class ModelVersions:
    """The runs that a model version was made of, as `read` tells them: once, when it is first asked."""

    def __init__(self, read: Callable[[], Iterable[str]]) -> None:
        self._read = read
        self._runs: set[str] | None = None
        self._lock = threading.Lock()

    def has(self, run_id: str) -> bool:
        """Whether a registered model version is linked to the run. Raises RequestRefused where there is no registry."""
        with self._lock:
            if self._runs is None:
                self._runs = set(self._read())
            return run_id in self._runs


def runs_of_versions(client: Client) -> Iterator[str]:
    """The run of each version of a server. Raises RequestRefused."""
    portion = Portion(PAGE, MODEL_VERSIONS.noun)

    def ask(token: str) -> dict[str, Any]:
        further = {"page_token": token} if token else {}
        return portion.ask(
            lambda size, care: client.get(f"{API}/model-versions/search", care=care, max_results=size, **further)
        )

    return (text(version, "run_id", "") for version in every(pages(ask, "model_versions")))
