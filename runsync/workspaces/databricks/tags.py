"""Tags that Databricks sets itself, or refuses: what a copy should have in them is kept under another name.

`mlflow.user` of a copy, for one, is whoever imported it. So the user of the original is written as
`runsync.kept.mlflow.user`, and reads as `mlflow.user` again wherever runsync reads the copy: verifying, listing,
exporting and the next import see what was meant. What a server put into a copy by itself is left out of that.

Which tags these are is known of some (mlflow-export-import, issues 12 and 187, and its samples of real exports); others
are learnt from the answer 400 “Cannot update tag”.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import Any

from runsync.errors import RequestRefused
from runsync.model.experiment import Experiment
from runsync.model.identity import ORIGIN, ORIGIN_EXPERIMENT
from runsync.model.run import Run
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.server import API

KEPT = "runsync.kept."
USER_ID = "user_id"
"""Not a tag, but a field of runs that Databricks leaves empty."""
OF_RUNS = frozenset({"mlflow.user", "mlflow.rootRunId", "mlflow.log-model.history"})
OF_EXPERIMENTS = frozenset(
    {
        "mlflow.ownerId",
        "mlflow.ownerEmail",
        "mlflow.experimentType",
        "mlflow.experiment.sourceName",
        "mlflow.experiment.sourceType",
        "mlflow.experiment.sourceId",
    }
)
_REFUSED = re.compile(r"[Cc]annot (?:update|set|delete) tag '([^']+)'")
_RUN_TAGS = (f"{API}/runs/create", f"{API}/runs/log-batch")
_RUN_TAG = (f"{API}/runs/set-tag", f"{API}/runs/delete-tag")
_EXPERIMENT_TAG = (f"{API}/experiments/set-experiment-tag", f"{API}/experiments/delete-experiment-tag")

Body = Mapping[str, Any]


class ServerTags:
    """Which tags one workspace keeps to itself, and how requests and answers read with them."""

    def __init__(self) -> None:
        self.learnt: frozenset[str] = frozenset()
        self._lock = Lock()

    def is_of_runs(self, key: str) -> bool:
        """Whether a tag of runs cannot be set."""
        return key in OF_RUNS or key in self.learnt

    def is_of_experiments(self, key: str) -> bool:
        """Whether a tag of experiments cannot be set."""
        return key in OF_EXPERIMENTS or key in self.learnt

    def learn(self, error: RequestRefused, known: frozenset[str]) -> bool:
        """From a refusal: whether it names a tag that was not `known` when the request was written."""
        found = _REFUSED.search(str(error))
        if found is None or found[1] in known:
            return False
        with self._lock:
            self.learnt |= {found[1]}
        return True

    def written(self, path: str, body: Body) -> Body:
        """A request's body with such tags under their other names."""
        if path in _RUN_TAGS:
            tags = [self._renamed(tag, self.is_of_runs(tag["key"])) for tag in body.get("tags", ())]
            changed: dict[str, Any] = {**body, "tags": tags}
            if user := changed.pop(USER_ID, ""):
                changed["tags"] = [*tags, *wire.entries({KEPT + USER_ID: user})]
            return changed
        if path == f"{API}/experiments/create":
            tags = [self._renamed(tag, self.is_of_experiments(tag["key"])) for tag in body.get("tags", ())]
            return {**body, "tags": tags}
        if path in _RUN_TAG:
            return self._renamed(body, self.is_of_runs(body["key"]))
        if path in _EXPERIMENT_TAG:
            return self._renamed(body, self.is_of_experiments(body["key"]))
        return body

    def run(self, told: Run) -> Run:
        """A run as it was meant."""
        tags = _meant(told.tags, OF_RUNS if ORIGIN in told.tags else frozenset())
        return replace(told, tags=tags, user_id=told.tags.get(KEPT + USER_ID, told.user_id))

    def experiment(self, told: Experiment) -> Experiment:
        """An experiment as it was meant."""
        return replace(told, tags=_meant(told.tags, OF_EXPERIMENTS if ORIGIN_EXPERIMENT in told.tags else frozenset()))

    def _renamed(self, named: Body, is_kept: bool) -> Body:
        return {**named, "key": KEPT + named["key"]} if is_kept else named


def _meant(tags: Mapping[str, str], of_server: frozenset[str]) -> dict[str, str]:
    kept = {key.removeprefix(KEPT): value for key, value in tags.items() if key.startswith(KEPT)}
    kept.pop(USER_ID, None)
    own = {key: value for key, value in tags.items() if not key.startswith(KEPT) and key not in of_server}
    return {**own, **kept}
