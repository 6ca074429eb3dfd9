"""Versions of the workspace's own registry, which keeps a copy of their files: what counts once the run or logged model
that they were made of is gone.

Its endpoints are those of MLflow's client (`databricks_models_artifact_repo.py`, 3.17).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from runsync.contract.entities import OneByOne
from runsync.download import as_listed
from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import MODEL_VERSIONS, Home, ModelVersion
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile
from runsync.workspaces.clouds.credential import AWS, Credential, Pass
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import every, listed, pages, text
from runsync.workspaces.rest.folders import walk
from runsync.workspaces.rest.leftovers import is_unknown
from runsync.workspaces.rest.model_versions import ModelVersionSource
from runsync.workspaces.rest.server import API

VERSIONS = f"{API}/model-versions"


class RegisteredVersions(OneByOne):
    """See `EntitySource`."""

    is_exact = False

    def __init__(self, client: Client, versions: ModelVersionSource, storage: Storage) -> None:
        self._client = client
        self._versions = versions
        self._storage = storage
        self._there: dict[Home, bool] = {}

    def list(self, scope: Scope) -> Iterator[ModelVersion]:
        """See `EntitySource`."""
        return self._versions.list(scope)

    def complete(self, item: ModelVersion) -> ModelVersion:
        """With the files of the registry's copy, where they hang off nothing that is there. Raises RequestRefused."""
        if item.home.kind == MODEL_VERSIONS.name or self._has(replace(item.home, path="")):
            return item
        try:
            files = sorted(self._listed(item), key=lambda file: file.path)
        except RequestRefused as error:
            if is_unknown(error):
                return item
            raise
        return replace(item, home=Home(), artifacts=tuple(files))

    def read(self, item: ModelVersion) -> tuple[ModelVersion, Iterator[bytes]]:
        """It may have files."""
        return item, iter(())

    def read_file(self, item: ModelVersion, file: ArtifactFile) -> Iterator[bytes]:
        """See `EntitySource`."""
        file.check()

        def ask() -> Credential:
            told = self._client.get(f"{VERSIONS}/get-signed-download-uri", **self._named(item, file.path))
            headers = {text(each, "name"): text(each, "value", "") for each in listed(told, "headers")}
            return Credential(AWS, text(told, "signed_uri"), headers)

        return as_listed(self._storage.download(Pass(ask(), ask)), file.path, file.size)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """See `EntitySource`."""
        return self._versions.left_behind(scope)

    def _has(self, home: Home) -> bool:
        """Whether a run or a logged model is there, deleted or not."""
        if not home.kind:
            return False
        if home not in self._there:
            place = f"logged-models/{home.id}" if home.kind == LOGGED_MODELS.name else "runs/get"
            asked: dict[str, Any] = {} if home.kind == LOGGED_MODELS.name else {"run_id": home.id}
            try:
                self._client.get(f"{API}/{place}", **asked)
                self._there[home] = True
            except RequestRefused as error:
                if error.code != ABSENT:
                    raise
                self._there[home] = False
        return self._there[home]

    def _listed(self, item: ModelVersion) -> Iterator[ArtifactFile]:
        def entries(folder: str) -> Iterator[dict[str, Any]]:
            def ask(token: str) -> dict[str, Any]:
                asked = self._named(item, folder) | ({"page_token": token} if token else {})
                return self._client.get(f"{VERSIONS}/list-artifacts", **asked)

            return every(pages(ask, "files"))

        return walk("the workspace", entries)

    def _named(self, item: ModelVersion, path: str) -> dict[str, Any]:
        return {"name": item.model, "version": str(item.version), "path": path}
