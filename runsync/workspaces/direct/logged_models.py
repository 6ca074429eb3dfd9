"""Logged models of a store as a source of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from runsync.contract.entities import OneByOne
from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.kind import Key
from runsync.kinds.left_behind import DELETED, changed
from runsync.kinds.logged_models import LOGGED_MODELS, READY, LoggedModel
from runsync.kinds.scope import Scope
from runsync.model.identity import MODEL_HISTORY
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile, Problem, Run
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.direct.models import ModelStore
from runsync.workspaces.direct.sound import Sound
from runsync.workspaces.places import Places

IS_EXTERNAL = "mlflow.model.isExternal"
"""The tag of a model whose files are nowhere in MLflow."""


class LoggedModelSource(OneByOne):
    """See `EntitySource`."""

    is_exact = False

    def __init__(self, store: ModelStore, artifacts: DirectArtifacts) -> None:
        self._store = store
        self._artifacts = artifacts
        self._places = Places(self._look_up)
        self._sound = Sound(LOGGED_MODELS)

    def list(self, scope: Scope) -> Iterator[LoggedModel]:
        """Without their files."""
        named = scope.named(LOGGED_MODELS.name)
        for recorded in self._store.logged_models([e.experiment_id for e in scope.experiments], named):
            self._places.note(recorded.item.key, recorded.location)
            meant = LOGGED_MODELS.meant(recorded.item, scope)
            if meant is not None and self._sound.holds(meant):
                yield meant

    def complete(self, item: LoggedModel) -> LoggedModel:
        """Adds its files; if they cannot be listed, adds a problem."""
        try:
            files = self._artifacts.list(as_run(item, self._places.of(item.key)))
        except RequestRefused as error:
            return replace(item, artifacts=(), problems=(Problem("artifact", "", str(error)),))
        return replace(item, artifacts=files)

    def read(self, item: LoggedModel) -> tuple[LoggedModel, Iterator[bytes]]:
        """It has only files."""
        return item, iter(())

    def read_file(self, item: LoggedModel, file: ArtifactFile) -> Iterator[bytes]:
        """Straight from where they lie."""
        file.check()
        return self._artifacts.read(as_run(item, self._places.of(item.key)), file)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """Models that were deleted, which MLflow hides, and models that cannot be read."""
        count = self._store.deleted_logged_models([e.experiment_id for e in scope.experiments])
        unreadable = self._store.unreadable(LOGGED_MODELS.name)
        why = "MLflow shows them no more and has no way to bring them back"
        deleted = changed(f"{LOGGED_MODELS.category.title} {DELETED}", count, why)
        return [*([deleted] if count else []), *self._sound.left(unreadable)]

    def _look_up(self, key: Key) -> str:
        for recorded in self._store.logged_models((), key):
            return recorded.location
        raise RequestRefused(f"there is no logged model {key[0]}", 404, ABSENT)


def as_run(item: LoggedModel, location: str) -> Run:
    """What has its artifacts in the same way: one that is READY has some, so that a root without any is doubted."""
    tells = item.status == READY and IS_EXTERNAL not in item.tags
    tags = {MODEL_HISTORY: item.model_id} if tells else {}
    return Run(item.model_id, item.experiment_id, artifact_uri=location, tags=tags)
