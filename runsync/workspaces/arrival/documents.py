"""Objects that are a document and nothing else into a target (see `workspaces.documents`).

They have no tags, and a server gives them ids of its own: which one is a copy of which is noted on their experiment
(`model.experiment_marks`). One that is not noted is known by its place, such as its name in an experiment.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Any, Generic, Protocol

from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, RequestRefused, may_pass
from runsync.kinds.counterparts import Counterparts
from runsync.kinds.document import D, DocumentKind
from runsync.kinds.kind import Resolve, is_same
from runsync.kinds.left_behind import changed
from runsync.model.experiment import DELETED, Experiment
from runsync.model.experiment_marks import Mark, marks
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Problem
from runsync.workspaces.documents import DocumentStore, with_origin, without_option

ABOVE = "their experiments are not carried"
NO_PLACE = "this version of MLflow has no place for them"
UNKNOWN = frozenset({404, 405, 501})


class Experiments(Protocol):
    """What is known of the experiments of a target."""

    def there(self, source_id: str) -> Experiment | None:
        """The one that was there before for one of the source."""

    def activate(self, source_id: str) -> None:
        """Restores a deleted one before something is made in it. Raises RequestRefused."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where documents arrive. `existing` are the experiments that were there before, `tag` tags one of the target,
    `resolve` gives ids of other kinds; `came_from` is the key of the workspace that all comes from. Without `is_tagged`
    no marks are made. `asked` are the values of options, by their names."""

    experiments: Experiments
    existing: Callable[[], Iterable[Experiment]]
    tag: Callable[[str, dict[str, str]], None]
    resolve: Resolve
    came_from: Callable[[], str]
    asked: Mapping[str, Any]
    is_tagged: bool = True


@dataclass(slots=True)
class _Copy(Generic[D]):
    """One on its way: as the source has it, as it is to be, and what is there of it."""

    item: D
    wanted: D
    there: D | None
    action: str
    target_id: str = ""
    problems: tuple[Problem, ...] = ()
    error: str = ""
    retry: bool = False


class DocumentTarget(Generic[D]):
    """See `EntityTarget`."""

    def __init__(self, kind: DocumentKind[D], store: DocumentStore[D], home: Home) -> None:
        self._kind = kind
        self._store = store
        self._home = home
        self._ids: dict[str, str] = {}
        """The target's ids of those that were looked at; "" of one that is to be made."""
        self._left: dict[str, list[str]] = defaultdict(list)
        self._made: list[str] = []
        self._lock = Lock()

    def find(self, id: str) -> str | None:
        """The target's id of one of the source, also of one that an earlier import brought; "" before it is made."""
        if id in self._ids:
            return self._ids[id]
        return self._brought.get(id) or (id if self._store.keeps_all else None)

    @cached_property
    def _brought(self) -> Mapping[str, str]:
        """The ids here of those that were brought before, by the ids with which they were born."""
        return {m.origin: m.here for each in self._home.existing() for m in marks(each, self._kind.schema)}

    def plan(self, items: Sequence[D], source: EntitySource[D], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        return [self._outcome(copy) for copy in self._compared(items, source, pool)]

    def put(self, items: Sequence[D], source: EntitySource[D], pool: Executor, progress: Progress) -> list[Outcome]:
        """See `EntityTarget`."""
        copies = self._compared(items, source, pool)
        todo = [copy for copy in copies if copy.action in (CREATE, UPDATE)]
        list((map if self._store.keeps_all else pool.map)(self._write, todo))  # a database takes one after the other
        return [self._outcome(copy) for copy in copies if copy.action]

    def finish(self, pool: Executor) -> list[Outcome]:
        """See `EntityTarget`. What comes next reads what was written."""
        self._store.refresh()
        return []

    def left(self) -> list[NotCarried]:
        """Those of experiments that are not carried, and those for which there is no place."""
        left = [self._kind.left(len(names), why, tuple(names[:NAMED])) for why, names in sorted(self._left.items())]
        if self._made and self._kind.kept_back:
            names = tuple(self._made[:NAMED])
            left.append(changed(f"new {self._kind.category.title}", len(self._made), self._kind.kept_back, names))
        return left

    def _compared(self, items: Sequence[D], source: EntitySource[D], pool: Executor) -> list[_Copy[D]]:
        if self._kind.opt_in and not self._home.asked.get(self._kind.option):
            self._left[without_option(self._kind)] += [item.name for item in items]
            return []
        failed: list[_Copy[D]] = []
        pairs: list[tuple[D, D]] = []
        for item, whole in zip(items, pool.map(lambda item: _completed(item, source), items), strict=True):
            if isinstance(whole, Exception):
                failed.append(_Copy(item, item, None, FAILED, error=str(whole), retry=may_pass(whole)))
            elif (wanted := self._kind.rewritten(whole, self._resolver(whole))) is None:
                self._left[ABOVE].append(item.name)
            else:
                pairs.append((whole, wanted))
        try:
            fitted = self._store.fitted([wanted for _, wanted in pairs])
            pairs = [(item, each.item) for (item, _), each in zip(pairs, fitted, strict=True)]
            found = self._found(pairs)
        except RequestRefused as error:
            if is_no_place(error):
                self._left[NO_PLACE] += [item.name for item, _ in pairs]
                return failed
            told, may = str(error), may_pass(error)
            return failed + [_Copy(item, wanted, None, FAILED, error=told, retry=may) for item, wanted in pairs]
        copies = [self._copy(item, wanted, found) for item, wanted in pairs]
        for copy, each in zip(copies, fitted, strict=True):
            copy.problems = each.left_out
            if each.why_not:
                copy.action, copy.error = FAILED, each.why_not
        self._ids |= {copy.item.key[0]: copy.target_id for copy in copies if not copy.error}
        return failed + copies

    def _found(self, pairs: Sequence[tuple[D, D]]) -> Counterparts[D]:
        """Experiments that are to be made have nothing yet."""
        wanted = [
            wanted for item, wanted in pairs if getattr(wanted, "experiment_id", "-") and not self._is_hidden(item)
        ]
        there = list(self._store.find(wanted)) if wanted else []
        known = {here: origin for origin, here in self._brought.items()}
        return Counterparts(self._kind, [with_origin(item, known.get(item.key[0], "")) for item in there], pairs)

    def _resolver(self, item: D) -> Resolve:
        """What its ids are here; its own one, where it was brought before."""

        def resolve(kind: str, id: str) -> str | None:
            return self._brought.get(item.born_as) if kind == self._kind.name else self._home.resolve(kind, id)

        return resolve

    def _copy(self, item: D, wanted: D, found: Counterparts[D]) -> _Copy[D]:
        there = found.of(item)
        if there is None:
            brought = self._brought_before(item)
            new = self._kind.new(wanted)
            if self._kind.has_own_marks and self._home.is_tagged:
                new = self._kind.marked(new, item.born_as, self._home.came_from())
            return _Copy(item, new, None, UNCHANGED if brought else CREATE, brought)
        if not self._store.keeps_all or there.key[0] != item.key[0]:
            kept = {self._kind.id_field, *self._kind.set_by_servers}
            wanted = replace(wanted, **{name: getattr(there, name) for name in kept})  # type: ignore[type-var]
        wanted = with_origin(self._kind.joined(wanted, there), item.born_as)
        same = self._is_same(wanted, with_origin(there, item.born_as))
        return _Copy(item, wanted, there, UNCHANGED if same else UPDATE, there.key[0])

    def _is_same(self, wanted: D, there: D) -> bool:
        return is_same(wanted, there) if self._store.keeps_all else not self._kind.is_behind(there, wanted)

    def _brought_before(self, item: D) -> str:
        """The id of one in a deleted experiment, of which a server tells nothing."""
        home = self._there(item)
        if home is None or not self._is_hidden(item):
            return ""
        return next((m.here for m in marks(home, self._kind.schema) if m.origin == item.born_as), "")

    def _is_hidden(self, item: D) -> bool:
        """Whether a server does not tell of it, as its experiment is deleted there."""
        home = self._there(item)
        return home is not None and home.lifecycle_stage == DELETED and not self._store.keeps_all

    def _there(self, item: D) -> Experiment | None:
        id = getattr(item, "experiment_id", None)
        return self._home.experiments.there(id) if id is not None else None

    def _write(self, copy: _Copy[D]) -> None:
        try:
            if hasattr(copy.item, "experiment_id") and not self._store.keeps_all:
                self._home.experiments.activate(copy.item.experiment_id)
            if copy.there is not None:
                copy.problems += tuple(self._store.change(copy.wanted, copy.there))
                return
            copy.target_id, problems = self._store.create(copy.wanted)
            copy.problems += tuple(problems)
            self._ids[copy.item.key[0]] = copy.target_id
            self._made.append(copy.item.name)
            self._mark(copy)
        except ITEM_ERRORS as error:
            if isinstance(error, RequestRefused) and is_no_place(error):
                copy.action = ""
                with self._lock:
                    self._left[NO_PLACE].append(copy.item.name)
                return
            copy.action, copy.error, copy.retry = FAILED, str(error), may_pass(error)
            self._ids.pop(copy.item.key[0], None)

    def _mark(self, copy: _Copy[D]) -> None:
        home = getattr(copy.wanted, "experiment_id", "")
        if home and self._home.is_tagged:
            mark = Mark(self._kind.schema, copy.item.born_as, copy.target_id, self._home.came_from())
            self._home.tag(home, mark.tag)

    def _outcome(self, copy: _Copy[D]) -> Outcome:
        told = (self._kind.noun, copy.item.key[0], copy.item.name, copy.action, copy.target_id)
        return Outcome(*told, problems=copy.problems, error=copy.error, retry=copy.retry)


def _completed(item: D, source: EntitySource[D]) -> D | Exception:
    try:
        return source.complete(item)
    except ITEM_ERRORS as error:
        return error


def is_no_place(error: RequestRefused) -> bool:
    """Whether a server has no such endpoint: an older MLflow. What is not there has a code."""
    return error.status in UNKNOWN and not error.code
