"""What a store that keeps models has of the kinds of entities."""

from collections.abc import Mapping
from typing import Any

from runsync.contract.entities import EntitySource
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.direct.logged_models import LoggedModelSource
from runsync.workspaces.direct.model_registry import ModelAliasSource, ModelVersionSource, RegisteredModelSource
from runsync.workspaces.direct.models import ModelStore


def sources(store: ModelStore, artifacts: DirectArtifacts) -> Mapping[str, EntitySource[Any]]:
    """By the names of kinds."""
    return {
        LOGGED_MODELS.name: LoggedModelSource(store, artifacts),
        REGISTERED_MODELS.name: RegisteredModelSource(store),
        MODEL_VERSIONS.name: ModelVersionSource(store, artifacts),
        MODEL_ALIASES.name: ModelAliasSource(store),
    }
