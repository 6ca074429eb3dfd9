"""What a store that keeps models has of the kinds of entities."""

from collections.abc import Callable, Mapping
from typing import Any

from runsync.contract.entities import EntitySource, EntityTarget
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.import_options import ImportOptions
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.direct.entity_files import EntityFiles
from runsync.workspaces.direct.logged_models import LoggedModelSource
from runsync.workspaces.direct.model_ids import ModelIds
from runsync.workspaces.direct.model_registry import ModelAliasSource, ModelVersionSource, RegisteredModelSource
from runsync.workspaces.direct.models import ModelStore
from runsync.workspaces.direct.put_logged_models import LoggedModelTarget
from runsync.workspaces.direct.put_model_registry import ModelAliasTarget, RegisteredModelTarget
from runsync.workspaces.direct.put_model_versions import ModelVersionTarget
from runsync.workspaces.direct.version_files import VersionFiles


def sources(store: ModelStore, artifacts: DirectArtifacts) -> Mapping[str, EntitySource[Any]]:
    """By the names of kinds: those that the store has room for."""
    made: dict[str, EntitySource[Any]] = {
        LOGGED_MODELS.name: LoggedModelSource(store, artifacts),
        REGISTERED_MODELS.name: RegisteredModelSource(store),
        MODEL_VERSIONS.name: ModelVersionSource(store, artifacts),
        MODEL_ALIASES.name: ModelAliasSource(store),
    }
    return {name: source for name, source in made.items() if name in store.kinds}


def targets(
    store: ModelStore,
    artifacts: DirectArtifacts,
    ids: ModelIds,
    options: ImportOptions,
    location_of: Callable[[str], str],
) -> Mapping[str, EntityTarget[Any]]:
    """Likewise. `location_of` gives the artifact location of an experiment of the target."""
    files, places = EntityFiles(artifacts, options.verify_artifacts), VersionFiles(store, artifacts)
    made: dict[str, EntityTarget[Any]] = {
        LOGGED_MODELS.name: LoggedModelTarget(store, ids, files, options, location_of),
        REGISTERED_MODELS.name: RegisteredModelTarget(store),
        MODEL_VERSIONS.name: ModelVersionTarget(store, ids, files, places, options),
        MODEL_ALIASES.name: ModelAliasTarget(store, ids, places),
    }
    return {name: target for name, target in made.items() if name in store.kinds}
