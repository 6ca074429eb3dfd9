"""runsync runs reproduce"""

import json
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.text import listed, many
from runsync.runs.options import ReproduceOptions

if TYPE_CHECKING:
    from runsync.runs.reproduce import ReproduceReport


_before_workers = options.together(
    click.option("--show-cluster", is_flag=True, help="Databricks: only show the run's cluster and libraries."),
    options.artifact_root,
    options.s3,
)


@click.command(
    epilog="Example: runsync runs reproduce databricks://dev amazing-gull-42 --notebook-folder /Users/me/again"
)
@click.argument("where")
@click.argument("run")
@click.option("--into", metavar="DIR", help="Folder to write to: new, empty, or from an earlier try.")
@options.of(ReproduceOptions, workers=_before_workers)
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    where: str,
    run: str,
    into: str | None,
    show_cluster: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Get a run's code and environment, ready to run again.

    RUN is an id or its beginning, a name, or EXPERIMENT/NAME, in a workspace or bundle. Writes the code at its commit,
    the environment of the model or run, its params, and a reproduce.sh that builds the environment and shows how the
    run was started; "sh reproduce.sh run" starts it.

    On Databricks, --notebook-folder clones the notebook there and starts the run's cluster, or creates one with the
    same configuration and libraries if it is gone. Exits with 3 if a part could not be found; the rest is written.
    """
    from runsync.runs.reproduce import reproduce

    given["dry_run"] |= show_cluster
    report = reproduce(where, run, into, **given, access=options.access(ctx))
    return finish(report, as_json, _lines(report, show_cluster))


def _lines(report: "ReproduceReport", shows_cluster: bool) -> Iterator[str]:
    done = "would go into" if report.dry_run else "is in"
    where = f" {done} {report.into}" if report.into else ""
    yield f"run {report.run_id} “{report.run_name}”{where}"
    yield from _there(report)
    if shows_cluster and report.cluster is not None:
        told = {"settings": dict(report.cluster.settings), "libraries": list(report.cluster.libraries)}
        yield from json.dumps(told, indent=2, ensure_ascii=False).split("\n")
    if report.commit:
        yield f"code: {report.repository} at {report.commit}"
    if report.environment:
        python = f", Python {report.python}" if report.python else ""
        yield f"environment: {', '.join(report.environment_files)} of {report.environment}{python}"
    if report.start:
        yield f"start: {shlex.join(report.start)}"
    yield from (f"note: {note}" for note in report.notes)
    yield from listed("Missing", (f"{m.what}: {m.why}" for m in report.missing))
    if not report.dry_run and report.into:
        yield f"{many(len(report.files), 'part')} written; next: sh {shlex.quote(report.into + '/reproduce.sh')}"


_ACTIONS = {
    "running": ("is up", "is up"),
    "start": ("would be started", "is starting"),
    "create": ("would be made like that of the run", "was made like that of the run, and is starting"),
    "none": ("cannot be made", "cannot be made"),
}


def _there(report: "ReproduceReport") -> Iterator[str]:
    """What was (or would be) done in the workspace."""
    if report.notebook is not None:
        put = "would be cloned to" if report.dry_run else "was cloned to"
        done = put if report.notebook.is_new else "is there already:"
        yield f"notebook: {done} {report.notebook.path} {report.notebook.page}".rstrip()
    if report.cluster is not None:
        cluster = report.cluster
        told = _ACTIONS[cluster.action][0 if report.dry_run else 1]
        named = " ".join(part for part in (f"“{cluster.name}”", cluster.cluster_id) if part != "“”")
        yield f"cluster: {named} {told} {cluster.page}".rstrip()
        if cluster.installed:
            done = "would be installed" if report.dry_run else "are being installed"
            yield f"libraries: {len(cluster.installed):,} {done}"
