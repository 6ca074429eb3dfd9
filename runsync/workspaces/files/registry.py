"""Registered models, their versions and their aliases as the files tell them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import NO_STAGE, READY, Home, ModelVersion
from runsync.kinds.registered_models import IS_PROMPT, RegisteredModel
from runsync.workspaces.direct.models import Recorded
from runsync.workspaces.files.layout import (
    ALIASES,
    ARTIFACTS,
    META,
    MODELS,
    TAGS,
    VERSION,
    Broken,
    entries_of,
    is_plain_file,
    is_plain_folder,
    is_text,
    printable,
    read_text,
    why,
)
from runsync.workspaces.files.logged_models import is_here
from runsync.workspaces.files.meta import integer, read_meta, text
from runsync.workspaces.files.read import sound_texts
from runsync.workspaces.files.strays import Strays, is_stray

_LINK = "it is a link, and links are not followed"
_OWN = "files"
"""The folder of a registered model with the files that only its versions have; MLflow passes over it."""
_LONGEST = 255
_VERSION = re.compile(rf"{VERSION}([1-9][0-9]{{0,17}})")


def why_no_name(name: str) -> str:
    """Why no registered model in a folder can have this name; "" where one can. MLflow takes it as it is."""
    if not name.strip() or name in (".", ".."):
        return "its name cannot be the name of a folder"
    if odd := [character for character in "/:%\0" if character in name]:
        return f"its name has {odd[0]!a} in it, which MLflow does not take in a file store"
    if not is_text(name) or len(name.encode()) > _LONGEST:
        return "its name is longer than a file name can be, or has characters that UTF-8 cannot hold"
    return ""


def folder_of_name(root: str, name: str) -> str:
    """Where the registered model of a name is, or would be. Raises Broken for a name that none can have."""
    if why := why_no_name(name):
        raise Broken(why)
    return f"{root}/{MODELS}/{name}"


def own_place(root: str, name: str, number: int) -> str:
    """The folder of the files that only this version has. Raises Broken."""
    return f"{folder_of_name(root, name)}/{_OWN}/{number}/{ARTIFACTS}"


def model_names(root: str, strays: Strays) -> list[str]:
    """Names of the folders that are registered models, or should be one. Raises Broken, OSError."""
    if Path(root, MODELS).is_symlink():
        raise Broken(f"the folder {MODELS} of the store: {_LINK}")
    names = []
    for entry in entries_of(f"{root}/{MODELS}"):
        if is_plain_file(f"{entry.path}/{META}") or not is_stray(entry.name):
            if entry.is_symlink() or entry.is_dir():
                names.append(entry.name)
        else:
            strays.note(entry.path)
    return sorted(names)


def read_registered_model(folder: str, name: str, strays: Strays, broken: dict[str, str]) -> RegisteredModel:
    """One, without tags that cannot be read: why, goes into `broken`. Raises Broken, OSError."""
    meta = _meta(folder)
    if text(meta, "name") != name:
        raise Broken(f"its meta.yaml is that of registered model {text(meta, 'name')!a}")
    return RegisteredModel(
        name,
        text(meta, "description"),
        sound_texts(folder, TAGS, strays, broken),
        integer(meta, "creation_timestamp"),
        integer(meta, "last_updated_timestamp"),
        max(numbers(folder), default=0),
    )


def is_prompt(folder: str) -> bool:
    """Whether a registered model is none, but a prompt."""
    try:
        return read_text(f"{folder}/{TAGS}/{IS_PROMPT}") == "true"
    except (Broken, OSError):
        return False


def numbers(folder: str) -> list[int]:
    """Those of the versions of a registered model, deleted ones too. Raises OSError."""
    found = (entry.name.removeprefix(VERSION) for entry in entries_of(folder) if entry.name.startswith(VERSION))
    return sorted(
        int(number) for number in found if number.isascii() and number.isdigit() and str(int(number)) == number
    )


def version_folder(folder: str, number: int) -> str:
    """Of a version, in that of its model."""
    return f"{folder}/{VERSION}{number}"


def read_version(folder: str, name: str, number: int, strays: Strays, broken: dict[str, str]) -> Recorded[ModelVersion]:
    """One, without its home and without tags that cannot be read: why, goes into `broken`. Raises Broken, OSError."""
    place = version_folder(folder, number)
    meta = _meta(place)
    if (text(meta, "name"), text(meta, "version")) != (name, str(number)):
        raise Broken(f"its meta.yaml is that of version {text(meta, 'version')!a} of {text(meta, 'name')!a}")
    item = ModelVersion(
        name,
        number,
        text(meta, "source"),
        Home(),
        text(meta, "run_id"),
        text(meta, "run_link"),
        text(meta, "description"),
        sound_texts(place, TAGS, strays, broken),
        text(meta, "current_stage") or NO_STAGE,
        text(meta, "status") or READY,
        text(meta, "status_message"),
        text(meta, "user_id"),
        integer(meta, "creation_timestamp"),
        integer(meta, "last_updated_timestamp"),
    )
    return Recorded(item, _location(folder, number, text(meta, "storage_location") or item.source))


def read_aliases(folder: str, name: str, strays: Strays) -> tuple[list[ModelAlias], dict[str, str]]:
    """Those of a registered model, and why others cannot be read, by their names. Raises OSError."""
    found: list[ModelAlias] = []
    broken: dict[str, str] = {}
    if Path(folder, ALIASES).is_symlink():
        return [], {f"{name}@": f"the folder of its aliases: {_LINK}"}
    for entry in sorted(entries_of(f"{folder}/{ALIASES}"), key=lambda entry: entry.name):
        if is_stray(entry.name):
            strays.note(entry.path)
            continue
        try:
            found.append(ModelAlias(name, entry.name, _number(entry.path)))
        except FileNotFoundError:
            continue
        except (Broken, OSError) as error:
            broken[f"{name}@{printable(entry.name)}"] = why(error)
    return found, broken


def _number(path: str) -> int:
    if not is_plain_file(path):
        raise Broken("it is no plain file")
    number = read_text(path).strip()
    if not (number.isascii() and number.isdigit()):
        raise Broken("its file names no version")
    return int(number)


def _meta(folder: str) -> Mapping[str, Any]:
    if not is_plain_folder(folder):
        raise Broken(_LINK)
    try:
        return read_meta(f"{folder}/{META}")
    except FileNotFoundError:
        raise Broken("it has no meta.yaml") from None


def _location(folder: str, number: int, recorded: str) -> str:
    """Where its files are; of files of its own in a store that was moved, where they are now."""
    tail = f"/{_OWN}/{number}/{ARTIFACTS}"
    own = f"{folder}{tail}"
    return own if recorded.endswith(tail) and not is_here(recorded) and is_plain_folder(own) else recorded
