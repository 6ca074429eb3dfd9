"""runsync doctor"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options, say
from runsync.cli.finish import finish
from runsync.cli.tables import folded, terminal_width
from runsync.cli.text import many

if TYPE_CHECKING:
    from runsync.model.finding import Finding
    from runsync.transfer.doctor import DoctorReport

_STATE = 9
_TOPIC = 13
_INDENT = " " * (_STATE + _TOPIC)


@click.command(epilog="Example: runsync doctor https://mlflow.example.org")
@click.argument("where")
@options.artifact_root
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, where: str, as_json: bool) -> int:
    """Who are we in a workspace, and what will not work there?

    Whom it takes us for and what we may do, its version, speed and clock, what it has beside runs, where artifacts lie
    and whether this machine gets at them, and what would be left behind. Only reads: what just a write would show is
    not known.

    Exit 0 when it can be used, with warnings too, and 13 when something will not work. A bundle is looked at by
    runsync check and runsync inspect.
    """
    from runsync.transfer.doctor import doctor

    report = doctor(where, access=options.access(ctx), tell=_pass_over if as_json else _show)
    return finish(report, as_json, [_summary(report)])


def _show(finding: "Finding") -> None:
    """At once: a server that does not answer keeps one waiting."""
    say.all_out(_lines(finding))


def _pass_over(finding: "Finding") -> None:
    """The JSON report comes as one."""


def _lines(finding: "Finding") -> Iterator[str]:
    width = terminal_width()
    first, *rest = folded(finding.told, width, _INDENT)
    yield f"{finding.state:<{_STATE}}{finding.topic:<{_TOPIC}}{first[len(_INDENT) :]}"
    yield from rest
    if finding.remedy:
        first, *rest = folded(finding.remedy, width, _INDENT + "  ")
        yield f"{_INDENT}→ {first[len(_INDENT) + 2 :]}"
        yield from rest


def _summary(report: "DoctorReport") -> str:
    counts = {state: sum(f.state == state for f in report.findings) for state in ("failure", "warning")}
    place = report.workspace
    what = f"{place.address} ({place.kind} {place.version})".replace(" )", ")").replace(" ()", "")
    told = ", ".join(many(count, state) for state, count in counts.items() if count) or "all is well"
    return f"{what}: {told} ({report.seconds:.1f} s)"
