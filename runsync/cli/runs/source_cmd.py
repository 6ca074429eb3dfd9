"""runsync runs source"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.text import table
from runsync.errors import NothingSelected

if TYPE_CHECKING:
    from runsync.runs.source import SourceReport

CHANGES = {True: "uncommitted ones were there", False: "all was committed", None: ""}


@click.command(epilog="Example: runsync runs source http://localhost:5000 amazing-gull-42 --open")
@click.argument("where")
@click.argument("run")
@click.option("--open", "open_", is_flag=True, help="Open the notebook's or commit's page in a browser.")
@options.s3
@options.workers
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, where: str, run: str, open_: bool, workers: int, as_json: bool) -> int:
    """Show where a run's code is.

    RUN is an id or its beginning, a name, or EXPERIMENT/NAME, in a workspace or bundle. Shows the notebook and its
    revision, or the script or project, its repository and commit, and their web pages.
    """
    from runsync.runs.source import source_of

    report = source_of(where, run, access=options.access(ctx), workers=workers)
    code = finish(report, as_json, _lines(report), is_data=True)
    if open_:
        _open(report.url)
    return code


def _open(url: str) -> None:
    import webbrowser

    if not url.startswith(("https://", "http://")):
        raise NothingSelected("the run's tags tell no page on the web that could be opened")
    webbrowser.open(url)


def _lines(report: "SourceReport") -> Iterator[str]:
    yield f"run {report.run_id} “{report.run_name}”"
    told = report.to_document()
    notebook = told["notebook"] or {}
    rows = [
        ("type", told["type"]),
        ("source", told["name"]),
        ("entry point", told["entry_point"]),
        ("notebook", notebook.get("path", "") or notebook.get("notebook_id", "")),
        ("revision", notebook.get("revision", "")),
        ("repository", told["repository"]),
        ("folder", told["folder"]),
        ("path", told["path"]),
        ("branch", told["branch"]),
        ("commit", told["commit"]),
        ("changes", CHANGES[told["uncommitted_changes"]]),
        ("refused", told["repository_refused"]),
        ("url", told["url"]),
    ]
    filled = [(name, value) for name, value in rows if value]
    yield from table(filled) if filled else ("The run's tags do not tell what started it.",)
