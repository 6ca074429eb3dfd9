"""The kinds of entities that runsync carries beside experiments and runs: one file each, see `kind.Kind`."""

from typing import Any

from runsync.kinds.kind import Kind
from runsync.kinds.notebooks import NOTEBOOKS
from runsync.kinds.permissions import PERMISSIONS

KINDS: tuple[Kind[Any], ...] = (PERMISSIONS, NOTEBOOKS)
"""In the order in which they are carried."""
BY_NAME = {kind.name: kind for kind in KINDS}
BY_NOUN = {kind.noun: kind for kind in KINDS}
