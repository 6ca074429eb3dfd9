"""What a shell completes beside commands and options: experiments at the place that stands there already, and kinds."""

import os
import re
from typing import Any

import click

PATIENCE = 2.0
"""Seconds: nobody waits longer for a Tab."""
_PLAIN = re.compile(r"[\w./:@%+=,-]+")


def experiments(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names that begin so; none where the place cannot be asked."""
    from runsync.errors import RunsyncError

    given: dict[str, Any] = ctx.params
    # click leaves arguments unread before an option that lacks its value.
    where = given.get("where") or given.get("source") or given.get("bundle") or next(iter(ctx.args), "")
    if not where:
        return []
    try:
        return [name for name in _names(str(where), ctx) if name.startswith(incomplete) and _is_harmless(name)]
    except RunsyncError:
        return []


def kinds(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """What may be accepted: the last of names with commas between."""
    from runsync.kinds.left_behind import CATEGORIES

    first, comma, last = incomplete.rpartition(",")
    return [f"{first}{comma}{name}" for name in CATEGORIES if name.startswith(last)]


def _is_harmless(name: str) -> bool:
    """Whether a shell may put a name on its command line. bash does so without quotes: `$(…)` in one would be run."""
    by_bash = os.environ.get("_RUNSYNC_COMPLETE", "").startswith("bash")
    return name.isprintable() and (not by_bash or _PLAIN.fullmatch(name) is not None)


def _names(where: str, ctx: click.Context) -> list[str]:
    from runsync.bundle.address import Access
    from runsync.model.selection import Selection
    from runsync.transfer.places import is_workspace, open_workspace
    from runsync.workspaces.http import Patience

    reach = Access(ctx.find_root().params.get("config"))
    if is_workspace(where, reach.config):
        workspace = open_workspace(where, config=reach.config, workers=1, patience=Patience(PATIENCE))
        try:
            return [e.name for e in workspace.experiments(Selection())]
        finally:
            workspace.close()
    from runsync.bundle.snapshot import open_snapshot

    return [e.name for e in open_snapshot(where, reach).experiments(Selection())]
