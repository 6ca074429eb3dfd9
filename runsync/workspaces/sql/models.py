"""Logged models and the model registry of a database: see `workspaces.direct.models.ModelStore`."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from runsync.kinds.logged_models import LoggedModel
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.workspaces.direct.models import Recorded, RunPlace
from runsync.workspaces.sql.logged_models import LoggedModels
from runsync.workspaces.sql.model_aliases import read_model_aliases
from runsync.workspaces.sql.model_versions import read_model_versions
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.registered_models import prompts, read_registered_models


class SqlModels:
    """Those of one MLflow workspace."""

    def __init__(self, part: Part) -> None:
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

    def copies_of(self, model_ids: Collection[str]) -> Mapping[str, str]:
        """Ids of copies of these, as their tags tell."""
        return self._logged.copies_of(model_ids)

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
