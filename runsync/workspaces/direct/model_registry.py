"""The model registry of a store as a source: registered models and prompts, their versions, their aliases."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from runsync.contract.entities import EntitySource, OneByOne, WithoutFiles
from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.kind import E, Key, Kind
from runsync.kinds.left_behind import GONE, changed
from runsync.kinds.model_versions import MODEL_VERSIONS, ModelVersion
from runsync.kinds.registries import OF_MODELS, OF_PROMPTS, Sort
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.run import ArtifactFile, Problem
from runsync.workspaces import local_artifacts
from runsync.workspaces.direct.artifact_places import SERVED
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.direct.models import ModelStore
from runsync.workspaces.direct.sound import Sound
from runsync.workspaces.direct.version_files import OF_OTHERS
from runsync.workspaces.places import Places


class ListedSource(WithoutFiles, EntitySource[E]):
    """See `EntitySource`. A list tells all of one; `read` gives all of them."""

    def __init__(self, store: ModelStore, sort: Sort, kind: Kind[E], read: Callable[[], Iterator[E]]) -> None:
        self._store = store
        self._sort = sort
        self._kind = kind
        self._read = read
        self._sound = Sound(kind)

    def list(self, scope: Scope) -> Iterator[E]:
        """See `EntitySource`."""
        items = self._sound.among(self._read())
        return (meant for item in items if (meant := self._kind.meant(item, scope)) is not None)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What cannot be read."""
        return self._sound.left(_unread(self._store, self._sort, self._kind, scope))


def sources(store: ModelStore, artifacts: DirectArtifacts) -> Mapping[str, EntitySource[Any]]:
    """Those of the registry of a store, by the names of kinds."""
    models, prompts = (_listed(store, sort) for sort in (OF_MODELS, OF_PROMPTS))
    return {**models, **prompts, OF_MODELS.versions.name: ModelVersionSource(store, artifacts)}


def _listed(store: ModelStore, sort: Sort) -> Mapping[str, EntitySource[Any]]:
    def versions() -> Iterator[ModelVersion]:
        return (recorded.item for recorded in store.model_versions(sort=sort))

    return {
        sort.models.name: ListedSource(store, sort, sort.models, lambda: store.registered_models(sort=sort)),
        sort.versions.name: ListedSource(store, sort, sort.versions, versions),
        sort.aliases.name: ListedSource(store, sort, sort.aliases, lambda: store.model_aliases(sort=sort)),
    }


class ModelVersionSource(OneByOne):
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
            return replace(item, artifacts=self._artifacts.list_root(self._artifacts.places.own(location)))
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
        return self._artifacts.read_root(self._artifacts.places.own(self._places.of(item.key)), file)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """Files that the store no longer has, and versions that cannot be read."""
        left = self._sound.left(_unread(self._store, OF_MODELS, MODEL_VERSIONS, scope))
        if not self._gone:
            return left
        what, names = f"files of {MODEL_VERSIONS.category.title} {GONE}", tuple(sorted(self._gone)[:NAMED])
        why = "the runs or logged models that they were made of are not there any more"
        return [changed(what, len(self._gone), why, names), *left]

    def _look_up(self, key: Key) -> str:
        for recorded in self._store.model_versions([key[0]]):
            if recorded.item.key == key:
                return recorded.location
        raise RequestRefused(f"there is no version {key[1].lstrip('0')} of model {key[0]}", 404, ABSENT)


def _unread(store: ModelStore, sort: Sort, kind: Kind[Any], scope: Scope) -> Mapping[str, str]:
    """Why those of a kind of the registry cannot be read, by name; where not all are meant, only of what is."""
    found = store.unreadable(kind.name)
    if not scope.is_narrow:
        return found
    models = scope.named(sort.models.name)
    return {name: why for name, why in found.items() if re.split("[/@:]", name)[0] in models}
