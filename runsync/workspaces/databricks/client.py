"""Requests to a Databricks workspace: what it wants otherwise than an open-source server is done here, once for all."""

import posixpath
from collections.abc import Mapping
from typing import Any

from runsync.errors import RequestRefused
from runsync.limits import UNLIMITED, Limits
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.databricks.tags import ServerTags
from runsync.workspaces.http import NEEDED, Care, Client, Identity, Pace, Patience
from runsync.workspaces.http.fields import Json, identifier
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.server import API

CREATE = f"{API}/experiments/create"
SET_TAG = f"{API}/experiments/set-experiment-tag"
MKDIRS = "/api/2.0/workspace/mkdirs"
TAGS_AT_CREATION = 20
"""Of an experiment, that Databricks guarantees to take (databricks-sdk)."""


class DatabricksClient(Client):
    """A `Client` whose posts arrive: server-owned tags by other names, folders made, tags set in portions."""

    def __init__(
        self,
        url: str,
        tls: Credentials,
        connections: int,
        patience: Patience | None = None,
        limits: Limits = UNLIMITED,
        *,
        identity: Identity,
        pace: Pace,
    ) -> None:
        super().__init__(url, tls, connections, patience, limits, identity, pace)
        self.tags = ServerTags()

    def read_run(self, document: Json) -> Run:
        """A run of an answer, as it was meant (see `databricks.tags`)."""
        return self.tags.run(wire.run(document))

    def read_experiment(self, document: Json) -> Experiment:
        """An experiment of an answer, as it was meant."""
        return self.tags.experiment(wire.experiment(document))

    def post(self, path: str, body: Mapping[str, Any], retry: bool = True, *, care: Care = NEEDED) -> dict[str, Any]:
        """See `Client.post`."""
        if path == CREATE:
            return self._create_experiment(body, retry)
        return self._post(path, body, retry, care)

    def _post(self, path: str, body: Mapping[str, Any], retry: bool = True, care: Care = NEEDED) -> dict[str, Any]:
        """What is refused for a tag that the server keeps to itself goes again with that tag under another name."""
        while True:
            known = self.tags.learnt
            try:
                return super().post(path, self.tags.written(path, body), retry, care=care)
            except RequestRefused as error:
                if not self.tags.learn(error, known):
                    raise

    def _create_experiment(self, body: Mapping[str, Any], retry: bool) -> dict[str, Any]:
        tags = list(body.get("tags", ()))
        first = {**body, "tags": tags[:TAGS_AT_CREATION]}
        try:
            made = self._post(CREATE, first, retry)
        except RequestRefused as error:
            if "already exists" in str(error):
                raise _is_taken(error) from None
            if "Parent directory" not in str(error):
                raise
            self._make_folder(posixpath.dirname(str(body["name"])))
            made = self._post(CREATE, first, retry)
        for tag in tags[TAGS_AT_CREATION:]:
            self._post(SET_TAG, {"experiment_id": identifier(made, "experiment_id"), **tag})
        return made

    def _make_folder(self, path: str) -> None:
        try:
            self._post(MKDIRS, {"path": path})
        except RequestRefused as error:
            raise RequestRefused(
                f"{error}: put the experiment into a folder of yours with --prefix or --rename",
                error.status,
                error.code,
            ) from None


def _is_taken(error: RequestRefused) -> RequestRefused:
    return RequestRefused(
        f"{error}: something else is at that path, as a notebook or a folder; give the experiment another one with "
        "--rename or --prefix",
        error.status,
        error.code,
    )
