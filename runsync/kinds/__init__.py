"""The kinds of entities that runsync carries beside experiments and runs: one file each, see `kind.Kind`."""

from graphlib import TopologicalSorter
from typing import Any

from runsync.kinds.kind import Kind
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.notebooks import NOTEBOOKS
from runsync.kinds.permissions import PERMISSIONS
from runsync.kinds.registered_models import REGISTERED_MODELS

_ALL: tuple[Kind[Any], ...] = (
    PERMISSIONS,
    NOTEBOOKS,
    LOGGED_MODELS,
    REGISTERED_MODELS,
    MODEL_VERSIONS,
    MODEL_ALIASES,
)
BY_NAME = {kind.name: kind for kind in _ALL}
BY_NOUN = {kind.noun: kind for kind in _ALL}
KINDS: tuple[Kind[Any], ...] = tuple(
    BY_NAME[name]
    for name in TopologicalSorter({kind.name: kind.requires for kind in _ALL}).static_order()
    if name in BY_NAME
)
"""In the order in which they are carried: what a kind requires comes before it."""
