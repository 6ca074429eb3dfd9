"""A file store or a database as a target.

Ids, times and states are kept as they are at the source. A run's files go first, and its record is written whole or not
at all, with the mark that it is: so a run that is there needs nothing but to be compared.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from runsync.contract.entities import EntityTarget
from runsync.contract.foresight import Foresight
from runsync.contract.source import Source
from runsync.errors import WrongUsage
from runsync.kinds.ids import Ids
from runsync.kinds.kind import EXPERIMENTS, E, Kind
from runsync.kinds.left_behind import MODEL_LINKS, PARENT_LINKS, changed
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.traces import TRACES
from runsync.model.experiment import DELETED, Experiment
from runsync.model.identity import LINK_TAGS, origin_of
from runsync.model.import_options import ImportOptions
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome, Step
from runsync.model.progress import Progress
from runsync.model.provenance import Provenance, key_of
from runsync.model.run import Batch, Contents, ModelLink, Problem, Run
from runsync.model.selection import RUNS, Selection
from runsync.model.wording import many
from runsync.workspaces.arrival.arrange import as_target
from runsync.workspaces.arrival.carry import ArtifactCarrier
from runsync.workspaces.arrival.copy import Copy, address_of, settled
from runsync.workspaces.arrival.deletions import Deletions
from runsync.workspaces.arrival.document_deletions import DocumentDeletions
from runsync.workspaces.arrival.documents import DocumentTarget, Home
from runsync.workspaces.arrival.evidence import shares_runs
from runsync.workspaces.arrival.experiments import ExperimentMap
from runsync.workspaces.arrival.files import FileWriter
from runsync.workspaces.arrival.lookup import Lookup
from runsync.workspaces.arrival.marks import is_always_looked_at, is_as_wanted, wanted_mark
from runsync.workspaces.arrival.model_deletions import ModelDeletions
from runsync.workspaces.arrival.present import Present, There
from runsync.workspaces.arrival.trace_deletions import TraceDeletions
from runsync.workspaces.direct.artifact_places import EXPERIMENT
from runsync.workspaces.direct.editor import DirectEditor
from runsync.workspaces.direct.experiments import DirectExperiments
from runsync.workspaces.direct.links import DirectLinks
from runsync.workspaces.direct.model_holdings import StoredHoldings
from runsync.workspaces.direct.model_ids import ModelIds
from runsync.workspaces.direct.present import DirectRuns
from runsync.workspaces.direct.traces import StoredTraces
from runsync.workspaces.direct.workspace import DirectWorkspace
from runsync.workspaces.direct.write import RecordWriter


class DirectTarget:
    """One import or sync into one store."""

    def __init__(self, workspace: DirectWorkspace, options: ImportOptions) -> None:
        store, artifacts = workspace.store, workspace.artifact_store
        self.place = store.place
        self._workspace = workspace
        self._store = store
        self._artifacts = artifacts
        self._options = options
        self._files = FileWriter(artifacts, _touch, keeps_models=options.keep_mlmodel)
        policy, editor = options.deletions, DirectEditor(store)
        self._maker = DirectExperiments(store, artifacts.places, editor)
        self._experiments = ExperimentMap(self._maker, options)
        self._runs = DirectRuns(store)
        self._present = Present(self._runs)
        self._links = DirectLinks(store, self._runs)
        self._lookup = Lookup(self._present, self._experiments)
        by_ids = not options.tags
        self._deletions = Deletions(policy, self._present, self._experiments, editor, moves_runs=True, by_ids=by_ids)
        self._records = RecordWriter(store, self._links, self._experiments.source_origin, is_tagged=options.tags)
        self._locations: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._other_ids: dict[str, str] = {}
        self._foresight = Foresight()
        self._entities: Mapping[str, EntityTarget[Any]] | None = None
        self._existing: list[Experiment] = []
        self._ids = Ids({EXPERIMENTS: self._experiments.known_id, RUNS: self._run_there})
        self._documents = self._document_targets()
        self._document_deletions = DocumentDeletions(
            policy, store.documents, self._experiments, lambda: self._existing, editor.untag_experiment
        )
        self._trace_deletions = TraceDeletions(policy, StoredTraces(store.traces), self._experiments, options.asked)
        self._model_deletions = ModelDeletions(options, StoredHoldings(store, store.models))
        self._unlinked: list[ModelLink] = []
        """Links to logged models that have no place."""
        self._keeps_links = LOGGED_MODELS.name in store.models.kinds
        self._in_full: set[str] = set()
        """Runs that are there without a tag that tells that they are whole, where none is to be written."""

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> list[Outcome]:
        """Finds the experiments that are there, and in them the copies of earlier imports."""
        if source.place == self.place:
            raise WrongUsage(f"{self.place.address} has each run id once: copies of runs in it need another target")
        self._store.check_writable()
        existing = self._look_at_experiments()
        came_from = self._records.came_from = address_of(source.place)
        addresses, are_all = (came_from, self.place.address), selection == Selection() and source.is_all
        evidence = shares_runs(source, self._workspace)
        unread = source.unreadable_experiments()
        outcomes = self._experiments.begin(experiments, existing, addresses, are_all, evidence, unread)
        self._check_places(any(outcome.action == CREATE for outcome in outcomes))
        self._present.look(self._experiments.existing_ids())
        self._deletions.begin(source, selection, experiments)
        self._model_deletions.begin(source, selection, experiments)
        self._document_deletions.begin(source, selection, experiments)
        self._trace_deletions.begin(source, selection, experiments, existing)
        return outcomes

    def prepare(self) -> list[Outcome]:
        """Makes the experiments. Those that had to be restored are looked through again: so were their runs."""
        if self._options.artifacts:
            self._artifacts.make_root()
        outcomes = self._experiments.prepare()
        self._look_at_experiments()
        self._present.look(self._experiments.restored)
        return outcomes

    def plan(self, batch: Batch) -> list[Step]:
        """Compares each run with what is there of it, and looks whether the ids of new ones are free."""
        self._deletions.note_unread(batch.unreadable)
        if not self._keeps_links:
            self._unlinked += [link for run in batch.runs for link in (*run.model_inputs, *run.model_outputs)]
        new = [run for run in batch.runs if self._there(run) is None]
        linked = [run_id for run in batch.runs for run_id in self._links.wanted(run)]
        self._runs.look_for([*(run.run_id for run in new), *linked])
        # What another import has brought since this one began is not where it was looked for.
        self._present.look(sorted({home for run in new if (home := self._arrived_in(run))}))
        self._lookup.look(new)
        return [self._step(run, batch.contents.get(run.run_id)) for run in batch.runs]

    def foresee_experiments(self) -> list[Outcome]:
        """See `Target`."""
        return self._experiments.foresee()

    def foresee(self, batch: Batch, steps: Sequence[Step], source: Source) -> list[Step]:
        """What has no place in the store, and files that cannot be read, or cannot be written under their names."""
        there = {run.run_id: run for run in self._runs.everywhere(s.target_id for s in steps if s.target_id)}
        return [
            self._foreseen(self._deletions.wanted(run, self._there(run)), step, batch, there, source)
            if step.action in (CREATE, UPDATE)
            else step
            for run, step in zip(batch.runs, steps, strict=True)
        ]

    def foresee_end(self) -> bool:
        """See `Target`."""
        changed, refused = self._links.foresee(self._experiments.existing_ids())
        of_objects = self._model_deletions.are_due or self._document_deletions.are_due or self._trace_deletions.are_due
        return bool(changed or refused) or self._deletions.are_due or of_objects

    def put(
        self, batch: Batch, steps: Sequence[Step], source: Source, pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """Files, then records. A run that another import made meanwhile is planned again, as one that is there."""
        by_id = {run.run_id: self._deletions.wanted(run, self._there(run)) for run in batch.runs}
        outcomes = [settled(by_id[step.run_id], step) for step in steps if step.action in (UNCHANGED, FAILED)]
        progress.advance(runs=len(outcomes))
        todo = [step for step in steps if step.action in (CREATE, UPDATE)]
        copies = self._put([by_id[step.run_id] for step in todo], todo, batch, source, pool, progress)
        refused = [copy for copy in copies if copy.error and copy.present is None]
        again = self._now_there(refused)
        if again:
            steps = [Step(copy.run.run_id, UPDATE, copy.target_id) for copy in again]
            moved = self._put([copy.run for copy in again], steps, batch, source, pool, progress)
            copies = [copy for copy in copies if copy not in again] + moved
        for copy in refused:
            self._tell_of_files(copy)
        progress.advance(runs=len(todo))
        return outcomes + [copy.outcome() for copy in copies]

    def finish(self, not_carried: Sequence[NotCarried]) -> list[Outcome]:
        """Links children to parents that came after them, and deletes what was deleted at the source."""
        self._links.finish(self._experiments.existing_ids())
        of_objects = self._model_deletions.finish() + self._document_deletions.finish()
        of_objects += self._trace_deletions.finish()
        return of_objects + self._deletions.finish() + self._experiments.finish()

    def cannot_keep(self) -> list[NotCarried]:
        """Ids that were taken, links to runs that cannot be there, and deletions not followed."""
        lost = []
        for what, ids, why in (
            ("experiment ids", self._maker.renumbered, "taken in the target, or unfit there"),
            ("run ids", self._other_ids, "in the target from before, under another id"),
        ):
            if ids:
                told = tuple(f"{old} is {new}" for old, new in sorted(ids.items())[:NAMED])
                lost.append(changed(what, len(ids), f"{why}; the id map tells them", told))
        if self._links.dropped:
            dropped = sorted(set(self._links.dropped))
            why = "the parent's id is another run's in the target"
            lost.append(PARENT_LINKS.left(len(dropped), why, tuple(dropped[:NAMED])))
        if self._unlinked:
            lost.append(MODEL_LINKS.left(len(self._unlinked), "the target is of an MLflow without logged models"))
        of_objects = self._model_deletions.left() + self._document_deletions.left() + self._trace_deletions.left()
        return lost + self._deletions.left() + of_objects

    def notes(self) -> list[str]:
        """Deletions that were followed, and points that were told twice."""
        repeated = self._records.repeated
        told = [f"{many(repeated, 'metric point')} stood there more than once: stored once"] if repeated else []
        own = [*self._files.notes, *told, *self._untold(), *self._foresight.notes]
        of_objects = self._model_deletions.notes() + self._document_deletions.notes() + self._trace_deletions.notes()
        return self._deletions.notes() + of_objects + self._experiments.notes() + own

    def _untold(self) -> list[str]:
        """What nobody can know of copies without tags."""
        notes = []
        if self._in_full:
            count = many(len(self._in_full), "run")
            notes.append(f"{count} in the target compared in full: without tags nothing tells which of them are whole")
        if not self._options.tags and self._options.deletions.brake is not None:
            runs = self._runs.active_in(self._experiments.existing_ids()) - self._deletions.at_source
            for number, what in ((len(runs), "active run"), (self._experiments.others, "active experiment")):
                if number:
                    notes.append(
                        f"{many(number, what)} in the target that the source does not have, left as without tags "
                        "nothing tells whether they came from there"
                    )
        return notes

    def entities(self, kind: Kind[E]) -> EntityTarget[E] | None:
        """Models, traces and documents, of the kinds that the store has room for. MLflow itself has no place for
        others."""
        from runsync.workspaces.direct.entities import targets

        if self._entities is None:
            ids = ModelIds(self._store.models, self._experiments.known_id, self._links.id_of)
            address = self._records.came_from
            found = targets(self._store, self._artifacts, ids, self._options, self._location_of, address)
            traces = {name: self._trace_deletions.watching(one) for name, one in found.items() if name == TRACES.name}
            self._entities = {**found, **traces, **self._documents}
        return self._entities.get(kind.name)

    def _document_targets(self) -> Mapping[str, DocumentTarget[Any]]:
        home = Home(
            self._experiments,
            lambda: self._existing,
            DirectEditor(self._store).tag_experiment,
            self._ids,
            lambda: key_of(self._records.came_from),
            self._options.asked,
            self._options.tags,
        )
        targets = {kind.name: DocumentTarget(kind, store, home) for kind, store in self._store.documents.items()}
        self._ids.add({name: target.find for name, target in targets.items()})
        return targets

    def _run_there(self, run_id: str) -> str | None:
        known = self._links.id_of(run_id)
        return known if known is not None and self._store.models.run_places([known]) else None

    def _location_of(self, experiment_id: str) -> str:
        """Of an experiment that is not made yet, in a dry run, what it will get."""
        return self._locations.get(experiment_id) or self._artifacts.places.new(experiment_id)

    def _check_places(self, are_made: bool) -> None:
        """Raises WrongUsage or BucketNotFound, before anything is written, where artifacts cannot go, or nobody knows
        where to."""
        locations = [self._locations[id] for id in self._experiments.existing_ids()]
        if self._options.artifacts:
            self._artifacts.require_places({*locations, *([self._artifacts.places.new(EXPERIMENT)] * are_made)})

    def _look_at_experiments(self) -> list[Experiment]:
        self._store.refresh()
        existing = self._store.experiments()
        self._existing = existing
        self._locations = {e.experiment_id: e.artifact_location for e in existing}
        self._names = {e.experiment_id: e.name for e in existing}
        self._runs.begin(self._locations)
        return existing

    def _arrived_in(self, run: Run) -> str:
        """The run's target experiment, where it is in it by now; else ""."""
        known, home = self._runs.known(run.run_id), self._lookup.belongs_in(run)
        return home if known is not None and known.experiment_id == home and known.is_same(run) else ""

    def _there(self, run: Run) -> There | None:
        return self._lookup.find(run)

    def _step(self, run: Run, contents: Contents | None) -> Step:
        there = self._there(run)
        error = self._experiments.error(run.experiment_id) or self._clash(run, there)
        if error:
            self._links.note(run.run_id, None)
            return Step(run.run_id, FAILED, error=error, retry=self._experiments.may_pass(run.experiment_id))
        self._links.note(run.run_id, run.run_id if there is None else there.run_id)
        if there is None:
            return Step(run.run_id, CREATE)
        if there.run_id not in (run.run_id, origin_of(run)):
            self._other_ids[run.run_id] = there.run_id
        if not self._options.tags and there.mark is None:
            self._in_full.add(there.run_id)
        is_same = self._options.tags and not (contents is None and is_always_looked_at(run, self._options))
        is_same = is_same and not self._lookup.is_moved(run, there)
        is_same = is_same and self._is_as_wanted(self._deletions.wanted(run, there), contents, there)
        return Step(run.run_id, UNCHANGED if is_same else UPDATE, there.run_id)

    def _is_as_wanted(self, run: Run, contents: Contents | None, there: There) -> bool:
        tags = self._links.tags(run, there.run_id, there.links)
        links = {tag: tags[tag] for tag in LINK_TAGS if tag in tags}
        known = self._runs.known(there.run_id)
        is_told = run.lifecycle_stage == DELETED and run.deleted_time is not None and known is not None
        same_time = not is_told or known is None or known.deleted_time == run.deleted_time
        return links == dict(there.links) and same_time and is_as_wanted(run, tags, contents, there, self._options)

    def _clash(self, run: Run, there: There | None) -> str:
        """Why the run cannot be in the target under its id; "" when it can."""
        known = self._runs.known(run.run_id if there is None else there.run_id)
        if known is None or (there is not None and there.run_id != run.run_id):
            return ""
        where = self._names.get(known.experiment_id, known.experiment_id)
        if not known.is_same(run):
            return f"its id is that of another run in the target (in experiment “{where}”): neither is touched"
        if there is None:
            return (
                f"the target has this run in another experiment, “{where}”, which is not a copy of this one, and a "
                "run id can exist only once: give the same --prefix and --rename as when that copy was made, or delete "
                "that run for good"
            )
        return ""

    def _foreseen(self, run: Run, step: Step, batch: Batch, there: Mapping[str, Run], source: Source) -> Step:
        contents = batch.contents.get(run.run_id)
        copy = self._copy(run, contents, there.get(step.target_id))
        arriving = self._records.arriving(copy)
        refusal = self._store.unfit(arriving)
        if refusal is not None and not refusal.misfits:
            return replace(step, action=FAILED, error=str(refusal))
        self._records.note_misfits(copy, refusal.misfits if refusal is not None else ())
        self._links.written(run, copy.target_id, arriving.tags)
        if self._options.artifacts and not copy.has_same("artifacts"):
            files = self._foresight.files(source, run, contents, copy.note)
            for file in self._files.arrange(copy, files):
                if fault := file.fault or self._artifacts.refused(as_target(copy), file.path):
                    copy.note(Problem("artifact", file.path, fault))
        return replace(step, problems=(*step.problems, *copy.problems))

    def _put(
        self,
        runs: Sequence[Run],
        steps: Sequence[Step],
        batch: Batch,
        source: Source,
        pool: Executor,
        progress: Progress,
    ) -> list[Copy]:
        present = {run.run_id: run for run in self._runs.everywhere(s.target_id for s in steps if s.target_id)}
        copies = [
            self._copy(run, batch.contents.get(run.run_id), present.get(step.target_id))
            for run, step in zip(runs, steps, strict=True)
        ]
        if self._options.artifacts:
            carrier = ArtifactCarrier(self._files, source, pool, progress, self._options.verify_artifacts)
            carrier.carry(copies, batch.contents)
        self._records.write([copy for copy in copies if not copy.error], batch, source, pool, progress)
        return copies

    def _tell_of_files(self, copy: Copy) -> None:
        """Files go first: those of a run that is refused then are there for another try."""
        if copy.artifacts:
            place = self._artifacts.places.of(copy.artifact_uri)
            copy.error += (
                f" (its artifacts, {many(copy.artifacts, 'file')}, lie in {place}: another try takes them over)"
            )

    def _now_there(self, refused: Sequence[Copy]) -> list[Copy]:
        """Those of the refused new runs that are there by now: another import has brought the same ones."""
        if not refused:
            return []
        self._store.refresh()
        ids = {copy.target_id for copy in refused}
        found = {run.run_id for run in self._runs.everywhere(sorted(ids))}
        same = [copy for copy in refused if copy.target_id in found]
        known = {copy.target_id: self._runs.known(copy.target_id) for copy in same}
        return [copy for copy in same if (there := known[copy.target_id]) is not None and there.is_same(copy.run)]

    def _copy(self, run: Run, contents: Contents | None, there: Run | None) -> Copy:
        told = Provenance.of(there.tags if there is not None else {})
        mark = wanted_mark(run, contents, told.mark, self._options)
        if there is not None:
            home = self._lookup.belongs_in(run) if told.is_copy else there.experiment_id
            copy = Copy(run, home, there.run_id, mark, there)
            copy.artifact_uri, copy.tags_there = there.artifact_uri, there.tags
            return copy
        copy = Copy(run, self._lookup.belongs_in(run), run.run_id, mark, may_have_files=True)
        location = self._locations.get(copy.experiment_id) or self._artifacts.places.new()  # not made in a dry run
        copy.artifact_uri = f"{location.rstrip('/')}/{run.run_id}/artifacts"
        return copy


def _touch(copy: Copy) -> None:
    copy.is_touched = True
