"""A store as a target of versions of registered models or prompts: numbers, times and users are kept."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, may_pass
from runsync.kinds.model_versions import MODEL_VERSIONS, NEXT, ORIGIN, Home, ModelVersion, ModelVersions
from runsync.kinds.prompts import has_same_text, run_ids_of
from runsync.kinds.registries import Sort
from runsync.model.identity import own_tags_removed
from runsync.model.import_options import ImportOptions
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Problem
from runsync.model.wording import single
from runsync.workspaces.arrival.model_marks import Marks
from runsync.workspaces.direct.entity_files import EntityFiles, Load
from runsync.workspaces.direct.model_ids import Found, ModelIds
from runsync.workspaces.direct.models import DELETED, ModelStore, Recorded, Write
from runsync.workspaces.direct.records import write_all
from runsync.workspaces.direct.version_files import VersionFiles, placed

CONFLICT = "the target has another version of this number: it is not touched"


@dataclass(slots=True)
class _Copy:
    """One on its way: as the source has it, as it is to be here, and what is there of it."""

    item: ModelVersion
    wanted: ModelVersion
    there: Recorded[ModelVersion] | None
    location: str
    kind: ModelVersions
    action: str = CREATE
    error: str = ""
    retry: bool = False
    is_homeless: bool = False
    """Whether the run or the logged model that it lies in is not here."""
    left_out: tuple[Problem, ...] = ()
    """What of it has no place here; all else of it may be whole."""
    problems: list[Problem] = field(default_factory=list)
    load: Load | None = None
    untagged: Sequence[str] = ()

    @property
    def is_there(self) -> bool:
        """A deleted version leaves only its number."""
        return self.there is not None and self.there.item.stage != DELETED

    def fail(self, error: object) -> None:
        self.action, self.error, self.retry = FAILED, str(error), may_pass(error)

    def compare(self) -> None:
        """Settles what is to be done, once it is known where it is to lie."""
        if self.there is None or not self.is_there:
            return
        is_same = _is_same(self.item, self.wanted, self.there.item)
        if not (is_same if self.kind.has_files else has_same_text(self.wanted, self.there.item)):
            self.fail(CONFLICT)
        else:
            if _is_copy_of(self.item, self.there.item):
                self.wanted = replace(self.wanted, run_id=self.there.item.run_id)
            is_other = any(self.kind.lacks(self.wanted, self.there.item)) or self.untagged
            self.action = UPDATE if is_other else UNCHANGED

    def written(self) -> ModelVersion:
        """One that is there keeps the time when it was made, and the later one of those when it was changed."""
        if self.there is None or not self.is_there:
            return self.wanted
        there, item = self.there.item, self.wanted
        updated = max((time for time in (item.updated_at, there.updated_at) if time is not None), default=None)
        user = item.user_id or there.user_id
        return replace(item, created_at=there.created_at, updated_at=updated, user_id=user)

    def outcome(self) -> Outcome:
        load, item = self.load, self.item
        told = (self.kind.noun, item.key[0], item.name, self.action)
        counts = (0, load.written, load.bytes) if load else (0, 0, 0)
        problems, retry = (*self.left_out, *self.problems), self.retry or bool(load and load.retry)
        return Outcome(*told, "", *counts, problems, self.error, retry)


class ModelVersionTarget:
    """See `EntityTarget`."""

    def __init__(
        self,
        store: ModelStore,
        ids: ModelIds,
        files: EntityFiles,
        places: VersionFiles,
        options: ImportOptions,
        marks: Marks,
        sort: Sort,
    ) -> None:
        self._store = store
        self._ids = ids
        self._files = files
        self._places = places
        self._options = options
        self._marks = marks
        self._sort, self._kind = sort, sort.versions
        self._waiting: list[_Copy] = []
        """Versions of which the one that they were made of is not there yet."""

    def plan(self, items: Sequence[ModelVersion], source: EntitySource[ModelVersion], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`. What comes before them is taken for being there."""
        return [copy.outcome() for copy in self._compared(items, source, pool)]

    def put(
        self, items: Sequence[ModelVersion], source: EntitySource[ModelVersion], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        copies = self._compared(items, source, pool)
        models = self._store.registered_models({item.model for item in items})
        homes = {one.name for one in models if self._sort.has(one.tags)}
        for copy in copies:
            if copy.item.model not in homes:
                copy.fail(f"its {self._sort.models.noun} is not in the target")
        loads = [copy.load for copy in copies if copy.load is not None and not copy.error]
        self._files.carry(loads, source, pool, progress)
        for copy in copies:
            if copy.load is not None:
                copy.problems += copy.load.problems
        waiting = [copy for copy in copies if copy.item.home.kind == MODEL_VERSIONS.name and not copy.error]
        self._waiting += waiting
        ready = [copy for copy in copies if copy not in waiting]
        self._write(ready)
        return [copy.outcome() for copy in ready]

    def finish(self, pool: Executor) -> list[Outcome]:
        """Writes those that were made of other versions, which are there by now: first those of versions that are."""
        self._store.refresh()
        outcomes = []
        while self._waiting:
            ready = self._now_placed() or self._lost()
            self._write(ready)
            outcomes += [copy.outcome() for copy in ready]
            self._waiting = [copy for copy in self._waiting if copy not in ready]
            self._store.refresh()
        return outcomes

    def left(self) -> list[NotCarried]:
        """There is room for all."""
        return []

    def _now_placed(self) -> list[_Copy]:
        """Those that wait for a version which is there now, with the place where that lies."""
        names = {copy.item.home.id.rpartition("/")[0] for copy in self._waiting}
        waiting = {copy.item.name for copy in self._waiting}
        there = {
            one.item.name: one.location
            for one in self._store.model_versions(names)
            if one.item.stage != DELETED and one.item.name not in waiting
        }
        ready = [copy for copy in self._waiting if copy.item.home.id in there]
        for copy in ready:
            copy.location = there[copy.item.home.id]
            if why := self._ids.unsound.get((MODEL_VERSIONS.name, copy.item.home.id)):
                self._ids.unsound[MODEL_VERSIONS.name, copy.item.name] = why
        return ready

    def _lost(self) -> list[_Copy]:
        """All that wait, for what does not come."""
        for copy in self._waiting:
            copy.problems.append(_no_home(copy.item))
        return list(self._waiting)

    def _write(self, copies: Sequence[_Copy]) -> None:
        todo = [copy for copy in copies if copy.action in (CREATE, UPDATE)]
        writes = [Write(copy.written(), copy.location, copy.there and copy.there.item, copy.untagged) for copy in todo]
        for copy, error in zip(todo, write_all(self._store.write_model_versions, writes), strict=True):
            if error is not None:
                copy.fail(error)
        for copy in copies:
            if copy.error or copy.problems:
                self._ids.unsound[self._kind.name, copy.item.name] = copy.error or copy.problems[0].reason

    def _compared(
        self, items: Sequence[ModelVersion], source: EntitySource[ModelVersion], pool: Executor
    ) -> list[_Copy]:
        has_number = [item.version != NEXT for item in items]
        items = self._numbered(items)
        homes = [item.home for item in items]
        run_ids = {item.run_id for item in items} | {home.id for home in homes}
        run_ids |= {id for item in items for id in run_ids_of(item)}
        found = self._ids.find(run_ids, {home.id for home in homes})
        names = {item.model for item in items}
        wanted = {item.key for item in items}
        there = {one.item.key: one for one in self._store.model_versions(names) if one.item.key in wanted}
        copies = [
            self._copy(item, found, there.get(item.key), is_same)
            for item, is_same in zip(items, has_number, strict=True)
        ]
        has_files = self._kind.has_files
        own = [c for c in copies if has_files and (not c.item.home.kind or c.is_homeless) and not c.error]
        for copy, whole in zip(own, pool.map(lambda copy: _completed(copy, source), own), strict=True):
            self._take_files(copy, whole)
            if copy.is_homeless and copy.load is None:
                copy.problems.append(_no_home(copy.item))
        for copy in copies:
            if not copy.error:
                copy.compare()
        return copies

    def _numbered(self, items: Sequence[ModelVersion]) -> list[ModelVersion]:
        """With a number for each that is to get the next one: of a model there is one such at a time."""
        models = {item.model for item in items if item.version == NEXT}
        last = {model.name: model.last_version for model in self._store.registered_models(models)} if models else {}
        return [replace(i, version=last.get(i.model, 0) + 1) if i.version == NEXT else i for i in items]

    def _copy(self, item: ModelVersion, found: Found, there: Recorded[ModelVersion] | None, is_same: bool) -> _Copy:
        """`is_same`: it is the source's version of that number, and goes when that does."""
        wanted = self._kind.rewritten(item, found.resolve) or item
        known = there.item.tags if there is not None and there.item.stage != DELETED else None
        tags = own_tags_removed(wanted.tags)
        tags |= self._marks.of(tags, known) if is_same else {}
        wanted = replace(wanted, tags=tags, artifacts=None, problems=())
        place = placed(item, found)
        source, location = place or (item.source, item.source)
        fitted = self._store.fitted(replace(wanted, source=source))
        copy = _Copy(item, fitted.item, there, location, self._kind, left_out=fitted.left_out)
        vital = (problem.reason for problem in fitted.left_out if problem.name in self._kind.vital)
        if why_not := fitted.why_not or next(vital, ""):
            copy.fail(why_not)
        copy.untagged = self._marks.removed(item.tags, known or {})
        copy.is_homeless = place is None
        return copy

    def _take_files(self, copy: _Copy, whole: ModelVersion | Exception) -> None:
        """Those of a version that lies neither in a run nor in a logged model; where it has none, it lies where it
        lay."""
        if isinstance(whole, Exception):
            copy.problems.append(Problem("artifact", "", str(whole)))
            return
        copy.problems += whole.problems
        if whole.artifacts and self._options.artifacts:
            copy.item, copy.location = whole, self._places.own_place(whole)
            copy.wanted = replace(copy.wanted, source=copy.location, home=Home())
            copy.load = Load(whole, whole.artifacts, self._places.owner(whole), by_size=True)


def _is_same(item: ModelVersion, wanted: ModelVersion, there: ModelVersion) -> bool:
    """Whether the version that is there is that one: made in the same moment, or of the same."""
    if wanted.created_at is not None and wanted.created_at == there.created_at:
        return True
    same_place = wanted.home == there.home and (bool(wanted.home.kind) or wanted.source == there.source)
    return same_place and (wanted.run_id == there.run_id or _is_copy_of(item, there))


def _is_copy_of(item: ModelVersion, there: ModelVersion) -> bool:
    """Whether an import made it of the one that is there: a server may have named another run then."""
    return item.tags.get(ORIGIN) == there.name


def _completed(copy: _Copy, source: EntitySource[ModelVersion]) -> ModelVersion | Exception:
    try:
        return source.complete(copy.item)
    except ITEM_ERRORS as error:
        return error


def _no_home(item: ModelVersion) -> Problem:
    what = single(item.home.kind.replace("-", " "))
    return Problem("artifact", item.source, f"{what} {item.home.id}, of which it was made, is not in the target")
