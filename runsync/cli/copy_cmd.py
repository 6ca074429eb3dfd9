"""runsync copy"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import options
from runsync.cli.check_cmd import damaged
from runsync.cli.finish import finish
from runsync.cli.progress import shown
from runsync.cli.text import listed, many, size
from runsync.options import CopyOptions

if TYPE_CHECKING:
    from runsync.bundle.copy import CopyReport, NotCopied


@click.command(epilog="Example: runsync copy backup s3://bucket/backup")
@click.argument("bundle")
@click.argument("target")
@options.of(CopyOptions, workers=options.s3)
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, bundle: str, target: str, as_json: bool, **given: Any) -> int:
    """Copy a bundle, or one snapshot of it, into another.

    SOURCE and TARGET are folders or s3://bucket/prefix. TARGET is created if it does not exist. Only what it lacks is
    copied, oldest snapshot first. SOURCE@2026-11-01 copies that snapshot alone. Exits with 12 if a broken file kept a
    snapshot from being copied.
    """
    from runsync.bundle.copy import copy

    with shown("copy", as_json) as progress:
        report = copy(bundle, target, **given, access=options.access(ctx), progress=progress)
    return finish(report, as_json, _lines(report))


def _lines(report: "CopyReport") -> Iterator[str]:
    done = "would be copied" if report.dry_run else "copied"
    yield (
        f"{report.source} to {report.target}: {many(len(report.copied), 'snapshot')} {done} "
        f"({many(report.files, 'file')}, {size(report.bytes)}), {report.already_there} there already, "
        f"{report.seconds:.1f} s"
    )
    yield from listed("Snapshots", report.copied)
    yield from listed("Not copied", map(_failed, report.failed))
    if report.failed:
        yield damaged(report.source)
    elif not report.dry_run:
        yield "Done."
    else:
        yield "Run it without --dry-run to do this." if report.copied or report.files else "There is nothing to do."


def _failed(one: "NotCopied") -> str:
    """The error mostly names the file."""
    return f"snapshot {one.snapshot}: {one.error if one.file in one.error else f'{one.file}: {one.error}'}"
