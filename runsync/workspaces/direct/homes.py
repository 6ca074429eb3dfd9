"""What the versions of registered models in a store lie in, as far as that is there."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from runsync.kinds.model_versions import Home, ModelVersion, home_of
from runsync.workspaces.direct.models import DELETED, Recorded


def homes(versions: Iterable[Recorded[ModelVersion]]) -> defaultdict[str, set[str]]:
    """Ids of what these may lie in, by kind."""
    asked: defaultdict[str, set[str]] = defaultdict(set)
    for home in (home for one in versions for home in _homes(one)):
        asked[home.kind].add(home.id)
    return asked


def at_home(one: Recorded[ModelVersion], there: Mapping[str, Collection[str]]) -> Recorded[ModelVersion]:
    """The version with its home; `there` are the homes that are there, by kind."""
    home = next((home for home in _homes(one) if home.id in there.get(home.kind, ())), Home())
    return replace(one, item=replace(one.item, home=home))


def _homes(one: Recorded[ModelVersion]) -> tuple[Home, ...]:
    """What it says of where it lies: first what its registry was told, then what that was then."""
    item = one.item
    return () if item.stage == DELETED else (home_of(item.source, item.run_id), home_of(one.location, item.run_id))
