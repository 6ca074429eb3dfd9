"""runsync check"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.progress import shown
from runsync.cli.text import json_text, listed, many, size

if TYPE_CHECKING:
    from runsync.bundle.check import CheckReport
    from runsync.bundle.checker import Fault


@click.command(epilog="Example: runsync check backup --quick")
@click.argument("bundle")
@click.option("--quick", is_flag=True, help="Leave out the hashes of artifacts and metrics.")
@click.option(
    "--read-data-subset",
    default="",
    metavar="PART",
    help="Of those, compare the hashes of 5% (at random), or 2/7 (the second of seven groups).",
)
@options.s3
@options.workers
@options.json
@click.pass_context
def command(ctx: click.Context, /, bundle: str, quick: bool, read_data_subset: str, workers: int, as_json: bool) -> int:
    """Is a bundle sound?

    Structure, schemas, counts and the hash of every file, of every snapshot. Exit 12 and a list of faults when not.
    """
    from runsync.bundle.check import check

    with shown("check", as_json) as progress:
        report = check(
            bundle,
            quick=quick,
            read_data_subset=read_data_subset,
            workers=workers,
            access=options.access(ctx),
            progress=progress,
        )
    click.echo(json_text(report.to_document()) if as_json else "\n".join(_lines(report)))
    return report.exit_code


def _lines(report: "CheckReport") -> Iterator[str]:
    how = "hashes left out" if report.quick else f"{size(report.bytes)} hashed"
    yield f"{report.bundle}: {many(report.snapshots, 'snapshot')}, {report.files:,} files, {how}, {report.seconds:.1f} s"
    yield from listed("Faults", map(fault_line, report.faults))
    if report.unused:
        yield f"{len(report.unused):,} files that no snapshot needs (the next export takes up what it can use)"
    yield from listed("Foreign files", report.foreign)
    yield "Damaged." if report.faults else "Sound."


def fault_line(fault: "Fault") -> str:
    """A fault, and whom it hits."""
    hits = f"; hits snapshots {_few(fault.snapshots)}" if fault.snapshots else ""
    return f"{fault.file}: {fault.error}{hits}" + (f", runs {_few(fault.runs)}" if fault.runs else "")


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
