"""Tags of models in Unity Catalog, whose keys have none of `. , - = / :`.

Keys that have are written with those characters as `__2e__` (their code in hex) behind `runsync_kept__`, and read as
they were meant wherever runsync reads them. So are stages and links to runs, which the catalog has no fields for.
"""

import re
from collections.abc import Mapping

from runsync.model.run import Problem

MOST, LONGEST_KEY, LONGEST_VALUE = 50, 255, 1000
"""learn.microsoft.com, “Apply tags to Unity Catalog securable objects”."""
KEPT = "runsync_kept__"
STAGE, RUN_LINK, RUN = "runsync.kept.stage", "runsync.kept.run_link", "runsync.kept.run_id"
"""Fields of versions that are kept as tags."""
_UNFIT = re.compile(r"[.,\-=/:]")
_TAKEN = re.compile(r"[.,\-=/:]|_(?=_[0-9a-f]{2}__)")
_WRITTEN = re.compile(r"__([0-9a-f]{2})__")


def key(text: str) -> str:
    """As the catalog can have it."""
    if not _UNFIT.search(text) and not text.startswith(KEPT):
        return text
    return KEPT + _TAKEN.sub(lambda found: f"__{ord(found[0]):02x}__", text)


def meant(tags: Mapping[str, str]) -> dict[str, str]:
    """As they were meant."""
    return {_read(text): value for text, value in tags.items()}


def _read(text: str) -> str:
    if not text.startswith(KEPT):
        return text
    return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), text.removeprefix(KEPT))


def fitting(tags: Mapping[str, str], most: int = MOST) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Those that the catalog takes, by keys as they are meant, and what is wrong with the others. Ours go first."""
    kept: dict[str, str] = {}
    problems = []
    for text, value in sorted(tags.items(), key=lambda tag: not tag[0].startswith("runsync.")):
        if len(key(text)) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            why = f"Unity Catalog takes keys of {LONGEST_KEY} characters and values of {LONGEST_VALUE}"
            problems.append(Problem("tag", text, why))
        elif len(kept) >= most:
            problems.append(Problem("tag", text, f"Unity Catalog takes {MOST} tags"))
        else:
            kept[text] = value
    return kept, tuple(problems)
