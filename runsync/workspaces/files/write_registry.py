"""The model registry into the folder.

MLflow shows nothing of a registry in which one folder has no meta.yaml. So what is new is made beside it, in a folder
that MLflow passes over, and put in place by one rename; of what is there each file is replaced by a rename.
"""

import contextlib
import errno
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import READY, ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.model.times import now
from runsync.workspaces.direct.models import DELETED, Write
from runsync.workspaces.files.draft import key_path, replace_file, settle
from runsync.workspaces.files.layout import (
    ALIASES,
    META,
    MODELS,
    TAGS,
    TRASH,
    Broken,
    is_plain_file,
    is_plain_folder,
)
from runsync.workspaces.files.meta import dump, read_meta, text
from runsync.workspaces.files.registry import folder_of_name, numbers, read_aliases, version_folder
from runsync.workspaces.files.showing import locked, remove_texts, told
from runsync.workspaces.files.strays import Strays

_STAGING = f".runsync{TRASH}"
"""MLflow takes no folder for an experiment whose name ends so."""
_REDACTED = ("description", "user_id", "source", "storage_location", "run_id", "run_link", "status_message", "model_id")
"""What is taken off a version that is deleted."""
_OF_NAMES = frozenset(
    {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY}
)


class _Staging:
    """What is to be put in place; everything that this process has begun and not finished is in `folder`."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.folder = Path(root, _STAGING)
        self._made: list[tuple[Path, str]] = []

    def make(self, place: str, files: Mapping[str, bytes]) -> Path:
        """A new folder with these files, which is to be at a place."""
        made = self.folder / str(len(self._made))
        _write_files(made, files)
        self._made.append((made, place))
        return made

    def replace(self, place: str, files: Mapping[str, bytes]) -> None:
        """Files of a folder that is there, in this order."""
        for name, data in files.items():
            path = Path(place, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent.resolve() != path.parent:
                raise RequestRefused(f"{path.parent} is a link, and links are not followed")
            if path.is_symlink() or not path.exists() or path.read_bytes() != data:
                replace_file(path, data, self.folder / "file")

    def show(self) -> None:
        """Puts what is new in place."""
        if self._made:
            settle(self._root)
            for made, place in self._made:
                made.rename(place)
        settle(self._root)


def write_registered_models(root: str, writes: Sequence[Write[RegisteredModel]]) -> None:
    """See `ModelStore.write_registered_models`."""
    with _staged(root) as staging:
        for write in writes:
            item = write.item
            folder = _folder(root, item.name)
            files = _files(item.tags)
            if not is_plain_folder(folder):
                made = staging.make(folder, files | {META: dump(_model(item))})
                if item.last_version:
                    _write_files(Path(version_folder(str(made), item.last_version)), {META: dump(_gone(item))})
                continue
            meta = _there(folder)
            staging.replace(folder, files | {META: dump(meta | _model(item))})
            remove_texts(folder, TAGS, write.untagged)
            if max(numbers(folder), default=0) < item.last_version:
                staging.make(version_folder(folder, item.last_version), {META: dump(_gone(item))})


def write_versions(root: str, writes: Sequence[Write[ModelVersion]]) -> None:
    """See `ModelStore.write_model_versions`."""
    with _staged(root) as staging:
        for write in writes:
            item = write.item
            model = _folder(root, item.model)
            if not is_plain_file(f"{model}/{META}"):
                raise RequestRefused("its registered model is not in the target")
            folder, files = version_folder(model, item.version), _files(item.tags)
            if not is_plain_folder(folder):
                staging.make(folder, files | {META: dump(_version(write))})
                continue
            meta = _there(folder)
            if text(meta, "current_stage") == DELETED:
                _drop(Path(folder, TAGS))
            staging.replace(folder, files | {META: dump(meta | _version(write))})
            remove_texts(folder, TAGS, write.untagged)


def write_aliases(root: str, aliases: Sequence[ModelAlias]) -> None:
    """See `ModelStore.write_model_aliases`."""
    with _staged(root) as staging:
        for alias in aliases:
            _set_alias(root, staging, alias)


def move_alias(root: str, alias: ModelAlias, holder: int | None) -> bool:
    """See `ModelStore.move_model_alias`; one import at a time writes here."""
    with _staged(root) as staging:
        found, broken = read_aliases(_folder(root, alias.model), alias.model, Strays(root))
        if why := broken.get(alias.name):
            raise RequestRefused(f"alias {alias.name} cannot be read: {why}")
        if next((one.version for one in found if one.alias == alias.alias), None) != holder:
            return False
        _set_alias(root, staging, alias)
        return True


def set_tags(root: str, name: str, version: int | None, tags: Mapping[str, str]) -> None:
    """Tags of a registered model, or of a version of it. Raises RequestRefused."""
    with _staged(root) as staging:
        folder = _folder(root, name)
        place = folder if version is None else version_folder(folder, version)
        if not is_plain_file(f"{place}/{META}"):
            raise RequestRefused("it is no longer there", 404, ABSENT)
        staging.replace(place, _files(tags))


def delete_registered_model(root: str, name: str) -> None:
    """See `ModelStore.delete`."""
    with _staged(root) as staging:
        if is_plain_folder(folder := _folder(root, name)):
            Path(folder).rename(staging.folder / "gone")


def delete_version(root: str, name: str, number: str) -> None:
    """See `ModelStore.delete`. What MLflow leaves of it stays."""
    version = int(number)
    with _staged(root) as staging:
        folder = _folder(root, name)
        for alias in read_aliases(folder, name, Strays(root))[0]:
            if alias.version == version:
                Path(folder, ALIASES, alias.alias).unlink(missing_ok=True)
        place = version_folder(folder, version)
        gone = {"current_stage": DELETED, "last_updated_timestamp": now(), **dict.fromkeys(_REDACTED)}
        staging.replace(place, {META: dump(_there(place) | gone)})
        _drop(Path(place, TAGS))


def delete_alias(root: str, name: str, alias: str) -> None:
    """See `ModelStore.delete`."""
    with _staged(root):
        Path(_folder(root, name), ALIASES, alias).unlink(missing_ok=True)


def _set_alias(root: str, staging: _Staging, alias: ModelAlias) -> None:
    folder = _folder(root, alias.model)
    if not is_plain_file(f"{folder}/{META}"):
        raise RequestRefused("its registered model is not in the target")
    staging.replace(folder, {f"{ALIASES}/{alias.alias}": str(alias.version).encode()})


@contextlib.contextmanager
def _staged(root: str) -> Iterator[_Staging]:
    """Shows what was staged once all is written; throws away what a killed import left. Raises RequestRefused."""
    with told(root), locked(root):
        staging = _Staging(root)
        _drop(staging.folder)
        staging.folder.mkdir()
        try:
            models = Path(root, MODELS)
            models.mkdir(exist_ok=True)
            if not is_plain_folder(str(models)):
                raise RequestRefused(f"{models} is a link, and links are not followed")
            yield staging
            staging.show()
        except (Broken, UnicodeEncodeError) as error:
            raise RequestRefused(f"it cannot be written: {error}") from error
        except OSError as error:
            if error.errno not in _OF_NAMES:
                raise
            raise RequestRefused(f"it cannot be written: {error.strerror}") from error
        finally:
            _drop(staging.folder)


def _drop(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _folder(root: str, name: str) -> str:
    folder = folder_of_name(root, name)
    if Path(folder).is_symlink():
        raise Broken(f"{folder} is a link, and links are not followed")
    return folder


def _there(folder: str) -> dict[str, Any]:
    """What the meta.yaml of a registered model or a version says now. Raises Broken."""
    try:
        return read_meta(f"{folder}/{META}")
    except FileNotFoundError:
        return {}


def _files(tags: Mapping[str, str]) -> dict[str, bytes]:
    return {key_path(TAGS, key): value.encode() for key, value in tags.items()}


def _model(item: RegisteredModel) -> dict[str, Any]:
    return {
        "creation_timestamp": item.created_at,
        "description": item.description or None,
        "last_updated_timestamp": item.updated_at,
        "name": item.name,
    }


def _gone(item: RegisteredModel) -> dict[str, Any]:
    """What stands for the last number that was given out: MLflow gives the next version the number behind it."""
    version = ModelVersion(item.name, item.last_version, stage=DELETED, created_at=item.updated_at)
    return _version(Write(version))


def _version(write: Write[ModelVersion]) -> dict[str, Any]:
    item = write.item
    model_id = item.home.id if item.home.kind == LOGGED_MODELS.name and not item.home.path else None
    return {
        "creation_timestamp": item.created_at,
        "current_stage": item.stage,
        "description": item.description or None,
        "last_updated_timestamp": item.updated_at or item.created_at,
        "model_id": model_id,
        "name": item.model,
        "run_id": item.run_id or None,
        "run_link": item.run_link or None,
        "source": item.source,
        "status": item.status or READY,
        "status_message": item.status_message or None,
        "storage_location": write.location,
        "user_id": item.user_id or None,
        "version": item.version,
    }
