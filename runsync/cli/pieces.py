"""Pieces of runs that did not arrive, as a person reads them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runsync.cli.text import listed, many

_NOUNS = {"artifact list": "artifacts"}
_OF = " of "
"""Before the noun of what a piece is of, where that is no run."""
_GROUPED = ("artifact", "artifact list")
_RUN_ID = re.compile(r"\b[0-9a-f]{32}\b")


def missing_pieces(problems: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The list of them. Artifacts that one and the same cause keeps back are told together."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for number, problem in enumerate(problems):
        is_grouped = _parted(problem)[0] in _GROUPED
        why = cause(problem["reason"], problem["run_id"], problem["name"]) if is_grouped else str(number)
        groups.setdefault((problem["kind"], why), []).append(problem)
    yield from listed("Missing pieces", map(_told, groups.values()), len(problems))


def cause(reason: str, *own: str) -> str:
    """The reason, whichever run and file (`own`) it names; in a target a run has another id."""
    for name in filter(None, own):
        reason = reason.replace(name, "…")
    return _RUN_ID.sub("…", reason)


def _parted(problem: Mapping[str, Any]) -> tuple[str, str]:
    """What the piece is, and of what."""
    kind, _, noun = problem["kind"].partition(_OF)
    return kind, noun or "run"


def _told(group: Sequence[Mapping[str, Any]]) -> str:
    first = group[0]
    kind, noun = _parted(first)
    named = f"{_NOUNS.get(kind, kind)} {first['name']}".rstrip()
    if len(group) == 1:
        reason = first["reason"].removeprefix(f"artifact “{first['name']}”").lstrip(": ")
        return f"{noun} {first['run_id']}: {named}: {reason}"
    homes = many(len({problem["run_id"] for problem in group}), noun)
    what = f"{many(len(group), 'artifact')} of {homes}" if first["name"] else f"artifacts of {homes}"
    example = f"{noun} {first['run_id']}" + (f": {first['name']}" if first["name"] else "")
    return f"{what}: {first['reason']}; the first: {example}"
