"""The model registry of a store as a source: registered models, their versions, their aliases."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from runsync.contract.entities import WithoutFiles
from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.kind import Key
from runsync.kinds.left_behind import GONE, changed
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS, ModelVersion
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.run import ArtifactFile, Problem
from runsync.workspaces import local_artifacts
from runsync.workspaces.direct.artifacts import SERVED, DirectArtifacts
from runsync.workspaces.direct.models import ModelStore
from runsync.workspaces.direct.places import Places
from runsync.workspaces.direct.sound import Sound
from runsync.workspaces.direct.version_files import OF_OTHERS


class RegisteredModelSource(WithoutFiles):
    """See `EntitySource`."""

    is_exact = False

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._sound = Sound(REGISTERED_MODELS)

    def list(self, scope: Scope) -> Iterator[RegisteredModel]:
        """A list tells all of one."""
        models = self._sound.among(self._store.registered_models())
        return (meant for item in models if (meant := REGISTERED_MODELS.meant(item, scope)) is not None)

    def complete(self, item: RegisteredModel) -> RegisteredModel:
        """It is."""
        return item

    def read(self, item: RegisteredModel) -> tuple[RegisteredModel, Iterator[bytes]]:
        """It has no bytes."""
        return item, iter(())

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What cannot be read."""
        return self._sound.left()


class ModelAliasSource(WithoutFiles):
    """See `EntitySource`."""

    is_exact = False

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._sound = Sound(MODEL_ALIASES)

    def list(self, scope: Scope) -> Iterator[ModelAlias]:
        """A list tells all of one."""
        aliases = self._sound.among(self._store.model_aliases())
        return (meant for item in aliases if (meant := MODEL_ALIASES.meant(item, scope)) is not None)

    def complete(self, item: ModelAlias) -> ModelAlias:
        """It is."""
        return item

    def read(self, item: ModelAlias) -> tuple[ModelAlias, Iterator[bytes]]:
        """It has no bytes."""
        return item, iter(())

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What cannot be read."""
        return self._sound.left()


class ModelVersionSource:
    """See `EntitySource`."""

    is_exact = False

    def __init__(self, store: ModelStore, artifacts: DirectArtifacts) -> None:
        self._store = store
        self._artifacts = artifacts
        self._places = Places(self._look_up)
        self._gone: set[str] = set()
        self._sound = Sound(MODEL_VERSIONS)

    def list(self, scope: Scope) -> Iterator[ModelVersion]:
        """By model and number, without those that were deleted."""
        for recorded in self._store.model_versions():
            meant = MODEL_VERSIONS.meant(recorded.item, scope)
            if meant is not None and self._sound.holds(meant):
                if not meant.home.kind:
                    self._places.note(meant.key, recorded.location)
                    if recorded.location.startswith(OF_OTHERS):
                        self._gone.add(meant.name)
                yield meant

    def complete(self, item: ModelVersion) -> ModelVersion:
        """With files of its own, where it lies neither in a run nor in a logged model. What lies elsewhere than where
        this store keeps artifacts stays there; in a folder of this machine that is told as a problem."""
        if item.home.kind:
            return item
        location = self._places.of(item.key)
        try:
            return replace(item, artifacts=self._artifacts.list_root(self._artifacts.own_place(location)))
        except RequestRefused as error:
            if local_artifacts.folder_of(location) is None and not location.startswith(SERVED):
                return item
            return replace(item, artifacts=(), problems=(Problem("artifact", "", str(error)),))

    def read(self, item: ModelVersion) -> tuple[ModelVersion, Iterator[bytes]]:
        """It has only files."""
        return item, iter(())

    def read_file(self, item: ModelVersion, file: ArtifactFile) -> Iterator[bytes]:
        """Straight from where they lie."""
        file.check()
        return self._artifacts.read_root(self._artifacts.own_place(self._places.of(item.key)), file)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """Files that the store no longer has, and versions that cannot be read."""
        if not self._gone:
            return self._sound.left()
        what, names = f"files of {MODEL_VERSIONS.category.title} {GONE}", tuple(sorted(self._gone)[:NAMED])
        why = "the runs or logged models that they were made of are not there any more"
        return [changed(what, len(self._gone), why, names), *self._sound.left()]

    def _look_up(self, key: Key) -> str:
        for recorded in self._store.model_versions([key[0]]):
            if recorded.item.key == key:
                return recorded.location
        raise RequestRefused(f"there is no version {key[1].lstrip('0')} of model {key[0]}", 404, ABSENT)
