"""Logged models and the model registry of a database: see `workspaces.direct.models.ModelStore`."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from runsync.kinds.kind import Key
from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.kinds.registries import OF_MODELS, SORTS, Sort
from runsync.workspaces.direct.models import ModelPlace, Recorded, RunPlace, Write
from runsync.workspaces.fitted import Fitted
from runsync.workspaces.sql import logged_models, model_aliases, registered_models
from runsync.workspaces.sql.logged_models import LoggedModels
from runsync.workspaces.sql.model_aliases import read_model_aliases
from runsync.workspaces.sql.model_fits import ModelFits
from runsync.workspaces.sql.model_versions import read_model_versions
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.registered_models import read_registered_models
from runsync.workspaces.sql.write_logged_models import delete_logged_model, move_links, write_logged_models
from runsync.workspaces.sql.write_model_registry import (
    delete_model_alias,
    delete_model_version,
    delete_registered_model,
    move_model_alias,
    set_tags,
    write_model_aliases,
    write_model_versions,
    write_registered_models,
)

E = TypeVar("E")
TABLES = {
    LOGGED_MODELS.name: logged_models.TABLES,
    **{sort.models.name: registered_models.TABLES for sort in SORTS},
    **{sort.versions.name: registered_models.TABLES for sort in SORTS},
    **{sort.aliases.name: (model_aliases.TABLE,) for sort in SORTS},
}
"""Those that each kind takes."""

DELETE: Mapping[str, Callable[..., None]] = {
    LOGGED_MODELS.name: delete_logged_model,
    **{sort.models.name: delete_registered_model for sort in SORTS},
    **{sort.versions.name: delete_model_version for sort in SORTS},
    **{sort.aliases.name: delete_model_alias for sort in SORTS},
}
"""What deletes one of each kind, by its key."""


class SqlModels:
    """Those of one MLflow workspace."""

    def __init__(self, part: Part) -> None:
        self.kinds = frozenset(name for name, tables in TABLES.items() if part.has(*tables))
        self._part = part
        self._logged = LoggedModels(part)
        self._fits: ModelFits | None = None

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

    def registered_models(
        self, names: Collection[str] | None = None, sort: Sort = OF_MODELS
    ) -> Iterator[RegisteredModel]:
        """Those of these names, or all of a sort."""
        return read_registered_models(self._part, names, sort)

    def model_versions(
        self, names: Collection[str] | None = None, sort: Sort = OF_MODELS
    ) -> Iterator[Recorded[ModelVersion]]:
        """Those of these registered models, or of all of a sort."""
        return read_model_versions(self._part, names, sort)

    def model_aliases(self, names: Collection[str] | None = None, sort: Sort = OF_MODELS) -> Iterator[ModelAlias]:
        """Those of these registered models, or of all of a sort."""
        return read_model_aliases(self._part, names, sort)

    def unreadable(self, kind: str) -> Mapping[str, str]:
        """What is no text is told by those who read."""
        return {}

    def own_place(self, item: ModelVersion) -> str:
        """Beside the experiments."""
        return ""

    def fitted(self, item: E) -> Fitted[E]:
        """Without texts that do not fit into their columns."""
        if self._fits is None:
            self._fits = ModelFits(self._part)
        return self._fits.fitted(item)

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

    def move_model_alias(self, alias: ModelAlias, holder: int | None) -> bool:
        """In one transaction, which no other one comes between."""
        return self._part.database.transact(lambda connection: move_model_alias(self._part, connection, alias, holder))

    def tag_model_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """In one transaction."""
        self._set_tags("model_version_tags", {"name": model, "version": version}, tags)

    def tag_registered_model(self, name: str, tags: Mapping[str, str]) -> None:
        """In one transaction."""
        self._set_tags("registered_model_tags", {"name": name}, tags)

    def delete(self, kind: str, key: Key) -> None:
        """In one transaction."""
        self._part.database.transact(lambda connection: DELETE[kind](self._part, connection, *key))

    def refresh(self) -> None:
        """What is read from now on is as it is now."""
        self._part.database.refresh()

    def _set_tags(self, table: str, at: Mapping[str, str | int], tags: Mapping[str, str]) -> None:
        self._part.database.transact(lambda connection: set_tags(self._part, connection, table, at, tags))
