"""Where everything lies in an MLflow file store, and what of it is looked at: no link is followed, no pipe is opened.

    <root>/<experiment id>/meta.yaml, tags/<key>, datasets/<dataset id>/meta.yaml, traces/, models/
    <root>/<experiment id>/<run id>/meta.yaml, params/<key>, tags/<key>, metrics/<key>, inputs/, outputs/, artifacts/
    <root>/.trash/<experiment id>/…      a deleted experiment; a deleted run stays where it is
    <root>/<experiment id>/models/<model id>/meta.yaml, params/<key>, tags/<key>, metrics/<key>, artifacts/
    <root>/models/<name>/meta.yaml, tags/<key>, aliases/<alias>, version-<n>/meta.yaml, version-<n>/tags/<key>

A key with slashes is a file in nested folders. The root itself may be a link.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from urllib.parse import unquote, urlsplit

from runsync.workspaces.files.strays import is_stray

TRASH = ".trash"
META = "meta.yaml"
PARAMS = "params"
TAGS = "tags"
METRICS = "metrics"
INPUTS = "inputs"
OUTPUTS = "outputs"
ARTIFACTS = "artifacts"
DATASETS = "datasets"
TRACES = "traces"
MODELS = "models"
"""Of an experiment its logged models, of the store its registered models."""
ALIASES = "aliases"
VERSION = "version-"
NO_RUNS = frozenset({TAGS, DATASETS, TRACES, MODELS})
"""Folders of an experiment that are no runs (RESERVED_EXPERIMENT_FOLDERS of MLflow 3)."""
RUN_FOLDERS = frozenset({PARAMS, TAGS, METRICS, INPUTS, OUTPUTS, ARTIFACTS})

_EXPERIMENT_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,63}")
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
_LINK = "is a link, and links are not followed"
_LARGEST_FILE = 64 * 2**20
_CHUNK = 2**16


class Broken(Exception):
    """Something in the store that cannot be read, or is not as MLflow writes it; the message says what and why."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is an experiment, by its name."""

    experiment_id: str
    path: str
    is_deleted: bool


def is_file_store(path: Path) -> bool:
    """Whether a folder looks like a file store: it holds an experiment, the folder of deleted ones, or a registered
    model (as a registry has them that was given to MLflow apart from runs).

    An experiment, which holds runs, is none.
    """
    if (path / META).exists() or (path / "runsync.json").exists():
        return False
    try:
        with os.scandir(path) as entries:
            return any(
                (e.name == TRASH and e.is_dir())
                or (e.name != MODELS and Path(e.path, META).is_file())
                or (e.name == MODELS and any(Path(e.path).glob(f"*/{META}")))
                for e in entries
            )
    except OSError:
        return False


def is_part_of_store(path: Path) -> bool:
    """Whether a folder looks like one experiment or one run of a file store."""
    return (path / META).is_file() and not (path / "runsync.json").exists()


def is_experiment_id(name: str) -> bool:
    """Whether MLflow takes it for the id of an experiment."""
    return _EXPERIMENT_ID.fullmatch(name) is not None


def is_run_id(name: str) -> bool:
    """Whether MLflow takes it for the id of a run."""
    return _RUN_ID.fullmatch(name) is not None


def experiment_folders(root: str, stray: Callable[[str], object] = lambda path: None) -> Iterator[Folder]:
    """All folders that may be experiments, active ones first; links are among them. `stray` is told what is passed
    over though it is not MLflow's, or has a meta.yaml and a name that no experiment has."""
    for parent, is_deleted in ((root, False), (f"{root}/{TRASH}", True)):
        for entry in entries_of(parent):
            if entry.name != MODELS and is_experiment_id(entry.name) and not is_stray(entry.name) and entry.is_dir():
                yield Folder(entry.name, entry.path, is_deleted)
            elif is_stray(entry.name) or (entry.name not in (MODELS, TRASH) and is_plain_file(f"{entry.path}/{META}")):
                stray(entry.path)


def find_experiment(root: str, experiment_id: str) -> Folder | None:
    """The folder of an experiment that is there as a whole; an active one hides a deleted one of the same id."""
    if not is_experiment_id(experiment_id):
        return None
    for path, is_deleted in ((f"{root}/{experiment_id}", False), (f"{root}/{TRASH}/{experiment_id}", True)):
        if is_plain_folder(path) and is_plain_file(f"{path}/{META}"):
            return Folder(experiment_id, path, is_deleted)
    return None


def find_run(root: str, run_id: str, likely: str = "") -> str | None:
    """The folder of a run, whichever experiment it is of; `likely` is the folder of one to look in first."""
    if not is_run_id(run_id):
        return None
    places = (entry.path for parent in (root, f"{root}/{TRASH}") for entry in entries_of(parent))
    for experiment in chain((likely,) if likely else (), places):
        folder = f"{experiment}/{run_id}"
        if is_plain_file(f"{folder}/{META}") and is_plain_folder(experiment) and is_plain_folder(folder):
            return folder
    return None


