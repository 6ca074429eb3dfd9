"""The one kind that a folder has room for: registered models."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

from runsync.contract.entities import EntitySource, EntityTarget, WithoutFiles
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.kinds.scope import Scope
from runsync.model.outcome import CREATE, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync_toy.folder import Folder


class ToyModels(WithoutFiles, EntitySource[RegisteredModel]):
    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def list(self, scope: Scope) -> Iterator[RegisteredModel]:
        for document in self._folder.documents("models"):
            if found := REGISTERED_MODELS.meant(RegisteredModel.from_document(document), scope):
                yield found


class ToyModelsTarget(EntityTarget[RegisteredModel]):
    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def plan(
        self, items: Sequence[RegisteredModel], source: EntitySource[RegisteredModel], pool: Executor
    ) -> list[Outcome]:
        return [Outcome(REGISTERED_MODELS.noun, item.name, item.name, self._action(item)) for item in items]

    def put(
        self,
        items: Sequence[RegisteredModel],
        source: EntitySource[RegisteredModel],
        pool: Executor,
        progress: Progress,
    ) -> list[Outcome]:
        outcomes = self.plan(items, source, pool)
        for item, outcome in zip(items, outcomes, strict=True):
            if outcome.action != UNCHANGED:
                self._folder.write("models", item.name, item.to_document())
        return outcomes

    def _action(self, item: RegisteredModel) -> str:
        there = self._folder.document("models", item.name)
        return CREATE if there is None else UNCHANGED if there == item.to_document() else UPDATE
