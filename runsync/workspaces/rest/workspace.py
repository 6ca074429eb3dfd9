"""An MLflow tracking server as a source. Its target half is in `rest.target`."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson

from runsync.errors import RequestRefused, WorkspaceUnreachable
from runsync.model.artifact_names import as_sent, restored
from runsync.model.experiment import Experiment
from runsync.model.fields import NEWEST_FIRST, Order
from runsync.model.filter.evaluate import Facts, chooser, matches
from runsync.model.filter.parse import parse
from runsync.model.filter.push import Dialect, is_heeded, narrowed, pushed, state
from runsync.model.filter.tree import Expression, conjuncts
from runsync.model.finding import Finding
from runsync.model.import_options import ImportOptions
from runsync.model.limits import UNLIMITED, Limits
from runsync.model.ordering import ordered
from runsync.model.protocol import (
    Editor,
    Histories,
    NotCarried,
    ObjectSource,
    Place,
    Source,
    StoredObject,
    Target,
    Unread,
    pass_over,
)
from runsync.model.run import ArtifactFile, Batch, LoggedModel, ModelLink, ModelVersion, Problem, Run, Unreadable
from runsync.model.selection import Selection
from runsync.model.workbench import Workbench
from runsync.workspaces.address import Address
from runsync.workspaces.http import OPTIONAL, Care, Client, Patience, Portion, json_of
from runsync.workspaces.http.fields import Json, Listing, listed, pages, part, text, without_nulls
from runsync.workspaces.rest import models, wire
from runsync.workspaces.rest.artifacts import Artifacts, ArtifactStore
from runsync.workspaces.rest.leftovers import is_unknown, left_behind
from runsync.workspaces.rest.metrics import HISTORY_PAGE, MetricReader
from runsync.workspaces.rest.oddities import Oddities
from runsync.workspaces.rest.order import OLDEST_FIRST, is_by_time, merged, order_by
from runsync.workspaces.rest.registry import ModelVersions
from runsync.workspaces.rest.runs import LONGEST_TAG
from runsync.workspaces.rest.server import API, Server, meet
from runsync.workspaces.s3_artifacts import S3Artifacts, options_for

BATCH = 200
PAGE = 1000
LONGEST_PAGE = 32 << 20
"""Bytes of a search page above which the next one is asked for with half as many runs."""
IDS_A_SEARCH = 500
T = TypeVar("T")

_THIS_MACHINE = {"127.0.0.1": "localhost", "::1": "localhost"}
_PORTS = {"http": 80, "https": 443}
VIEWS = {"active": "ACTIVE_ONLY", "deleted": "DELETED_ONLY", "all": "ALL"}


@dataclass(frozen=True, slots=True)
class Habits:
    """What differs between servers that speak MLflow's REST API, and how their answers read."""

    run: Callable[[Json], Run] = wire.run
    experiment: Callable[[Json], Experiment] = wire.experiment
    experiments_a_search: int = 200
    experiment_order: tuple[str, ...] = ("experiment_id ASC",)
    history_page: int = HISTORY_PAGE
    has_bulk_history: bool = True
    params_a_run: int | None = None
    """The most that a run may have; None for no limit."""
    longest_tag: int = LONGEST_TAG
    deleted_keep_names: bool = True
    """Whether no other experiment may have the name of a deleted one."""
    dialect: Dialect | None = None
    """None: as the server's version has it."""
    is_mlflow: bool = True
    """Whether it is MLflow's own server, with all the kinds of objects that those have."""