def run_folders(experiment: str, stray: Callable[[str], object] = lambda path: None) -> Iterator[os.DirEntry[str]]:
    """What may be a run in the folder of an experiment; links are among it. `stray` as for experiments."""
    for entry in entries_of(experiment):
        if entry.name in NO_RUNS:
            continue
        if is_run_id(entry.name) and not is_stray(entry.name):
            if entry.is_symlink() or entry.is_dir():
                yield entry
        elif is_stray(entry.name) or is_plain_file(f"{entry.path}/{META}"):
            stray(entry.path)


def entries_of(folder: str) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder; nothing where it is not there (any longer), or a link to one. Raises OSError."""
    if _is(stat.S_ISLNK, folder):
        return
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        yield from entries


@dataclass(slots=True)
class Below:
    """What is in a folder of params, tags or metrics: key and path of each file, by key; by key why others cannot be
    read; and the paths of what was passed over."""

    files: list[tuple[str, str]]
    broken: dict[str, str]
    strays: list[str]


def files_below(folder: str) -> Below:
    """Looks through a folder of params, tags or metrics. Raises Broken, OSError."""
    if _is(stat.S_ISLNK, folder):
        raise Broken(f"{_tail(folder)} {_LINK}")
    found = Below([], {}, [])
    waiting = [(folder, "")]
    while waiting:
        place, prefix = waiting.pop()
        for entry in entries_of(place):
            key = prefix + entry.name
            if is_stray(entry.name):
                found.strays.append(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, f"{key}/"))
            elif not entry.is_file(follow_symlinks=False):
                found.broken[printable(key)] = f"{_tail(entry.path)} {_what(entry)}"
            elif not (key.isascii() or is_text(key)):
                found.broken[printable(key)] = f"the name of {_tail(entry.path)} is not UTF-8"
            else:
                found.files.append((key, entry.path))
    found.files.sort()
    return found


def printable(name: str) -> str:
    """The name of a file, with what is not UTF-8 in it as escapes of its bytes."""
    return os.fsencode(name).decode(errors="backslashreplace")


def read_bytes(path: str, most: int = _LARGEST_FILE) -> bytes:
    """The content of a small file. Raises Broken where it is a link or has more than `most` bytes, OSError."""
    handle = open_file(path)
    try:
        data = os.read(handle, _CHUNK)
        if len(data) < _CHUNK:
            return data
        parts, size = [data], len(data)
        while data := os.read(handle, 2**20):
            parts.append(data)
            size += len(data)
            if size > most:
                raise Broken(f"{_tail(path)} is larger than {most} bytes")
        return b"".join(parts)
    finally:
        os.close(handle)


def open_file(path: str) -> int:
    """A handle on a file, never on what a link leads to. Raises Broken, OSError."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if Path(path).is_symlink():
            raise Broken(f"{_tail(path)} {_LINK}") from error
        raise


def read_text(path: str) -> str:
    """The content of a small file as text. Raises Broken, OSError."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise Broken(f"{_tail(path)} is not UTF-8 at byte {error.start}") from error


def why(error: Exception) -> str:
    """An error as the reason why something cannot be read, without a path."""
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return str(error)


def is_plain_folder(path: str) -> bool:
    """Whether it is a folder, and not a link to one."""
    return _is(stat.S_ISDIR, path)


def is_plain_file(path: str) -> bool:
    """Whether it is a file, and not a link to one."""
    return _is(stat.S_ISREG, path)


def local_path(uri: str) -> str | None:
    """The absolute path of an artifact root (URI) on a disk; None where it is elsewhere."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # `//[…` is no host
        return None
    path = unquote(parts.path) if parts.scheme == "file" and parts.netloc in ("", "localhost") else uri
    return path if path.startswith("/") else None


def why_no_key(key: str) -> str:
    """Why a file store has no place for a key: "" where it has. `/` makes nested folders, as in MLflow."""
    parts = key.split("/")
    if "" in parts or "." in parts or ".." in parts:
        return "its name would lead elsewhere as a path"
    if "\0" in key or not is_text(key):
        return "its name has characters that a file name cannot have"
    if any(len(part.encode()) > 255 for part in parts) or len(key.encode()) > 2000:
        return "its name is longer than a file name can be"
    if any(is_stray(part) for part in parts):
        return "its name is that of a file of a file manager or an editor, which is passed over in reading"
    return ""


def _is(kind: Callable[[int], bool], path: str) -> bool:
    try:
        return kind(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def is_text(name: str) -> bool:
    """Whether UTF-8 can hold it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _what(entry: os.DirEntry[str]) -> str:
    return _LINK if entry.is_symlink() else "is no plain file"


def _tail(path: str) -> str:
    """The last parts of a path, fit for printing."""
    return ascii("/".join(path.rsplit("/", 2)[1:]))[1:-1]
