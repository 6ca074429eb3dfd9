"""What a store that keeps models and traces has of the kinds of entities."""

from collections.abc import Callable, Mapping
from typing import Any

from runsync.contract.entities import EntitySource, EntityTarget
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.registries import OF_MODELS, OF_PROMPTS, Sort
from runsync.kinds.traces import TRACES
from runsync.model.import_options import ImportOptions
from runsync.workspaces.arrival.model_marks import Marks
from runsync.workspaces.direct import model_registry
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.direct.entity_files import EntityFiles
from runsync.workspaces.direct.logged_models import LoggedModelSource
from runsync.workspaces.direct.model_ids import ModelIds
from runsync.workspaces.direct.put_logged_models import LoggedModelTarget
from runsync.workspaces.direct.put_model_registry import ModelAliasTarget, RegisteredModelTarget
from runsync.workspaces.direct.put_model_versions import ModelVersionTarget
from runsync.workspaces.direct.put_traces import TraceTarget
from runsync.workspaces.direct.store import DirectStore
from runsync.workspaces.direct.trace_source import TraceSource
from runsync.workspaces.direct.version_files import VersionFiles


def sources(store: DirectStore, artifacts: DirectArtifacts) -> Mapping[str, EntitySource[Any]]:
    """By the names of kinds: those that the store has room for."""
    models = store.models
    made: dict[str, EntitySource[Any]] = {
        LOGGED_MODELS.name: LoggedModelSource(models, artifacts),
        **model_registry.sources(models, artifacts),
        TRACES.name: TraceSource(store.traces, artifacts),
    }
    return {name: source for name, source in made.items() if name in _kinds(store)}


def targets(
    store: DirectStore,
    artifacts: DirectArtifacts,
    ids: ModelIds,
    options: ImportOptions,
    location_of: Callable[[str], str],
    address: str,
) -> Mapping[str, EntityTarget[Any]]:
    """Likewise. `location_of` gives the artifact location of an experiment of the target; `address` is that of the
    workspace that all comes from."""
    models, files = store.models, EntityFiles(artifacts, options.verify_artifacts)
    places = VersionFiles(models, artifacts)
    marks = Marks(lambda: address, is_tagged=options.tags, follows=not options.deletions.replays)

    def registry(sort: Sort) -> Mapping[str, EntityTarget[Any]]:
        return {
            sort.models.name: RegisteredModelTarget(models, ids, marks, sort),
            sort.versions.name: ModelVersionTarget(models, ids, files, places, options, marks, sort),
            sort.aliases.name: ModelAliasTarget(models, ids, places, marks, sort),
        }

    made: dict[str, EntityTarget[Any]] = {
        LOGGED_MODELS.name: LoggedModelTarget(models, ids, files, options, location_of, marks),
        **registry(OF_MODELS),
        **registry(OF_PROMPTS),
        TRACES.name: TraceTarget(store.traces, ids, artifacts, options, location_of, marks),
    }
    return {name: target for name, target in made.items() if name in _kinds(store)}


def _kinds(store: DirectStore) -> frozenset[str]:
    return store.models.kinds | ({TRACES.name} if store.traces.has_room else frozenset())
