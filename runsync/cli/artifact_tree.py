"""Files of a run as a tree."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runsync.cli.tables import columns_of
from runsync.cli.text import size
from runsync.model.printable import printable

if TYPE_CHECKING:
    from runsync.model.run import ArtifactFile


def tree(files: "Sequence[ArtifactFile]") -> Iterator[str]:
    """A line a folder and file, with sizes at the right; the files sorted by path."""
    lines: list[tuple[str, str]] = []
    above: list[str] = []
    for file in sorted(files, key=lambda f: f.path.split("/")):
        *folders, name = file.path.split("/")
        common = 0
        while common < min(len(above), len(folders)) and above[common] == folders[common]:
            common += 1
        lines += [("  " * depth + printable(folders[depth]) + "/", "") for depth in range(common, len(folders))]
        lines.append(("  " * len(folders) + printable(name), size(file.size)))
        above = folders
    widest = max((columns_of(text) for text, _ in lines), default=0)
    right = max((len(told) for _, told in lines), default=0)
    for text, told in lines:
        yield (text + " " * (widest - columns_of(text)) + "  " + told.rjust(right)).rstrip()
