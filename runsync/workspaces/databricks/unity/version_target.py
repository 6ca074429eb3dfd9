"""Versions of registered models into Unity Catalog.

Each is made with the number that it has, filled with its files, and finalized, which makes it READY. One that a killed
import left unfinished is filled and finalized by the next.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any

from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, may_pass
from runsync.kinds.left_behind import changed
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import MODEL_VERSIONS, MOVED, NEXT, NO_STAGE, ORIGIN, PENDING, READY, ModelVersion
from runsync.model.identity import own_tags_removed
from runsync.model.import_options import ImportOptions
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Problem
from runsync.model.selection import RUNS
from runsync.model.wording import counted
from runsync.workspaces.arrival.model_marks import Marks
from runsync.workspaces.arrival.version_files import FilesOfVersions
from runsync.workspaces.databricks.unity import tags
from runsync.workspaces.databricks.unity.folders import Folders
from runsync.workspaces.databricks.unity.names import REGISTRY
from runsync.workspaces.databricks.unity.registry import HABITS
from runsync.workspaces.databricks.unity.sources import CatalogVersions
from runsync.workspaces.databricks.unity.version_filling import Filling, Ids, VersionCopy
from runsync.workspaces.http import Client
from runsync.workspaces.rest.collisions import post, send
from runsync.workspaces.rest.registered_model_target import RegisteredModelTarget
from runsync.workspaces.rest.version_numbers import Numbers, NumberTaken

WITHOUT_FILES = "its files were not carried (--no-artifacts)"


class CatalogVersionTarget:
    """See `EntityTarget`. `models` are those that were put before."""

    def __init__(
        self,
        client: Client,
        there: CatalogVersions,
        folders: Folders,
        models: RegisteredModelTarget,
        source: Callable[[], Any],
        ids: Ids,
        options: ImportOptions,
        marks: Marks,
    ) -> None:
        self._client = client
        self._marks = marks
        self._models = models
        self._ids = ids
        self._options = options
        self._numbers = Numbers(client, there, HABITS)
        self._known: dict[tuple[str, ...], ModelVersion] | None = None
        self._items: dict[str, ModelVersion] = {}
        self._filling = Filling(client, folders, FilesOfVersions(source, self._items.get), ids, options)
        self._copies: dict[str, VersionCopy] = {}
        self._stages: list[str] = []

    def plan(self, items: Sequence[ModelVersion], source: EntitySource[ModelVersion], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        there = self._look(writes=False)
        return [self._planned(item, there.get(item.key)).outcome() for item in items]

    def put(
        self, items: Sequence[ModelVersion], source: EntitySource[ModelVersion], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `EntityTarget`: all is done once all are known, as numbers are given out in order."""
        self._from, self._progress = source, progress
        self._items.update((item.name, item) for item in items)
        return []

    def finish(self, pool: Executor) -> list[Outcome]:
        """Makes the new ones, those of different models side by side; then brings files; then finalizes."""
        of_models: dict[str, list[ModelVersion]] = defaultdict(list)
        for item in sorted(self._items.values(), key=lambda item: item.key):
            of_models[item.model].append(item)
        if not of_models:
            return self._reach_last_numbers({})
        there = self._look(writes=True)
        copies = [c for made in pool.map(lambda some: self._make_all(some, there), of_models.values()) for c in made]
        opened = [copy for copy in copies if copy.is_open and not copy.error]
        self._filling.fill(opened, self._from, pool, self._progress)
        self._copies = {copy.item.name: copy for copy in copies}
        return [copy.outcome() for copy in copies] + self._reach_last_numbers(of_models)

    def left(self) -> list[NotCarried]:
        """See `EntityTarget`."""
        left = []
        if n := len(self._items):
            what = f"{counted(n, MODEL_VERSIONS.noun)}: creation and update times, users"
            left.append(changed(what, n, "Unity Catalog sets them itself"))
        staged = [f"{item.name} ({item.stage})" for item in self._items.values() if item.stage != NO_STAGE]
        if staged:
            why = "Unity Catalog has none: kept in tags, which runsync reads back; give these versions an alias"
            left.append(changed("stages of model versions", len(staged), why, tuple(sorted(staged)[:NAMED])))
        return left

    def why_not_whole(self, model: str, version: int) -> str:
        """Why nobody is to load a version by an alias; "" where it is whole."""
        copy = self._copies.get(f"{model}/{version}")
        return "it is not in the target" if copy is None else copy.why

    def _look(self, writes: bool) -> dict[tuple[str, ...], ModelVersion]:
        if self._known is None:
            self._known = self._numbers.look(writes)
        return self._known

    def _origin(self, item: ModelVersion) -> str:
        return f"{self._options.naming.model_here(item.model)}/{item.version}"

    def _planned(self, item: ModelVersion, there: ModelVersion | None) -> VersionCopy:
        """What is to be done with one."""
        if there is None:
            copy = VersionCopy(item, CREATE, item.version, self._options.artifacts)
            self._note_status(copy, PENDING)
            return copy
        if not self._is_same(item, there):
            why = (
                f"the target has another version {item.version} of “{item.model}” ({there.source}), which is left as "
                "it is: delete that model in the target, or give one of them another name with --rename"
            )
            return VersionCopy(item, FAILED, error=why)
        is_open = there.status == PENDING and item.status == READY and self._options.artifacts
        is_other = is_open or any(self._changes(item, there))
        copy = VersionCopy(item, UPDATE if is_other else UNCHANGED, item.version, is_open)
        self._note_status(copy, there.status)
        return copy

    def _is_same(self, item: ModelVersion, there: ModelVersion) -> bool:
        """Whether a version of that number is a copy, or the very one in a metastore that both sides share."""
        if ORIGIN in there.tags:
            return there.tags[ORIGIN] == self._origin(item)
        is_of_it = item.source in (there.source, there.tags.get(MOVED))
        return is_of_it and there.run_id in (item.run_id, self._ids.resolve(RUNS, item.run_id))

    def _make_all(self, items: Sequence[ModelVersion], there: dict[tuple[str, ...], ModelVersion]) -> list[VersionCopy]:
        """Those of one model, in the order of their numbers."""
        copies: list[VersionCopy] = []
        for item in items:
            copy = self._planned(item, there.get(item.key))
            before = next((c for c in copies if c.retry and c.action == CREATE), None)
            if before is not None and copy.action == CREATE:  # a number that is passed over is lost for good
                copy.error, copy.retry = f"version {before.item.version} comes first, and failed: run it again", True
            elif not copy.error:
                self._write(copy, there.get(item.key))
            copies.append(copy)
        return copies

    def _write(self, copy: VersionCopy, there: ModelVersion | None) -> None:
        """All but the files."""
        item = copy.item
        kept, problems = tags.fitting(self._tags(item) if there is None else self._wanted(item))
        copy.problems += problems
        try:
            if there is None:
                copy.version = self._numbers.make(item.model, item.version, self._body(item), kept)
                return
            for method, path, body in self._changes(item, there):
                post(self._client, path, body) if method == "POST" else send(self._client, method, path, body)
        except NumberTaken as error:
            copy.error = str(error)
        except ITEM_ERRORS as error:
            copy.fail(error)

    def _body(self, item: ModelVersion) -> dict[str, Any]:
        run_id = self._ids.resolve(RUNS, item.run_id) if item.run_id else None
        model_id = self._ids.resolve(item.home.kind, item.home.id) if item.home.kind == LOGGED_MODELS.name else None
        of_run = {"run_id": run_id, "run_tracking_server_id": self._ids.workspace_id} if run_id else {}
        body = {"source": self._source(item, model_id), "description": item.description, **of_run}
        return body | ({"model_id": model_id} if model_id else {})

    def _source(self, item: ModelVersion, model_id: str | None) -> str:
        below = f"/{item.home.path}" if item.home.path else ""
        if model_id:
            return f"models:/{model_id}{below}"
        run_id = self._ids.resolve(RUNS, item.home.id) if item.home.kind == RUNS else None
        return f"runs:/{run_id}{below}" if run_id else item.source

    def _tags(self, item: ModelVersion) -> dict[str, str]:
        """Those of a new version."""
        moved = {MOVED: item.source} if item.home.kind else {}
        origin = {ORIGIN: self._origin(item)} if item.version != NEXT else {}
        return self._wanted(item) | origin | moved | self._marks.of(item.tags, None)

    def _wanted(self, item: ModelVersion) -> dict[str, str]:
        """Its own, and the fields that are kept as tags."""
        is_gone = item.run_id and self._ids.resolve(RUNS, item.run_id) is None
        fields = {
            tags.STAGE: item.stage if item.stage != NO_STAGE else "",
            tags.RUN_LINK: item.run_link,
            tags.RUN: item.run_id if is_gone else "",
        }
        return own_tags_removed(item.tags) | {name: value for name, value in fields.items() if value}

    def _changes(self, item: ModelVersion, there: ModelVersion) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """The requests that bring one up to date: method, path and body."""
        id = {"name": item.model, "version": str(item.version)}
        if item.description != there.description:
            yield "PATCH", f"{REGISTRY}model-versions/update", {**id, "description": item.description}
        has = {**there.tags, tags.STAGE: there.stage, tags.RUN_LINK: there.run_link, tags.RUN: there.run_id}
        wanted = self._wanted(item)
        if item.stage == NO_STAGE != there.stage:
            wanted[tags.STAGE] = NO_STAGE
        removed = self._marks.removed(item.tags, there.tags)
        changed = {text: value for text, value in tags.fitting(wanted)[0].items() if has.get(text) != value}
        for text in removed:
            yield "DELETE", f"{REGISTRY}model-versions/delete-tag", {**id, "key": tags.key(text)}
        noted = self._marks.of(item.tags, there.tags) if removed or changed else {}
        for text, value in (changed | noted).items():
            yield "POST", f"{REGISTRY}model-versions/set-tag", {**id, "key": tags.key(text), "value": value}

    def _note_status(self, copy: VersionCopy, status: str) -> None:
        item = copy.item
        if not self._options.artifacts and status != READY:
            copy.problems.append(Problem("status", item.name, f"it stays {PENDING}: {WITHOUT_FILES}"))
        elif item.status not in (READY, status):
            why = f"it is {item.status} at the source, and Unity Catalog takes only {PENDING} and {READY}"
            copy.problems.append(Problem("status", item.name, why))

    def _reach_last_numbers(self, of_models: dict[str, list[ModelVersion]]) -> list[Outcome]:
        """Gives out the numbers of versions that were deleted behind the last one, so that they do not come again."""
        outcomes = []
        for name, model in sorted(self._models.wanted.items()):
            is_whole = not any(c.error for c in self._copies.values() if c.item.model == name)
            is_new = name in self._models.made or name in of_models
            try:
                if model.last_version and is_whole and is_new:
                    self._numbers.reach(name, model.last_version)
            except ITEM_ERRORS as error:
                told = (MODEL_VERSIONS.noun, f"{name}/{model.last_version}", f"{name}/{model.last_version}")
                outcomes.append(Outcome(*told, FAILED, error=str(error), retry=may_pass(error)))
        return outcomes
