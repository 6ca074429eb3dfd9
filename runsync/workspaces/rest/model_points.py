"""Metric points of logged models into a server: runs log them, and only while they are active."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from threading import Lock

from runsync.errors import RequestRefused
from runsync.kinds.kind import Resolve
from runsync.kinds.left_behind import METRIC_LINKS
from runsync.kinds.logged_models import LoggedModel, ModelMetric
from runsync.model import numbers
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.run import Problem
from runsync.model.selection import RUNS
from runsync.workspaces.http import Client
from runsync.workspaces.rest.collisions import is_collision, is_inactive, post, post_to_deleted
from runsync.workspaces.rest.refused import MOST, is_of_entries
from runsync.workspaces.rest.search import chunks

POINTS = 1000
"""Of one log-batch."""


class ModelPoints:
    """`resolve` gives the target's ids of what the source has."""

    def __init__(self, client: Client, resolve: Resolve) -> None:
        self._client = client
        self._resolve = resolve
        self._lost: list[str] = []
        self._lock = Lock()

    def log(self, item: LoggedModel, wanted: LoggedModel, there: LoggedModel) -> tuple[int, list[Problem]]:
        """Logs those that the model that is there lacks of the one wanted; gives how many, and what is refused. A run
        that logged a point already, without the model, does not get it twice (MLflow 3.17). Raises RequestRefused."""
        known = {metric.place for metric in there.metrics}
        of_runs: dict[str, list[ModelMetric]] = defaultdict(list)
        for metric in wanted.metrics:
            if metric.place not in known:
                of_runs[metric.run_id].append(metric)
        asked = {metric.run_id for metric in item.metrics} if of_runs else set()
        runs = {self._resolve(RUNS, run_id) for run_id in asked}
        count, problems = 0, list[Problem]()
        for run_id, metrics in of_runs.items():
            if run_id not in runs:
                with self._lock:
                    self._lost += [f"{metric.key} of {item.name or item.model_id}" for metric in metrics]
                continue
            for some in chunks(metrics, POINTS):
                refused = self._log_some(run_id, some, there.model_id)
                problems += refused
                count += len(some) - len(refused)
        return count, problems

    def _log_some(self, run_id: str, metrics: Sequence[ModelMetric], model_id: str) -> list[Problem]:
        """Together, and in halves where some are refused; gives those."""
        try:
            self._log(run_id, [_point(metric, model_id) for metric in metrics])
        except RequestRefused as error:
            if not is_of_entries(error) and not is_collision(error):  # MLflow 3.5 takes no point twice
                raise
            if len(metrics) == 1:
                return [Problem("metric", metrics[0].key, f"a point of it: {error}")]
            middle, problems = len(metrics) // 2, list[Problem]()
            for half in metrics[:middle], metrics[middle:]:
                problems += self._log_some(run_id, half, model_id)
                if len(problems) > MOST:
                    raise
            return problems
        return []

    def left(self) -> list[NotCarried]:
        """The points whose runs are not there."""
        if not self._lost:
            return []
        names = tuple(sorted(set(self._lost))[:NAMED])
        return [METRIC_LINKS.left(len(self._lost), "their runs are not in the target", names)]

    def _log(self, run_id: str, points: Sequence[Mapping[str, object]]) -> None:
        """A deleted run takes points while it is restored."""
        body = {"run_id": run_id, "metrics": points}
        try:
            post(self._client, "runs/log-batch", body)
        except RequestRefused as error:
            if not is_inactive(error):
                raise
            post(self._client, "runs/restore", {"run_id": run_id})
            post_to_deleted(self._client, "runs/log-batch", body, run_id)
            post(self._client, "runs/delete", {"run_id": run_id})


def _point(metric: ModelMetric, model_id: str) -> dict[str, object]:
    dataset = {"dataset_name": metric.dataset_name, "dataset_digest": metric.dataset_digest}
    return {
        "key": metric.key,
        "value": numbers.to_json(metric.value),
        "timestamp": metric.timestamp,
        "step": metric.step,
        "model_id": model_id,
        **{name: value for name, value in dataset.items() if value},
    }
