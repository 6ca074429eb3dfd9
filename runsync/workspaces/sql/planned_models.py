"""Models of a database whose tables are still to be made: there are none, and none is written."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from runsync.errors import RequestRefused
from runsync.kinds.kind import Key
from runsync.kinds.logged_models import LoggedModel
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.kinds.registries import OF_MODELS, Sort
from runsync.workspaces.direct.models import ModelPlace, Recorded, RunPlace, Write
from runsync.workspaces.fitted import Fitted
from runsync.workspaces.sql.models import TABLES

E = TypeVar("E")


class NoModels:
    """A `ModelStore`."""

    kinds = frozenset(TABLES)

    def logged_models(
        self, experiment_ids: Sequence[str], model_ids: Collection[str] = ()
    ) -> Iterator[Recorded[LoggedModel]]:
        """None."""
        return iter(())

    def deleted_logged_models(self, experiment_ids: Sequence[str]) -> int:
        """None."""
        return 0

    def model_places(self, model_ids: Collection[str]) -> Mapping[str, ModelPlace]:
        """None."""
        return {}

    def run_places(self, run_ids: Collection[str]) -> Mapping[str, RunPlace]:
        """None."""
        return {}

    def registered_models(
        self, names: Collection[str] | None = None, sort: Sort = OF_MODELS
    ) -> Iterator[RegisteredModel]:
        """None."""
        return iter(())

    def model_versions(
        self, names: Collection[str] | None = None, sort: Sort = OF_MODELS
    ) -> Iterator[Recorded[ModelVersion]]:
        """None."""
        return iter(())

    def model_aliases(self, names: Collection[str] | None = None, sort: Sort = OF_MODELS) -> Iterator[ModelAlias]:
        """None."""
        return iter(())

    def unreadable(self, kind: str) -> Mapping[str, str]:
        """None."""
        return {}

    def own_place(self, item: ModelVersion) -> str:
        """Beside the experiments."""
        return ""

    def fitted(self, item: E) -> Fitted[E]:
        """There will be room for all."""
        return Fitted(item)

    def refresh(self) -> None:
        """Nothing to read again."""

    def write_logged_models(self, writes: Sequence[Write[LoggedModel]]) -> None:
        """Raises RequestRefused, as all that writes."""
        self._refuse(writes)

    def move_links(self, model_ids: Mapping[str, str]) -> None:
        """There are no links."""

    def write_registered_models(self, writes: Sequence[Write[RegisteredModel]]) -> None:
        """Likewise."""
        self._refuse(writes)

    def write_model_versions(self, writes: Sequence[Write[ModelVersion]]) -> None:
        """Likewise."""
        self._refuse(writes)

    def write_model_aliases(self, aliases: Sequence[ModelAlias]) -> None:
        """Likewise."""
        self._refuse(aliases)

    def move_model_alias(self, alias: ModelAlias, holder: int | None) -> bool:
        """Likewise."""
        self._refuse([alias])
        return False

    def tag_model_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Likewise."""
        self._refuse([model])

    def tag_registered_model(self, name: str, tags: Mapping[str, str]) -> None:
        """Likewise."""
        self._refuse([name])

    def delete(self, kind: str, key: Key) -> None:
        """Likewise."""
        self._refuse([key])

    def _refuse(self, items: Sequence[Any]) -> None:
        if items:
            raise RequestRefused("the database has no tables yet")
