"""What a store has of models, and how they are deleted there."""

from typing import Any

from runsync.kinds.kind import Kind
from runsync.kinds.registries import SORTS, Sort
from runsync.workspaces.arrival.model_deletions import Held, Names
from runsync.workspaces.direct.models import ModelStore
from runsync.workspaces.direct.store import DirectStore


class StoredHoldings:
    """See `Holdings`. `models` are those of the store."""

    undeletable: frozenset[str] = frozenset()

    def __init__(self, store: DirectStore, models: ModelStore) -> None:
        self._store = store
        self._models = models

    def held(self) -> Held:
        """See `Holdings`."""
        self._models.refresh()
        ids = [experiment.experiment_id for experiment in self._store.experiments()]
        names = {sort: self._names(sort) for sort in SORTS}
        return Held(names, [recorded.item for recorded in self._models.logged_models(ids)])

    def _names(self, sort: Sort) -> Names:
        return Names(
            {model.name: model for model in self._models.registered_models(sort=sort)},
            [recorded.item for recorded in self._models.model_versions(sort=sort)],
            list(self._models.model_aliases(sort=sort)),
        )

    def delete(self, kind: Kind[Any], item: Any) -> None:
        """See `Holdings`."""
        self._models.delete(kind.name, item.key)
