"""A store as a target of logged models: files first, then the record with the tag that it is whole."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

import orjson

from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, may_pass
from runsync.kinds.logged_models import COMPLETE, LOGGED_MODELS, ORIGIN, READY, LoggedModel
from runsync.model.identity import own_tags_removed
from runsync.model.import_options import ImportOptions
from runsync.model.mark import NOT_CARRIED, UNKNOWN, digest
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Problem
from runsync.workspaces.arrival.model_marks import Marks
from runsync.workspaces.direct.entity_files import EntityFiles, Load
from runsync.workspaces.direct.logged_models import as_run
from runsync.workspaces.direct.model_ids import INCOMPLETE, ModelIds
from runsync.workspaces.direct.models import ModelStore, Recorded, Write
from runsync.workspaces.direct.records import write_all

_ABOVE = "their experiments are not carried"


@dataclass(slots=True)
class _Copy:
    """One on its way: as the source has it, as it is to be here, and what is there of it."""

    item: LoggedModel
    wanted: LoggedModel
    there: LoggedModel | None
    location: str
    action: str = UNCHANGED
    is_look: bool = False
    """Whether only files may have changed, of which nothing tells."""
    error: str = ""
    retry: bool = False
    left_out: tuple[Problem, ...] = ()
    """What of it has no place here; all else of it may be whole."""
    problems: list[Problem] = field(default_factory=list)
    load: Load | None = None

    def fail(self, error: object) -> None:
        self.action, self.error, self.retry = FAILED, str(error), may_pass(error)

    def outcome(self) -> Outcome:
        load, item = self.load, self.item
        return Outcome(
            LOGGED_MODELS.noun,
            item.model_id,
            item.name,
            self.action,
            self.wanted.model_id,
            artifacts=load.written if load else 0,
            bytes=load.bytes if load else 0,
            problems=(*self.left_out, *self.problems),
            error=self.error,
            retry=self.retry or (load is not None and load.retry),
        )


class LoggedModelTarget:
    """See `EntityTarget`. `location_of` gives the artifact location of an experiment of the target."""

    def __init__(
        self,
        store: ModelStore,
        ids: ModelIds,
        files: EntityFiles,
        options: ImportOptions,
        location_of: Callable[[str], str],
        marks: Marks,
    ) -> None:
        self._store = store
        self._ids = ids
        self._files = files
        self._options = options
        self._location_of = location_of
        self._marks = marks
        self._homeless: list[str] = []

    def plan(self, items: Sequence[LoggedModel], source: EntitySource[LoggedModel], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        return [copy.outcome() for copy in self._compared(items, source.is_exact)]

    def put(
        self, items: Sequence[LoggedModel], source: EntitySource[LoggedModel], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        copies = self._compared(items, source.is_exact)
        todo = [copy for copy in copies if copy.action in (CREATE, UPDATE) or copy.is_look]
        if self._options.artifacts:
            self._carry_files(todo, source, pool, progress)
        todo = [copy for copy in todo if copy.action in (CREATE, UPDATE)]
        for copy, error in zip(todo, write_all(self._store.write_logged_models, self._writes(todo)), strict=True):
            if error is not None:
                copy.fail(error)
        for copy in copies:
            if copy.error or copy.problems:
                self._ids.unsound[LOGGED_MODELS.name, copy.wanted.model_id] = INCOMPLETE
        return [copy.outcome() for copy in copies]

    def finish(self, pool: Executor) -> list[Outcome]:
        """Runs, which came first, name models by their ids at the source. What comes next reads what was written."""
        if self._ids.others:
            self._store.move_links(self._ids.others)
        self._store.refresh()
        return []

    def left(self) -> list[NotCarried]:
        """Models that runs name, of experiments that were not selected."""
        names = tuple(self._homeless[:NAMED])
        return [LOGGED_MODELS.left(len(self._homeless), _ABOVE, names)] if self._homeless else []

    def _compared(self, items: Sequence[LoggedModel], is_exact: bool) -> list[_Copy]:
        run_ids = {run_id for item in items for run_id in (item.source_run_id, *(m.run_id for m in item.metrics))}
        origins = {item.model_id: LOGGED_MODELS.origin(item)[0] for item in items}
        found = self._ids.find(run_ids, origins, origins)
        here = [place.model_id for place in found.models.values()]
        there = {recorded.item.model_id: recorded for recorded in self._store.logged_models((), here)} if here else {}
        copies = []
        for item in items:
            wanted = LOGGED_MODELS.rewritten(item, found.resolve)
            if wanted is None:
                self._homeless.append(item.name)
                continue
            fitted = self._store.fitted(wanted)
            copy = self._copy(item, fitted.item, there.get(wanted.model_id), is_exact)
            copy.left_out = fitted.left_out
            if fitted.why_not:
                copy.fail(fitted.why_not)
            copies.append(copy)
        return copies

    def _copy(
        self, item: LoggedModel, wanted: LoggedModel, there: Recorded[LoggedModel] | None, is_exact: bool
    ) -> _Copy:
        tags = _tags(replace(item, tags=wanted.tags), wanted.model_id)
        wanted = replace(wanted, tags=tags, artifacts=None, problems=())
        if there is None:
            location = f"{self._location_of(wanted.experiment_id).rstrip('/')}/models/{wanted.model_id}/artifacts"
            return _Copy(item, wanted, None, location, CREATE)
        if wanted.model_id != item.model_id:  # the source has a copy of this one
            wanted = replace(wanted, created_at=there.item.created_at, updated_at=there.item.updated_at)
        copy = _Copy(item, wanted, there.item, there.location)
        if there.item.experiment_id != wanted.experiment_id:
            copy.fail(
                f"its id is that of a logged model in another experiment of the target ({there.item.experiment_id}):"
                " that one is not touched"
            )
        elif any(LOGGED_MODELS.lacks(wanted, there.item)) or self._marks.removed(item.tags, there.item.tags):
            copy.action = UPDATE
        elif self._options.tags:
            has_files = self._options.artifacts and not (is_exact and item.artifacts is None)
            copy.action = UNCHANGED if _is_met(item, there.item, has_files) else UPDATE
            copy.is_look = has_files and item.artifacts is None and item.status != READY
        else:
            copy.is_look = self._options.artifacts
        return copy

    def _carry_files(
        self, copies: Sequence[_Copy], source: EntitySource[LoggedModel], pool: Executor, progress: Progress
    ) -> None:
        for copy, whole in zip(copies, pool.map(lambda c: _completed(c, source), copies), strict=True):
            if isinstance(whole, Exception):
                copy.fail(whole)
                continue
            copy.item = whole
            copy.problems += whole.problems
            by_size = copy.there is None or copy.action == UNCHANGED
            copy.load = Load(whole, whole.artifacts or (), as_run(copy.wanted, copy.location), by_size)
        loads = [copy.load for copy in copies if copy.load is not None]
        self._files.carry(loads, source, pool, progress)
        for copy in copies:
            if copy.load is not None:
                copy.problems += copy.load.problems
                if copy.action == UNCHANGED and (copy.load.written or copy.problems):
                    copy.action = UPDATE

    def _writes(self, copies: Sequence[_Copy]) -> list[Write[LoggedModel]]:
        return [self._write(copy) for copy in copies]

    def _write(self, copy: _Copy) -> Write[LoggedModel]:
        known = copy.there.tags if copy.there is not None else None
        tags = {**copy.wanted.tags, **self._marks.of(copy.wanted.tags, known)}
        if self._options.tags and not copy.problems:
            files = NOT_CARRIED if copy.item.artifacts is None or copy.load is None else digest(copy.item.artifacts)
            tags[COMPLETE] = f"{_record(copy.item)}:{files}"
        untagged = [COMPLETE] if known is not None and COMPLETE in known.keys() - tags.keys() else []
        untagged += self._marks.removed(copy.item.tags, known or {})
        return Write(replace(copy.wanted, tags=tags), copy.location, copy.there, untagged)


def _completed(copy: _Copy, source: EntitySource[LoggedModel]) -> LoggedModel | Exception:
    try:
        return source.complete(copy.item)
    except ITEM_ERRORS as error:
        return error


def _tags(item: LoggedModel, target_id: str) -> dict[str, str]:
    """Those of ours apart, but for the id that it was born with, where it has another one here."""
    origin = item.tags.get(ORIGIN, item.model_id)
    return own_tags_removed(item.tags) | ({ORIGIN: origin} if origin != target_id else {})


def _record(item: LoggedModel) -> str:
    """A hash of all that its source tells of it but its files and where it lies."""
    document = replace(item, model_id="", experiment_id="", artifacts=None, problems=()).to_document()
    document["tags"] = own_tags_removed(item.tags)
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def _is_met(item: LoggedModel, there: LoggedModel, has_files: bool) -> bool:
    """Whether the one that is there tells that it is whole, and was made of this very state."""
    record, _, files = there.tags.get(COMPLETE, "").partition(":")
    wanted = NOT_CARRIED
    if has_files:
        wanted = UNKNOWN if item.artifacts is None else digest(item.artifacts)
    return record == _record(item) and (wanted in (files, NOT_CARRIED) or (wanted == UNKNOWN and files != NOT_CARRIED))
