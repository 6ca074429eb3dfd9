"""Runs that keep the files of model versions for which the target has no other place: one for each registered model, in
an experiment of their own."""

import hashlib
from threading import Lock

from runsync.errors import ABSENT, RequestRefused
from runsync.model.experiment import DELETED
from runsync.model.naming import Naming
from runsync.model.run import Run
from runsync.model.times import now
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import identifier, listed, part
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.collisions import post
from runsync.workspaces.rest.create import create_once
from runsync.workspaces.rest.server import API

EXPERIMENT = "Files of model versions"
HOLDS = "runsync.holds"
"""The tag of such a run: a hash of the name of its registered model."""


class Holders:
    """Of one target."""

    def __init__(self, client: Client, naming: Naming) -> None:
        self._client = client
        self._name = naming.plain(EXPERIMENT)
        self._experiment_id = ""
        self._lock = Lock()

    def of(self, model: str) -> Run:
        """That of a registered model, which is made where it is not there. Raises RequestRefused."""
        with self._lock:
            self._experiment_id = self._experiment_id or self._experiment()
        held = hashlib.sha256(model.encode()).hexdigest()[:32]
        return self._found(held) or self._made(model, held)

    def _made(self, model: str, held: str) -> Run:
        made: list[Run] = []
        body = {
            "experiment_id": self._experiment_id,
            "run_name": model,
            "start_time": now(),
            "tags": wire.entries({HOLDS: held, "mlflow.runName": model}),
        }

        def create() -> str:
            made.append(wire.run(part(self._client.post(f"{API}/runs/create", body, retry=False), "run")))
            return made[-1].run_id

        def find() -> str | None:
            if (found := self._found(held)) is not None:
                made.append(found)
            return found.run_id if found is not None else None

        run_id = create_once(self._client, create, find)
        post(self._client, "runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": now()})
        return made[-1]

    def _found(self, held: str) -> Run | None:
        asked = {"experiment_ids": [self._experiment_id], "filter": f"tags.`{HOLDS}` = '{held}'"}
        told = self._client.post(f"{API}/runs/search", {**asked, "run_view_type": "ALL"})
        return next((wire.run(run) for run in listed(told, "runs")), None)

    def _experiment(self) -> str:
        def create() -> str:
            answer = self._client.post(f"{API}/experiments/create", {"name": self._name}, retry=False)
            return identifier(answer, "experiment_id")

        return self._experiment_there() or create_once(self._client, create, self._experiment_there)

    def _experiment_there(self) -> str | None:
        try:
            answer = self._client.get(f"{API}/experiments/get-by-name", experiment_name=self._name)
        except RequestRefused as error:
            if error.code != ABSENT:
                raise
            return None
        found = wire.experiment(part(answer, "experiment"))
        if found.lifecycle_stage == DELETED:
            post(self._client, "experiments/restore", {"experiment_id": found.experiment_id})
        return found.experiment_id
