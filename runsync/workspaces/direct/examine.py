"""What doctor tells of a file store or a database, and of where its artifacts lie. Nothing is written."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runsync.errors import RequestRefused, WorkspaceError, WrongUsage
from runsync.kinds.left_behind import counted, how_to_accept
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.finding import Finding, failure, ok, warning
from runsync.model.paths import escaped, is_unicode
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.workspaces.direct.artifact_places import SAY_WHERE
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.local_artifacts import folder_of, names_below
from runsync.workspaces.s3_artifacts import REMEDY, bucket_of
from runsync.workspaces.sample import readable

if TYPE_CHECKING:
    from runsync.workspaces.direct.workspace import DirectWorkspace

NEWEST_RUNS = 5
"""Runs that are looked at for one that has a file."""
MOST_NAMES = 100_000
"""Files whose names are looked at, in all experiments."""
NAMED = 5
RENAME = "rename them; an export takes all others, and ends with exit code 3"
LEFT_ALONE = "nothing needs to be done: no transfer takes them, and MLflow does not show them"
TOPIC = "artifacts"


def examine(workspace: "DirectWorkspace") -> Iterator[Finding]:
    """See `Workspace.examine`."""
    yield from workspace.store.examine()
    yield _writing(workspace)
    experiments = workspace.experiments(Selection())
    runs = sum(workspace.known_counts(experiments).values())
    active = sum(e.lifecycle_stage == ACTIVE for e in experiments)
    yield ok("experiments", f"{active:,} active, {len(experiments) - active:,} deleted; {many(runs, 'run')}")
    yield from readable(workspace, experiments)
    yield from _artifacts(workspace, experiments)
    for left in workspace.left_behind(experiments, Selection()):
        remedy = f"if that may be, add {how_to_accept([left.kind])} to each transfer (docs/left-behind.md)"
        yield warning("not carried", f"{counted(left)}: {left.why}", remedy if left.kind else "")


def _writing(workspace: "DirectWorkspace") -> Finding:
    try:
        workspace.store.check_writable()
    except (WrongUsage, WorkspaceError) as error:
        return warning("rights", f"it can be read, and not written to: {error}")
    return ok("rights", "it can be read, and nothing is known that hinders writing")


def _artifacts(workspace: "DirectWorkspace", experiments: Sequence[Experiment]) -> Iterator[Finding]:
    """One finding for each place that artifacts lie in: one file of its newest runs is read as an export reads it."""
    places: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        places.setdefault(_place(workspace.artifact_store, experiment.artifact_location), []).append(experiment)
    for place, members in places.items():
        yield _finding(workspace, f"{place} ({many(len(members), 'experiment')})", members)
    yield from _misnamed(workspace.artifact_store, experiments)
    for experiment in experiments:  # the newest runs may have no artifacts, in a root that is the right one
        workspace.artifact_store.recognise(experiment.artifact_location)
    yield from (warning(TOPIC, doubt, SAY_WHERE) for doubt in workspace.doubts)
    yield from (warning("files", note, LEFT_ALONE) for note in workspace.store.notes)


def _finding(workspace: "DirectWorkspace", place: str, experiments: Sequence[Experiment]) -> Finding:
    runs = list(workspace.in_order(experiments, Selection(), limit=NEWEST_RUNS))
    try:
        if runs:
            return ok(TOPIC, f"{place}: {_read(workspace, runs)}")
        return _empty(workspace, place, experiments[-1].artifact_location)
    except (RequestRefused, WrongUsage) as error:
        told = str(error)
        remedy = next((known for known in (REMEDY, SAY_WHERE) if told.endswith(known)), "")
        told = f"{place}: {told.removesuffix(remedy).rstrip(' :')}"
        return failure(TOPIC, told, remedy) if runs else warning(TOPIC, told, remedy)


def _read(workspace: "DirectWorkspace", runs: Sequence[Run]) -> str:
    """What came of reading a file: one run may have lost its own. Raises RequestRefused, WrongUsage."""
    refused: RequestRefused | None = None
    for run in runs:
        try:
            for file in [file for file in workspace.artifacts(run) if not file.fault][:1]:
                next(workspace.read_artifact(run, file), b"")
                return f"one of run {run.run_id} was read"
        except RequestRefused as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return (
        f"can be looked into; no file in the newest {many(len(runs), 'run')}"
        if runs
        else "can be looked into; no runs yet"
    )


def _misnamed(artifacts: DirectArtifacts, experiments: Sequence[Experiment]) -> Iterator[Finding]:
    """A warning where files on this machine have names that cannot be carried."""
    looked_at = islice(_names(artifacts, experiments), MOST_NAMES)
    names = [escaped(path) for path in looked_at if not is_unicode(path)]
    if names:
        told = f"{', '.join(names[:NAMED])}{', …' if len(names) > NAMED else ''}"
        yield warning(
            TOPIC, f"{many(len(names), 'file')} with a name that is not UTF-8, which cannot be carried: {told}", RENAME
        )


def _names(artifacts: DirectArtifacts, experiments: Sequence[Experiment]) -> Iterator[str]:
    for experiment in experiments:
        with suppress(RequestRefused, WrongUsage, OSError):  # told where a file is read
            folder = folder_of(artifacts.places.of(experiment.artifact_location))
            if folder is not None:
                yield from names_below(folder)


def _empty(workspace: "DirectWorkspace", place: str, location: str) -> Finding:
    """Of a place that has no runs yet. Raises RequestRefused, WrongUsage."""
    root = workspace.artifact_store.places.of(location)
    folder = folder_of(root)
    if folder is None:
        workspace.artifact_store.list_root(root)
        return ok(TOPIC, f"{place}: can be looked into; there are no runs yet")
    nearest = next(above for above in (folder, *folder.parents) if above.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        return warning(
            TOPIC, f"{place}: no runs yet, and {nearest} may not be written to", "ask its owner for write rights"
        )
    return ok(TOPIC, f"{place}: no runs yet; {nearest} may be written to")


def _place(artifacts: DirectArtifacts, location: str) -> str:
    """What several experiments have in common: a bucket, this machine, or the kind of address that they record."""
    try:
        root = artifacts.places.of(location)
    except (WrongUsage, RequestRefused):
        root = location
    if root.startswith("s3://"):
        return f"s3://{bucket_of(root)}"
    if folder_of(root) is not None:
        return "folders of this machine"
    parts = urlsplit(root)
    return f"{parts.scheme}:/" if parts.scheme else "folders relative to where a server was started"
