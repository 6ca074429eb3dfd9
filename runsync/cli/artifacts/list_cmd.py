"""runsync artifacts list"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.artifact_tree import tree
from runsync.cli.finish import finish
from runsync.cli.tables import table, terminal_width
from runsync.cli.text import listed, many, size

if TYPE_CHECKING:
    from runsync.runs.artifacts import ArtifactsReport


@click.command(epilog="Example: runsync artifacts list prod 0f2b9c4d model")
@click.argument("where")
@click.argument("run")
@click.argument("path", default="")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["tree", "table", "json"]),
    help="tree, or table with full paths and hashes (if known). Default: tree on a terminal, table in a pipe.",
)
@options.artifact_root
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context, /, where: str, run: str, path: str, format_: str | None, workers: int, as_json: bool
) -> int:
    """List a run's files.

    RUN is an id or its beginning, a name, or EXPERIMENT/NAME. PATH is a folder or file in it.
    """
    from runsync.runs.artifacts import list_artifacts

    report = list_artifacts(where, run, path, workers=workers, access=options.access(ctx))
    as_tree = format_ == "tree" or (format_ is None and terminal_width() is not None)
    return finish(report, as_json or format_ == "json", _tree(report) if as_tree else _table(report), is_data=True)


def _tree(report: "ArtifactsReport") -> Iterator[str]:
    yield from tree(report.files)
    yield f"{many(len(report.files), 'file')}, {size(sum(file.size for file in report.files))}"
    yield from listed("Cannot be read", (f"{file.path}: {file.fault}" for file in report.files if file.fault))


def _table(report: "ArtifactsReport") -> Iterator[str]:
    rows = [("path", "bytes", "sha256")]
    rows += [
        (file.path, str(file.size), "cannot be read" if file.fault else file.sha256 or "–") for file in report.files
    ]
    yield from table(rows)
