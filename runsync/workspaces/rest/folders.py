"""Folders of artifacts, which servers list one at a time, and not always truly."""

from collections.abc import Callable, Iterable, Iterator

from runsync.errors import RequestRefused
from runsync.model.paths import escaped, unfit_for_folders
from runsync.model.run import ArtifactFile
from runsync.workspaces.http.fields import Json, OddAnswer, number

DEEPEST = 200
"""Folders within one another."""
MOST_ENTRIES = 1_000_000
"""Files and folders of one run."""
LONGEST_TOLD = 300
"""Characters of a path that is refused."""
MOST_FOLDERS = 100_000
"""Of one run: each takes a request."""
NAMELESS = "?"
"""What a file is called in reports that is listed without a name."""

Entries = Callable[[str], Iterable[Json]]
Unfit = Callable[[str], str | None]


def walk(
    who: str, entries: Entries, root: str = "", sign: str = "is_dir", unfit: Unfit = lambda folder: None
) -> Iterator[ArtifactFile]:
    """All files below a root. `entries` lists a folder; `sign` tells that an entry is one; `unfit` tells what in the
    path of a folder keeps it from being listed.

    Of a path that leaves its folder, and of a size that is none, the fault is told, and the others are given. Raises
    RequestRefused for folders without end.
    """
    found: dict[str, int] = {}
    folders, known, met, files = [root], {root}, 0, 0
    while folders:
        folder = folders.pop()
        for entry in entries(folder):
            met += 1
            if met > MOST_ENTRIES or len(known) > MOST_FOLDERS:
                raise RequestRefused(f"{who} lists more than {met - 1:,} files and folders of one run")
            path = entry.get("path")
            if not isinstance(path, str):
                yield ArtifactFile(NAMELESS, 0, fault=f"{who} lists it without a path")
                continue
            below = path.removeprefix(root + "/") if root else path
            size, fault = _size(entry) if not entry.get(sign) else (0, "")
            fault = _fault(path, below, folder) or fault
            if entry.get(sign) and not fault and (reason := unfit(path)):
                fault = f"it is a folder, and {who} cannot list one with {reason} in its name"
            if entry.get(sign) and not fault:
                if path not in known:
                    known.add(path)
                    folders.append(path)
                continue
            if fault:
                below, fault = escaped(below)[:LONGEST_TOLD], f"{who} lists it, and it is refused: {fault}"
            if found.setdefault(below, size) != size:
                raise RequestRefused(f"{who} lists the artifact “{below}” twice, with two sizes")
            if len(found) > files:
                files = len(found)
                yield ArtifactFile(below, size, fault=fault)


def _fault(path: str, below: str, folder: str) -> str:
    """Why a path that was listed is refused; "" when it is not."""
    if reason := unfit_for_folders(below):
        return reason
    if path.rpartition("/")[0] != folder:
        return "it is not in the folder listed"
    return f"it is more than {DEEPEST} folders deep" if below.count("/") >= DEEPEST else ""


def _size(entry: Json) -> tuple[int, str]:
    """A size, and what is wrong with it."""
    try:
        size = number(entry, "file_size")
    except OddAnswer as error:
        return 0, str(error)
    return (size, "") if size >= 0 else (0, "file_size is not a size")
