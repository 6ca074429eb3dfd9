"""Options that several commands share, as decorators."""

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]


def _all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


selection = _all(
    click.option("--experiment", "experiments", multiple=True, metavar="NAME", help="Name, id or glob; repeatable."),
    click.option("--run", "runs", multiple=True, metavar="ID", help="Run id; repeatable."),
    click.option("--filter", "filter_", default="", metavar="EXPR", help="MLflow filter, such as “metrics.r2 > 0.3”."),
    click.option("--since", metavar="TIME", help="Started then or later: 2026-11-01, 2026-11-01T12:00Z, or 7d."),
    click.option("--until", metavar="TIME", help="Started then or earlier."),
    click.option(
        "--state",
        type=click.Choice(["active", "deleted", "all"]),
        default="all",
        show_default=True,
        help="Lifecycle stage of runs.",
    ),
)
workers = click.option(
    "--workers", type=click.IntRange(1, 64), default=8, show_default=True, help="Requests at a time."
)
json = click.option("--json", "as_json", is_flag=True, help="Print one JSON report on stdout.")
dry_run = click.option("--dry-run", is_flag=True, help="Show what would be done; write nothing.")
no_artifacts = click.option("--no-artifacts", is_flag=True, help="Leave artifact files out.")
naming = _all(
    click.option("--rename", multiple=True, metavar="OLD=NEW", help="Call an experiment otherwise; repeatable."),
    click.option("--prefix", default="", metavar="P", help="Put this before all other experiment names."),
)


def selected(
    experiments: tuple[str, ...],
    runs: tuple[str, ...],
    filter_: str,
    since: str | None,
    until: str | None,
    state: str,
) -> Any:
    """The Selection that the shared options mean."""
    from runsync.model.selection import Selection
    from runsync.model.times import parse_time

    return Selection(
        experiments,
        runs,
        filter_,
        parse_time(since) if since else None,
        parse_time(until) if until else None,
        state,
    )


def renames(given: tuple[str, ...]) -> dict[str, str]:
    """`OLD=NEW` pairs; the last `=` parts them, so an old name may hold one."""
    pairs = {}
    for text in given:
        old, sign, new = text.rpartition("=")
        if not sign or not old or not new:
            raise click.BadParameter(f"“{text}” is not OLD=NEW", param_hint="--rename")
        pairs[old] = new
    return pairs
