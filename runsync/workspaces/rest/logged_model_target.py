"""Logged models into a server: with their params, metric points and files; the mark that one is whole comes last."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from urllib.parse import quote

import orjson

from runsync import chains
from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, RequestRefused, may_pass
from runsync.kinds.kind import EXPERIMENTS, Resolve
from runsync.kinds.left_behind import changed
from runsync.kinds.logged_models import (
    COMPLETE,
    LOGGED_MODELS,
    ORIGIN,
    PENDING,
    READY,
    LoggedModel,
    plain_tags,
)
from runsync.kinds.logged_models import (
    FAILED as UPLOAD_FAILED,
)
from runsync.model.import_options import ImportOptions
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Problem
from runsync.model.selection import RUNS
from runsync.model.wording import counted
from runsync.workspaces.arrival.experiments import ExperimentMap
from runsync.workspaces.arrival.model_marks import Marks
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import part
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.collisions import send
from runsync.workspaces.rest.create import create_once
from runsync.workspaces.rest.logged_models import LoggedModelSource, plain
from runsync.workspaces.rest.model_files import ModelFiles, Parcel
from runsync.workspaces.rest.model_pieces import send_all
from runsync.workspaces.rest.model_points import ModelPoints
from runsync.workspaces.rest.refused import is_of_entries
from runsync.workspaces.rest.search import chunks
from runsync.workspaces.rest.server import API

NUMBERS = {PENDING: 1, READY: 2, UPLOAD_FAILED: 3}
"""What a PATCH takes for a status (MLflow 3.17)."""
NOT_YET = "-"
"""In place of the mark of one that lacks something."""
WITHOUT_FILES = ":-"
"""How the mark ends of one whose files were not carried."""


@dataclass(slots=True)
class _Copy:
    """A model on its way. `there` is what is there of it, `wanted` how it should read in the target."""

    item: LoggedModel
    wanted: LoggedModel
    there: LoggedModel | None
    mark: str
    target_id: str = ""
    parcel: Parcel | None = None
    problems: list[Problem] = field(default_factory=list)
    error: str = ""
    retry: bool = False
    points: int = 0
    is_bare: bool = False
    """Whether it was made without params and tags."""
    is_touched: bool = False
    """Whether anything but files was written to it."""

    @property
    def is_native(self) -> bool:
        """Whether it was made in the target, and came home."""
        return self.there is not None and ORIGIN not in self.there.tags

    @property
    def marked(self) -> dict[str, str]:
        """The mark of a new one: it means nothing as long as it is PENDING, unless it is to stay so."""
        return {} if self.wanted.status == PENDING else {COMPLETE: self.mark}

    @property
    def now(self) -> LoggedModel:
        """What is there, also of one that was just made."""
        if self.there is not None:
            return self.there
        return LoggedModel(self.target_id, self.wanted.experiment_id, status=PENDING, tags=self.marked)

    def fail(self, error: Exception) -> None:
        """Nothing can be said to be whole."""
        self.error, self.retry = str(error), may_pass(error)

    def outcome(self) -> Outcome:
        """What was done with it."""
        files = self.parcel
        problems = (*self.problems, *(files.problems if files else ()))
        same = not (self.is_touched or self.points or problems or (files and files.count))
        action = FAILED if self.error else CREATE if self.there is None else UNCHANGED if same else UPDATE
        told = (LOGGED_MODELS.noun, self.item.model_id, self.item.name or self.item.model_id, action, self.target_id)
        counts = (self.points, files.count if files else 0, files.bytes if files else 0)
        return Outcome(*told, *counts, problems, self.error, self.retry or bool(files and files.retry))


class LoggedModelTarget:
    """See `EntityTarget`. `resolve` gives the target's ids of what the source has."""

    def __init__(
        self,
        client: Client,
        there: LoggedModelSource,
        files: ModelFiles,
        experiments: ExperimentMap,
        resolve: Resolve,
        every_experiment: Callable[[], Iterator[Sequence[str]]],
        options: ImportOptions,
        marks: Marks,
    ) -> None:
        self.made: set[str] = set()
        """Source ids of those that this import made."""
        self._whole: set[str] = set()
        self._client = client
        self._there = there
        self._files = files
        self._experiments = experiments
        self._resolve = resolve
        self._every_experiment = every_experiment
        self._options = options
        self._marks = marks
        self._looked: set[str] = set()
        self._has_all = False
        self._found: dict[str, LoggedModel] = {}
        """Those of the target's experiments that were looked at, by the ids with which they were born."""
        self._ids: dict[str, str] = {}
        self._points = ModelPoints(client, resolve)
        self._count = 0
        self._lock = Lock()

    def find(self, model_id: str) -> str | None:
        """The target's id of a model of the source, also of one that an earlier import brought."""
        if model_id in self._ids:
            return self._ids[model_id]
        there = self._outside().get(model_id)
        return there.model_id if there is not None else None

    def is_whole(self, model_id: str) -> bool:
        """Whether one, by its id in the source, is in the target with all its files."""
        if model_id in self._ids:
            return model_id in self._whole
        there = self._outside().get(model_id)
        return there is not None and _is_marked(there) and not there.tags[COMPLETE].endswith(WITHOUT_FILES)

    def _outside(self) -> Mapping[str, LoggedModel]:
        """All of the target, by the ids with which they were born."""
        with self._lock:
            if not self._has_all:
                for ids in self._every_experiment():
                    self._take(ids)
                self._has_all = True
        return self._found

    def plan(self, items: Sequence[LoggedModel], source: EntitySource[LoggedModel], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        self._look(items)
        copies = [self._copy(item, source) for item in items]
        return [
            Outcome(
                *(LOGGED_MODELS.noun, copy.item.model_id, copy.item.name, self._action(copy), copy.target_id),
                error=copy.error,
            )
            for copy in copies
        ]

    def put(
        self, items: Sequence[LoggedModel], source: EntitySource[LoggedModel], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        self._look(items)
        copies = list(pool.map(lambda item: self._copy(item, source), items))
        todo = [copy for copy in copies if self._action(copy) != UNCHANGED]
        chains.run(pool, (self._chain(copy, source, progress) for copy in todo))
        done = {copy.item.model_id: copy.outcome() for copy in todo}
        for copy in copies:
            self._note(copy)
        return [done.get(copy.item.model_id) or self._unchanged(copy) for copy in copies]

    def finish(self, pool: Executor) -> list[Outcome]:
        """See `EntityTarget`: nothing is left to do."""
        return []

    def left(self) -> list[NotCarried]:
        """See `EntityTarget`."""
        left = []
        if self._count:
            what = f"{counted(self._count, LOGGED_MODELS.noun)}: ids, creation and update times, artifact URIs"
            why = f"the REST API sets them itself; the old ids are in {ORIGIN} tags"
            left.append(changed(what, self._count, why))
        return left + self._points.left()

    def _look(self, items: Iterable[LoggedModel]) -> None:
        """Finds what the target has in their experiments."""
        places = {self._place(item) for item in items} - self._looked - {""}
        for ids in chunks(sorted(places), self._there.experiments_a_search):
            self._take(ids)
        self._looked |= places

    def _take(self, experiment_ids: Sequence[str]) -> None:
        for found in self._there.of_experiments(experiment_ids):
            origin = LOGGED_MODELS.origin(found)[0]
            known = self._found.get(origin)
            if known is None or (_is_marked(found), known.model_id) > (_is_marked(known), found.model_id):
                self._found[origin] = found

    def _place(self, item: LoggedModel) -> str:
        """The target's experiment; "" where there is none, or none that can be used."""
        return self._resolve(EXPERIMENTS, item.experiment_id) or ""

    def _copy(self, item: LoggedModel, source: EntitySource[LoggedModel]) -> _Copy:
        there = self._found.get(LOGGED_MODELS.origin(item)[0])
        has_files = self._options.artifacts and (item.artifacts is not None or not source.is_exact)
        mark = fingerprint(item) + ("" if has_files else WITHOUT_FILES)
        error = self._experiments.why_not(item.experiment_id)
        return _Copy(item, item, there, mark, there.model_id if there else "", error=error)

    def _wanted(self, copy: _Copy) -> LoggedModel:
        """How it should read in the target."""

        def resolve(kind: str, id: str) -> str | None:
            if kind == EXPERIMENTS:
                return self._place(copy.item)
            return (self._resolve(kind, id) if id else None) if kind == RUNS else copy.target_id or None

        wanted = LOGGED_MODELS.rewritten(copy.item, resolve)
        assert wanted is not None
        return wanted

    def _action(self, copy: _Copy) -> str:
        if copy.error:
            return FAILED
        if copy.there is None:
            return CREATE
        if copy.is_native:
            return UPDATE if any(LOGGED_MODELS.lacks(self._wanted(copy), copy.there)) else UNCHANGED
        told = copy.there.tags.get(COMPLETE, "")
        is_met = told in (copy.mark, copy.mark.removesuffix(WITHOUT_FILES)) and copy.there.status == copy.item.status
        return UNCHANGED if is_met and copy.item.status != PENDING and not self._options.thorough else UPDATE

    def _chain(self, copy: _Copy, source: EntitySource[LoggedModel], progress: Progress) -> chains.Chain:
        """It is made; then its points and files come side by side; what says that it is whole comes last."""
        yield [partial(self._guarded, copy, partial(self._begin, source=source))]
        if not copy.error:
            files = self._files.tasks(copy.parcel, source, progress) if copy.parcel is not None else []
            yield [partial(self._guarded, copy, self._log), *files]
        yield [partial(self._guarded, copy, self._end)]

    def _guarded(self, copy: _Copy, act: Callable[[_Copy], None]) -> None:
        try:
            if not copy.error:
                act(copy)
        except ITEM_ERRORS as error:
            copy.fail(error)

    def _note(self, copy: _Copy) -> None:
        """What runs, versions and aliases have to know of it."""
        self._count += 1
        if copy.target_id:
            self._ids[copy.item.model_id] = copy.target_id
        if copy.there is None and copy.target_id:
            self.made.add(copy.item.model_id)
        if self._has_all_files(copy) and not copy.mark.endswith(WITHOUT_FILES):
            self._whole.add(copy.item.model_id)

    def _has_all_files(self, copy: _Copy) -> bool:
        return not copy.error and not copy.item.problems and not (copy.parcel and copy.parcel.problems)

    def _is_complete(self, copy: _Copy) -> bool:
        return self._has_all_files(copy) and not copy.problems and not (copy.parcel and copy.parcel.is_cut)

    def _unchanged(self, copy: _Copy) -> Outcome:
        item = copy.item
        return Outcome(LOGGED_MODELS.noun, item.model_id, item.name or item.model_id, UNCHANGED, copy.target_id)

    def _begin(self, copy: _Copy, source: EntitySource[LoggedModel]) -> None:
        """Makes it where it is not there, and lists its files on both sides."""
        has_files, copy.wanted = not copy.mark.endswith(WITHOUT_FILES), self._wanted(copy)
        item = source.complete(copy.item) if has_files else copy.item
        self._experiments.activate(item.experiment_id)
        if copy.there is None:
            copy.target_id = self._create(copy)
        if not has_files:
            return
        ids = {item.model_id: copy.target_id, item.source_run_id: copy.wanted.source_run_id}
        ids = {old: new for old, new in ids.items() if old != new}
        copy.parcel = Parcel(item, item.artifacts or (), self._there.root(copy.target_id), ids=ids)
        if copy.there is not None:
            copy.parcel.there = self._files.list(copy.parcel)

    def _create(self, copy: _Copy) -> str:
        wanted, origin = copy.wanted, LOGGED_MODELS.origin(copy.item)[0]
        tags = plain_tags(wanted)
        body = {
            "experiment_id": wanted.experiment_id,
            "name": wanted.name,
            "model_type": wanted.model_type,
            "source_run_id": wanted.source_run_id,
            "params": wire.entries(wanted.params),
            "tags": wire.entries({**tags, ORIGIN: origin, **copy.marked, **self._marks.of(tags, None)}),
        }

        def create() -> str:
            answer = self._client.post(f"{API}/logged-models", body, retry=False)
            return self._there.told(part(answer, "model")).model_id

        def make() -> str:
            return create_once(self._client, create, find)

        def find() -> str | None:
            every = self._there.of_experiments([wanted.experiment_id])
            return next((found.model_id for found in every if found.tags.get(ORIGIN) == origin), None)

        try:
            return make()
        except RequestRefused as error:
            if not is_of_entries(error) or not (wanted.params or plain_tags(wanted)):
                raise
            copy.is_bare = True  # the others follow one by one, but for those that are refused
            body |= {"params": [], "tags": wire.entries({ORIGIN: origin, **copy.marked, **self._marks.of(tags, None)})}
            return make()

    def _log(self, copy: _Copy) -> None:
        copy.points, refused = self._points.log(copy.item, copy.wanted, copy.now)
        copy.problems += refused

    def _end(self, copy: _Copy) -> None:
        """Params and tags, and last what says that it is whole: of a new one its status, for it had the mark from the
        beginning (which saves a request a model)."""
        if copy.parcel is not None and copy.parcel.count:
            self._files.look(copy.parcel)
        there, place = copy.now, f"logged-models/{plain(copy.target_id)}"
        if copy.there is not None or copy.is_bare:
            params = {k: v for k, v in copy.wanted.params.items() if k not in there.params}
            self._write_texts(copy, "POST", f"{place}/params", "params", params)
            self._remove_tags(copy, place, self._marks.removed(copy.item.tags, there.tags))
            tags = plain_tags(copy.wanted) | self._marks.of(plain_tags(copy.wanted), there.tags)
            tags = {k: v for k, v in tags.items() if there.tags.get(k) != v}
            self._write_texts(copy, "PATCH", f"{place}/tags", "tags", tags)
        marked, is_complete = there.tags.get(COMPLETE) == copy.mark, self._is_complete(copy)
        if marked and not is_complete and not _is_marked(there):
            self._write(copy, "PATCH", f"{place}/tags", "tags", wire.entries({COMPLETE: NOT_YET}))
        if copy.wanted.status != there.status:
            self._write(copy, "PATCH", place, "status", NUMBERS[copy.wanted.status])
        if is_complete and not copy.is_native and not marked:
            self._write(copy, "PATCH", f"{place}/tags", "tags", wire.entries({COMPLETE: copy.mark}))

    def _remove_tags(self, copy: _Copy, place: str, keys: Sequence[str]) -> None:
        for key in keys:
            if "/" in key:
                why = "it was removed at the source, and a server cannot remove tags with “/” in their key"
                copy.problems.append(Problem("tag", key, why))
            else:
                self._write(copy, "DELETE", f"{place}/tags/{quote(key)}", "tag_key", key)

    def _write_texts(self, copy: _Copy, method: str, path: str, name: str, texts: Mapping[str, str]) -> None:
        """Likewise, of params or tags as many as the server takes."""

        def send_some(some: Mapping[str, str]) -> None:
            self._write(copy, method, path, name, wire.entries(some))

        copy.problems += send_all(name.removesuffix("s"), texts, send_some)

    def _write(self, copy: _Copy, method: str, path: str, name: str, value: object) -> None:
        """Sets a field, where there is anything to set."""
        if value:
            send(self._client, method, path, {"model_id": copy.target_id, name: value})
            copy.is_touched = True


def _is_marked(there: LoggedModel) -> bool:
    """Whether a copy is whole, as it tells."""
    return there.tags.get(COMPLETE, NOT_YET) != NOT_YET and there.status != PENDING


def fingerprint(item: LoggedModel) -> str:
    """A hash (32 hex digits) of all that a listing tells of one, apart from where it lies."""
    document = item.to_document()
    for name in ("model_id", "experiment_id", "artifacts", "problems"):
        del document[name]
    document["tags"] = plain_tags(item)
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
