"""Folders of artifacts, which servers list one at a time, and not always truly."""

from collections.abc import Callable, Iterable, Iterator

from runsync.errors import RequestRefused
from runsync.model.paths import unsafe
from runsync.model.run import ArtifactFile
from runsync.workspaces.http.fields import Json, OddAnswer, number, text

DEEPEST = 200
"""Folders within one another."""
MOST_ENTRIES = 1_000_000
"""Files and folders of one run."""
MOST_FOLDERS = 100_000
"""Of one run: each takes a request."""

Entries = Callable[[str], Iterable[Json]]


def walk(who: str, entries: Entries, root: str = "", sign: str = "is_dir") -> Iterator[ArtifactFile]:
    """All files below a root. `entries` lists a folder; `sign` tells that an entry is one.

    Raises RequestRefused for a path that leaves its folder, and for folders without end.
    """
    found: dict[str, int] = {}
    folders, known, met, files = [root], {root}, 0, 0
    while folders:
        folder = folders.pop()
        for entry in entries(folder):
            met += 1
            if met > MOST_ENTRIES or len(known) > MOST_FOLDERS:
                raise RequestRefused(f"{who} lists more than {met - 1:,} files and folders of one run")
            path = _path(who, text(entry, "path"), root, folder)
            if entry.get(sign):
                inner = f"{root}/{path}" if root else path
                if inner not in known:
                    known.add(inner)
                    folders.append(inner)
            else:
                size = _size(entry)
                if found.setdefault(path, size) != size:
                    raise RequestRefused(f"{who} lists the artifact “{path}” twice, with two sizes")
                if len(found) > files:
                    files = len(found)
                    yield ArtifactFile(path, size)


def _path(who: str, path: str, root: str, folder: str) -> str:
    """Below the root. Raises RequestRefused."""
    below = path.removeprefix(root + "/") if root else path
    reason = unsafe(below) or (None if path.rpartition("/")[0] == folder else "it is not in the folder listed")
    if reason is None and below.count("/") >= DEEPEST:
        reason = f"it is more than {DEEPEST} folders deep"
    if reason:
        raise RequestRefused(f"{who} lists an artifact path “{path[:300]}” that is refused: {reason}")
    return below


def _size(entry: Json) -> int:
    size = number(entry, "file_size")
    if size < 0:
        raise OddAnswer("file_size", "is not a size")
    return size
