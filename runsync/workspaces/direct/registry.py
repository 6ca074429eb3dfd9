"""The model registry of a store, for promotions: see `contract.model_registry`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from runsync.contract.model_registry import Registered
from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS, ModelVersion, home_of_location
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.finding import Finding, ok
from runsync.model.run import ArtifactFile, Run
from runsync.model.selection import RUNS
from runsync.model.wording import many
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.direct.logged_models import as_run
from runsync.workspaces.direct.models import DELETED, ModelStore


class DirectModelRegistry:
    """See `ModelRegistry`."""

    swaps = True

    def __init__(self, store: ModelStore, artifacts: DirectArtifacts) -> None:
        self._store = store
        self._artifacts = artifacts

    def examine(self) -> Iterator[Finding]:
        """See `ModelRegistry`."""
        count = sum(1 for _ in self._store.registered_models())
        yield ok("registry", f"{many(count, REGISTERED_MODELS.noun)}; nothing is known that hinders promotions")
        yield ok("aliases", "an alias moves in one step, if nobody has moved it meanwhile")

    def examine_model(self, name: str) -> Iterator[Finding]:
        """Who may write to a store may write all of it."""
        yield from ()

    def examine_new(self, name: str) -> Iterator[Finding]:
        """Likewise."""
        yield from ()

    def read(self, name: str) -> Registered | None:
        """See `ModelRegistry`."""
        self._store.refresh()
        model = next(iter(self._store.registered_models([name])), None)
        if model is None:
            return None
        versions = (one.item for one in self._store.model_versions([name]) if one.item.stage != DELETED)
        aliases = {alias.alias: alias.version for alias in self._store.model_aliases([name])}
        return Registered(model, tuple(sorted(versions, key=lambda v: v.version)), aliases)

    def files(self, version: ModelVersion) -> "_Recorded":
        """Those where the store has it that they lie."""
        self._store.refresh()
        location = self._location(version)
        home = home_of_location(location, version.run_id)
        if home.kind == LOGGED_MODELS.name and (model := self._store.model_places([home.id]).get(home.id)):
            owner = as_run(LoggedModel(model.model_id, model.experiment_id), model.location)
            return _Recorded(self._artifacts, owner, home.path)
        if home.kind == RUNS and (run := self._store.run_places([home.id]).get(home.id)):
            of_run = Run(run.run_id, run.experiment_id, artifact_uri=run.artifact_uri)
            return _Recorded(self._artifacts, of_run, home.path)
        return _Recorded(self._artifacts, self._artifacts.places.own(location))

    def tag_version(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """See `ModelRegistry`."""
        self._store.tag_model_version(version.model, version.version, tags)

    def tag_model(self, name: str, tags: Mapping[str, str]) -> None:
        """See `ModelRegistry`."""
        self._store.tag_registered_model(name, tags)

    def move_alias(self, alias: ModelAlias, holder: int | None) -> bool:
        """See `ModelRegistry`."""
        return self._store.move_model_alias(alias, holder)

    def _location(self, version: ModelVersion) -> str:
        name, number = version.model, version.version
        met = set()
        while (name, number) not in met:
            met.add((name, number))
            found = (one for one in self._store.model_versions([name]) if one.item.version == number)
            recorded = next((one for one in found if one.item.stage != DELETED), None)
            if recorded is None:
                break
            home = home_of_location(recorded.location, "")
            if home.kind != MODEL_VERSIONS.name:
                return recorded.location
            name, _, told = home.id.rpartition("/")
            number = int(told)
        raise RequestRefused(f"there is no version {number} of model {name}", 404, ABSENT)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """The files below a folder of what has artifacts, or of a place of their own."""

    artifacts: DirectArtifacts
    owner: Run | str
    folder: str = ""

    def list(self) -> tuple[ArtifactFile, ...]:
        """See `Files`."""
        if isinstance(self.owner, str):
            return self.artifacts.list_root(self.owner)
        start = f"{self.folder}/" if self.folder else ""
        below = (file for file in self.artifacts.list(self.owner) if file.path.startswith(start))
        return tuple(replace(file, path=file.path.removeprefix(start)) for file in below)

    def read(self, file: ArtifactFile) -> Iterator[bytes]:
        """See `Files`."""
        file.check()
        if isinstance(self.owner, str):
            return self.artifacts.read_root(self.owner, file)
        path = f"{self.folder}/{file.path}" if self.folder else file.path
        return self.artifacts.read(self.owner, replace(file, path=path))
