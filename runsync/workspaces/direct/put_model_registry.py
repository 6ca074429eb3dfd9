"""A store as a target of registered models and their aliases."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace

from runsync.contract.entities import EntitySource
from runsync.errors import RequestRefused, may_pass
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS, READY, ModelVersion
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.model.identity import own_tags_removed
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.workspaces.direct.model_ids import ModelIds
from runsync.workspaces.direct.models import DELETED, ModelStore, Write
from runsync.workspaces.direct.records import write_all
from runsync.workspaces.direct.version_files import VersionFiles


class RegisteredModelTarget:
    """See `EntityTarget`."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    def plan(
        self, items: Sequence[RegisteredModel], source: EntitySource[RegisteredModel], pool: Executor
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        return [_outcome(item, action, error) for item, _, action, error in self._compared(items)]

    def put(
        self,
        items: Sequence[RegisteredModel],
        source: EntitySource[RegisteredModel],
        pool: Executor,
        progress: Progress,
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        compared = self._compared(items)
        todo = [(item, there) for item, there, action, _ in compared if action in (CREATE, UPDATE)]
        errors = write_all(self._store.write_registered_models, [_write(item, there) for item, there in todo])
        refused = {item.name: error for (item, _), error in zip(todo, errors, strict=True) if error is not None}
        return [_outcome(item, action, refused.get(item.name, error)) for item, _, action, error in compared]

    def finish(self, pool: Executor) -> list[Outcome]:
        """What comes next reads what was written."""
        self._store.refresh()
        return []

    def left(self) -> list[NotCarried]:
        """There is room for all."""
        return []

    def _compared(
        self, items: Sequence[RegisteredModel]
    ) -> list[tuple[RegisteredModel, RegisteredModel | None, str, object]]:
        names = [item.name for item in items]
        found = {there.name: there for there in self._store.registered_models(names)}
        prompts = self._store.prompts(found) if found else set()
        compared: list[tuple[RegisteredModel, RegisteredModel | None, str, object]] = []
        for item in items:
            there = found.get(item.name)
            if item.name in prompts:
                compared.append((item, there, FAILED, "the target has a prompt of this name: it is not touched"))
            elif there is None:
                compared.append((item, None, CREATE, ""))
            else:
                same = not any(REGISTERED_MODELS.lacks(item, there)) and item.last_version <= there.last_version
                compared.append((item, there, UNCHANGED if same else UPDATE, ""))
        return compared


def _write(item: RegisteredModel, there: RegisteredModel | None) -> Write[RegisteredModel]:
    """One that is there keeps the time when it was made, and the later one of those when it was changed."""
    item = replace(item, tags=own_tags_removed(item.tags))
    if there is not None:
        updated = max((time for time in (item.updated_at, there.updated_at) if time is not None), default=None)
        item = replace(item, created_at=there.created_at, updated_at=updated)
    return Write(item, there=there)


class ModelAliasTarget:
    """See `EntityTarget`. An alias is only set on a version that is READY, and whose files are there."""

    def __init__(self, store: ModelStore, ids: ModelIds, files: VersionFiles) -> None:
        self._store = store
        self._ids = ids
        self._files = files

    def plan(self, items: Sequence[ModelAlias], source: EntitySource[ModelAlias], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        return [_outcome(item, action) for item, action in self._compared(items)]

    def put(
        self, items: Sequence[ModelAlias], source: EntitySource[ModelAlias], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        compared = self._compared(items)
        todo = [item for item, action in compared if action != UNCHANGED]
        wanted = {(item.model, item.version) for item in todo}
        versions = self._store.model_versions({item.model for item in todo}) if todo else iter(())
        found = {(v.item.model, v.item.version): v for v in versions if (v.item.model, v.item.version) in wanted}
        has_files = self._files.has_any(list(found.values()), pool)
        why = {key: self._why_not(found[key].item, has) for key, has in zip(found, has_files, strict=True)}
        faults = {item.key: why.get((item.model, item.version), "there is no such version here") for item in todo}
        fit = [item for item in todo if not faults[item.key]]
        for item, error in zip(fit, write_all(self._store.write_model_aliases, fit), strict=True):
            faults[item.key] = str(error or "")
        return [_outcome(item, action, faults.get(item.key, "")) for item, action in compared]

    def finish(self, pool: Executor) -> list[Outcome]:
        """What comes next reads what was written."""
        self._store.refresh()
        return []

    def left(self) -> list[NotCarried]:
        """There is room for all."""
        return []

    def _compared(self, items: Sequence[ModelAlias]) -> list[tuple[ModelAlias, str]]:
        found = {there.key: there for there in self._store.model_aliases({item.model for item in items})}
        return [
            (item, CREATE if item.key not in found else UNCHANGED if found[item.key] == item else UPDATE)
            for item in items
        ]

    def _why_not(self, item: ModelVersion, has_files: bool | RequestRefused) -> str:
        """Why an alias may not name a version; "" where it may."""
        if item.stage == DELETED:
            return "its version was deleted here"
        if item.status != READY:
            return f"its version is not READY but {item.status}"
        unsound, home = self._ids.unsound, item.home
        if why := unsound.get((MODEL_VERSIONS.name, item.name)) or unsound.get((home.kind, home.id)):
            return f"its version cannot be relied on: {why}"
        if isinstance(has_files, RequestRefused):
            return f"the files of its version cannot be looked at: {has_files}"
        return "" if has_files else "its version has no files here"


def _outcome(item: RegisteredModel | ModelAlias, action: str, error: object = "") -> Outcome:
    noun = MODEL_ALIASES.noun if isinstance(item, ModelAlias) else REGISTERED_MODELS.noun
    told = (noun, item.key[0], item.name)
    return Outcome(*told, FAILED, error=str(error), retry=may_pass(error)) if error else Outcome(*told, action)
