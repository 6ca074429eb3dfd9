"""Versions of registered models or prompts into a server: each gets its number, and a source from which the target
can load it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from runsync import chains
from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, RequestRefused, may_pass
from runsync.kinds.kind import Resolve
from runsync.kinds.left_behind import changed
from runsync.kinds.model_versions import MODEL_VERSIONS, MOVED, NEXT, NO_STAGE, ORIGIN, READY, Home, ModelVersion
from runsync.kinds.registries import OF_MODELS, Sort
from runsync.model.identity import own_tags_removed
from runsync.model.naming import Naming
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Problem
from runsync.model.wording import counted
from runsync.workspaces.arrival.model_marks import NO_MARKS, Marks
from runsync.workspaces.http import Client
from runsync.workspaces.rest.collisions import post, send
from runsync.workspaces.rest.model_homes import is_shared
from runsync.workspaces.rest.model_pieces import FIELD, own_only, send_all
from runsync.workspaces.rest.model_versions import ModelVersionSource
from runsync.workspaces.rest.refused import is_of_entries
from runsync.workspaces.rest.registered_model_target import RegisteredModelTarget
from runsync.workspaces.rest.version_files import VersionFiles
from runsync.workspaces.rest.version_numbers import Numbers, NumberTaken


@dataclass(slots=True)
class _Seen:
    """What aliases have to know of a version: why it cannot be loaded, "" where it can."""

    home: Home
    why: str


NO_FILES = "its files are not in the source"


class Places(Protocol):
    """Where the files of versions lie in a target, if versions have any."""

    def of(self, item: ModelVersion, run_of_other: str | None = None) -> dict[str, Any] | None:
        """What the creation of one says of it (`run_of_other`: the run of the one that it is a copy of); None where
        its files are nowhere that the target gets at. Raises RequestRefused."""

    def outside(self, item: ModelVersion) -> dict[str, Any] | None:
        """Likewise of a complete version of which the source has no files; None where a server would not take that."""

    def is_same(self, item: ModelVersion, there: ModelVersion, is_copy: bool) -> bool:
        """Whether the version of its number in the target is that one; `is_copy`: it was made of it."""

    def is_elsewhere(self, item: ModelVersion, there: ModelVersion) -> bool:
        """Whether a copy surely serves other files, as far as that is known without looking."""

    def why_not_whole(self, home: Home) -> str:
        """Why the files of a version are not all there; "" where they are."""

    def told(self, there: ModelVersion) -> str:
        """What tells a version of the target from another one."""


_Queue = list[ModelVersion]
Change = tuple[str, str, dict[str, Any]]
"""A request: method, path and body."""


class ModelVersionTarget:
    """See `EntityTarget`. `models` are those that were put before; `resolve` gives the target's ids of what versions
    name."""

    def __init__(
        self,
        client: Client,
        there: ModelVersionSource,
        places: Places,
        files: VersionFiles,
        models: RegisteredModelTarget,
        naming: Naming,
        marks: Marks,
        sort: Sort = OF_MODELS,
        resolve: Resolve = lambda kind, id: id,
    ) -> None:
        self._client = client
        self._marks = marks
        self._source = there
        self._places = places
        self._files = files
        self._models = models
        self._naming = naming
        self._resolve = resolve
        self._known: dict[tuple[str, ...], ModelVersion] | None = None
        self._kind, self._sort = sort.versions, sort
        self._numbers = Numbers(client, there, sort=sort)
        self._waiting: list[ModelVersion] = []
        self._seen: dict[str, _Seen] = {}
        self._run_ids: dict[str, str] = {}
        """The runs that versions of the target name."""
        self._moved: set[str] = set()
        """Those whose files lie beside those of a run: they are made once these are there."""
        self._count = 0

    def plan(self, items: Sequence[ModelVersion], source: EntitySource[ModelVersion], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        there = self._look(writes=False)
        return [self._planned(self._as_there(item), there.get(item.key)) for item in items]

    def put(
        self, items: Sequence[ModelVersion], source: EntitySource[ModelVersion], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `EntityTarget`. New ones are made by `finish`: numbers are given out in order, and one may be a copy of
        another that comes later."""
        there = self._look(writes=True)
        self._from, self._progress = source, progress
        self._count += len(items)
        items = [self._as_there(item) for item in items]
        homeless = [self._homeless(item) for item in items if item.model in self._models.refused]
        items = [item for item in items if item.model not in self._models.refused]
        self._waiting += [item for item in items if item.key not in there]
        known = [item for item in items if item.key in there]
        return homeless + list(pool.map(lambda item: self._bring_up_to_date(item, there[item.key]), known))

    def finish(self, pool: Executor) -> list[Outcome]:
        """Makes the new ones, those of different models side by side."""
        outcomes: list[Outcome] = []
        queues: dict[str, _Queue] = defaultdict(list)
        for item in sorted(self._waiting, key=lambda item: item.key):
            queues[item.model].append(item)
        made = set(queues)
        while queues:
            count = len(outcomes)
            chains.run(pool, [self._in_order(queue, queues, outcomes, made) for queue in list(queues.values())])
            if len(outcomes) == count:  # each waits for another one
                chains.run(pool, [self._first(queue, outcomes, made) for queue in queues.values()])
            queues = {model: queue for model, queue in queues.items() if queue}
        return outcomes + self._reach_last_numbers(made)

    def _in_order(
        self, queue: _Queue, queues: Mapping[str, _Queue], outcomes: list[Outcome], made: set[str]
    ) -> chains.Chain:
        """Makes the versions of one model, up to one that waits for another model's."""
        while queue and not self._waits(queue[0], queues):
            yield from self._first(queue, outcomes, made)

    def _first(self, queue: _Queue, outcomes: list[Outcome], made: set[str]) -> chains.Chain:
        item = queue[0]
        (task,) = yield [partial(self._make, item)]
        queue.pop(0)
        outcome = task.result()
        outcomes.append(outcome)
        if outcome.retry:  # a number that is passed over is lost for good
            outcomes += [self._put_off(each, item) for each in queue]
            made.discard(item.model)
            queue.clear()

    def left(self) -> list[NotCarried]:
        """See `EntityTarget`."""
        if not self._count:
            return []
        what = f"{counted(self._count, self._kind.noun)}: creation and update times, users"
        return [changed(what, self._count, "the REST API sets them itself")]

    def why_not_whole(self, model: str, version: int) -> str:
        """Why nobody is to load a version by an alias; "" where it is whole."""
        name = f"{model}/{version}"
        seen = self._seen.get(name)
        if seen is None:
            return "it is not in the target"
        if name in self._moved:
            return seen.why
        if seen.why or seen.home.kind != MODEL_VERSIONS.name:
            return seen.why or self._places.why_not_whole(seen.home)
        name, _, number = seen.home.id.rpartition("/")
        return self.why_not_whole(name, int(number))

    def _look(self, writes: bool) -> dict[tuple[str, ...], ModelVersion]:
        """What the target has, without what a killed import left of gaps."""
        if self._known is None:
            self._known = self._numbers.look(writes)
            self._run_ids = {version.name: version.run_id for version in self._known.values()}
        return self._known

    def _as_there(self, item: ModelVersion) -> ModelVersion:
        return self._kind.rewritten(item, self._resolve) or item

    def _homeless(self, item: ModelVersion) -> Outcome:
        why = f"its {self._sort.noun} is not in the target"
        self._note(item, why)
        retry = self._models.refused[item.model]
        return Outcome(self._kind.noun, item.name, item.name, FAILED, error=why, retry=retry)

    def _note(self, item: ModelVersion, why: str) -> None:
        why = why or ("" if item.status == READY else f"it is {item.status} at the source")
        self._seen[item.name] = _Seen(item.home, why)

    def _planned(self, item: ModelVersion, there: ModelVersion | None) -> Outcome:
        told = (self._kind.noun, item.name, item.name)
        if there is None:
            return Outcome(*told, CREATE)
        if why := self._why_other(item, there):
            return Outcome(*told, FAILED, error=why)
        return Outcome(*told, UPDATE if any(_changes(item, there, self._marks)) else UNCHANGED)

    def _why_other(self, item: ModelVersion, there: ModelVersion) -> str:
        """Why the version of that number is not the one that is meant."""
        if self._places.is_same(item, there, there.tags.get(ORIGIN) == self._origin(item)):
            return ""
        return (
            f"the target has another version {item.version} of “{item.model}” ({self._places.told(there)}), which is "
            f"left as it is: delete that {self._sort.noun} in the target, or give one of them another name"
        )

    def _origin(self, item: ModelVersion) -> str:
        return f"{self._naming.model_here(item.model)}/{item.version}"

    def _bring_up_to_date(self, item: ModelVersion, there: ModelVersion) -> Outcome:
        told = (self._kind.noun, item.name, item.name)
        why = self._why_other(item, there)
        is_nowhere = self._kind.has_files and not item.home.kind and not is_shared(item.source)
        is_empty = is_nowhere and ORIGIN in there.tags and MOVED not in there.tags
        self._note(item, why or (NO_FILES if is_empty else ""))
        if MOVED in there.tags:
            self._moved.add(item.name)
        if why:
            return Outcome(*told, FAILED, error=why)
        problems = list(self._problems(item, there))
        changes = list(_changes(item, there, self._marks))
        try:
            problems += self._apply(changes)
        except ITEM_ERRORS as error:
            return Outcome(*told, FAILED, error=str(error), retry=may_pass(error))
        return Outcome(*told, UPDATE if changes else UNCHANGED, problems=tuple(problems))

    def _apply(self, changes: Iterable[Change]) -> list[Problem]:
        """Gives what is refused of them."""
        problems: list[Problem] = []
        for change in changes:
            problems += send_all(*_piece(change), partial(self._do, change))
        return problems

    def _do(self, change: Change, _: Mapping[str, str]) -> None:
        method, path, body = change
        post(self._client, path, body) if method == "POST" else send(self._client, method, path, body)

    def _problems(self, item: ModelVersion, there: ModelVersion) -> Iterator[Problem]:
        if item.status != there.status:
            yield Problem(
                "status", item.name, f"it is {item.status} at the source, and a server makes all versions READY"
            )
        if self._places.is_elsewhere(item, there):
            yield Problem(
                "source",
                item.name,
                f"it has {there.source} from an earlier import, and a server cannot change that: delete the version in "
                "the target",
            )

    def _waits(self, item: ModelVersion, queues: Mapping[str, Sequence[ModelVersion]]) -> bool:
        """Whether it is a copy of a version that is still to be made."""
        if item.home.kind != MODEL_VERSIONS.name:
            return False
        model = item.home.id.rpartition("/")[0]
        return any(other.name == item.home.id for other in queues.get(model, ()))

    def _make(self, item: ModelVersion) -> Outcome:
        told = (self._kind.noun, item.name, item.name)
        try:
            tags = own_tags_removed(item.tags)
            if item.version != NEXT:
                tags |= {ORIGIN: self._origin(item), **self._marks.of(tags, None)}
            place = self._places.of(item, self._run_ids.get(item.home.id))
            why = ""
            if place is None:
                item = self._from.complete(item)
                place = self._files.bring(item, self._from, self._progress)
                if place is None:
                    place, why = self._outside(item)
                else:
                    tags[MOVED] = item.source
                    self._moved.add(item.name)
            body = {"run_link": item.run_link, "description": item.description, **place}
            problems = [*self._create(item, body, tags), *item.problems]
        except NumberTaken as error:
            self._note(item, str(error))
            return Outcome(*told, FAILED, error=str(error))
        except ITEM_ERRORS as error:
            self._note(item, str(error))
            return Outcome(*told, FAILED, error=str(error), retry=may_pass(error))
        self._run_ids[item.name] = place.get("run_id", "")
        self._note(item, why or "".join(problem.reason for problem in item.problems[:1]))
        problems += self._problems(item, replace(item, status=READY)) if item.status != READY else ()
        return Outcome(*told, CREATE, problems=tuple(problems))

    def _outside(self, item: ModelVersion) -> tuple[dict[str, Any], str]:
        """Where a version of which the source has no files is to lie, and why it cannot be loaded by an alias."""
        place = self._places.outside(item)
        if place is None:
            raise RequestRefused(f"{NO_FILES}, and nobody could load it from {item.source}")
        return place, "" if is_shared(item.source) else NO_FILES

    def _create(self, item: ModelVersion, body: dict[str, Any], tags: dict[str, str]) -> list[Problem]:
        """Gives what of it is refused: its description and tags follow one by one then."""
        made = replace(item, tags=tags, stage=NO_STAGE)
        try:
            self._numbers.make(item.model, item.version, body, tags)
        except RequestRefused as error:
            made = replace(made, tags=own_only(tags, self._kind.vital), description="")
            if not is_of_entries(error) or (made.tags == tags and not item.description):
                raise
            self._numbers.make(item.model, item.version, {**body, "description": ""}, made.tags)
        return self._apply(_changes(item, made, NO_MARKS))

    def _put_off(self, item: ModelVersion, before: ModelVersion) -> Outcome:
        why = f"version {before.version} comes first, and failed: run it again"
        self._note(item, why)
        return Outcome(self._kind.noun, item.name, item.name, FAILED, error=why, retry=True)

    def _reach_last_numbers(self, models: set[str]) -> list[Outcome]:
        """Gives out the numbers of versions that were deleted behind the last one, so that they do not come again."""
        outcomes = []
        for name, model in sorted(self._models.wanted.items()):
            last = model.last_version
            try:
                if last and name in models | self._models.made:
                    self._numbers.reach(name, last)
            except ITEM_ERRORS as error:
                told = (self._kind.noun, f"{name}/{last}", f"{name}/{last}")
                outcomes.append(Outcome(*told, FAILED, error=str(error), retry=may_pass(error)))
        return outcomes


