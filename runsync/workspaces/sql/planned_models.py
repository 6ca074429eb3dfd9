"""Models of a database whose tables are still to be made: there are none, and none is written."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from runsync.errors import RequestRefused
from runsync.kinds.logged_models import LoggedModel
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.workspaces.direct.models import ModelPlace, Recorded, RunPlace, Write
from runsync.workspaces.sql.models import TABLES


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

    def registered_models(self, names: Collection[str] | None = None) -> Iterator[RegisteredModel]:
        """None."""
        return iter(())

    def prompts(self, names: Collection[str]) -> set[str]:
        """None."""
        return set()

    def model_versions(self, names: Collection[str] | None = None) -> Iterator[Recorded[ModelVersion]]:
        """None."""
        return iter(())

    def model_aliases(self, names: Collection[str] | None = None) -> Iterator[ModelAlias]:
        """None."""
        return iter(())

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

    def _refuse(self, items: Sequence[Any]) -> None:
        if items:
            raise RequestRefused("the database has no tables yet")
