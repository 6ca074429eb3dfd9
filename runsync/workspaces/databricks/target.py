"""One import or sync into a Databricks workspace: that of open-source servers, between checks of our own."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor

from runsync.model.experiment import Experiment
from runsync.model.import_options import ImportOptions
from runsync.model.progress import Progress
from runsync.model.protocol import NotCarried, Outcome, Source, Step
from runsync.model.run import Batch
from runsync.model.selection import Selection
from runsync.workspaces.databricks import names
from runsync.workspaces.databricks.objects import DatabricksObjectTarget
from runsync.workspaces.databricks.quotas import Quotas
from runsync.workspaces.databricks.tags import KEPT
from runsync.workspaces.databricks.workspace import DatabricksWorkspace
from runsync.workspaces.rest.target import RestTarget

NAMED = 20


class DatabricksTarget:
    """See `model.protocol.Target`."""

    def __init__(self, workspace: DatabricksWorkspace, options: ImportOptions) -> None:
        self.place = workspace.place
        self._naming = options.naming
        self._target = RestTarget(workspace, options)
        self._home = workspace.home
        self._tags = workspace.client.tags
        self._quotas = Quotas()
        self.objects = DatabricksObjectTarget(workspace.client, self._target.target_experiment, options)
        self._kept: Counter[str] = Counter()

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> list[Outcome]:
        """Raises WrongUsage when a name is no path there."""
        names.check(experiments, self._naming, self._home)
        self._quotas.experiments(experiments)
        self._kept.update(key for e in experiments for key in e.tags if self._tags.is_of_experiments(key))
        return self._target.begin(source, selection, experiments)

    def prepare(self) -> list[Outcome]:
        """See `Target`."""
        return self._target.prepare()

    def plan(self, batch: Batch) -> list[Step]:
        """See `Target`."""
        self._quotas.runs(batch)
        self._kept.update(key for run in batch.runs for key in run.tags if self._tags.is_of_runs(key))
        return self._target.plan(batch)

    def put(
        self, batch: Batch, steps: Sequence[Step], source: Source, pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `Target`."""
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
            lost.append(NotCarried("tags under their own names", count, why, tuple(sorted(keys)[:NAMED])))
        return lost

    def notes(self) -> list[str]:
        """With what exceeds a quota of the workspace."""
        return self._target.notes() + self._quotas.notes()
