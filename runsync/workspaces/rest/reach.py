"""Where the artifacts of a server lie, and whether they can be got at from here: tried by reading, never by writing."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runsync.errors import RequestRefused, WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.finding import Finding, failure, ok, warning
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.workspaces.rest.artifacts import PROXIED, SMALL_UPLOAD, Way, way
from runsync.workspaces.s3_artifacts import REMEDY, bucket_of

if TYPE_CHECKING:
    from runsync.workspaces.rest.workspace import RestWorkspace

TOPIC = "artifacts"
NEWEST_RUNS = 5
EXPERIMENTS = 200
"""The newest runs of so many experiments are looked at for one that has a file."""
_SMALL = f"no import can put a file of more than {SMALL_UPLOAD >> 20} MiB there"
_SERVE = "for an import, start the server with --serve-artifacts, or run it where that place can be reached"
_OTHERWISE = "see to it that the server or this machine may read there; --no-artifacts leaves artifacts out"


def artifacts(workspace: "RestWorkspace", experiments: Sequence[Experiment]) -> Iterator[Finding]:
    """One finding for each place that artifacts lie in: one file of its newest runs is read as an export reads it."""
    places: dict[tuple[Way, str], list[Experiment]] = {}
    for experiment in experiments:
        root = experiment.artifact_location
        by = way(workspace.client.url, root)
        places.setdefault((by, _place(by, root)), []).append(experiment)
    for (by, place), members in places.items():
        try:
            runs = list(workspace.in_order(members[-EXPERIMENTS:], Selection(), limit=NEWEST_RUNS))
        except RequestRefused:
            return  # `readable` has told it
        yield _finding(workspace, by, f"{place} ({many(len(members), 'experiment')})", members[-1], runs)


def _finding(workspace: "RestWorkspace", by: Way, place: str, newest: Experiment, runs: Sequence[Run]) -> Finding:
    notes = workspace.artifact_store.notes
    known = len(notes)
    try:
        tried = _tried(workspace, newest, runs)
    except RequestRefused as error:
        return failure(TOPIC, f"{place}: {error}", _OTHERWISE)
    except WrongUsage as error:  # no such profile of AWS
        return failure(TOPIC, f"{place}: {error}", REMEDY)
    if notes[known:]:
        return warning(TOPIC, f"{place}: {'; '.join(notes[known:])}, and {_SMALL}", REMEDY)
    match by:
        case "server":
            return warning(TOPIC, f"{place}: through the server ({tried}); {_SMALL}", _SERVE)
        case "proxy":
            return ok(TOPIC, f"{place}: through the server ({tried}){_signed(workspace)}")
        case "s3":
            return ok(TOPIC, f"{place}: on S3 itself ({tried})")
        case "folder":
            return ok(TOPIC, f"{place}: as files of this machine ({tried})")


def _tried(workspace: "RestWorkspace", newest: Experiment, runs: Sequence[Run]) -> str:
    """What came of reading a file: one run may have lost its own. Raises RequestRefused, WrongUsage."""
    store = workspace.artifact_store
    if not runs:
        store.first(newest.artifact_location, None)
        return "no runs yet"
    refused: RequestRefused | None = None
    for run in runs:
        try:
            file = store.first(run.artifact_uri, run)
            if file is not None and not file.fault:
                next(store.read(run, file), b"")
                return f"one of run {run.run_id} was read"
        except RequestRefused as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return f"no file in the newest {many(len(runs), 'run')}"


def _place(by: Way, root: str) -> str:
    """What several experiments have in common: a bucket, the proxy, a host."""
    parts = urlsplit(root)
    match by:
        case "s3":
            return f"s3://{bucket_of(root)}"
        case "proxy":
            return PROXIED + "/"
        case "folder":
            return "folders of this machine"
        case "server" if parts.scheme in ("", "file"):
            return "folders of the server's machine"
        case "server":
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _signed(workspace: "RestWorkspace") -> str:
    server = workspace.server
    ways = [name for name, has in (("up", server.signs_uploads), ("down", server.signs_downloads)) if has]
    return f"; large files go {' and '.join(ways)} at addresses that it signs" if ways else ""
