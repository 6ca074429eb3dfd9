"""An MLflow tracking server as a target.

Identity: a copy carries the id its run was born with (`runsync.source.run_id`), set in the very request that makes it.
So what is there already is found by a few searches, and nothing is made twice. A copy is whole once it carries
`runsync.complete`, which is written after all its points and artifacts are in.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING

from runsync.errors import ITEM_ERRORS
from runsync.model import numbers
from runsync.model.experiment import Experiment
from runsync.model.identity import (
    CLAIMED,
    COMPLETE,
    LINK_TAGS,
    SESSION,
    fingerprint,
    origin_of,
)
from runsync.model.mark import NOT_CARRIED, Mark
from runsync.model.naming import Naming
from runsync.model.points import as_table, distinct, from_distinct, missing
from runsync.model.progress import Progress
from runsync.model.protocol import (
    CREATE,
    FAILED,
    UNCHANGED,
    UPDATE,
    Histories,
    NotCarried,
    Outcome,
    Source,
    Step,
)
from runsync.model.run import Batch, Contents, Run
from runsync.model.selection import Selection
from runsync.workspaces.rest import RestWorkspace
from runsync.workspaces.rest_carry import ArtifactCarrier
from runsync.workspaces.rest_experiments import ExperimentMap
from runsync.workspaces.rest_links import Links
from runsync.workspaces.rest_runs import LONGEST_PARAM, Copy, RunWriter
from runsync.workspaces.rest_twins import OF_COPIES, Twins

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How runs are put into a target."""

    naming: Naming = field(default_factory=Naming)
    artifacts: bool = True
    verify_artifacts: bool = False
    restore_deleted: bool = False


