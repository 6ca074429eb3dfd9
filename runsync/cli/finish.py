"""How a command ends: data on stdout, what went wrong on stderr, and the exit code."""

from typing import TYPE_CHECKING

import click

from runsync.cli.text import json_text
from runsync.cli.transfer_text import lines

if TYPE_CHECKING:
    from runsync.transfer.report import TransferReport


def finish_transfer(report: "TransferReport", as_json: bool) -> int:
    """Prints the report of export, import or sync; gives the exit code."""
    click.echo(json_text(report.to_document()) if as_json else "\n".join(lines(report)))
    if report.stopped:
        click.echo(f"runsync: {report.stopped}", err=True)
    return report.exit_code
