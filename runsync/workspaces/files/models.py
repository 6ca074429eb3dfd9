"""Logged models and the model registry of a file store: see `workspaces.direct.models.ModelStore`."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from runsync.kinds.kind import Key, Kind
from runsync.kinds.logged_models import COMPLETE, LOGGED_MODELS, ORIGIN, LoggedModel
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS, ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.kinds.registries import OF_MODELS, SORTS, Sort
from runsync.model.identity import COPY
from runsync.model.selection import RUNS
from runsync.workspaces.direct.homes import at_home, homes
from runsync.workspaces.direct.models import DELETED, ModelPlace, Recorded, RunPlace, Write
from runsync.workspaces.files import model_fits
from runsync.workspaces.files.layout import (
    ARTIFACTS,
    META,
    MODELS,
    TAGS,
    Broken,
    experiment_folders,
    find_experiment,
    find_run,
    printable,
    read_text,
    why,
)
from runsync.workspaces.files.logged_models import find_model, model_folders, read_head, read_model
from runsync.workspaces.files.meta import read_meta, text
from runsync.workspaces.files.move_links import move_links
from runsync.workspaces.files.registry import (
    folder_of_name,
    is_prompt,
    model_names,
    numbers,
    own_place,
    read_aliases,
    read_registered_model,
    read_version,
    version_folder,
)
from runsync.workspaces.files.strays import Strays
from runsync.workspaces.files.write_logged_models import delete_logged_model, write_logged_models
from runsync.workspaces.files.write_registry import (
    delete_alias,
    delete_registered_model,
    delete_version,
    move_alias,
    set_tags,
    write_aliases,
    write_registered_models,
    write_versions,
)
from runsync.workspaces.fitted import Fitted

E = TypeVar("E")
_DELETE: Mapping[str, Callable[..., None]] = {
    **{sort.models.name: delete_registered_model for sort in SORTS},
    **{sort.versions.name: delete_version for sort in SORTS},
    **{sort.aliases.name: delete_alias for sort in SORTS},
}
"""What deletes one of each kind, by the root and its key."""
_LOST = "their registered models cannot be read"
KINDS = (LOGGED_MODELS, *(kind for sort in SORTS for kind in sort.kinds))


class FileModels:
    """Those of one folder. `make` makes that where it is not there yet."""

    kinds = frozenset(kind.name for kind in KINDS)

    def __init__(self, root: str, strays: Strays, make: Callable[[], None]) -> None:
        self._root = root
        self._strays = strays
        self._make = make
        self._unread: dict[str, dict[str, str]] = defaultdict(dict)
        self._copies: dict[str, str] | None = None
        """Folders of logged models by the ids that they were born with, of those that have others here."""

    def logged_models(
        self, experiment_ids: Sequence[str], model_ids: Collection[str] = ()
    ) -> Iterator[Recorded[LoggedModel]]:
        """See `ModelStore`."""
        places: dict[str, tuple[str, str]] = {}
        for experiment_id in experiment_ids:
            for model_id, path in self._folders(experiment_id):
                if model_id in places:
                    other = f"{places[model_id][1]} has the same id: move one of the two away"
                    self._unread[LOGGED_MODELS.name][printable(path)] = other
                places.setdefault(model_id, (experiment_id, path))
        for model_id in model_ids:
            if model_id not in places and (found := self._find(model_id)) is not None:
                places[model_id] = found
        for model_id, (experiment_id, path) in sorted(places.items()):
            try:
                meta = read_head(path, experiment_id, model_id)
                if meta is not None:
                    broken: dict[str, str] = {}
                    yield read_model(path, experiment_id, meta, self._strays, broken)
                    self._note(LOGGED_MODELS, model_id, broken)
            except FileNotFoundError:
                continue  # it went away meanwhile
            except (Broken, OSError) as error:
                self._unread[LOGGED_MODELS.name][printable(model_id)] = why(error)

    def deleted_logged_models(self, experiment_ids: Sequence[str]) -> int:
        """See `ModelStore`."""
        count = 0
        for experiment_id in experiment_ids:
            for model_id, path in self._folders(experiment_id):
                try:
                    count += read_head(path, experiment_id, model_id) is None
                except (Broken, OSError):
                    continue  # told where all are read
        return count

    def model_places(self, model_ids: Collection[str]) -> Mapping[str, ModelPlace]:
        """See `ModelStore`."""
        places = {}
        for model_id in model_ids:
            found = self._find(model_id)
            path = self._all_copies().get(model_id) if found is None else found[1]
            if path is not None and (place := _place(path)) is not None:
                places[model_id] = place
        return places

    def run_places(self, run_ids: Collection[str]) -> Mapping[str, RunPlace]:
        """See `ModelStore`."""
        places, likely = {}, ""
        for run_id in run_ids:
            folder = find_run(self._root, run_id, likely)
            if folder is not None:
                likely = str(Path(folder).parent)
                try:
                    uri = text(read_meta(f"{folder}/{META}"), "artifact_uri")
                    places[run_id] = RunPlace(run_id, Path(likely).name, uri, _tag(folder, COPY))
                except (Broken, OSError):
                    continue
        return places

    def registered_models(
        self, names: Collection[str] | None = None, sort: Sort = OF_MODELS
    ) -> Iterator[RegisteredModel]:
        """See `ModelStore`."""
        for name, folder in self._registered(names, sort):
            try:
                broken: dict[str, str] = {}
                yield read_registered_model(folder, name, self._strays, broken)
                if names is None:
                    self._note(sort.models, name, broken)
            except (Broken, OSError) as error:
                if names is None:
                    self._unread[sort.models.name][printable(name)] = why(error)

    def model_versions(
        self, names: Collection[str] | None = None, sort: Sort = OF_MODELS
    ) -> Iterator[Recorded[ModelVersion]]:
        """See `ModelStore`."""
        for name, folder in self._registered(names, sort):
            every = self._versions(name, folder, sort)
            found = [one for one in every if names is not None or one.item.stage != DELETED]
            there = self._there(homes(found))
            yield from (at_home(one, there) for one in found)

    def model_aliases(self, names: Collection[str] | None = None, sort: Sort = OF_MODELS) -> Iterator[ModelAlias]:
        """See `ModelStore`."""
        for name, folder in self._registered(names, sort):
            try:
                found, broken = read_aliases(folder, name, self._strays)
            except OSError as error:
                found, broken = [], {f"{printable(name)}@": why(error)}
            if found and self._fault(folder, name):
                found, broken = [], broken | {printable(alias.name): _LOST for alias in found}
            self._unread[sort.aliases.name] |= broken
            yield from found

    def unreadable(self, kind: str) -> Mapping[str, str]:
        """See `ModelStore`."""
        return self._unread[kind]

    def own_place(self, item: ModelVersion) -> str:
        """See `ModelStore`: in the folder of its registered model, where MLflow passes over it."""
        return Path(own_place(self._root, item.model, item.version)).as_uri()

    def fitted(self, item: E) -> Fitted[E]:
        """See `ModelStore`."""
        return model_fits.fitted(item)

    def refresh(self) -> None:
        """See `ModelStore`."""
        self._copies = None

    def write_logged_models(self, writes: Sequence[Write[LoggedModel]]) -> None:
        """See `ModelStore`."""
        self._make()
        write_logged_models(self._root, writes)
        self._copies = None

    def move_links(self, model_ids: Mapping[str, str]) -> None:
        """See `ModelStore`."""
        move_links(self._root, model_ids)

    def write_registered_models(self, writes: Sequence[Write[RegisteredModel]]) -> None:
        """See `ModelStore`."""
        self._make()
        write_registered_models(self._root, writes)

    def write_model_versions(self, writes: Sequence[Write[ModelVersion]]) -> None:
        """See `ModelStore`."""
        write_versions(self._root, writes)

    def write_model_aliases(self, aliases: Sequence[ModelAlias]) -> None:
        """See `ModelStore`."""
        write_aliases(self._root, aliases)

    def move_model_alias(self, alias: ModelAlias, holder: int | None) -> bool:
        """See `ModelStore`."""
        return move_alias(self._root, alias, holder)

    def tag_model_version(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """See `ModelStore`."""
        set_tags(self._root, model, version, tags)

    def tag_registered_model(self, name: str, tags: Mapping[str, str]) -> None:
        """See `ModelStore`."""
        set_tags(self._root, name, None, tags)

    def delete(self, kind: str, key: Key) -> None:
        """See `ModelStore`."""
        if kind == LOGGED_MODELS.name:
            found = self._find(key[0])
            if found is not None:
                delete_logged_model(self._root, found[1])
        else:
            _DELETE[kind](self._root, *key)

    def _note(self, kind: Kind[Any], name: str, broken: Mapping[str, str]) -> None:
        """Pieces of one that cannot be read."""
        self._unread[kind.name] |= {f"{printable(name)}: {piece}": why for piece, why in broken.items()}

    def _folders(self, experiment_id: str) -> Iterator[tuple[str, str]]:
        folder = find_experiment(self._root, experiment_id)
        try:
            yield from model_folders(folder.path, self._strays) if folder is not None else ()
        except (Broken, OSError) as error:
            self._unread[LOGGED_MODELS.name][f"of experiment {experiment_id}"] = why(error)

    def _find(self, model_id: str) -> tuple[str, str] | None:
        """The experiment and the folder of a logged model that was not deleted."""
        for experiment in experiment_folders(self._root):
            folder = find_model(experiment.path, model_id)
            if folder is not None and not _is_deleted(folder):
                return experiment.experiment_id, folder
        return None

    def _all_copies(self) -> Mapping[str, str]:
        if self._copies is None:
            self._copies = {}
            for experiment in experiment_folders(self._root):
                for model_id, path in self._folders(experiment.experiment_id):
                    origin = _tag(path, ORIGIN)
                    if origin not in ("", model_id) and not _is_deleted(path):
                        self._copies[origin] = path
        return self._copies

    def _registered(self, names: Collection[str] | None, sort: Sort) -> Iterator[tuple[str, str]]:
        """Names and folders of registered models: those of these names that are there, or all of a sort."""
        try:
            for name in model_names(self._root, self._strays) if names is None else sorted(names):
                try:
                    folder = folder_of_name(self._root, name)
                except Broken as error:
                    if names is None and not sort.are_prompts:
                        self._unread[sort.models.name][printable(name)] = str(error)
                    continue
                is_of_sort = is_prompt(folder) == sort.are_prompts
                if (names is None and is_of_sort) or (names is not None and Path(folder, META).is_file()):
                    yield name, folder
        except (Broken, OSError) as error:
            if not sort.are_prompts:  # told once
                self._unread[sort.models.name][MODELS] = why(error)

    def _versions(self, name: str, folder: str, sort: Sort) -> Iterator[Recorded[ModelVersion]]:
        fault = self._fault(folder, name)
        for number in numbers(folder):
            try:
                if fault:
                    raise Broken(_LOST)
                broken: dict[str, str] = {}
                yield read_version(folder, name, number, self._strays, broken)
                self._note(sort.versions, f"{name}/{number}", broken)
            except (Broken, OSError) as error:
                self._unread[sort.versions.name][f"{printable(name)}/{number}"] = why(error)

    def _fault(self, folder: str, name: str) -> bool:
        """Whether a registered model cannot be read."""
        try:
            return not read_registered_model(folder, name, self._strays, {})
        except (Broken, OSError):
            return True

    def _there(self, asked: Mapping[str, set[str]]) -> Mapping[str, set[str]]:
        """The homes of these that are there, by kind."""
        likely = ""
        runs = set()
        for run_id in asked.get(RUNS, ()):
            if folder := find_run(self._root, run_id, likely):
                likely = str(Path(folder).parent)
                runs.add(run_id)
        models = {id for id in asked.get(LOGGED_MODELS.name, ()) if self._find(id) is not None}
        versions = {id for id in asked.get(MODEL_VERSIONS.name, ()) if self._has_version(id)}
        return {RUNS: runs, LOGGED_MODELS.name: models, MODEL_VERSIONS.name: versions}

    def _has_version(self, id: str) -> bool:
        name, _, number = id.rpartition("/")
        try:
            meta = read_meta(f"{version_folder(folder_of_name(self._root, name), int(number))}/{META}")
            return text(meta, "current_stage") != DELETED
        except (Broken, OSError):
            return False


def _place(folder: str) -> ModelPlace | None:
    try:
        meta = read_meta(f"{folder}/{META}")
        location = text(meta, "artifact_location") or Path(folder, ARTIFACTS).as_uri()
        return ModelPlace(text(meta, "model_id"), text(meta, "experiment_id"), location, _tag(folder, COMPLETE))
    except (Broken, OSError):
        return None


def _is_deleted(folder: str) -> bool:
    try:
        return text(read_meta(f"{folder}/{META}"), "lifecycle_stage") == "deleted"
    except (Broken, OSError):
        return False


def _tag(folder: str, key: str) -> str:
    try:
        return read_text(f"{folder}/{TAGS}/{key}")
    except (Broken, OSError):
        return ""
