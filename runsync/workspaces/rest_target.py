"""An MLflow tracking server as a target.

Identity: a copy carries the id its run was born with (`runsync.source.run_id`), set in the very request that makes it.
So what is there already is found by a few searches, and nothing is made twice. A copy is whole once it carries
`runsync.complete`, which is written after all its points and artifacts are in.

Two imports at once into one target: each looks for twins after it has made its runs, claims those it goes on with (in
the first request that fills them), and looks again before it marks them whole. Of two twins the one already whole
stays, else the one that is claimed, else the one of the smaller id; the other import takes back its own and fills up
the one that stays. Two of a run can remain only when one import needs longer from its first look to its first request
than the other needs for all of the run.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING

from runsync.errors import BundleDamaged, RequestRefused
from runsync.model import numbers
from runsync.model.experiment import DELETED, Experiment
from runsync.model.identity import (
    CLAIMED,
    COMPLETE,
    LINK_TAGS,
    ORIGIN,
    PARENT,
    SESSION,
    SOURCE,
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
from runsync.workspaces.rest_runs import LONGEST_PARAM, Copy, RunWriter, target_tags

if TYPE_CHECKING:
    import pyarrow as pa

OF_COPIES = f"tags.`{ORIGIN}` LIKE '%'"
ITEM_ERRORS = (RequestRefused, BundleDamaged)


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
        self._there: dict[tuple[str, str], _There] = {}
        self._new_ids: dict[str, str] = {}
        self._outside: set[str] = set()
        self._waiting: list[Copy] = []
        self._unlinked: list[Copy] = []
        self._lost: Counter[str] = Counter()
        self._orphans: list[str] = []
        self._linked: list[_Linked] = []
        self._moved: dict[str, str] = {}
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
        self._settle_twins(copies)
        self._fill(copies, batch, source, pool, progress)
        moved = self._settle_twins(copies)
        self._fill(moved, batch, source, pool, progress)
        done = [copy for copy in copies if copy.error or self._is_linked(copy)]
        _each(pool, self._finish, [copy for copy in done if not copy.is_whole])
        progress.advance(runs=len(copies))
        return outcomes + [_outcome(copy) for copy in done]

    def finish(self, not_carried: Sequence[NotCarried]) -> list[Outcome]:
        """Links children to parents that came after them, and deletes experiments that were deleted at the source."""
        outcomes = []
        for copy in self._settle_twins(self._waiting):
            if not copy.is_whole:
                copy.error = "another import is writing this run now: run this one again when that has ended"
        for copy in self._waiting:
            try:
                if not copy.error and not copy.is_whole:
                    self._link(copy)
                    self._writer.finish(copy)
            except ITEM_ERRORS as error:
                copy.error = str(error)
            outcomes.append(_outcome(copy))
        for copy in self._unlinked:
            try:
                self._link_again(copy)
            except ITEM_ERRORS as error:
                outcomes.append(replace(_outcome(copy), action=FAILED, error=str(error)))
        self._follow_moved()
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
        if self._orphans:
            why = "the parent is not in the target; its old id is in runsync.source.mlflow.parentRunId"
            lost.append(NotCarried("links to parents", len(self._orphans), why, tuple(self._orphans[:20])))
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

    def _resolve(self, source_id: str) -> str | None:
        """The target's id of a run of the source, once that was looked at."""
        return self._new_ids.get(source_id)

    def _find_outside(self, run: Run, tag: str) -> None:
        """Looks in the whole target for a run that this one links to and that is not in this import."""
        source_id = run.tags[tag]
        origin = run.tags.get(SOURCE + tag, source_id)
        if source_id in self._new_ids or source_id in self._outside or not origin.isalnum():
            return
        self._outside.add(source_id)
        for condition in (f"tags.`{ORIGIN}` = '{origin}'", f"attributes.run_id = '{origin}'"):
            for found in self._workspace.search_everywhere(condition):
                self._new_ids[source_id] = found.run_id
                return

    def _step(self, run: Run, contents: Contents | None) -> Step:
        error = self._experiments.error(run.experiment_id)
        if error:
            return Step(run.run_id, FAILED, error=error)
        there = self._there.get((self._target_experiment(run), origin_of(run)))
        if there is None:
            return Step(run.run_id, CREATE)
        with self._lock:
            self._new_ids[run.run_id] = there.run_id
        tags = target_tags(run, there.run_id, self._resolve)
        same = there.complete == str(self._mark(run, contents, Mark.parse(there.complete)))
        same = same and there.state == fingerprint(_visible(replace(run, tags=tags)))
        if same and any(tag in run.tags for tag in LINK_TAGS):
            present = replace(run, run_id=there.run_id, tags={**tags, COMPLETE: there.complete})
            mark = self._mark(run, contents, Mark.parse(there.complete))
            copy = Copy(run, self._target_experiment(run), there.run_id, mark, present)
            copy.tags_there = there.links
            with self._lock:
                self._unlinked.append(copy)
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
        tags = target_tags(copy.run, "", self._resolve)
        copy.tags_there = {key: value for key, value in tags.items() if value or key not in LINK_TAGS}
        copy.target_id, copy.artifact_uri = self._writer.create(copy.run, copy.experiment_id, copy.tags_there)
        with self._lock:
            self._new_ids[copy.run.run_id] = copy.target_id

    def _settle_twins(self, copies: Sequence[Copy]) -> list[Copy]:
        """Where another import made the same runs at the same time, both go on with the same one of each two.

        Gives the copies that moved to the other's run.
        """
        ours = [c for c in copies if c.present is None and not c.is_whole and c.target_id]
        if not ours:
            return []
        starts = [copy.run.start_time or 0 for copy in ours]
        bound = f"attributes.start_time >= {min(starts)} AND attributes.start_time <= {max(starts)}"
        places = sorted({copy.experiment_id for copy in ours})
        found: dict[tuple[str, str], list[Run]] = {}
        for run in self._workspace.search_every(places, f"{OF_COPIES} AND {bound}"):
            found.setdefault((run.experiment_id, origin_of(run)), []).append(run)
        moved = []
        for copy in ours:
            twins = found.get((copy.experiment_id, origin_of(copy.run)), [])
            stays = min(twins, key=_rank, default=None)
            if stays is not None and stays.run_id != copy.target_id:
                try:
                    self._writer.discard(copy.target_id, stays.run_id)
                except ITEM_ERRORS as error:
                    copy.error = str(error)
                    continue
                self._move(copy, stays)
                moved.append(copy)
        return moved

    def _move(self, copy: Copy, stays: Run) -> None:
        with self._lock:
            self._moved[copy.target_id] = stays.run_id
        copy.target_id, copy.artifact_uri, copy.tags_there = stays.run_id, stays.artifact_uri, stays.tags
        copy.is_whole = stays.tags.get(COMPLETE) == str(copy.mark)
        copy.error = ""  # what was refused on the run that was taken back says nothing of this one
        with self._lock:
            self._new_ids[copy.run.run_id] = stays.run_id

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
        tags = target_tags(copy.run, copy.target_id, self._resolve)
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

    def _is_linked(self, copy: Copy) -> bool:
        """Whether the runs it links to are in; else it is finished at the end."""
        if not _unresolved(copy.run, target_tags(copy.run, copy.target_id, self._resolve)):
            return True
        with self._lock:
            self._waiting.append(copy)
        return False

    def _finish(self, copy: Copy) -> None:
        """Also sets right a link to a run that was taken back for its twin meanwhile."""
        tags = target_tags(copy.run, copy.target_id, self._resolve)
        for tag in LINK_TAGS:
            if tag in tags and copy.tags_there.get(tag) != tags[tag]:
                self._writer.set_tag(copy.target_id, tag, tags[tag])
        self._writer.finish(copy)
        links = frozenset((tag, tags[tag]) for tag in LINK_TAGS if tag in tags)
        if links and copy.present is None:
            with self._lock:
                self._linked.append(_Linked(copy.target_id, copy.run.lifecycle_stage == DELETED, links))

    def _follow_moved(self) -> None:
        """Links of finished runs to runs that were taken back for their twins after that."""
        for linked in self._linked:
            stale = [(tag, self._moved[value]) for tag, value in linked.links if value in self._moved]
            if stale:
                self._writer.relink(linked.run_id, stale, linked.is_deleted)

    def _links_to_set(self, copy: Copy) -> dict[str, str]:
        """Links that the target has not yet, or has otherwise; notes a parent that is nowhere in it."""
        for tag in LINK_TAGS:
            if tag in copy.run.tags:
                self._find_outside(copy.run, tag)
        tags = target_tags(copy.run, copy.target_id, self._resolve)
        if PARENT in copy.run.tags and PARENT not in tags:
            self._orphans.append(copy.run.run_id)
        return {tag: tags[tag] for tag in LINK_TAGS if tag in tags and copy.tags_there.get(tag) != tags[tag]}

    def _link(self, copy: Copy) -> None:
        for tag, value in self._links_to_set(copy).items():
            self._writer.set_tag(copy.target_id, tag, value)

    def _link_again(self, copy: Copy) -> None:
        """A run that was left as it is, when only now a run it links to has come."""
        links = self._links_to_set(copy)
        if links:
            self._writer.restore(copy)
            for tag, value in links.items():
                self._writer.set_tag(copy.target_id, tag, value)
            self._writer.finish(copy)


@dataclass(frozen=True, slots=True)
class _Linked:
    """A finished run of this import and the links it was given."""

    run_id: str
    is_deleted: bool
    links: frozenset[tuple[str, str]]


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


def _rank(run: Run) -> tuple[int, str]:
    """Of twins the least stays: a whole one, one that is claimed, the one of the smaller id."""
    claimed = run.tags.get(SESSION, "").endswith(CLAIMED)
    return (0 if COMPLETE in run.tags else 1 if claimed else 2, run.run_id)


def _visible(run: Run) -> Run:
    """The run as a target can show it, links apart (they are compared when all runs are in)."""
    metrics = (replace(metric, value=numbers.stored(metric.value)) for metric in run.latest_metrics)
    params = {key: value for key, value in run.params.items() if len(value) <= LONGEST_PARAM}
    tags = {key: value for key, value in run.tags.items() if key not in LINK_TAGS}
    return replace(run, params=params, tags=tags, latest_metrics=tuple(metrics), model_inputs=(), model_outputs=())


def _unresolved(run: Run, tags: Mapping[str, str]) -> bool:
    return any(tag in run.tags and tag not in tags for tag in LINK_TAGS)


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
