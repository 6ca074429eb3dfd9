"""What the tags of a copy of a model tell: from where it was brought, and what of it came along. So what is removed
there can be removed here, and what somebody added here stays."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from runsync.model.identity import FROM, SOURCE, own_tags_removed
from runsync.model.provenance import key_of, shown_address

TAGS = SOURCE + "tags"
"""The keys of the tags that were brought: a JSON list."""
ALIASES = SOURCE + "aliases"
"""On a registered model: the aliases that were brought, each with the number of its version and the key of the
workspace it came from, as a JSON object."""
ASSESSMENTS = SOURCE + "assessments"
"""On a trace: the ids of the assessments that were brought: a JSON list."""
LONGEST = 4000
"""Characters of either, which every server takes. What needs more is not noted, and stays when it is removed."""


def new_marks(tags: Mapping[str, str], address: str) -> dict[str, str]:
    """Those of a copy that is made of one with these tags, brought from a workspace of that address."""
    return {FROM: shown_address(address), **noted(tags, {})}


def came_from(tags: Mapping[str, str]) -> str:
    """The key of the workspace that made it what it is (see `provenance.key_of`); "" for what is no copy."""
    return key_of(tags.get(FROM, ""))


def noted(tags: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
    """The note of the keys of the tags of an original, where the copy (its tags are `there`) has another one."""
    keys = sorted(own_tags_removed(tags))
    told = json.dumps(keys)
    is_needed = bool(keys) if TAGS not in there else there[TAGS] != told
    return {TAGS: told} if is_needed and len(told) <= LONGEST else {}


def removed(tags: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """The keys of tags that were brought, and that the original has no more."""
    return [key for key in _parsed(there, TAGS, list) if isinstance(key, str) and key in there and key not in tags]


def aliases(there: Mapping[str, str], key: str) -> dict[str, int]:
    """Those that were brought to a registered model of these tags from the workspace of a key, with their versions."""
    told = _parsed(there, ALIASES, dict).items()
    return {alias: one[0] for alias, one in told if isinstance(one, list) and one[1:] == [key]}


def with_aliases(there: Mapping[str, str], more: Mapping[str, int], address: str) -> dict[str, str]:
    """The note of aliases with some more, where that is another one; it goes before these are set."""
    new = {alias: [number, key_of(address)] for alias, number in more.items()}
    told = json.dumps(_parsed(there, ALIASES, dict) | new, sort_keys=True)
    return {ALIASES: told} if told != there.get(ALIASES) and len(told) <= LONGEST else {}


def with_assessments(there: Mapping[str, str], ids: Iterable[str]) -> dict[str, str]:
    """The note of the assessments of a trace, where its copy (whose tags are `there`) has another one."""
    told = json.dumps(sorted(ids))
    is_needed = told != there.get(ASSESSMENTS, "[]")
    return {ASSESSMENTS: told} if is_needed and len(told) <= LONGEST else {}


def assessments(there: Mapping[str, str]) -> list[str]:
    """Those that were brought."""
    return [id for id in _parsed(there, ASSESSMENTS, list) if isinstance(id, str)]


T = TypeVar("T", list[Any], dict[str, Any])


def _parsed(tags: Mapping[str, str], key: str, kind: type[T]) -> T:
    try:
        found = json.loads(tags.get(key, ""))
    except (ValueError, RecursionError):
        return kind()
    return found if isinstance(found, kind) else kind()
