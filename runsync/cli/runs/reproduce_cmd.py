"""runsync runs reproduce"""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.text import listed, many
from runsync.model.printable import printable

if TYPE_CHECKING:
    from runsync.runs.reproduce import ReproduceReport


@click.command(epilog="Example: runsync runs reproduce http://localhost:5000 amazing-gull-42 --into again")
@click.argument("where")
@click.argument("run")
@click.option("--into", required=True, metavar="DIR", help="A folder that is new, empty, or left by a former try.")
@click.option("--repository", metavar="URL", help="Where its code is, when the run does not tell; a path will do.")
@click.option("--model", metavar="PATH", help="Take the environment of this model, when the run has several.")
@options.artifact_root
@options.s3
@options.workers
@options.dry_run
@options.unattended
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    where: str,
    run: str,
    into: str,
    repository: str | None,
    model: str | None,
    workers: int,
    dry_run: bool,
    as_json: bool,
) -> int:
    """The code and environment of a run, to run again.

    RUN is an id, the beginning of one, or a name, in a workspace or bundle. Writes the code at its commit, the
    environment of the model or run, its params, and a reproduce.sh that builds the environment and shows how the run
    was started; “sh reproduce.sh run” starts it. Exit 3 when a part could not be had: all else is written.
    """
    from runsync.runs.reproduce import reproduce

    report = reproduce(
        where,
        run,
        into,
        repository=repository,
        model=model,
        dry_run=dry_run,
        access=options.access(ctx),
        workers=workers,
    )
    return finish(report, as_json, _lines(report))


def _lines(report: "ReproduceReport") -> Iterator[str]:
    done = "would go into" if report.dry_run else "is in"
    yield f"run {report.run_id} “{printable(report.run_name)}” {done} {report.into}"
    if report.commit:
        yield f"code: {printable(report.repository)} at {report.commit}"
    if report.environment:
        python = f", Python {report.python}" if report.python else ""
        yield f"environment: {', '.join(report.environment_files)} of {printable(report.environment)}{python}"
    if report.start:
        yield f"start: {printable(shlex.join(report.start))}"
    yield from (f"note: {printable(note)}" for note in report.notes)
    yield from listed("Missing", (printable(f"{m.what}: {m.why}") for m in report.missing))
    if not report.dry_run:
        yield f"{many(len(report.files), 'part')} written; next: sh {shlex.quote(report.into + '/reproduce.sh')}"
