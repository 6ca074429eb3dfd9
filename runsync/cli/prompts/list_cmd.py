"""runsync prompts list"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.tables import NOTHING, table, terminal_width
from runsync.cli.text import many
from runsync.model.times import iso

if TYPE_CHECKING:
    from runsync.prompts.listing import PromptsReport


@click.command(epilog="Example: runsync prompts list prod --prompt 'greeting*'")
@click.argument("where")
@click.option(
    "--prompt", "prompts", multiple=True, metavar="NAME", help="Only this prompt: a name or glob. Repeatable."
)
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, where: str, prompts: tuple[str, ...], workers: int, as_json: bool) -> int:
    """List prompts.

    Lists the prompts of a workspace or bundle by name, with the newest version of each, its aliases, and when it was
    last updated.
    """
    from runsync.prompts.listing import list_prompts

    report = list_prompts(where, prompts=prompts, workers=workers, access=options.access(ctx))
    return finish(report, as_json, _lines(report), is_data=True)


def _lines(report: "PromptsReport") -> Iterator[str]:
    if not report.prompts:
        yield "No prompts."
        return
    rows = [("name", "newest", "aliases", "versions", "updated")]
    for listed in report.prompts:
        newest = NOTHING if listed.latest_version is None else str(listed.latest_version)
        aliases = ", ".join(f"{alias}={version}" for alias, version in listed.aliases.items())
        updated = iso(listed.model.updated_at)
        rows.append((listed.model.name, newest, aliases or NOTHING, f"{listed.versions:,}", updated))
    yield from table(rows)
    if terminal_width() is not None:
        yield f"{many(len(report.prompts), 'prompt')} of {report.place.address}"
