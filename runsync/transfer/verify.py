"""verify: is everything of a source in a target? Either is a workspace or a bundle; nothing is written."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from runsync import threads
from runsync.bundle.address import Access
from runsync.contract.source import Source
from runsync.kinds.category import Category
from runsync.kinds.left_behind import (
    ARTIFACTS,
    CATEGORIES,
    MISSING_ITEMS,
    MISSING_PIECES,
    MODEL_LINKS,
    PARENT_LINKS,
    not_asked_for,
)
from runsync.kinds.scope import Scope
from runsync.model.comparison import (
    IN_SOURCE,
    Difference,
    compare_experiments,
    compare_runs,
    models_elsewhere,
)
from runsync.model.experiment import Experiment
from runsync.model.identity import PARENT
from runsync.model.naming import Names, Naming
from runsync.model.not_carried import NAMED
from runsync.model.option import takes
from runsync.model.pairing import is_named_so, pair
from runsync.model.progress import Progress, Silent
from runsync.model.run import PART, Batch, Run
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.transfer.compare_contents import Compared, FileComparison, compare_points
from runsync.transfer.compare_entities import Comparison, Files
from runsync.transfer.copies import Copies, Index, Seen
from runsync.transfer.expected import unexpected
from runsync.transfer.find import resolved
from runsync.transfer.model_names import with_models
from runsync.transfer.options import VerifyOptions
from runsync.transfer.places import accepted, open_source
from runsync.transfer.unmet import UnmetFields
from runsync.transfer.verify_report import VerifyReport
from runsync.workspaces.arrival.copy import address_of
from runsync.workspaces.arrival.evidence import shares_runs


@takes(VerifyOptions)
def verify(source: str, target: str, options: VerifyOptions) -> VerifyReport:
    """Compares every field, point and artifact of the source's runs with the target's; more in the target is no fault.

    Runs are matched by the id they were born with, and experiments by where they came from (see `model.pairing`); a run
    that is in another experiment than its own, and a second copy of one, are differences. Artifacts are compared by
    path and size, with `verify_artifacts` by their bytes. `access.artifacts` is where the target's really are,
    `source_artifacts` where the source's are. `rename` and `prefix` as they were given to the import. What
    is not compared (kinds of objects that are not carried, what an export could not read) makes the exit code 4, unless
    `accept` or `runsync.toml` names it; without `artifacts` those are accepted. Raises RunsyncError when a side cannot
    be read.
    """
    begun = time.monotonic()
    access, workers = options.access or Access(), options.workers
    of_source = replace(access, artifacts=options.source_artifacts)
    may_lack = accepted(options.accept, source, target, access)
    if not options.artifacts:
        may_lack |= {ARTIFACTS.name}
    with (
        open_source(source, "verify", access=of_source, workers=workers) as one,
        open_source(target, "verify", access=access, workers=workers) as other,
    ):
        report = compare_sides(one, other, options, may_lack)
        report.notes += one.notes + other.notes
        report.requests = one.requests + other.requests
    report.seconds = round(time.monotonic() - begun, 3)
    return report


def compare_sides(
    source: Source, target: Source, options: VerifyOptions, accept: frozenset[str] = frozenset()
) -> VerifyReport:
    """What `verify` does once both are open."""
    by_hash = options.artifacts and options.verify_artifacts
    report = VerifyReport(source.place, target.place, artifacts_by_hash=by_hash, accept=accept)
    with threads.pool(options.workers) as pool:
        comparer = _Comparer(report, source, target, pool, options)
        selection = resolved(source, options.selection or Selection())
        comparer.compare(selection, with_models(source, selection, options.naming), options.progress or Silent())
    return report


class _Comparer:
    """One comparison."""

    def __init__(
        self,
        report: VerifyReport,
        source: Source,
        target: Source,
        pool: Executor,
        options: VerifyOptions,
    ) -> None:
        self._report = report
        self._source = source
        self._target = target
        self._pool = pool
        self._artifacts = options.artifacts
        self._by_hash = options.verify_artifacts
        self._files = FileComparison(source, target, options.verify_artifacts)
        self._asked = options.asked
        self._without_artifacts = 0
        self._links = 0
        self._models_elsewhere = 0
        """Links to logged models that the target has not."""
        self._run_ids: dict[str, str] = {}
        self._parents = 0
        """Links to parents that the target has not."""
        self._accepted: dict[Category, list[str]] = {}
        """What of the source cannot be read, as was accepted."""
        self._only_there = 0
        """Files in the target of runs that have none in the source."""

    def compare(self, selection: Selection, naming: Naming, progress: Progress) -> None:
        self._report.accept |= not_asked_for(selection.kinds)
        experiments = self._source.experiments(selection)
        self._pair_experiments(experiments, naming)
        self._source_index = Index()
        self._source_index.add(self._source.batches(experiments, Selection()))
        self._copies = Copies(self._target, self._pairing, self._others)
        self._report.experiments = len(experiments)
        sides = self._source, self._target
        files = Files(self._artifacts, self._by_hash)
        self._entities = Comparison(*sides, experiments, self._pairs, self._run_ids, self._pool, files, naming.models)
        scope = Scope.of(selection, experiments, {**self._target.kept, **self._asked})
        unmet = UnmetFields(selection)
        for batch in self._source.batches(experiments, selection) if selection.has_runs else ():
            progress.expect(len(batch.runs))
            scope.note(batch.runs)
            unmet.note(batch.runs)
            self._compare_batch(batch)
            progress.advance(runs=len(batch.runs))
        self._report.notes += unmet.hints(self._source)
        if wrong := unexpected(selection, self._report.runs):
            self._report.differences.append(Difference("selection", "", "", "runs", wrong, ""))
        self._doubt()
        self._compare_entities(scope, selection)
        self._tell_what_is_left_out(experiments, selection)

    def _tell_what_is_left_out(self, experiments: Sequence[Experiment], selection: Selection) -> None:
        report = self._report
        report.is_all = selection == Selection()
        report.not_compared += self._source.left_behind(experiments, selection, self._artifacts)
        for kind, names in self._accepted.items():
            report.not_compared.append(kind.left(len(names), "cannot be read at the source", tuple(names[:NAMED])))
        if not self._artifacts and report.runs:
            report.not_compared.append(ARTIFACTS.left(None, "--no-artifacts"))
        if self._without_artifacts:
            what = ("run's " if self._without_artifacts == 1 else "runs' ") + ARTIFACTS.title
            report.not_compared.append(ARTIFACTS.left(self._without_artifacts, "not in the source bundle", what=what))
        if self._parents:
            report.not_compared.append(PARENT_LINKS.left(self._parents, "the parents are not in the target"))
        if self._links:
            report.not_compared.append(MODEL_LINKS.left(self._links, f"{report.target.kind} has no place for them"))
        if self._models_elsewhere:
            report.not_compared.append(MODEL_LINKS.left(self._models_elsewhere, "the models are not in the target"))

    def _doubt(self) -> None:
        """More in the target is no fault, but that the source's artifacts are looked for in a wrong place is."""
        if self._only_there and self._source.doubts:
            told = ("artifacts", "", self._source.place.address, "", "none found: see the notes")
            self._report.differences.append(Difference(*told, many(self._only_there, "file")))

    def _compare_entities(self, scope: Scope, selection: Selection) -> None:
        comparison = self._entities
        comparison.compare(scope, selection)
        self._report.objects = comparison.compared
        self._report.artifacts += comparison.artifacts
        self._report.differences += comparison.differences
        self._report.not_compared += comparison.left

    def _pair_experiments(self, experiments: Sequence[Experiment], naming: Naming) -> None:
        existing = self._target.experiments(Selection())
        names = naming.among(experiments)
        addresses = address_of(self._source.place), address_of(self._target.place)
        found = pair(experiments, existing, names, addresses, shares_runs(self._source, self._target))
        self._pairing, self._pairs = found, found.found
        self._names = {e.experiment_id: e.name for e in existing}
        taken = {e.experiment_id for e in [*self._pairs.values(), *(there for _, there in found.repeated)]}
        self._others = [e for e in existing if e.experiment_id not in taken and is_named_so(e, names)]
        self._note_shared_names(experiments, names)
        for experiment in experiments:
            there = self._pairs.get(experiment.experiment_id)
            if there is None:
                self._missing("experiment", experiment.experiment_id, experiment.name)
            else:
                self._report.differences += compare_experiments(experiment, there, names.of(experiment))
        for experiment, there in found.repeated:
            told = ("experiment", experiment.experiment_id, experiment.name, "copies", "1")
            self._report.differences.append(Difference(*told, f"another one: “{there.name}” ({there.experiment_id})"))

    def _note_shared_names(self, experiments: Sequence[Experiment], names: Names) -> None:
        ids: dict[str, list[str]] = defaultdict(list)
        for experiment in experiments:
            ids[names.of(experiment)].append(experiment.experiment_id)
        for name, shared in ids.items():
            if len(shared) > 1 and self._target.place.kind != self._source.place.kind:
                self._report.notes.append(
                    f"{len(shared)} experiments of the source would be called “{name}” ({', '.join(shared)}): give "
                    f"--rename '{shared[0]}=NEW' here too, as for the import"
                )

    def _compare_places(self, run: Run, there: Seen) -> Iterator[Difference]:
        """Whether it is where it belongs, and there once."""
        home = self._pairs.get(run.experiment_id)
        told = ("run", run.run_id, run.name)
        if home is None or there.experiment_id != home.experiment_id:
            belongs = self._names.get(home.experiment_id, "") if home is not None else ""
            yield Difference(*told, "experiment", belongs, self._names[there.experiment_id])
        further = self._copies.further(run, there)
        if further:
            listed = ", ".join(f"{each.run_id} in “{self._names[each.experiment_id]}”" for each in further)
            yield Difference(*told, "copies", "1", f"{len(further) + 1}: also {listed}")

    def _missing(self, kind: str, id: str, name: str) -> None:
        self._report.differences.append(Difference(kind, id, name, "", "there", "missing"))

    def _compare_batch(self, batch: Batch) -> None:
        for kind, some in ((MISSING_ITEMS, batch.unreadable), (MISSING_PIECES, batch.pieces)):
            for one in some:
                told = (one.kind, one.id, one.place, "")
                accepted_by = "" if one.kind == PART else kind.name
                self._tell([Difference.unreadable(told, IN_SOURCE, one.reason, accepted_by)])
        places = self._copies.of(batch.runs)
        ids = {run_id: place.run_id for run_id, place in places.items()}
        there = self._copies.read(places.values())
        if any(run.model_inputs and self._are_links_compared(run, ids.get(run.run_id)) for run in batch.runs):
            there = self._target.complete(there, self._pool)
        found = {run.run_id: run for run in there.runs}
        pairs = []
        for run in batch.runs:
            other = found.get(ids.get(run.run_id, ""))
            if other is None:
                self._missing("run", run.run_id, run.name)
            else:
                pairs.append((run, other))
                self._run_ids[run.run_id] = other.run_id
                self._report.differences += self._compare_places(run, places[run.run_id])
        self._report.runs += len(batch.runs)
        with (
            self._source.histories(batch, self._pool) as history,
            self._target.histories(there, self._pool) as other_history,
        ):
            for run, other in pairs:
                if not self._are_links_compared(run, other.run_id):
                    self._links += len(run.model_inputs) + len(run.model_outputs)
                index = self._copies.index
                ids_there = self._entities.model_there if self._entities.has_links else None
                origins = self._source_index.origin, index.origin, index.has_origin
                lost = list(compare_runs(run, other, *origins, ids_there))
                self._report.differences += lost
                self._models_elsewhere += len(models_elsewhere(run, other, ids_there))
                is_parted = PARENT in run.tags and PARENT not in other.tags
                self._parents += is_parted and all(each.field != f"tags.{PARENT}" for each in lost)
                points = compare_points(run, other, history, other_history)
                self._report.metric_points += points.count
                self._tell(points.differences)
        if self._artifacts:
            compare = self._files.compare
            tasks = [self._pool.submit(compare, run, other, batch, there) for run, other in pairs]
            for task in tasks:
                self._take_files(task.result())

    def _are_links_compared(self, run: Run, there: str | None) -> bool:
        return there is not None and (run.run_id == there or self._entities.has_links)

    def _take_files(self, compared: Compared) -> None:
        self._report.artifacts += compared.count
        self._without_artifacts += compared.are_unknown
        self._only_there += compared.only_there
        self._tell(compared.differences)

    def _tell(self, differences: Iterable[Difference]) -> None:
        """Differences, but for what cannot be read at the source as was accepted."""
        for each in differences:
            if each.accepted_by in self._report.accept:
                name = f"{each.id}: {each.field.partition('.')[2] or each.field}".removesuffix(": ")
                self._accepted.setdefault(CATEGORIES[each.accepted_by], []).append(name)
            else:
                self._report.differences.append(each)
