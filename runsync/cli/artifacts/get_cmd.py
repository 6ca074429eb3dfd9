"""runsync artifacts get"""

from typing import TYPE_CHECKING, Any

import click

from runsync.cli import options, say
from runsync.cli.fetched_text import fetched_lines
from runsync.cli.finish import finish
from runsync.cli.output import opened
from runsync.cli.progress import shown
from runsync.errors import WrongUsage
from runsync.runs.options import GetOptions

if TYPE_CHECKING:
    from runsync.model.run import ArtifactFile


@click.command(epilog="Example: runsync artifacts get prod 0f2b9c4d model --into churn-model")
@click.argument("where")
@click.argument("run")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@options.of(GetOptions, workers=options.together(options.artifact_root, options.s3))
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    where: str,
    run: str,
    paths: tuple[str, ...],
    as_json: bool,
    **given: Any,
) -> int:
    """Download a run's files.

    RUN is an id or its beginning, a name, or EXPERIMENT/NAME. PATH is a folder or file in it; by default everything is
    downloaded. Files keep their paths.

    Running it again downloads only what is missing or different. Files are compared by hash, or on servers, which have
    no hashes, by size and time. Files of a run that is still running are always downloaded. Exits with 3 if some files
    failed. --into - writes one file to stdout.
    """
    from runsync.runs.artifacts import get_artifacts, read_artifact

    access = options.access(ctx)
    if given["into"] == "-":
        if len(paths) != 1 or given["dry_run"] or as_json:
            raise WrongUsage("--into - writes one file to stdout: name one PATH, without --dry-run and --json")
        with opened(None) as file:
            for chunk in read_artifact(where, run, paths[0], workers=given["workers"], access=access, growing=_tell):
                file.write(chunk)
        return 0
    with shown("artifacts get", as_json, "files") as progress:
        report = get_artifacts(where, run, paths, **given, access=access, progress=progress)
    return finish(report, as_json, fetched_lines(report))


def _tell(file: "ArtifactFile") -> None:
    say.err(f"Note: {file.path} grew while it was read: these are its first {file.size:,} bytes")
