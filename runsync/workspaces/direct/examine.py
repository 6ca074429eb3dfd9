"""What doctor tells of a file store or a database, and of where its artifacts lie. Nothing is written."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runsync.errors import RequestRefused, WorkspaceError, WrongUsage
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.finding import Finding, failure, ok, warning
from runsync.model.selection import Selection
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.local_artifacts import folder_of
from runsync.workspaces.s3_artifacts import REMEDY, bucket_of

if TYPE_CHECKING:
    from runsync.workspaces.direct.workspace import DirectWorkspace

NEWEST_RUNS = 5
"""Runs that are looked at for one that has a file."""
_WHERE = "say with --artifacts where they really are (a folder or s3://bucket/prefix); --no-artifacts leaves them out"


def examine(workspace: "DirectWorkspace") -> Iterator[Finding]:
    """See `Workspace.examine`."""
    place = workspace.place
    yield ok("store", f"{place.kind} {place.version}".rstrip())
    yield from (ok(name, told) for name, told in place.details.items())
    yield _writing(workspace)
    begun = time.monotonic()
    experiments = workspace.experiments(Selection())
    runs = sum(workspace.known_counts(experiments).values())
    active = sum(e.lifecycle_stage == ACTIVE for e in experiments)
    yield ok("experiments", f"{active:,} active, {len(experiments) - active:,} deleted, with {runs:,} runs")
    yield ok("speed", f"experiments read and runs counted in {(time.monotonic() - begun) * 1000:.0f} ms")
    yield from _artifacts(workspace, experiments)
    for left in workspace.left_behind(experiments):
        yield warning("not carried", f"{'some' if left.count is None else f'{left.count:,}'} {left.what}: {left.why}")


def _writing(workspace: "DirectWorkspace") -> Finding:
    try:
        workspace.store.check_writable()
    except (WrongUsage, WorkspaceError) as error:
        return warning("rights", f"it can be read but not written to: {error}")
    return ok("rights", "it can be read and written to")


def _artifacts(workspace: "DirectWorkspace", experiments: Sequence[Experiment]) -> Iterator[Finding]:
    """One finding for each place that artifacts lie in: one file of its newest runs is read as an export reads it."""
    places: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        places.setdefault(_place(workspace.artifact_store, experiment.artifact_location), []).append(experiment)
    for place, members in places.items():
        told = f"{place} ({len(members):,} experiments)"
        try:
            yield ok("artifacts", f"{told}: {_tried(workspace, members)}")
        except RequestRefused as error:
            yield failure("artifacts", f"{told}: {error}", REMEDY if place.startswith("s3://") else "")
        except WrongUsage as error:
            yield failure("artifacts", f"{told}: {error}", "")


def _tried(workspace: "DirectWorkspace", experiments: Sequence[Experiment]) -> str:
    """What came of reading a file. Raises RequestRefused, WrongUsage."""
    runs = list(workspace.in_order(experiments, Selection(), limit=NEWEST_RUNS))
    for run in runs:
        for file in workspace.artifacts(run)[:1]:
            next(workspace.read_artifact(run, file), b"")
            return f"one of run {run.run_id} was read"
    return f"the {len(runs)} newest runs have none" if runs else "no runs yet"


def _place(artifacts: DirectArtifacts, location: str) -> str:
    """What several experiments have in common: a bucket, this machine, or the kind of address that they record."""
    try:
        root = artifacts.place_of(location)
    except (WrongUsage, RequestRefused):
        root = location
    if root.startswith("s3://"):
        return f"s3://{bucket_of(root)}"
    if folder_of(root) is not None:
        return "folders of this machine"
    parts = urlsplit(root)
    return f"{parts.scheme}:" if parts.scheme else "a path relative to where its server was started"
