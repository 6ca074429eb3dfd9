"""runsync forget"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import consent, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown
from runsync.cli.prune_text import lines as prune_lines
from runsync.cli.text import doubted, listed, many, selection, table

if TYPE_CHECKING:
    from runsync.bundle.forget import ForgetReport
    from runsync.bundle.retention import Policy


Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def _count(ctx: click.Context, parameter: click.Parameter, value: str) -> int:
    """A number of snapshots; -1 for all."""
    if value in ("unlimited", "-1"):
        return -1
    if not value.isdecimal():
        raise click.BadParameter(f"“{value}” is no count: write a number, or unlimited")
    return int(value)


def _keep(unit: str, help: str) -> Option:
    return click.option(f"--keep-{unit}", unit, default="0", callback=_count, metavar="N", help=help)


@click.command(epilog="Example: runsync forget backup --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --prune --yes")
@click.argument("bundle")
@_keep("last", 'Keep the N newest snapshots (here and below, N may be "unlimited").')
@_keep("daily", "Keep the newest snapshot of each of the last N days that have one.")
@_keep("weekly", "The same for N weeks (ISO: from Monday).")
@_keep("monthly", "The same for N months.")
@_keep("yearly", "The same for N years.")
@click.option(
    "--keep-within",
    "within",
    metavar="TIME",
    help="Keep all made within this time before the newest one: 30d, or 2y5m7d3h.",
)
@click.option(
    "--timezone",
    metavar="NAME",
    help="Time zone that days and weeks are counted in, such as Europe/Berlin. Default: this machine's.",
)
@click.option("--prune", is_flag=True, help="Also delete the data that is no longer needed.")
@options.dry_run
@consent.yes
@options.retry_lock
@options.s3
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    bundle: str,
    prune: bool,
    dry_run: bool,
    yes: bool,
    retry_lock: float,
    as_json: bool,
    **policy: Any,
) -> int:
    """Remove snapshots according to a policy, or one by BUNDLE@ID.

    A snapshot is kept if any rule keeps it. The rules apply to each source and selection separately. Snapshots with an
    impossible date (in the future or out of order) are kept, and no rule counts them. Forgetting a missing snapshot by
    BUNDLE@ID accepts its loss. Only manifests are removed; runsync prune, or --prune, frees the space.
    """
    from runsync.bundle.forget import forget

    asked: Any = {"policy": _policy(**policy), "prune": prune, "access": options.access(ctx)}
    with shown("forget", as_json) as progress:
        if not dry_run and consent.must_ask(yes, "forget removes snapshots"):
            planned = forget(bundle, dry_run=True, progress=progress, **asked)
            consent.ask(_question(planned))
        report = forget(bundle, dry_run=dry_run, retry_lock=retry_lock, progress=progress, **asked)
    return finish(report, as_json, _lines(report))


def _policy(within: str | None, timezone: str | None, **counts: int) -> "Policy":
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from runsync.bundle.retention import Policy, Within

    try:
        zone = ZoneInfo(timezone) if timezone else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter(f"“{timezone}” is no time zone known here", param_hint="--timezone") from None
    return Policy(**counts, within=Within.parse(within) if within else Within(), zone=zone)


def _question(report: "ForgetReport") -> str:
    gone = report.to_remove
    named = ", ".join(gone[:3]) + (", …" if len(gone) > 3 else "")
    pruned = f", then delete {many(report.prune.removed_files, 'file')}" if report.prune else ""
    return f"{report.bundle}: forget {len(gone):,} of {many(len(report.snapshots), 'snapshot')} ({named}){pruned}"


def _lines(report: "ForgetReport") -> Iterator[str]:
    rows = [("", "id", "finished", "source", "selection", "why")]
    rows += [
        (
            "keep" if one.keep else "remove",
            one.id,
            f"{one.created_at[:19]}Z" if one.created_at else "?",
            one.source,
            selection(one.selection) if one.selection else "?",
            "; ".join(one.reasons),
        )
        for one in report.snapshots
    ]
    yield from table(rows)
    told = "would be forgotten (dry run: nothing was removed)" if report.dry_run else "forgotten"
    yield f"{report.bundle}: {len(report.to_remove):,} of {many(len(report.snapshots), 'snapshot')} {told}"
    yield from listed("Broken, and kept", (f"{one.id}: {one.error}" for one in report.broken))
    yield from doubted(report.doubtful_dates)
    if report.prune:
        yield from prune_lines(report.prune)
