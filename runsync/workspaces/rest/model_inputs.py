"""The logged models that runs took as inputs: only `runs/get` tells of them."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor

from runsync.errors import RequestRefused
from runsync.model.run import Batch, ModelLink, Problem
from runsync.workspaces.http import OPTIONAL, Client
from runsync.workspaces.http.fields import listed, part
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.leftovers import is_unknown
from runsync.workspaces.rest.server import API


class ModelInputs:
    """Asked for where the workspace has logged models at all; `experiments` gives the ids of all its experiments, so
    many at a time as one search may name."""

    def __init__(self, client: Client, experiments: Callable[[], Iterator[Sequence[str]]], is_mlflow: bool) -> None:
        self._client = client
        self._experiments = experiments
        self._is_mlflow = is_mlflow
        self._has_models: bool | None = None

    def complete(self, batch: Batch, pool: Executor) -> Batch:
        """The batch with them."""
        if not batch.runs or not self._has_logged_models(batch.runs[0].run_id):
            return batch
        told = list(pool.map(self._inputs, [run.run_id for run in batch.runs]))
        runs = tuple(
            run if isinstance(inputs, Problem) else dataclasses.replace(run, model_inputs=inputs)
            for run, inputs in zip(batch.runs, told, strict=True)
        )
        broken = {run.run_id: (it,) for run, it in zip(runs, told, strict=True) if isinstance(it, Problem)}
        return Batch(runs, broken=broken)

    def _has_logged_models(self, run_id: str) -> bool:
        """Whether there are any in the whole workspace: a run's input may lie in another experiment."""
        if self._has_models is None:
            try:
                self._has_models = any(map(self._any_logged_model, self._experiments()))
            except RequestRefused as error:
                self._has_models = not is_unknown(error) and self._may_have_logged_models(run_id)
        return self._has_models

    def _any_logged_model(self, experiment_ids: Sequence[str]) -> bool:
        body = {"experiment_ids": list(experiment_ids), "max_results": 1}
        return bool(listed(self._client.post(f"{API}/logged-models/search", body, care=OPTIONAL), "models"))

    def _may_have_logged_models(self, run_id: str) -> bool:
        """Of a server that does not tell: MLflow 3 and newer has them, and gives every run its outputs, if only {}."""
        if not self._is_mlflow:
            return True
        try:
            return "outputs" in part(self._client.get(f"{API}/runs/get", run_id=run_id), "run")
        except RequestRefused:
            return True

    def _inputs(self, run_id: str) -> tuple[ModelLink, ...] | Problem:
        try:
            return wire.run(part(self._client.get(f"{API}/runs/get", run_id=run_id), "run")).model_inputs
        except RequestRefused as error:
            return Problem("input", "logged models", str(error))
