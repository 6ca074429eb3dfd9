"""What a Databricks workspace takes at most (learn.microsoft.com, Azure Databricks, resource limits; enforced since
March 2024): told beforehand, by name, rather than when half of a run is in."""

from collections import Counter
from collections.abc import Mapping, Sequence
from threading import Lock

from runsync.model.experiment import Experiment
from runsync.model.outcome import CREATE, Step
from runsync.model.run import Batch, Run
from runsync.model.wording import many

PARAMS_A_RUN = 1600
TAGS_A_RUN = 1600
STEPS_A_RUN = 1_000_000
RUNS_AN_EXPERIMENT = 500_000
TAGS_AN_EXPERIMENT = 1000
NAMED = 10
RUN, EXPERIMENT = "run", "experiment"


class Quotas:
    """What of one import exceeds a quota. Safe for many threads."""

    def __init__(self) -> None:
        self._over: dict[tuple[str, str], list[str]] = {}
        self._runs: Counter[str] = Counter()
        self._names: Mapping[str, str] = {}
        self._lock = Lock()

    def experiments(self, experiments: Sequence[Experiment]) -> None:
        """Looks at experiments."""
        self._names = {e.experiment_id: e.name for e in experiments}
        for experiment in experiments:
            if len(experiment.tags) > TAGS_AN_EXPERIMENT:
                self._note(EXPERIMENT, f"{TAGS_AN_EXPERIMENT:,} tags", experiment.name)

    def there(self, counts: Mapping[str, int]) -> None:
        """How many runs the target has already, by the source's experiment id."""
        self._runs.update(counts)

    def runs(self, batch: Batch, steps: Sequence[Step]) -> None:
        """Looks at runs, and what is to be done with them."""
        new = {step.run_id for step in steps if step.action == CREATE}
        with self._lock:
            self._runs.update(run.experiment_id for run in batch.runs if run.run_id in new)
        for run in batch.runs:
            told = batch.contents.get(run.run_id)
            points = told.metric_points if told is not None else likely_points(run)
            for count, most, what in (
                (len(run.params), PARAMS_A_RUN, "params"),
                (len(run.tags), TAGS_A_RUN, "tags"),
                (points, STEPS_A_RUN, "metric points"),
            ):
                if count > most:
                    self._note(RUN, f"{most:,} {what}", f"{run.name} ({run.run_id})")

    def notes(self) -> list[str]:
        """A sentence for each quota that is exceeded."""
        for experiment_id, count in self._runs.items():
            if count > RUNS_AN_EXPERIMENT:
                name = self._names.get(experiment_id, experiment_id)
                self._note(EXPERIMENT, f"{RUNS_AN_EXPERIMENT:,} runs", name)
        return [
            f"{many(len(found), kind)} with more than {most}, which Databricks refuses: {_listed(found)}"
            for (kind, most), found in self._over.items()
        ]

    def _note(self, kind: str, most: str, name: str) -> None:
        with self._lock:
            found = self._over.setdefault((kind, most), [])
            if name not in found:
                found.append(name)


def likely_points(run: Run) -> int:
    """A metric seldom has fewer points than its latest step says, where steps are counted by one."""
    return sum(min(metric.step + 1, STEPS_A_RUN) if metric.step > 0 else 1 for metric in run.latest_metrics)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
