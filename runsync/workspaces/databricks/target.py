"""One import or sync into a Databricks workspace: that of open-source servers, between checks of our own."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from runsync import threads
from runsync.contract.entities import EntityTarget
from runsync.contract.source import Source
from runsync.kinds import BY_NAME
from runsync.kinds.kind import E, Kind
from runsync.kinds.left_behind import changed
from runsync.kinds.notebooks import NOTEBOOKS
from runsync.kinds.permissions import PERMISSIONS
from runsync.model.experiment import Experiment
from runsync.model.import_options import ImportOptions
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import Outcome, Step
from runsync.model.progress import Progress
from runsync.model.run import Batch
from runsync.model.selection import Selection
from runsync.workspaces.databricks import names
from runsync.workspaces.databricks.estimate import Estimate
from runsync.workspaces.databricks.notebooks import NotebookTarget
from runsync.workspaces.databricks.own import Own
from runsync.workspaces.databricks.permissions import PermissionsTarget
from runsync.workspaces.databricks.quotas import Quotas
from runsync.workspaces.databricks.registries import BothTargets
from runsync.workspaces.databricks.tags import KEPT
from runsync.workspaces.databricks.unity.version_filling import Ids
from runsync.workspaces.rest.target import RestTarget
from runsync.workspaces.rest.workspace import RestWorkspace

PORTION = 17
"""Runs: a twelfth of a batch."""
THREADS = 4


class DatabricksTarget:
    """See `contract.target.Target`."""

    def __init__(self, workspace: RestWorkspace, own: Own, options: ImportOptions) -> None:
        self.place = workspace.place
        self._naming = options.naming
        follows, is_meant = options.deletions.brake is not None, own.is_catalog_meant
        self._target = RestTarget(workspace, options, lambda models: own.catalog.holdings(models, follows, is_meant))
        self._home = own.home
        self._tags = own.client.tags
        self._quotas = Quotas()
        self._entities: Mapping[str, EntityTarget[Any]] = {
            NOTEBOOKS.name: NotebookTarget(own.client, options.asked),
            PERMISSIONS.name: PermissionsTarget(own.client, self._target.target_experiment, options.asked),
            **self._of_models(own, options),
        }
        self._kept: Counter[str] = Counter()
        self._estimate = Estimate(PORTION)
        self._carries_artifacts = options.artifacts
        self._is_planned_only = True

    def _of_models(self, own: Own, options: ImportOptions) -> dict[str, EntityTarget[Any]]:
        models = self._target.models
        ids = Ids(self._target.ids, self.place.details.get("workspace_id", ""))
        catalog = own.catalog.targets(lambda: self._source, ids, options)
        is_meant = own.is_catalog_meant
        return {
            name: BothTargets(BY_NAME[name], None if is_meant else models.of(BY_NAME[name]), target, is_meant)
            for name, target in catalog.items()
        }

    def entities(self, kind: Kind[E]) -> EntityTarget[E] | None:
        """Notebooks, permissions and models."""
        found: EntityTarget[E] | None = self._entities.get(kind.name)
        return found or self._target.entities(kind)

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> list[Outcome]:
        """Raises WrongUsage when a name is no path there."""
        self._source = source
        names.check(experiments, self._naming, self._home)
        self._quotas.experiments(experiments)
        self._kept.update(key for e in experiments for key in e.tags if self._tags.is_of_experiments(key))
        outcomes = self._target.begin(source, selection, experiments)
        self._quotas.there(self._target.copies_there(experiments))
        return outcomes

    def prepare(self) -> list[Outcome]:
        """See `Target`."""
        self._is_planned_only = False
        return self._target.prepare()

    def plan(self, batch: Batch) -> list[Step]:
        """See `Target`."""
        self._kept.update(key for run in batch.runs for key in run.tags if self._tags.is_of_runs(key))
        steps = self._target.plan(batch)
        self._quotas.runs(batch, steps)
        self._estimate.add(batch, steps, self._carries_artifacts)
        return steps

    def foresee_experiments(self) -> list[Outcome]:
        """See `Target`."""
        return self._target.foresee_experiments()

    def foresee(self, batch: Batch, steps: Sequence[Step], source: Source) -> list[Step]:
        """See `Target`."""
        return self._target.foresee(batch, steps, source)

    def foresee_end(self) -> bool:
        """See `Target`."""
        return self._target.foresee_end()

    def put(
        self, batch: Batch, steps: Sequence[Step], source: Source, pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """In portions side by side, each with threads of its own.

        A run takes requests of several classes, each with a rate of its own. Threads that wait for one class must not
        keep others from being asked, and while one portion waits for one of them another one uses the next.
        """
        portions = list(_portions(batch, steps))
        with threads.pool(len(portions) or 1, "runsync-portion") as lanes:
            futures = [lanes.submit(self._put, portion, some, source, progress) for portion, some in portions]
            return [outcome for future in futures for outcome in future.result()]

    def _put(self, batch: Batch, steps: Sequence[Step], source: Source, progress: Progress) -> list[Outcome]:
        with threads.pool(THREADS, "runsync-request") as pool:
            return self._target.put(batch, steps, source, pool, progress)

    def finish(self, not_carried: Sequence[NotCarried]) -> list[Outcome]:
        """See `Target`."""
        return self._target.finish(not_carried)

    def cannot_keep(self) -> list[NotCarried]:
        """With the tags that the workspace sets itself, and what is beyond a quota."""
        lost = self._target.cannot_keep()
        keys = {*self._kept, *self._tags.learnt}
        if keys:
            why = f"Databricks sets or refuses them: their values are kept in {KEPT}* tags, which runsync reads back"
            count = self._kept.total() if not self._tags.learnt else None
            lost.append(changed("tags under their own names", count, why, tuple(sorted(keys)[:NAMED])))
        return lost

    def notes(self) -> list[str]:
        """With what exceeds a quota of the workspace and, of a dry run, how long it would take."""
        notes = self._target.notes() + self._quotas.notes()
        seconds = self._estimate.seconds
        if self._is_planned_only and seconds >= 1:
            requests = self._estimate.requests
            notes.append(
                f"it would take about {_told(seconds)}, artifact bytes apart: {requests} requests at the rates that "
                "Databricks permits"
            )
        return notes


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _portions(batch: Batch, steps: Sequence[Step]) -> Iterator[tuple[Batch, Sequence[Step]]]:
    for start in range(0, len(steps), PORTION):
        some = steps[start : start + PORTION]
        ids = {step.run_id for step in some}
        yield replace(batch, runs=tuple(run for run in batch.runs if run.run_id in ids), unreadable=()), some