def _stage(item: ModelVersion) -> dict[str, Any]:
    return {"name": item.model, "version": str(item.version), "stage": item.stage, "archive_existing_versions": False}


def _changes(item: ModelVersion, there: ModelVersion, marks: Marks) -> Iterator[Change]:
    """What brings one up to date."""
    id = {"name": item.model, "version": str(item.version)}
    if item.description != there.description:
        yield "PATCH", "model-versions/update", {**id, "description": item.description}
    removed = marks.removed(item.tags, there.tags)
    for key in removed:
        yield "DELETE", "model-versions/delete-tag", {**id, "key": key}
    changed = {key: value for key, value in own_tags_removed(item.tags).items() if there.tags.get(key) != value}
    noted = marks.of(item.tags, there.tags) if removed or changed else {}
    for key, value in (changed | noted).items():
        yield "POST", "model-versions/set-tag", {**id, "key": key, "value": value}
    if item.stage != there.stage:
        yield "POST", "model-versions/transition-stage", _stage(item)


def _piece(change: Change) -> tuple[str, dict[str, str]]:
    """What a request is about: the kind of it, and its name with a value."""
    body = change[2]
    if "key" in body:
        return "tag", {body["key"]: ""}
    return FIELD, {"description" if "description" in body else "stage": ""}
