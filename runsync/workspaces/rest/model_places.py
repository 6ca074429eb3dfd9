"""Where the files of model versions lie in a target server, and how its registry says that."""

import re
from collections.abc import Callable
from typing import Any

from runsync.kinds.kind import Resolve
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import MODEL_VERSIONS, MOVED, Home, ModelVersion
from runsync.model.selection import RUNS
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import part, text
from runsync.workspaces.rest.links import Links
from runsync.workspaces.rest.model_homes import is_shared
from runsync.workspaces.rest.server import API


class ModelPlaces:
    """`resolve` gives the target's ids of what the source has, and `runs` those of runs; `lacks` tells why the files of
    one are not all there, by kind and id in the source, "" where they are."""

    def __init__(
        self,
        client: Client,
        runs: Links,
        resolve: Resolve,
        root_of_model: Callable[[str], str],
        lacks: Callable[[str, str], str],
    ) -> None:
        self._client = client
        self._runs = runs
        self._resolve = resolve
        self._root_of_model = root_of_model
        self._lacks = lacks
        self._roots: dict[str, str] = {}

    def of(self, item: ModelVersion, run_of_other: str | None = None) -> dict[str, Any] | None:
        """What its creation says: source, run_id and model_id; None where its files are nowhere that the target gets
        at. A copy of a version must name the run that this one names there (MLflow 3.17). Raises RequestRefused."""
        home, run_id = item.home, self._run(item.run_id)
        of_run = {"run_id": run_id} if run_id else {}
        if home.kind == MODEL_VERSIONS.name:
            run_id = run_id if run_of_other is None else run_of_other
            return {"source": f"models:/{home.id}", **({"run_id": run_id} if run_id else {})}
        if home.kind == LOGGED_MODELS.name and (model_id := self._resolve(home.kind, home.id)):
            source = _below(self._root_of_model(model_id), home.path) if home.path else f"models:/{model_id}"
            return {"source": source, "model_id": model_id, **of_run}
        if home.kind == RUNS and (there := self._runs.find(home.id)):
            root = f"runs:/{there}" if item.source.startswith("runs:") else self._root_of_run(there)
            return {"source": _below(root, home.path), "run_id": there}
        return None

    def outside(self, item: ModelVersion) -> dict[str, Any] | None:
        """Likewise of a complete version of which the source has no files: it lies where it lay, or was made of a run
        that is purged. None where a server would not take that."""
        run_id = self._run(item.run_id)
        if item.home.kind:
            return None
        if is_shared(item.source):
            return {"source": item.source, **({"run_id": run_id} if run_id else {})}
        of_run = re.match(r"runs:/([^/]+)/", item.source)
        return {"source": item.source, "run_id": of_run[1]} if of_run else None

    def is_same(self, item: ModelVersion, there: ModelVersion, is_copy: bool) -> bool:
        """Whether a version of the target serves the same files, of the same run."""
        if is_copy:
            return True
        home = self._there(item.home, self._runs.find)
        is_same_home = there.home == home if home is not None else there.source == item.source
        return is_same_home and self._run(item.run_id) == there.run_id

    def is_elsewhere(self, item: ModelVersion, there: ModelVersion) -> bool:
        """Whether a copy surely serves other files, as far as that is known without looking."""
        if there.tags.get(MOVED) == item.source:
            return False
        home = self._there(item.home, self._runs.known)
        return home is not None and there.home != home

    def why_not_whole(self, home: Home) -> str:
        """Why the files of a version are not all there; "" where they are."""
        return self._lacks(home.kind, home.id) if home.kind else ""

    def told(self, there: ModelVersion) -> str:
        """Its source."""
        return there.source

    def _there(self, home: Home, find_run: Callable[[str], str | None]) -> Home | None:
        """The home of the same files in the target."""
        if home.kind == MODEL_VERSIONS.name:
            return home
        found = find_run(home.id) if home.kind == RUNS else self._resolve(home.kind, home.id)
        return Home(home.kind, found, home.path) if found else None

    def _run(self, run_id: str) -> str:
        return (self._runs.find(run_id) or run_id) if run_id else ""

    def _root_of_run(self, run_id: str) -> str:
        if run_id not in self._roots:
            answer = self._client.get(f"{API}/runs/get", run_id=run_id)
            self._roots[run_id] = text(part(part(answer, "run"), "info"), "artifact_uri")
        return self._roots[run_id]


def _below(root: str, path: str) -> str:
    return f"{root.rstrip('/')}/{path}" if path else root