class RestTarget:
    """One import into one server."""

    def __init__(self, workspace: RestWorkspace, options: ImportOptions) -> None:
        self.place = workspace.place
        self._workspace = workspace
        self._options = options
        self._session = secrets.token_hex(8)
        self._experiments = ExperimentMap(workspace.client, options.naming, options.restore_deleted)
        self._writer = RunWriter(workspace.client, workspace.artifact_store, self._session)
        self._links = Links(workspace, self._writer)
        self._twins = Twins(workspace, self._writer, self._links)
        self._there: dict[tuple[str, str], _There] = {}
        self._lost: Counter[str] = Counter()
        self._lock = Lock()

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> list[Outcome]:
        """Finds the experiments that are there, and in them the copies of earlier imports: a search per 1000 runs."""
        existing = self._workspace.experiments(Selection())
        outcomes = self._experiments.begin(experiments, existing)
        ids = self._experiments.existing_ids()
        self._lost.update({"experiment ids, creation and update times": len(experiments)})
        self._find_copies(ids)
        return outcomes

    def prepare(self) -> list[Outcome]:
        """Makes the experiments. Those that had to be restored are looked through again: so were all their runs."""
        outcomes = self._experiments.prepare()
        self._find_copies(self._experiments.restored)
        return outcomes

    def plan(self, batch: Batch) -> list[Step]:
        """Compares each run with what is there of it."""
        self._look_for_natives(batch.runs)
        self._lost.update(
            {
                "run ids, creation and deletion times, artifact URIs": len(batch.runs),
                "links to logged models": sum(len(r.model_inputs) + len(r.model_outputs) for r in batch.runs),
            }
        )
        return [self._step(run, batch.contents.get(run.run_id)) for run in batch.runs]

    def put(
        self, batch: Batch, steps: Sequence[Step], source: Source, pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """Makes what is missing, fills it, looks for twins, and marks what is whole."""
        by_id = {run.run_id: run for run in batch.runs}
        outcomes = [_settled(by_id[step.run_id], step) for step in steps if step.action in (UNCHANGED, FAILED)]
        progress.advance(runs=len(outcomes))
        todo = [step for step in steps if step.action in (CREATE, UPDATE)]
        if not todo:
            return outcomes
        present = self._present(todo)
        copies = [self._copy(by_id[step.run_id], batch.contents.get(step.run_id), step, present) for step in todo]
        _each(pool, self._make, [copy for copy in copies if not copy.target_id])
        self._twins.settle(copies)
        self._fill(copies, batch, source, pool, progress)
        moved = self._twins.settle(copies)
        self._fill(moved, batch, source, pool, progress)
        done = [copy for copy in copies if copy.error or self._links.are_known(copy)]
        _each(pool, self._links.finish, [copy for copy in done if not copy.is_whole])
        progress.advance(runs=len(copies))
        return outcomes + [_outcome(copy) for copy in done]

    def finish(self, not_carried: Sequence[NotCarried]) -> list[Outcome]:
        """Links children to parents that came after them, and deletes experiments that were deleted at the source."""
        for copy in self._twins.settle(self._links.waiting):
            if not copy.is_whole:
                copy.error = "another import is writing this run now: run this one again when that has ended"
        self._links.finish_waiting()
        outcomes = [_outcome(copy) for copy in self._links.waiting]
        outcomes += [_outcome(copy) for copy in self._links.relink()]
        return outcomes + self._experiments.finish()

    def cannot_keep(self) -> list[NotCarried]:
        """What REST has no place for, and links whose other end is not in the target."""
        why = "the REST API sets them itself; kept in the bundle, and the old ids in runsync.source.* tags"
        lost = [NotCarried(what, count, why) for what, count in self._lost.items() if count and "links" not in what]
        models = self._lost["links to logged models"]
        if models:
            lost.append(
                NotCarried("links to logged models", models, "logged models are not carried; kept in the bundle")
            )
        if self._links.orphans:
            why = "the parent is not in the target; its old id is in runsync.source.mlflow.parentRunId"
            lost.append(NotCarried("links to parents", len(self._links.orphans), why, tuple(self._links.orphans[:20])))
        return lost

    def _find_copies(self, experiment_ids: Sequence[str]) -> None:
        if experiment_ids:
            with self._lock:
                self._there = {place: there for place, there in self._there.items() if place[0] not in experiment_ids}
            for run in self._workspace.search_every(experiment_ids, OF_COPIES):
                self._remember(run)

    def _remember(self, run: Run, origin: str = "") -> None:
        """Notes a run that is there; of twins, the one that stays (see the module's word on that)."""
        place = (run.experiment_id, origin or origin_of(run))
        links = {tag: run.tags[tag] for tag in LINK_TAGS if tag in run.tags}
        there = _There(run.run_id, run.tags.get(COMPLETE, ""), fingerprint(_visible(run)), links)
        with self._lock:
            if place not in self._there or there.rank < self._there[place].rank:
                self._there[place] = there

    def _look_for_natives(self, runs: Sequence[Run]) -> None:
        """Runs may come home: then the target has them under their origin id, without any tag of ours."""
        ids = self._experiments.existing_ids()
        unknown = [origin_of(run) for run in runs if (self._target_experiment(run), origin_of(run)) not in self._there]
        if ids and unknown:
            condition = Selection(runs=tuple(unknown))
            for run in self._workspace.runs_of(ids, condition):
                self._remember(run, origin=run.run_id)

    def _target_experiment(self, run: Run) -> str:
        return self._experiments.target_id(run.experiment_id)

    def _step(self, run: Run, contents: Contents | None) -> Step:
        error = self._experiments.error(run.experiment_id)
        if error:
            return Step(run.run_id, FAILED, error=error)
        there = self._there.get((self._target_experiment(run), origin_of(run)))
        if there is None:
            return Step(run.run_id, CREATE)
        self._links.note(run.run_id, there.run_id)
        tags = self._links.tags(run, there.run_id)
        same = there.complete == str(self._mark(run, contents, Mark.parse(there.complete)))
        same = same and there.state == fingerprint(_visible(replace(run, tags=tags)))
        if same and any(tag in run.tags for tag in LINK_TAGS):
            present = replace(run, run_id=there.run_id, tags={**tags, COMPLETE: there.complete})
            mark = self._mark(run, contents, Mark.parse(there.complete))
            copy = Copy(run, self._target_experiment(run), there.run_id, mark, present)
            copy.tags_there = there.links
            self._links.check_later(copy)
        return Step(run.run_id, UNCHANGED if same else UPDATE, there.run_id)

    def _mark(self, run: Run, contents: Contents | None, there: Mark | None) -> Mark:
        """What the copy is to be marked with. Without artifacts, those that an earlier import brought still count."""
        mark = Mark.of(run, contents)
        if self._options.artifacts:
            return mark
        return replace(mark, artifacts=there.artifacts if there else NOT_CARRIED)

    def _present(self, todo: Iterable[Step]) -> dict[str, Run]:
        ids = [step.target_id for step in todo if step.target_id]
        if not ids:
            return {}
        found = self._workspace.runs_of(self._experiments.existing_ids(), Selection(runs=tuple(ids)))
        return {run.run_id: run for run in found}

    def _copy(self, run: Run, contents: Contents | None, step: Step, present: dict[str, Run]) -> Copy:
        there = present.get(step.target_id)
        mark = self._mark(run, contents, Mark.parse(there.tags.get(COMPLETE, "")) if there else None)
        copy = Copy(run, self._target_experiment(run), step.target_id, mark, there)
        if there is not None:
            copy.artifact_uri, copy.tags_there = there.artifact_uri, there.tags
        return copy

    def _make(self, copy: Copy) -> None:
        self._experiments.activate(copy.run.experiment_id)
        tags = self._links.tags(copy.run, "")
        copy.tags_there = {key: value for key, value in tags.items() if value or key not in LINK_TAGS}
        copy.target_id, copy.artifact_uri = self._writer.create(copy.run, copy.experiment_id, copy.tags_there)
        self._links.note(copy.run.run_id, copy.target_id)

    def _fill(self, copies: Sequence[Copy], batch: Batch, source: Source, pool: Executor, progress: Progress) -> None:
        """Params, tags, points, inputs and artifacts."""
        todo = [copy for copy in copies if not copy.is_whole and not copy.error]
        if not todo:
            return
        runs = replace(batch, runs=tuple(copy.run for copy in todo))
        there = Batch(tuple(copy.present for copy in todo if copy.present and not copy.has_same("points")))
        with source.histories(runs, pool) as histories, self._workspace.histories(there, pool) as present:
            _each(pool, lambda copy: self._log(copy, histories, present, progress), todo)
        if self._options.artifacts:
            ArtifactCarrier(self._writer, source, pool, progress, self._options.verify_artifacts).carry(
                [copy for copy in todo if not copy.error], batch.contents
            )

    def _log(self, copy: Copy, histories: Histories, present: Histories, progress: Progress) -> None:
        self._writer.restore(copy)
        tags = self._links.tags(copy.run, copy.target_id)
        tags = {key: value for key, value in tags.items() if copy.tags_there.get(key) != value}
        if copy.present is None:
            tags[SESSION] = self._session + CLAIMED
        points: Iterable[pa.RecordBatch] = ()
        if copy.present is None:
            points = histories.of(copy.run.run_id)
        elif not copy.has_same("points"):
            wanted = distinct(as_table(histories.of(copy.run.run_id)))
            points = from_distinct(missing(wanted, distinct(as_table(present.of(copy.target_id)))))
        before = copy.points
        self._writer.log(copy, tags, points)
        copy.tags_there = {**copy.tags_there, **tags}
        self._writer.log_inputs(copy)
        progress.advance(points=copy.points - before)


@dataclass(frozen=True, slots=True)
class _There:
    """A run that is in the target already: its mark, the fingerprint of what a search tells of it, and its links."""

    run_id: str
    complete: str
    state: str
    links: Mapping[str, str]

    @property
    def rank(self) -> tuple[bool, str]:
        return (not self.complete, self.run_id)


def _visible(run: Run) -> Run:
    """The run as a target can show it, links apart (they are compared when all runs are in)."""
    metrics = (replace(metric, value=numbers.stored(metric.value)) for metric in run.latest_metrics)
    params = {key: value for key, value in run.params.items() if len(value) <= LONGEST_PARAM}
    tags = {key: value for key, value in run.tags.items() if key not in LINK_TAGS}
    return replace(run, params=params, tags=tags, latest_metrics=tuple(metrics), model_inputs=(), model_outputs=())


def _settled(run: Run, step: Step) -> Outcome:
    return Outcome("run", run.run_id, run.name, step.action, step.target_id, error=step.error)


def _outcome(copy: Copy) -> Outcome:
    action = FAILED if copy.error else CREATE if copy.present is None else UPDATE
    run = copy.run
    return Outcome(
        "run",
        run.run_id,
        run.name,
        action,
        copy.target_id,
        copy.points,
        copy.artifacts,
        copy.bytes,
        tuple(copy.problems),
        copy.error,
    )


def _each(pool: Executor, act: Callable[[Copy], None], copies: Sequence[Copy]) -> None:
    """Does something with each copy, side by side; what one item refuses is noted on it, and it is left alone after."""

    def guarded(copy: Copy) -> None:
        if copy.error:
            return
        try:
            act(copy)
        except ITEM_ERRORS as error:
            copy.error = str(error)

    for future in [pool.submit(guarded, copy) for copy in copies]:
        future.result()
