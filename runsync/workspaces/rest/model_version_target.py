"""Versions of registered models into a server: each gets the number that it has, and a source from which the target
can load it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, may_pass
from runsync.kinds.left_behind import changed
from runsync.kinds.model_versions import MODEL_VERSIONS, MOVED, NO_STAGE, ORIGIN, READY, Home, ModelVersion
from runsync.model.identity import own_tags_removed
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Problem
from runsync.model.wording import counted
from runsync.workspaces.http import Client
from runsync.workspaces.rest.collisions import post, send
from runsync.workspaces.rest.model_places import ModelPlaces
from runsync.workspaces.rest.model_versions import ModelVersionSource
from runsync.workspaces.rest.registered_model_target import RegisteredModelTarget
from runsync.workspaces.rest.version_files import VersionFiles
from runsync.workspaces.rest.version_numbers import Numbers, NumberTaken


@dataclass(slots=True)
class _Seen:
    """What aliases have to know of a version: why it cannot be loaded, "" where it can."""

    home: Home
    why: str


class ModelVersionTarget:
    """See `EntityTarget`. `models` are those that were put before."""

    def __init__(
        self,
        client: Client,
        there: ModelVersionSource,
        places: ModelPlaces,
        files: VersionFiles,
        models: RegisteredModelTarget,
    ) -> None:
        self._client = client
        self._source = there
        self._places = places
        self._files = files
        self._models = models
        self._known: dict[tuple[str, ...], ModelVersion] | None = None
        self._numbers = Numbers(client, there)
        self._waiting: list[ModelVersion] = []
        self._seen: dict[str, _Seen] = {}
        self._moved: set[str] = set()
        """Those whose files lie beside those of a run: they are made once these are there."""
        self._count = 0

    def plan(self, items: Sequence[ModelVersion], source: EntitySource[ModelVersion], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        there = self._look(writes=False)
        return [self._planned(item, there.get(item.key)) for item in items]

    def put(
        self, items: Sequence[ModelVersion], source: EntitySource[ModelVersion], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `EntityTarget`. New ones are made by `finish`: numbers are given out in order, and one may be a copy of
        another that comes later."""
        there = self._look(writes=True)
        self._from, self._progress = source, progress
        self._count += len(items)
        self._waiting += [item for item in items if item.key not in there]
        known = [item for item in items if item.key in there]
        return list(pool.map(lambda item: self._bring_up_to_date(item, there[item.key]), known))

    def finish(self, pool: Executor) -> list[Outcome]:
        """Makes the new ones, those of different models side by side."""
        outcomes: list[Outcome] = []
        queues: dict[str, list[ModelVersion]] = defaultdict(list)
        for item in sorted(self._waiting, key=lambda item: item.key):
            queues[item.model].append(item)
        made = set(queues)
        while queues:
            heads = [queue[0] for queue in queues.values()]
            ready = [item for item in heads if not self._waits(item, queues)] or heads
            for item, outcome in zip(ready, pool.map(self._make, ready), strict=True):
                outcomes.append(outcome)
                queue = queues[item.model]
                queue.pop(0)
                if outcome.retry:  # a number that is passed over is lost for good
                    outcomes += [self._put_off(each, item) for each in queue]
                    made.discard(item.model)
                    queue.clear()
                if not queue:
                    del queues[item.model]
        return outcomes + self._reach_last_numbers(made)

    def left(self) -> list[NotCarried]:
        """See `EntityTarget`."""
        if not self._count:
            return []
        what = f"{counted(self._count, MODEL_VERSIONS.noun)}: creation and update times, users"
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
        return self._known

    def _note(self, item: ModelVersion, why: str) -> None:
        why = why or ("" if item.status == READY else f"it is {item.status} at the source")
        self._seen[item.name] = _Seen(item.home, why)

    def _planned(self, item: ModelVersion, there: ModelVersion | None) -> Outcome:
        told = (MODEL_VERSIONS.noun, item.name, item.name)
        if there is None:
            return Outcome(*told, CREATE)
        if why := self._why_other(item, there):
            return Outcome(*told, FAILED, error=why)
        return Outcome(*told, UPDATE if any(_changes(item, there)) else UNCHANGED)

    def _why_other(self, item: ModelVersion, there: ModelVersion) -> str:
        """Why the version of that number is not the one that is meant."""
        if there.tags.get(ORIGIN) == item.name or self._places.is_same(item, there):
            return ""
        return (
            f"the target has another version {item.version} of “{item.model}” ({there.source}), which is left as it is:"
            " delete that model in the target, or give one of them another name"
        )

    def _bring_up_to_date(self, item: ModelVersion, there: ModelVersion) -> Outcome:
        told = (MODEL_VERSIONS.noun, item.name, item.name)
        why = self._why_other(item, there)
        self._note(item, why)
        if MOVED in there.tags:
            self._moved.add(item.name)
        if why:
            return Outcome(*told, FAILED, error=why)
        problems = tuple(self._problems(item, there))
        changes = list(_changes(item, there))
        try:
            for method, path, body in changes:
                (post(self._client, path, body) if method == "POST" else send(self._client, method, path, body))
        except ITEM_ERRORS as error:
            return Outcome(*told, FAILED, error=str(error), retry=may_pass(error))
        return Outcome(*told, UPDATE if changes else UNCHANGED, problems=problems)

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
        told = (MODEL_VERSIONS.noun, item.name, item.name)
        try:
            tags = own_tags_removed(item.tags) | {ORIGIN: item.name}
            place = self._places.of(item)
            if place is None:
                place = self._files.bring(item, self._from, self._progress)
                tags[MOVED] = item.source
                self._moved.add(item.name)
            body = {"run_link": item.run_link, "description": item.description, **place}
            self._numbers.make(item.model, item.version, body, tags)
            if item.stage != NO_STAGE:
                post(self._client, "model-versions/transition-stage", _stage(item))
        except NumberTaken as error:
            self._note(item, str(error))
            return Outcome(*told, FAILED, error=str(error))
        except ITEM_ERRORS as error:
            self._note(item, str(error))
            return Outcome(*told, FAILED, error=str(error), retry=may_pass(error))
        self._note(item, "")
        problems = tuple(self._problems(item, replace(item, status=READY))) if item.status != READY else ()
        return Outcome(*told, CREATE, problems=problems)

    def _put_off(self, item: ModelVersion, before: ModelVersion) -> Outcome:
        why = f"version {before.version} comes first, and failed: run it again"
        self._note(item, why)
        return Outcome(MODEL_VERSIONS.noun, item.name, item.name, FAILED, error=why, retry=True)

    def _reach_last_numbers(self, models: set[str]) -> list[Outcome]:
        """Gives out the numbers of versions that were deleted behind the last one, so that they do not come again."""
        outcomes = []
        for name, model in sorted(self._models.wanted.items()):
            last = model.last_version
            try:
                if last and name in models | self._models.made:
                    self._numbers.reach(name, last)
            except ITEM_ERRORS as error:
                told = (MODEL_VERSIONS.noun, f"{name}/{last}", f"{name}/{last}")
                outcomes.append(Outcome(*told, FAILED, error=str(error), retry=may_pass(error)))
        return outcomes


def _stage(item: ModelVersion) -> dict[str, Any]:
    return {"name": item.model, "version": str(item.version), "stage": item.stage, "archive_existing_versions": False}


def _changes(item: ModelVersion, there: ModelVersion) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The requests that bring one up to date: method, path and body."""
    id = {"name": item.model, "version": str(item.version)}
    if item.description != there.description:
        yield "PATCH", "model-versions/update", {**id, "description": item.description}
    for key, value in own_tags_removed(item.tags).items():
        if there.tags.get(key) != value:
            yield "POST", "model-versions/set-tag", {**id, "key": key, "value": value}
    if item.stage != there.stage:
        yield "POST", "model-versions/transition-stage", _stage(item)
