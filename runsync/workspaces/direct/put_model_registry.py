"""A store as a target of registered models or prompts, and their aliases."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from runsync.contract.entities import EntitySource
from runsync.errors import RequestRefused, may_pass
from runsync.kinds.kind import E, Kind
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import READY, ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.kinds.registries import Sort
from runsync.model.identity import own_tags_removed
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Problem
from runsync.workspaces.arrival.model_marks import Marks
from runsync.workspaces.direct.artifact_places import OR_WITHOUT
from runsync.workspaces.direct.model_ids import ModelIds
from runsync.workspaces.direct.models import DELETED, ModelStore, Write
from runsync.workspaces.direct.records import write_all
from runsync.workspaces.direct.version_files import VersionFiles


@dataclass(slots=True)
class _Copy:
    """One on its way: as the source has it, as it is to be here, and what is there of it."""

    item: RegisteredModel
    wanted: RegisteredModel
    there: RegisteredModel | None
    kind: Kind[RegisteredModel]
    action: str = CREATE
    left_out: tuple[Problem, ...] = ()
    error: object = ""

    def outcome(self) -> Outcome:
        return replace(_outcome(self.kind, self.item, self.action, self.error), problems=self.left_out)


class RegisteredModelTarget:
    """See `EntityTarget`."""

    def __init__(self, store: ModelStore, ids: ModelIds, marks: Marks, sort: Sort) -> None:
        self._store = store
        self._ids = ids
        self._marks = marks
        self._sort = sort
        self._kind = sort.models

    def plan(
        self, items: Sequence[RegisteredModel], source: EntitySource[RegisteredModel], pool: Executor
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        return [copy.outcome() for copy in self._compared(items)]

    def put(
        self,
        items: Sequence[RegisteredModel],
        source: EntitySource[RegisteredModel],
        pool: Executor,
        progress: Progress,
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        compared = self._compared(items)
        todo = [copy for copy in compared if copy.action in (CREATE, UPDATE)]
        writes = [self._write(copy.wanted, copy.there) for copy in todo]
        for copy, error in zip(todo, write_all(self._store.write_registered_models, writes), strict=True):
            copy.error = error or ""
        return [copy.outcome() for copy in compared]

    def finish(self, pool: Executor) -> list[Outcome]:
        """What comes next reads what was written."""
        self._store.refresh()
        return []

    def left(self) -> list[NotCarried]:
        """There is room for all."""
        return []

    def _compared(self, items: Sequence[RegisteredModel]) -> list[_Copy]:
        found = {there.name: there for there in self._store.registered_models([item.name for item in items])}
        return [self._copy(item, found.get(item.name)) for item in items]

    def _copy(self, item: RegisteredModel, there: RegisteredModel | None) -> _Copy:
        wanted = self._kind.rewritten(item, self._ids.find((), ()).resolve) or item
        wanted = wanted if there is None else self._kind.joined(wanted, there)
        fitted = self._store.fitted(wanted)
        copy = _Copy(item, fitted.item, there, self._kind, left_out=fitted.left_out, error=fitted.why_not)
        if there is not None and not self._sort.has(there.tags):
            copy.error = f"the target has a {self._sort.other} of this name: it is not touched"
        elif there is not None:
            same = not any(self._kind.lacks(fitted.item, there)) and item.last_version <= there.last_version
            same = same and not self._marks.removed(item.tags, there.tags)
            copy.action = UNCHANGED if same else UPDATE
        if copy.error:
            copy.action = FAILED
        return copy

    def _write(self, item: RegisteredModel, there: RegisteredModel | None) -> Write[RegisteredModel]:
        """One that is there keeps the time when it was made, and the later one of those when it was changed."""
        tags = own_tags_removed(item.tags)
        item = replace(item, tags=tags | self._marks.of(tags, there.tags if there is not None else None))
        if there is None:
            return Write(item)
        updated = max((time for time in (item.updated_at, there.updated_at) if time is not None), default=None)
        item = replace(item, created_at=there.created_at, updated_at=updated)
        return Write(item, there=there, untagged=self._marks.removed(tags, there.tags))


class ModelAliasTarget:
    """See `EntityTarget`. An alias is only set on a version that is READY, and whose files are there."""

    def __init__(self, store: ModelStore, ids: ModelIds, files: VersionFiles, marks: Marks, sort: Sort) -> None:
        self._store = store
        self._marks = marks
        self._versions, self._kind = sort.versions, sort.aliases
        self._ids = ids
        self._files = files

    def plan(self, items: Sequence[ModelAlias], source: EntitySource[ModelAlias], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        compared = self._compared(items)
        return [_outcome(self._kind, item, action, self._store.fitted(item).why_not) for item, action in compared]

    def put(
        self, items: Sequence[ModelAlias], source: EntitySource[ModelAlias], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        compared = self._compared(items)
        todo = [item for item, action in compared if action != UNCHANGED]
        wanted = {(item.model, item.version) for item in todo}
        versions = self._store.model_versions({item.model for item in todo}) if todo else iter(())
        found = {(v.item.model, v.item.version): v for v in versions if (v.item.model, v.item.version) in wanted}
        there = list(found.values())
        has_files = self._files.has_any(there, pool) if self._versions.has_files else [True] * len(there)
        why = {key: self._why_not(found[key].item, has) for key, has in zip(found, has_files, strict=True)}
        faults = {
            item.key: self._store.fitted(item).why_not
            or why.get((item.model, item.version), "there is no such version here")
            for item in todo
        }
        fit = [item for item in todo if not faults[item.key]]
        self._note(fit)
        for item, error in zip(fit, write_all(self._store.write_model_aliases, fit), strict=True):
            faults[item.key] = str(error or "")
        return [_outcome(self._kind, item, action, faults.get(item.key, "")) for item, action in compared]

    def finish(self, pool: Executor) -> list[Outcome]:
        """What comes next reads what was written."""
        self._store.refresh()
        return []

    def left(self) -> list[NotCarried]:
        """There is room for all."""
        return []

    def _note(self, items: Sequence[ModelAlias]) -> None:
        """Has their models tell that they were brought, before they are set."""
        of_models: dict[str, dict[str, int]] = defaultdict(dict)
        for item in items if self._marks.is_tagged else ():
            of_models[item.model][item.alias] = item.version
        writes = []
        for model in self._store.registered_models(of_models) if of_models else ():
            if tags := self._marks.with_aliases(model.tags, of_models[model.name]):
                writes.append(Write(replace(model, tags=tags), there=model))
        write_all(self._store.write_registered_models, writes)

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
        if why := unsound.get((self._versions.name, item.name)) or unsound.get((home.kind, home.id)):
            return f"its version cannot be relied on: {why}"
        if isinstance(has_files, RequestRefused):
            why = str(has_files).removesuffix(OR_WITHOUT)  # an alias waits for them all the same
            return f"the files of its version cannot be looked at: {why}"
        return "" if has_files else "its version has no files here"


def _outcome(kind: Kind[E], item: E, action: str, error: object = "") -> Outcome:
    told = (kind.noun, item.key[0], item.name)
    return Outcome(*told, FAILED, error=str(error), retry=may_pass(error)) if error else Outcome(*told, action)
