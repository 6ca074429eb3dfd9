"""Registered models into Unity Catalog: with tags as it can have them, and under names that it takes."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace

from runsync.contract.entities import EntitySource
from runsync.kinds.registered_models import RegisteredModel
from runsync.model.identity import own_tags_removed
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import Outcome
from runsync.model.progress import Progress
from runsync.model.run import Problem
from runsync.workspaces.databricks.unity import tags
from runsync.workspaces.rest.registered_model_target import RegisteredModelTarget

MARKS = 3
"""Tags of ours that a model may get (see `model.brought`)."""


class CatalogModelTarget:
    """See `EntityTarget`; the `target` writes to the catalog what it is given."""

    def __init__(self, target: RegisteredModelTarget) -> None:
        self._target = target

    def plan(
        self, items: Sequence[RegisteredModel], source: EntitySource[RegisteredModel], pool: Executor
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        return self._told(items, self._target.plan([_fitting(item) for item in items], source, pool))

    def put(
        self,
        items: Sequence[RegisteredModel],
        source: EntitySource[RegisteredModel],
        pool: Executor,
        progress: Progress,
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        return self._told(items, self._target.put([_fitting(item) for item in items], source, pool, progress))

    def finish(self, pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        return self._target.finish(pool)

    def left(self) -> list[NotCarried]:
        """See `EntityTarget`."""
        return self._target.left()

    def _told(self, items: Sequence[RegisteredModel], outcomes: Sequence[Outcome]) -> list[Outcome]:
        lost = {item.name: _room(item)[1] for item in items}
        return [replace(outcome, problems=(*outcome.problems, *lost[outcome.source_id])) for outcome in outcomes]


def _fitting(item: RegisteredModel) -> RegisteredModel:
    return replace(item, tags=_room(item)[0])


def _room(item: RegisteredModel) -> tuple[dict[str, str], tuple[Problem, ...]]:
    return tags.fitting(own_tags_removed(item.tags), tags.MOST - MARKS)
