"""An MLflow tracking server as a target.

Identity: a copy carries the id its run was born with (`runsync.source.run_id`), set in the very request that makes it.
So what is there already is found by a few searches, and nothing is made twice. A copy is whole once it carries
`runsync.complete`, which is written after all its points and artifacts are in.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runsync.contract.entities import EntityTarget
from runsync.contract.source import Histories, Source
from runsync.errors import RequestRefused, WrongUsage
from runsync.kinds.ids import Ids
from runsync.kinds.kind import EXPERIMENTS, E, Kind
from runsync.kinds.left_behind import changed
from runsync.kinds.traces import TRACES
from runsync.model.experiment import DELETED, Experiment
from runsync.model.identity import (
    ARRIVES,
    CLAIMED,
    COMPLETE,
    COPY,
    FROM,
    LINK_TAGS,
    SESSION,
    is_ours,
)
from runsync.model.import_options import ImportOptions
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome, Step
from runsync.model.points import as_table, distinct, from_distinct, missing
from runsync.model.progress import Progress
from runsync.model.provenance import Provenance, key_of, shown_address
from runsync.model.run import Batch, Contents, Problem, Run
from runsync.model.selection import RUNS, Selection
from runsync.model.wording import counted as agreed
from runsync.workspaces.arrival.carry import ArtifactCarrier
from runsync.workspaces.arrival.copy import Copy, address_of, counted, each, guarded, settled
from runsync.workspaces.arrival.deletions import Deletions
from runsync.workspaces.arrival.document_deletions import DocumentDeletions
from runsync.workspaces.arrival.documents import DocumentTarget, Home
from runsync.workspaces.arrival.evidence import shares_runs
from runsync.workspaces.arrival.experiments import ExperimentMap
from runsync.workspaces.arrival.files import FileWriter
from runsync.workspaces.arrival.lookup import Lookup
from runsync.workspaces.arrival.marks import is_always_looked_at, is_as_wanted, wanted_mark
from runsync.workspaces.arrival.model_deletions import Holdings
from runsync.workspaces.arrival.model_marks import Marks
from runsync.workspaces.arrival.present import Present, There
from runsync.workspaces.arrival.trace_deletions import TraceDeletions
from runsync.workspaces.http.care import TOO_LARGE
from runsync.workspaces.rest.collisions import again, is_inactive
from runsync.workspaces.rest.equal_keys import firsts
from runsync.workspaces.rest.experiments import RestExperiments
from runsync.workspaces.rest.foreseen import ForeseenFiles
from runsync.workspaces.rest.links import Links, has_links
from runsync.workspaces.rest.model_targets import ModelTargets
from runsync.workspaces.rest.present import RestRuns
from runsync.workspaces.rest.refused import is_of_entries
from runsync.workspaces.rest.runs import RunWriter
from runsync.workspaces.rest.second_copies import SecondCopies
from runsync.workspaces.rest.trace_target import TraceTarget
from runsync.workspaces.rest.twins import Twins
from runsync.workspaces.rest.workspace import RestWorkspace

if TYPE_CHECKING:
    import pyarrow as pa

_SET_BY_SERVER = {
    "experiment": "ids, creation and update times",
    "run": "ids, creation and deletion times, artifact URIs",
}


class RestTarget:
    """One import or sync into one server."""

    def __init__(
        self,
        workspace: RestWorkspace,
        options: ImportOptions,
        beside: Callable[[Holdings], Holdings] = lambda own: own,
    ) -> None:
        """`beside` adds models of other registries to those that may be deleted. Raises WrongUsage for copies without
        tags."""
        if not options.tags:
            raise WrongUsage(
                f"{workspace.place.address} is a server, which gives copies new ids: only their tags tell what they "
                "are copies of, so --no-tags is for databases and file stores"
            )
        self.place = workspace.place
        self._workspace = workspace
        self._options = options
        self._session = secrets.token_hex(8)
        policy = options.deletions
        writer = RestExperiments(workspace)
        self._experiments = ExperimentMap(writer, options)
        habits = workspace.habits
        self._writer = RunWriter(workspace.client, self._session, habits.params_a_run, habits.longest_tag)
        store, writing = workspace.artifact_store, self._writer
        self._files = FileWriter(store, writing.touch, store.expect, writing.tag, options.keep_mlmodel)
        self._links = Links(workspace, self._writer)
        self._runs = RestRuns(workspace)
        self._present = Present(self._runs)
        self._twins = Twins(workspace, self._writer, self._links, self._present)
        self._second_copies = SecondCopies(workspace, self._writer, self._present)
        self._lookup = Lookup(self._present, self._experiments)
        self._deletions = Deletions(policy, self._present, self._experiments, workspace.editor(), moves_runs=False)
        self._lost: Counter[str] = Counter()
        self.ids = Ids({EXPERIMENTS: self._experiments.known_id, RUNS: self._links.find})
        """The target's ids of what the source has."""
        self.models = ModelTargets(
            workspace, options, self._experiments, self._links, self.ids, self._writer, lambda: self._from, beside
        )
        self._links.models = self.models.links
        self._traces = self._trace_target()
        self._existing: list[Experiment] = []
        self._documents = self._document_targets()
        self._document_deletions = DocumentDeletions(
            policy,
            workspace.documents,
            self._experiments,
            lambda: self._existing,
            workspace.editor().untag_experiment,
        )
        self._trace_deletions = TraceDeletions(policy, self._traces, self._experiments, options.asked)
        self._without_start = 0
        self._foreseen_files = ForeseenFiles(store, ())

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> list[Outcome]:
        """Finds the experiments that are there, and in them the copies of earlier imports: a search per 1000 runs."""
        existing = self._workspace.existing(self._options.restore_deleted)
        self._existing = existing
        self._runs.begin(existing)
        self._foreseen_files = ForeseenFiles(self._workspace.artifact_store, existing)
        are_all = selection == Selection() and source.is_all
        addresses = address_of(source.place), self.place.address
        evidence = shares_runs(source, self._workspace)
        unread = source.unreadable_experiments()
        outcomes = self._experiments.begin(experiments, existing, addresses, are_all, evidence, unread)
        self._source, self._from = source.place, source
        self._writer.came_from = addresses[0]
        self._lost.update({"experiment": len(experiments)})
        self._present.look(self._experiments.existing_ids())
        self._deletions.begin(source, selection, experiments)
        self.models.deletions.begin(source, selection, experiments)
        self._document_deletions.begin(source, selection, experiments)
        self._trace_deletions.begin(source, selection, experiments, existing)
        return outcomes

    def prepare(self) -> list[Outcome]:
        """Makes the experiments. Those that had to be restored are looked through again: so were all their runs. Takes
        back second copies."""
        outcomes = self._experiments.prepare()
        self._present.look(self._experiments.restored)
        self._second_copies.take_back()
        return outcomes

    def plan(self, batch: Batch) -> list[Step]:
        """Compares each run with what is there of it."""
        self._deletions.note_unread(batch.unreadable)
        self._lookup.look(batch.runs)
        self._lost["run"] += len(batch.runs)
        self._without_start += sum(run.start_time is None for run in batch.runs)
        self._links.count(batch.runs)
        return [self._step(run, batch.contents.get(run.run_id)) for run in batch.runs]

    def foresee_experiments(self) -> list[Outcome]:
        """See `Target`."""
        self._second_copies.foresee()
        return self._experiments.foresee()

    def foresee(self, batch: Batch, steps: Sequence[Step], source: Source) -> list[Step]:
        """What the server does not take, and files that cannot be read."""
        by_id = {run.run_id: self._deletions.wanted(run, self._there(run)) for run in batch.runs}
        there = self._read_again(by_id[step.run_id] for step in steps if step.target_id)
        return [
            self._foreseen(by_id[step.run_id], step, batch, there, source) if step.action in (CREATE, UPDATE) else step
            for step in steps
        ]

    def foresee_end(self) -> bool:
        """See `Target`."""
        has_more = self._links.foresee_end() or self._second_copies.are_to_go or self._deletions.are_due
        of_objects = self._document_deletions.are_due or self._trace_deletions.are_due
        return has_more or self.models.deletions.are_due or of_objects

    def put(
        self, batch: Batch, steps: Sequence[Step], source: Source, pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """Makes what is missing, fills it, looks for twins, and marks what is whole."""
        by_id = {run.run_id: self._deletions.wanted(run, self._there(run)) for run in batch.runs}
        outcomes = [settled(by_id[step.run_id], step) for step in steps if step.action in (UNCHANGED, FAILED)]
        progress.advance(runs=len(outcomes))
        todo = [step for step in steps if step.action in (CREATE, UPDATE)]
        if not todo:
            return outcomes
        if self._links.models is not None:
            whole = source.complete(Batch(tuple(by_id[step.run_id] for step in todo)), pool)
            by_id |= {run.run_id: run for run in whole.runs}  # with the logged models that they took as inputs
        present = self._read_again(by_id[step.run_id] for step in todo)
        copies = [self._copy(by_id[step.run_id], batch.contents.get(step.run_id), step, present) for step in todo]
        each(pool, self._make, [copy for copy in copies if not copy.target_id])
        self._twins.settle(copies)
        self._fill(copies, batch, source, pool, progress)
        moved = self._twins.settle(copies)
        self._fill(moved, batch, source, pool, progress)
        done = [copy for copy in copies if copy.error or self._links.are_known(copy)]
        each(pool, self._links.finish, [copy for copy in done if not copy.is_whole])
        if self._twins.has_met_others:
            self._finish_elsewhere([copy for copy in done if copy.error], batch, source, pool, progress)
        self._links.check_again([copy for copy in done if not copy.error])
        self.models.note(copies)
        progress.advance(runs=len(copies))
        return outcomes + [copy.outcome() for copy in done]

    def finish(self, not_carried: Sequence[NotCarried]) -> list[Outcome]:
        """Links children to parents that came after them, and deletes experiments that were deleted at the source."""
        moved = [copy for copy in self._twins.settle(self._links.waiting) if not copy.is_whole]
        self._links.finish_waiting(moved)  # first our own: the other import may wait for those
        for copy in self._twins.unfinished(moved):
            copy.error = "another import is writing this run: run this import again when that one has finished"
            copy.retry = True
        outcomes = [copy.outcome() for copy in self._links.waiting]
        self._links.check_again([copy for copy in self._links.waiting if not copy.error])
        outcomes += [copy.outcome() for copy in self._links.relink(self._twins.end(self._experiments.existing_ids()))]
        outcomes += self.models.deletions.finish()
        outcomes += self._document_deletions.finish() + self._trace_deletions.finish()
        outcomes += self._deletions.finish()
        return outcomes + self._experiments.finish()

    def cannot_keep(self) -> list[NotCarried]:
        """What REST has no place for, links whose other end is not in the target, and deletions not followed."""
        kept = "kept in the bundle" if self._source.kind == "bundle" else "kept at the source"
        why = f"the REST API sets them itself; {kept}, and the old ids in runsync.source.* tags"
        lost = [changed(f"{agreed(n, noun)}: {_SET_BY_SERVER[noun]}", n, why) for noun, n in self._lost.items() if n]
        if n := self._without_start:
            lost.append(changed(f"{agreed(n, 'run')}: no start time", n, "a server has 0 for none"))
        models = self.models.deletions.left() + self._document_deletions.left() + self._trace_deletions.left()
        return lost + self._links.left(kept) + self._deletions.left() + models

    def notes(self) -> list[str]:
        """Deletions that were followed, and copies that are not what they should be."""
        own = [*self._files.notes, *self._writer.notes, *self._foreseen_files.notes]
        copies = [*self._second_copies.notes, *self._twins.notes]
        models = self.models.notes() + self._document_deletions.notes() + self._trace_deletions.notes()
        return self._deletions.notes() + models + self._experiments.notes() + own + copies

    def entities(self, kind: Kind[E]) -> EntityTarget[E] | None:
        """Models, traces, and what is a document."""
        if kind.name == TRACES.name:
            return None if self._traces is None else self._trace_deletions.watching(self._traces)
        found: EntityTarget[E] | None = self._documents.get(kind.name)
        return found or self.models.of(kind)

    def _document_targets(self) -> Mapping[str, DocumentTarget[Any]]:
        editor = self._workspace.editor()
        home = Home(
            self._experiments,
            lambda: self._existing,
            editor.tag_experiment,
            self.ids,
            lambda: key_of(address_of(self._source)),
            self._options.asked,
        )
        stores = self._workspace.documents.items()
        targets = {kind.name: DocumentTarget(kind, store, home) for kind, store in stores}
        self.ids.add({name: target.find for name, target in targets.items()})
        return targets

    def _trace_target(self) -> TraceTarget | None:
        """None where the server has no way to keep their ids."""
        source = self._workspace.traces
        if source is None or TRACES.name in self._workspace.server.lacks:
            return None
        options = self._options
        marks = Marks(lambda: address_of(self._source), is_tagged=True, follows=not options.deletions.replays)
        client, store = self._workspace.client, self._workspace.artifact_store
        return TraceTarget(client, source, store, self._experiments, self.ids, options, marks)

    def target_experiment(self, experiment_id: str) -> str:
        """The target's id of a source experiment; "" before it is made."""
        return self._experiments.target_id(experiment_id)

    def copies_there(self, experiments: Sequence[Experiment]) -> dict[str, int]:
        """How many runs earlier imports brought into what these experiments are in the target, by the source's id."""
        counts = Counter(place for (place, _), _ in self._present.all())
        return {e.experiment_id: counts[self.target_experiment(e.experiment_id)] for e in experiments}

    def _there(self, run: Run) -> There | None:
        there = self._lookup.find(run)
        if there is not None and self._lookup.is_moved(run, there) and self._deletions.makes_anew(there):
            return None
        return there

    def _misplaced(self, run: Run, there: There) -> tuple[Problem, ...]:
        """That a run is in another experiment than the one where it belongs: a server cannot move it."""
        if not self._lookup.is_moved(run, there):
            return ()
        where, belongs = (
            self._experiments.name_in_target(there.experiment_id),
            self._experiments.name_of(run.experiment_id),
        )
        way = (
            "runsync sync --delete creates it again where it belongs and deletes the old copy"
            if self._deletions.may_make_anew(there)
            else f"to move it, delete run {there.run_id} in the target, purge it with “mlflow gc”, then run this again"
        )
        reason = f"it is in “{where}” in the target, and belongs in “{belongs}”: a server cannot move runs; {way}"
        return (Problem("experiment", belongs, reason),)

    def _step(self, run: Run, contents: Contents | None) -> Step:
        error = self._experiments.error(run.experiment_id)
        if error:
            return Step(run.run_id, FAILED, error=error, retry=self._experiments.may_pass(run.experiment_id))
        there = self._there(run)
        if there is None:
            return Step(run.run_id, CREATE)
        self._links.note(run.run_id, there.run_id)
        told = self._misplaced(run, there)
        wanted = self._deletions.wanted(run, there)
        tags = self._links.tags(wanted, there.run_id)
        same = is_as_wanted(wanted, tags, contents, there, self._options)
        if same and contents is None and is_always_looked_at(run, self._options):
            return Step(run.run_id, UPDATE, there.run_id, problems=told)
        if same and there.mark is not None and has_links(run):
            present = replace(wanted, run_id=there.run_id, tags={**tags, COMPLETE: there.complete})
            copy = Copy(wanted, there.experiment_id, there.run_id, there.mark, present)
            copy.tags_there = there.links
            self._links.check_later(copy)
        return Step(run.run_id, UNCHANGED if same else UPDATE, there.run_id, problems=told)

    def _foreseen(self, run: Run, step: Step, batch: Batch, there: dict[str, Run], source: Source) -> Step:
        contents = batch.contents.get(run.run_id)
        copy = self._copy(run, contents, step, there)
        self._links.foresee(run)
        is_mlflow = self._workspace.habits.is_mlflow
        self._writer.foresee(copy, self._links.tags(run, copy.target_id), is_mlflow)
        if self._options.artifacts and not copy.has_same("artifacts"):
            self._foreseen_files.look(copy, source, contents)
        return replace(step, problems=(*copy.told, *copy.problems))

    def _read_again(self, runs: Iterable[Run]) -> dict[str, Run]:
        there = [found for run in runs if (found := self._there(run)) is not None]
        places, ids = sorted({one.experiment_id for one in there}), [one.run_id for one in there]
        return {run.run_id: run for run in self._runs.of_ids(places, ids)} if ids else {}

    def _copy(self, run: Run, contents: Contents | None, step: Step, present: dict[str, Run]) -> Copy:
        there = present.get(step.target_id)
        told = Provenance.of(there.tags if there is not None else {})
        mark = wanted_mark(run, contents, told.mark, self._options)
        home = self._lookup.belongs_in(run) if there is None else there.experiment_id
        copy = Copy(run, home, step.target_id, mark, there, told=step.problems)
        if there is not None:
            copy.artifact_uri, copy.tags_there = there.artifact_uri, there.tags
        return copy

    def _make(self, copy: Copy) -> None:
        self._experiments.activate(copy.run.experiment_id)
        tags = {**self._links.tags(copy.run, ""), FROM: shown_address(self._experiments.came_from)}
        if copy.run.lifecycle_stage == DELETED:
            tags[ARRIVES] = DELETED
        copy.tags_there = firsts({key: value for key, value in tags.items() if value or key not in LINK_TAGS})

        def create() -> None:
            try:
                copy.target_id, copy.artifact_uri = self._writer.create(copy.run, copy.experiment_id, copy.tags_there)
            except RequestRefused as error:
                own = {key: value for key, value in copy.tags_there.items() if is_ours(key)}
                if own == copy.tags_there or not (error.status in TOO_LARGE or is_of_entries(error)):
                    raise
                copy.tags_there = own  # the others follow with the params
                copy.target_id, copy.artifact_uri = self._writer.create(copy.run, copy.experiment_id, own)

        def mend(error: RequestRefused) -> bool:
            # Where it is active by now, another thread or import has restored it after we were refused.
            return self._experiments.activate_again(copy.run.experiment_id) or is_inactive(error)

        again(self._workspace.client, create, mend)
        self._links.note(copy.run.run_id, copy.target_id)

    def _fill(self, copies: Sequence[Copy], batch: Batch, source: Source, pool: Executor, progress: Progress) -> None:
        """Params, tags, points, inputs and artifacts."""
        todo = [copy for copy in copies if not copy.is_whole and not copy.error]
        if not todo:
            return
        runs = replace(batch, runs=tuple(copy.run for copy in todo if not copy.has_same("points")))
        there = Batch(tuple(copy.present for copy in todo if copy.present and not copy.has_same("points")))
        with source.histories(runs, pool) as histories, self._workspace.histories(there, pool) as present:
            log = guarded(lambda copy: self._log(copy, histories, present, progress))
            if self._options.artifacts:
                carrier = ArtifactCarrier(self._files, source, pool, progress, self._options.verify_artifacts)
                carrier.carry(todo, batch.contents, log)
            else:
                each(pool, log, todo)

    def _finish_elsewhere(
        self, copies: Sequence[Copy], batch: Batch, source: Source, pool: Executor, progress: Progress
    ) -> None:
        """Goes on with the runs of another import that took back ours while they were finished."""
        moved = self._twins.settle(copies)
        self._fill(moved, batch, source, pool, progress)
        each(pool, self._links.finish, [copy for copy in moved if not copy.is_whole and not copy.error])

    def _log(self, copy: Copy, histories: Histories, present: Histories, progress: Progress) -> None:
        tags = self._links.tags(copy.run, copy.target_id)
        if copy.present is None or (copy.was_copy and COPY not in copy.present.tags):
            tags[FROM] = shown_address(self._experiments.came_from)
        tags = {key: value for key, value in tags.items() if copy.tags_there.get(key) != value}
        if copy.present is None:
            tags[SESSION] = self._session + CLAIMED
        points: Iterable[pa.RecordBatch] = ()
        if copy.present is None:
            points = counted(copy, histories.of(copy.run.run_id))
        elif not copy.has_same("points"):
            wanted = distinct(as_table(counted(copy, histories.of(copy.run.run_id))))
            points = from_distinct(missing(wanted, distinct(as_table(present.of(copy.target_id)))))
        before = copy.points
        self._writer.log(copy, tags, points)
        copy.tags_there = {**copy.tags_there, **tags}
        self._writer.log_inputs(copy)
        progress.advance(points=copy.points - before)
