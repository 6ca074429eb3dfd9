"""Logged models and the model registry of a database: see `workspaces.direct.models.ModelStore`."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS, ModelVersion
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.workspaces.direct.models import ModelPlace, Recorded, RunPlace, Write
from runsync.workspaces.sql import logged_models, model_aliases, registered_models
from runsync.workspaces.sql.logged_models import LoggedModels
from runsync.workspaces.sql.model_aliases import read_model_aliases
from runsync.workspaces.sql.model_versions import read_model_versions
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.registered_models import prompts, read_registered_models
from runsync.workspaces.sql.write_logged_models import move_links, write_logged_models
from runsync.workspaces.sql.write_model_registry import (
    write_model_aliases,
    write_model_versions,
    write_registered_models,
)

TABLES = {
    LOGGED_MODELS.name: logged_models.TABLES,
    REGISTERED_MODELS.name: registered_models.TABLES,
    MODEL_VERSIONS.name: registered_models.TABLES,
    MODEL_ALIASES.name: (model_aliases.TABLE,),
}
"""Those that each kind takes."""


class SqlModels:
    """Those of one MLflow workspace."""

    def __init__(self, part: Part) -> None:
        self.kinds = frozenset(name for name, tables in TABLES.items() if part.has(*tables))
        self._part = part
        self._logged = LoggedModels(part)

    def logged_models(
        self, experiment_ids: Sequence[str], model_ids: Collection[str] = ()
    ) -> Iterator[Recorded[LoggedModel]]:
        """Those of experiments, and those of these ids."""
        return self._logged.read(experiment_ids, model_ids)

    def deleted_logged_models(self, experiment_ids: Sequence[str]) -> int:
        """How many of experiments are deleted."""
        return self._logged.deleted(experiment_ids)

    def model_places(self, model_ids: Collection[str]) -> Mapping[str, ModelPlace]:
        """Those that are there, or copies of them."""
        return self._logged.places(model_ids)

    def run_places(self, run_ids: Collection[str]) -> Mapping[str, RunPlace]:
        """The runs that are there."""
        return self._logged.run_places(run_ids)

    def registered_models(self, names: Collection[str] | None = None) -> Iterator[RegisteredModel]:
        """Those of these names, or all but prompts."""
        return read_registered_models(self._part, names)

    def prompts(self, names: Collection[str]) -> set[str]:
        """Those of the names that prompts have."""
        return prompts(self._part, names)

    def model_versions(self, names: Collection[str] | None = None) -> Iterator[Recorded[ModelVersion]]:
        """Those of these registered models, or of all."""
        return read_model_versions(self._part, names)

    def model_aliases(self, names: Collection[str] | None = None) -> Iterator[ModelAlias]:
        """Those of these registered models, or of all."""
        return read_model_aliases(self._part, names)

    def write_logged_models(self, writes: Sequence[Write[LoggedModel]]) -> None:
        """In one transaction, with all that hangs off them."""
        self._part.database.transact(lambda connection: write_logged_models(self._part, connection, writes))

    def move_links(self, model_ids: Mapping[str, str]) -> None:
        """In one transaction."""
        self._part.database.transact(lambda connection: move_links(self._part, connection, model_ids))

    def write_registered_models(self, writes: Sequence[Write[RegisteredModel]]) -> None:
        """In one transaction, with their tags."""
        self._part.database.transact(lambda connection: write_registered_models(self._part, connection, writes))

    def write_model_versions(self, writes: Sequence[Write[ModelVersion]]) -> None:
        """In one transaction, with their tags."""
        self._part.database.transact(lambda connection: write_model_versions(self._part, connection, writes))

    def write_model_aliases(self, aliases: Sequence[ModelAlias]) -> None:
        """In one transaction."""
        self._part.database.transact(lambda connection: write_model_aliases(self._part, connection, aliases))

    def refresh(self) -> None:
        """What is read from now on is as it is now."""
        self._part.database.refresh()
