"""How long an import into Databricks takes at least: what it asks for, at the rates that are kept to."""

from collections import Counter
from collections.abc import Sequence
from threading import Lock

from runsync.model.outcome import CREATE, UPDATE, Step
from runsync.model.run import Batch, Run
from runsync.workspaces.databricks.quotas import likely_points
from runsync.workspaces.databricks.rates import RATES, SHARE
from runsync.workspaces.rest.runs import BATCH_PARAMS, BATCH_TOTAL

SEARCHES_A_PORTION = 2
"""For copies that another import makes at the same time."""


class Estimate:
    """Counts the requests that planned runs will take, by class of endpoint. Safe for many threads."""

    def __init__(self, portion: int) -> None:
        self._portion = portion
        self._requests: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, batch: Batch, steps: Sequence[Step], artifacts: bool) -> None:
        """What these runs will take."""
        todo = {step.run_id: step.action for step in steps if step.action in (CREATE, UPDATE)}
        found: Counter[str] = Counter({"runs-search": SEARCHES_A_PORTION * -(-len(todo) // self._portion)})
        for run in batch.runs:
            if run.run_id in todo:
                told = batch.contents.get(run.run_id)
                points = told.metric_points if told is not None else likely_points(run)
                found["log-batch"] += max(1, -(-len(run.params) // BATCH_PARAMS), -(-points // BATCH_TOTAL))
                found["tracking"] += _tracking(
                    run, todo[run.run_id], told is not None and bool(told.artifacts) and artifacts
                )
        with self._lock:
            self._requests.update(found)

    @property
    def seconds(self) -> float:
        """That the class of which most is asked for takes."""
        return max((count / (RATES[name] * SHARE) for name, count in self._requests.items()), default=0.0)

    @property
    def requests(self) -> int:
        """All of them."""
        return self._requests.total()


def _tracking(run: Run, action: str, has_files: bool) -> int:
    """Creation, status, the mark that it is whole; a list of files and credentials for them."""
    return (3 if action == CREATE else 2) + bool(run.dataset_inputs) + (2 if has_files else 0)