class RestWorkspace:
    """One MLflow tracking server, or one workspace of it: see `open_server`."""

    def __init__(
        self, client: Client, server: Server, artifacts: Artifacts, place: Place, habits: Habits | None = None
    ) -> None:
        self.client = client
        self.server = server
        self.artifact_store = artifacts
        self.place = place
        self._habits = habits or Habits()
        self.params_a_run = self._habits.params_a_run
        self.longest_tag = self._habits.longest_tag
        self.deleted_keep_names = self._habits.deleted_keep_names
        self._metrics = MetricReader(client, self._habits.history_page, self._habits.has_bulk_history)
        self._versions = ModelVersions(client)
        self._logged_models: bool | None = None
        self._run_pages = Portion(PAGE, "run")
        self._experiment_pages = Portion(PAGE, "experiment")
        self._oddities = Oddities()
        self._odd_experiments: dict[tuple[str, str], Unreadable] = {}

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""
        return self.client.requests + self.artifact_store.requests

    @property
    def doubts(self) -> list[str]:
        """See `Source`: a server tells what it cannot reach."""
        return []

    @property
    def notes(self) -> list[str]:
        """What its user should hear of how it was reached."""
        portions = (*self._run_pages.notes, *self._experiment_pages.notes, *self._metrics.notes)
        return [*self.artifact_store.notes, *self._oddities.notes, *portions]

    @property
    def whereabouts(self) -> tuple[str, ...]:
        """See `Workspace`."""
        parts = urlsplit(self.place.address)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
        return _THIS_MACHINE.get(host, host), str(port), parts.path, parts.query

    def target(self, options: ImportOptions) -> Target:
        """See `rest.target`."""
        from runsync.workspaces.rest.target import RestTarget

        return RestTarget(self, options)

    def editor(self) -> Editor:
        """See `rest.editor`."""
        from runsync.workspaces.rest.editor import RestEditor

        return RestEditor(self.client)

    def examine(self) -> Iterator[Finding]:
        """See `rest.examine`."""
        from runsync.workspaces.rest.examine import examine

        return examine(self)

    def close(self) -> None:
        """Drops the connections; what still waits raises Interrupted."""
        self.client.close()
        self.artifact_store.close()

    def experiments(self, selection: Selection) -> list[Experiment]:
        """All experiments the selection means, deleted ones too, oldest first."""
        chosen = selection.choose(self._all_experiments())
        if selection.names_runs:
            chosen = selection.having_runs(chosen, self._runs_of_all(chosen, selection))
        return sorted(chosen, key=lambda e: (e.creation_time or 0, e.experiment_id))

    def existing(self, restore_deleted: bool) -> list[Experiment]:
        """The experiments that stand in the way of new ones of their names."""
        return self.experiments(Selection())

    def batches(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """The runs, oldest first. Each run comes once, though others are made, deleted or purged meanwhile."""
        asked = {e.experiment_id for e in experiments}
        odd = [e for e in self.unreadable_experiments() if not selection.experiments or e.id in asked]
        if odd:
            yield Batch((), unreadable=tuple(odd))
        waiting: list[Run] = []
        told: set[str] = set()
        for run in self._oddities.once(self._runs_of_all(experiments, selection)):
            waiting.append(run)
            if len(waiting) == BATCH:
                yield Batch(tuple(waiting), unreadable=self._oddities.untold(told))
                waiting = []
        unreadable = self._oddities.untold(told)
        if waiting or unreadable:
            yield Batch(tuple(waiting), unreadable=unreadable)

    def in_order(
        self,
        experiments: Sequence[Experiment],
        selection: Selection,
        order: Sequence[Order] = NEWEST_FIRST,
        limit: int | None = None,
        unread: Unread = pass_over,
    ) -> Iterator[Run]:
        """See `Source`. By start time they are streamed; the first few of another order the server picks if it can."""
        yield from self._in_order(experiments, selection, tuple(order) or NEWEST_FIRST, limit)
        for one in self._oddities.untold(set()):
            unread(one)

    def _in_order(
        self, experiments: Sequence[Experiment], selection: Selection, order: Sequence[Order], limit: int | None
    ) -> Iterator[Run]:
        by = None if selection.runs else order_by(order)
        if by is None or (limit is None and not is_by_time(by)):
            yield from islice(ordered(self._runs_of_all(experiments, selection), order, experiments), limit)
            return
        most = PAGE if limit is None else max(1, min(PAGE, limit))
        chunks = _chunks(experiments, self._habits.experiments_a_search)
        yield from islice(merged([self._runs_of_all(c, selection, by, most) for c in chunks], order), limit)

    def unlike(self, other: Source, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """All runs: nothing is known before they are read."""
        return self.batches(experiments, selection)

    def batch(self, run_ids: Sequence[str], experiments: Sequence[Experiment]) -> Batch:
        """The runs of these ids as they are now."""
        return Batch(tuple(self._runs_of_all(experiments, Selection(runs=tuple(run_ids)))) if run_ids else ())

    def histories(self, batch: Batch, pool: Executor) -> AbstractContextManager[Histories]:
        """See `MetricReader`."""
        return self._metrics.open(batch, pool)

    def complete(self, batch: Batch, pool: Executor) -> Batch:
        """With model inputs, which only runs/get tells; asked for where the workspace has logged models at all."""
        if not batch.runs or not self._has_logged_models(batch.runs[0].run_id):
            return batch
        told = list(pool.map(self._model_inputs, [run.run_id for run in batch.runs]))
        runs = tuple(
            run if isinstance(inputs, Problem) else dataclasses.replace(run, model_inputs=inputs)
            for run, inputs in zip(batch.runs, told, strict=True)
        )
        broken = {run.run_id: (it,) for run, it in zip(runs, told, strict=True) if isinstance(it, Problem)}
        return Batch(runs, broken=broken)

    def artifacts(self, run: Run) -> tuple[ArtifactFile, ...]:
        """See `ArtifactStore.list`."""
        return restored(run.tags, self.artifact_store.list(run))

    def read_artifact(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        """See `ArtifactStore.read`."""
        file.check()
        return self.artifact_store.read(run, as_sent(run.tags, file))

    def locate_artifact(self, run: Run, file: ArtifactFile) -> StoredObject | None:
        """See `ArtifactStore.locate`."""
        return None if file.fault else self.artifact_store.locate(run, as_sent(run.tags, file))

    def model_versions(self, run: Run) -> tuple[ModelVersion, ...]:
        """See `Source`; none where the server has no model registry."""
        try:
            of_run = f"run_id='{_quotable(run.run_id)}'"
            answer = self.client.get(f"{API}/model-versions/search", care=OPTIONAL, filter=of_run)
            return tuple(wire.sound(answer, "model_versions", wire.model_version)[0])
        except RequestRefused:
            return ()

    def unreadable_experiments(self) -> tuple[Unreadable, ...]:
        """See `Source`: as far as they were met."""
        return tuple(self._odd_experiments.values())

    def known_counts(self, experiments: Sequence[Experiment]) -> None:
        """See `Source`: a server must be asked for all runs to count them."""

    def logged_model(self, run: Run, model_id: str) -> LoggedModel:
        """See `rest.models`."""
        return models.logged_model(self.client, model_id)

    def read_model_file(self, model: LoggedModel, file: ArtifactFile) -> Iterator[bytes]:
        """See `rest.models`."""
        file.check()
        return models.read_model_file(self.client, model, file)

    def left_behind(self, experiments: Sequence[Experiment], selection: Selection) -> list[NotCarried]:
        """See `rest.leftovers`."""
        return left_behind(self.client, [e.experiment_id for e in experiments], self._habits.is_mlflow)

    @property
    def is_all(self) -> bool:
        """What a server does not list it does not have, or does not show to us."""
        return True

    @property
    def objects(self) -> ObjectSource | None:
        """MLflow itself has none of those kinds."""
        return None

    @property
    def workbench(self) -> Workbench | None:
        """MLflow itself runs no notebooks."""
        return None

    def search(
        self,
        experiment_ids: Sequence[str],
        filter_string: str,
        state: str,
        token: str = "",
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> tuple[list[Run], str]:
        """One page of runs/search of at most that many runs, and the token of the next page ("" after the last)."""
        body = {
            "experiment_ids": list(experiment_ids),
            "filter": filter_string,
            "run_view_type": VIEWS[state],
            "order_by": list(by),
        }
        if token:
            body["page_token"] = token
        answer = self._run_pages.ask(lambda size, care: self._page_of({**body, "max_results": size}, care), most)
        runs, odd = wire.runs(answer, self._habits.run)
        return self._oddities.sound(runs, odd, experiment_ids), text(answer, "next_page_token", "")

    def _page_of(self, body: Json, care: Care) -> dict[str, Any]:
        """What a search answers with. Where that is long, fewer runs are asked for at a time from now on."""
        headers = {"Content-Type": "application/json"}
        content = orjson.dumps(body)
        response = self.client.send("POST", f"{API}/runs/search", content=content, headers=headers, care=care)
        if len(response.content) > LONGEST_PAGE:
            self._run_pages.shorten(body["max_results"] // 2)
        return json_of(response)

    def search_every(
        self,
        experiment_ids: Sequence[str],
        filter_string: str,
        state: str = "all",
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> Iterator[Run]:
        """All runs of a search, each once; the first page has at most `most` of them, and each further one twice that.

        MLflow's page tokens are offsets, which shift when a run is purged meanwhile. So in the order of start time
        each page is asked for by it (from that of the last run seen on), and offsets are used only within one and
        the same start time. In another order a run that others purge meanwhile may make one be passed over.
        A page may be empty, or have no run that can be read, and others follow. A server that ignores order or bounds
        is read by its tokens, and one that ignores filters is filtered here.
        """
        conditions = list(conjuncts(parse(filter_string))) if filter_string else []
        heeded = [condition for condition in conditions if is_heeded(condition)]
        nothing = Facts.of(())

        def meets(run: Run, conditions: Sequence[Expression]) -> bool:
            is_there = state == "all" or run.lifecycle_stage == state
            return is_there and all(matches(condition, run, nothing) for condition in conditions)

        found = self._search_every(experiment_ids, filter_string, state, by, most)
        return self._oddities.asked_for(found, partial(meets, conditions=conditions), partial(meets, conditions=heeded))

    def _search_every(
        self, experiment_ids: Sequence[str], filter_string: str, state: str, by: Sequence[str], most: int
    ) -> Iterator[Run]:
        since: int | None = None
        by_time, is_oldest_first = is_by_time(by), by == OLDEST_FIRST
        token, listing = "", Listing("runs")
        seen: set[str] = set()
        while True:
            bound = "" if since is None else f"attributes.start_time {'>=' if is_oldest_first else '<='} {since}"
            condition = " AND ".join(part for part in (filter_string, bound) if part)
            page, token = self.search(experiment_ids, condition, state, token, by, most)
            most = min(PAGE, 2 * most)
            fresh = [run for run in page if run.run_id not in seen]
            seen.update(run.run_id for run in fresh)
            yield from fresh
            if by_time and not self._oddities.is_ordered(page, since, not is_oldest_first):
                by_time, since, token, listing = False, None, "", Listing("runs", len(seen))
                continue
            if not token:
                return
            look(listing, token, page, fresh)
            last = page[-1].start_time if page else None
            if by_time and last is not None and last != since and last != page[0].start_time:
                since, token, listing = last, "", Listing("runs", len(page))

    def chunks(self, experiment_ids: Sequence[str]) -> Iterator[Sequence[str]]:
        """So many experiments as one search may name."""
        return _chunks(experiment_ids, self._habits.experiments_a_search)

    def deleted_runs(self, experiment_id: str) -> Iterator[Run]:
        """Those of an experiment."""
        return self.search_every([experiment_id], "", "deleted")

    def search_everywhere(self, filter_string: str) -> Iterator[Run]:
        """`search_every` over all experiments of the workspace."""
        for chunk in self.chunks([e.experiment_id for e in self._all_experiments()]):
            yield from self.search_every(chunk, filter_string)

    def runs_of(
        self,
        experiment_ids: Sequence[str],
        selection: Selection,
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> Iterator[Run]:
        """The runs of these experiments that a selection means (by id: each id's chunk apart); see `search_every`."""
        parts = [selection.filter]
        if selection.since is not None:
            parts.append(f"attributes.start_time >= {selection.since}")
        if selection.until is not None:
            parts.append(f"attributes.start_time <= {selection.until}")
        if not selection.runs:
            condition = " AND ".join(p for p in parts if p)
            yield from self.search_every(experiment_ids, condition, selection.state, by, most)
            return
        for chunk in _chunks(selection.runs, IDS_A_SEARCH):
            ids = ", ".join(f"'{_quotable(run_id)}'" for run_id in chunk)
            condition = " AND ".join(p for p in (*parts, f"attributes.run_id IN ({ids})") if p)
            yield from self.search_every(experiment_ids, condition, selection.state)

    def _all_experiments(self) -> Iterator[Experiment]:
        def ask(token: str) -> dict[str, Any]:
            body: dict[str, Any] = {"view_type": "ALL"}
            if self._habits.experiment_order:
                body["order_by"] = list(self._habits.experiment_order)
            if token:
                body["page_token"] = token
            answer = self._experiment_pages.ask(
                lambda size, care: self.client.post(
                    f"{API}/experiments/search", {**body, "max_results": size}, care=care
                )
            )
            return without_nulls(answer, "experiments")

        seen: set[str] = set()
        for page in pages(ask, "experiments"):
            sound, odd = wire.experiments({"experiments": page}, self._habits.experiment)
            self._odd_experiments.update(((one.id, one.kind), one) for one in odd)
            for found in sound:
                if found.experiment_id not in seen:
                    yield found
                seen.add(found.experiment_id)

    def _runs_of_all(
        self,
        experiments: Sequence[Experiment],
        selection: Selection,
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> Iterator[Run]:
        is_meant = chooser(selection, Facts.of(experiments, has_model_version=self._versions.has))
        if selection.filter:
            expression = parse(selection.filter)
            experiments = narrowed(expression, experiments)
            selection = _for_server(selection, expression, self._habits.dialect or self.server.dialect)
        for chunk in _chunks([e.experiment_id for e in experiments], self._habits.experiments_a_search):
            yield from (run for run in self.runs_of(chunk, selection, by, most) if is_meant(run, ()))

    def _has_logged_models(self, run_id: str) -> bool:
        """Whether there are any in the whole workspace: a run's input may lie in another experiment."""
        if self._logged_models is None:
            ids = [e.experiment_id for e in self._all_experiments()]
            chunks = _chunks(ids, self._habits.experiments_a_search)
            try:
                self._logged_models = any(map(self._any_logged_model, chunks))
            except RequestRefused as error:
                self._logged_models = not is_unknown(error) and self._may_have_logged_models(run_id)
        return self._logged_models

    def _any_logged_model(self, experiment_ids: Sequence[str]) -> bool:
        body = {"experiment_ids": list(experiment_ids), "max_results": 1}
        return bool(listed(self.client.post(f"{API}/logged-models/search", body, care=OPTIONAL), "models"))

    def _may_have_logged_models(self, run_id: str) -> bool:
        """Of a server that does not tell: MLflow 3 and newer has them, and gives every run its outputs, if only {}."""
        if not self._habits.is_mlflow:
            return True
        try:
            return "outputs" in part(self.client.get(f"{API}/runs/get", run_id=run_id), "run")
        except RequestRefused:
            return True

    def _model_inputs(self, run_id: str) -> tuple[ModelLink, ...] | Problem:
        try:
            return wire.run(part(self.client.get(f"{API}/runs/get", run_id=run_id), "run")).model_inputs
        except RequestRefused as error:
            return Problem("input", "logged models", str(error))


def open_server(
    address: Address, workers: int, patience: Patience | None = None, limits: Limits = UNLIMITED
) -> RestWorkspace:
    """The open-source server at an address. Raises WorkspaceUnreachable, AccessDenied, WorkspaceError."""
    connections = workers + 4
    client = Client(address.url, address.credentials, connections, patience, limits)
    server = meet(client, address)
    artifacts = ArtifactStore(client, server, S3Artifacts(options_for(address), connections, limits, patience))
    if server.workspace and not address.workspace:
        address = dataclasses.replace(address, workspace=server.workspace)
    return RestWorkspace(client, server, artifacts, Place("MLflow server", address.printable, server.version))


def _for_server(selection: Selection, expression: Expression, dialect: Dialect) -> Selection:
    """With as much of the filter as the server takes."""
    narrower = state(expression)
    if selection.state == "all":
        selection = dataclasses.replace(selection, state=narrower)
    return dataclasses.replace(selection, filter=pushed(expression, dialect))


def look(listing: Listing, token: str, page: Sequence[Run], fresh: Sequence[Run]) -> None:
    """Raises WorkspaceUnreachable for a list of runs without an end: it is the whole that cannot be read."""
    try:
        listing.page(token, len(page), len(fresh))
    except RequestRefused as error:
        raise WorkspaceUnreachable(str(error)) from None


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _quotable(run_id: str) -> str:
    return run_id.replace("'", "")
