"""The model registry of a server, for promotions: see `contract.model_registry`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runsync.contract.model_registry import Registered
from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS, ModelVersion, home_of_location
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.finding import FAILURE, Finding, failure, ok
from runsync.model.run import ArtifactFile, Run
from runsync.model.selection import RUNS
from runsync.model.wording import many
from runsync.workspaces.http import OPTIONAL, Client, Portion
from runsync.workspaces.http.fields import every, listed, pages, part, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.artifacts import Artifacts, Root
from runsync.workspaces.rest.collisions import post
from runsync.workspaces.rest.logged_models import LoggedModelSource
from runsync.workspaces.rest.model_versions import PAGE, model_version
from runsync.workspaces.rest.registered_models import registered_model
from runsync.workspaces.rest.rights import LOOKED_AT, rights_on_models
from runsync.workspaces.rest.server import API

_DEEPEST = 10
"""Versions that are copies of versions."""


class RestModelRegistry:
    """See `ModelRegistry`. A server has no way to set an alias only if it is unchanged."""

    swaps = False

    def __init__(self, client: Client, store: Artifacts, logged: LoggedModelSource) -> None:
        self._client = client
        self._store = store
        self._logged = logged
        self._portion = Portion(PAGE, MODEL_VERSIONS.noun)

    def examine(self) -> Iterator[Finding]:
        """See `ModelRegistry`. What only a write would show is not known."""
        try:
            answer = self._client.get(f"{API}/registered-models/search", care=OPTIONAL, max_results=LOOKED_AT)
            found = [registered_model(document)[0].name for document in listed(answer, "registered_models")]
        except RequestRefused as error:
            remedy = "take a server that has a model registry, and an account that may read it"
            yield failure("registry", f"its registered models cannot be read: {error}", remedy)
            return
        yield ok("registry", f"{many(len(found), REGISTERED_MODELS.noun)} looked at")
        yield from rights_on_models(self._client, found)
        yield ok("aliases", "an alias is looked at just before it moves, and again after that")

    def examine_model(self, name: str) -> Iterator[Finding]:
        """See `ModelRegistry`."""
        for finding in rights_on_models(self._client, [name]):
            yield replace(finding, state=FAILURE)

    def examine_new(self, name: str) -> Iterator[Finding]:
        """Whoever may use a server may make models."""
        yield from ()

    def read(self, name: str) -> Registered | None:
        """See `ModelRegistry`."""
        try:
            answer = self._client.get(f"{API}/registered-models/get", name=name)
        except RequestRefused as error:
            if error.code == ABSENT:
                return None
            raise
        model, aliases = registered_model(part(answer, "registered_model"))
        versions = sorted(self._versions(name), key=lambda version: version.version)
        return Registered(model, tuple(versions), {alias.alias: alias.version for alias in aliases})

    def files(self, version: ModelVersion) -> "_Served":
        """Those below its download address."""
        name, wanted = version.model, version.version
        for _ in range(_DEEPEST):
            answer = self._client.get(f"{API}/model-versions/get-download-uri", name=name, version=wanted)
            uri = text(answer, "artifact_uri", "")
            home = home_of_location(uri, version.run_id)
            if home.kind != MODEL_VERSIONS.name:
                break
            name, _, told = home.id.rpartition("/")
            wanted = int(told)
        root = uri.rstrip("/").removesuffix(f"/{home.path}") if home.path else uri
        if home.kind == LOGGED_MODELS.name:
            return _Served(self._store, self._model_root(home.id, root), home.path)
        if home.kind == RUNS:
            return _Served(self._store, self._run(home.id, root), home.path)
        raise RequestRefused(f"the files of {version.name} are at {uri}, which the server does not serve")

    def tag_version(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """See `ModelRegistry`."""
        for key, value in tags.items():
            body = {"name": version.model, "version": str(version.version), "key": key, "value": value}
            post(self._client, "model-versions/set-tag", body)

    def tag_model(self, name: str, tags: Mapping[str, str]) -> None:
        """See `ModelRegistry`."""
        for key, value in tags.items():
            post(self._client, "registered-models/set-tag", {"name": name, "key": key, "value": value})

    def move_alias(self, alias: ModelAlias, holder: int | None) -> bool:
        """Looks just before, as there is no way to do both at once."""
        if self._holder(alias) != holder:
            return False
        body = {"name": alias.model, "alias": alias.alias, "version": str(alias.version)}
        post(self._client, "registered-models/alias", body)
        return True

    def _holder(self, alias: ModelAlias) -> int | None:
        answer = self._client.get(f"{API}/registered-models/get", name=alias.model)
        _, aliases = registered_model(part(answer, "registered_model"))
        return next((one.version for one in aliases if one.alias == alias.alias), None)

    def _versions(self, name: str) -> Iterator[ModelVersion]:
        quote = '"' if "'" in name else "'"
        asked = {} if quote in name else {"filter": f"name={quote}{name}{quote}"}

        def ask(token: str) -> dict[str, Any]:
            further = {"page_token": token} if token else {}
            return self._portion.ask(
                lambda size, care: self._client.get(
                    f"{API}/model-versions/search", care=care, max_results=size, **asked, **further
                )
            )

        found = (model_version(document) for document in every(pages(ask, "model_versions")))
        return (version for version in found if version.model == name)

    def _model_root(self, model_id: str, root: str) -> Root:
        if not root.startswith("models:"):
            return Root(model_id, root)
        self._logged.get(model_id)
        return self._logged.root(model_id)

    def _run(self, run_id: str, root: str) -> Run:
        if not root.startswith("runs:"):
            return Run(run_id, "", artifact_uri=root)
        return wire.run(part(self._client.get(f"{API}/runs/get", run_id=run_id), "run"))


@dataclass(frozen=True, slots=True)
class _Served:
    """The files below a folder of a root."""

    store: Artifacts
    root: Root | Run
    folder: str

    def list(self) -> tuple[ArtifactFile, ...]:
        """See `Files`."""
        start = f"{self.folder}/" if self.folder else ""
        below = (file for file in self.store.list(self.root) if file.path.startswith(start))
        return tuple(replace(file, path=file.path.removeprefix(start)) for file in below)

    def read(self, file: ArtifactFile) -> Iterator[bytes]:
        """See `Files`."""
        file.check()
        path = f"{self.folder}/{file.path}" if self.folder else file.path
        return self.store.read(self.root, replace(file, path=path))
