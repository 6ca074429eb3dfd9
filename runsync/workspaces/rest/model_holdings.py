"""What a server has of models, and how they are deleted there."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.kind import Kind
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.registries import SORTS
from runsync.workspaces.arrival.model_deletions import Held
from runsync.workspaces.http import Client
from runsync.workspaces.rest.collisions import send
from runsync.workspaces.rest.logged_models import plain
from runsync.workspaces.rest.model_sources import Models
from runsync.workspaces.rest.version_numbers import GAP


class ServerHoldings:
    """See `Holdings`. `every_experiment` gives the ids of all, some at a time; None: no logged models."""

    def __init__(
        self,
        client: Client,
        models: Models,
        every_experiment: Callable[[], Iterator[Sequence[str]]] | None,
        undeletable: frozenset[str],
    ) -> None:
        self.undeletable = undeletable
        self._client = client
        self._models = models
        self._every_experiment = every_experiment

    def held(self) -> Held:
        """See `Holdings`."""
        found = Held()
        for registered in (self._models.registered, self._models.prompts):
            if registered.sort.models.name not in self._models.sources:
                continue
            held = found.names[registered.sort]
            for model, aliases in registered.models.all():
                held.models[model.name] = model
                held.aliases += aliases
            held.versions += (version for version in registered.versions.all() if GAP not in version.tags)
        for ids in self._every_experiment() if self._every_experiment is not None else ():
            found.logged += self._models.logged.of_experiments(ids)
        return found

    def delete(self, kind: Kind[Any], item: Any) -> None:
        """See `Holdings`."""
        try:
            if kind in [sort.aliases for sort in SORTS]:
                self._delete("registered-models/alias", name=item.model, alias=item.alias)
            elif kind in [sort.versions for sort in SORTS]:
                self._delete("model-versions/delete", name=item.model, version=str(item.version))
            elif kind is LOGGED_MODELS:
                self._delete(f"logged-models/{plain(item.model_id)}", model_id=item.model_id)
            else:
                self._delete("registered-models/delete", name=item.name)
        except RequestRefused as error:
            if error.code != ABSENT:  # by a request whose answer was lost
                raise

    def _delete(self, path: str, **named: str) -> None:
        send(self._client, "DELETE", path, named)
