"""Long texts cut to one width so that those that differ still look different: at their ends, else around where they
part."""

from collections.abc import Sequence

from runsync.cli.tables import columns_of, cut

NARROWEST = 8
"""Columns below which only ends are cut."""


def told_apart(texts: Sequence[str], width: int) -> list[str]:
    """Each in at most so many columns, with “…” where something is left out."""
    shown = [cut(text, width) for text in texts]
    alike: dict[str, set[str]] = {}
    for text, short in zip(texts, shown, strict=True):
        alike.setdefault(short, set()).add(text)
    if width >= NARROWEST:
        for group in alike.values():
            if len(group) > 1:
                members = sorted(group)
                parted = dict(zip(members, _parted(members, width), strict=True))
                shown = [parted.get(text, short) for text, short in zip(texts, shown, strict=True)]
    return shown


def _parted(texts: Sequence[str], width: int) -> list[str]:
    """The same of sorted texts that begin alike for longer than the width: from shortly before they part."""
    first, last = texts[0], texts[-1]  # they are sorted: what these two have in common, all have
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    longest = max(columns_of(text[same : same + width]) for text in texts)
    at = _back(first, same, max(width // 3, width - 1 - longest))
    return ["…" + rest.removeprefix("…") for rest in told_apart([text[at:] for text in texts], width - 1)]


def _back(text: str, end: int, columns: int) -> int:
    """Where the last so many columns before that place begin."""
    at = end
    while at and columns_of(text[at - 1 : end]) <= columns:
        at -= 1
    return at
