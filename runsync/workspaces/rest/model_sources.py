"""What is read of the models and prompts of a server, kind by kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from runsync.contract.entities import EntitySource
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.registries import OF_MODELS, OF_PROMPTS, Sort
from runsync.workspaces.http import Client
from runsync.workspaces.rest.artifacts import Artifacts
from runsync.workspaces.rest.habits import Habits
from runsync.workspaces.rest.logged_models import LoggedModelSource
from runsync.workspaces.rest.metrics import MetricReader
from runsync.workspaces.rest.model_homes import Met, ModelHomes
from runsync.workspaces.rest.model_versions import ModelVersionSource
from runsync.workspaces.rest.reached import Reached
from runsync.workspaces.rest.registered_models import ModelAliasSource, RegisteredModelSource


@dataclass(frozen=True, slots=True)
class Registered:
    """Names of one sort in the registry of a server, and their versions."""

    sort: Sort
    models: RegisteredModelSource
    versions: ModelVersionSource

    @classmethod
    def of(cls, sort: Sort, client: Client, by_model: bool, homes: ModelHomes | None = None) -> Self:
        """See `ModelVersionSource`."""
        models = RegisteredModelSource(client, sort)
        return cls(sort, models, ModelVersionSource(client, models, by_model, homes, sort))

    @property
    def sources(self) -> Mapping[str, EntitySource[Any]]:
        """By the name of the kind."""
        return {
            self.sort.models.name: self.models,
            self.sort.versions.name: self.versions,
            self.sort.aliases.name: ModelAliasSource(self.models, self.sort),
        }


@dataclass(frozen=True, slots=True)
class Models:
    """Of one server. `sources` has those of the kinds that it has, by name; `met` is told of the runs that are read."""

    store: Artifacts
    logged: LoggedModelSource
    registered: Registered
    prompts: Registered
    sources: Mapping[str, EntitySource[Any]]
    met: Met

    @classmethod
    def of(cls, reached: Reached, habits: Habits, metrics: MetricReader) -> Self:
        """What a server shows us."""
        client, store = reached.client, reached.artifacts
        logged = LoggedModelSource(client, store, metrics, habits)
        by_model, by_address, met = habits.versions_by_model, reached.by_address, Met()
        homes = ModelHomes(client, store, by_address, met, logged.has) if by_address is not None else None
        registered = Registered.of(OF_MODELS, client, by_model, homes)
        prompts = Registered.of(OF_PROMPTS, client, by_model)
        every = {LOGGED_MODELS.name: logged, **registered.sources, **prompts.sources}
        has = habits.models - reached.server.lacks
        return cls(store, logged, registered, prompts, {name: every[name] for name in every if name in has}, met)
