"""runsync doctor"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options, say
from runsync.cli.finish import finish
from runsync.cli.tables import folded, terminal_width
from runsync.cli.text import many
from runsync.model.finding import RUNS

if TYPE_CHECKING:
    from runsync.model.finding import Finding
    from runsync.transfer.doctor import DoctorReport

_STATE = 9
_TOPIC = 13
_INDENT = " " * (_STATE + _TOPIC)


@click.command(epilog="Example: runsync doctor https://mlflow.example.org")
@click.argument("where")
@click.option(
    "--for", "purpose", type=click.Choice(["promote"]), help="Also look whether models can be promoted into it."
)
@options.artifact_root
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, where: str, purpose: str | None, as_json: bool) -> int:
    """Check access to a workspace and report problems.

    Reports who you are logged in as and what you may do, the server's version, speed and clock, where artifacts are
    and whether this machine can read them, and what would be left behind. It only reads, so it cannot tell what only a
    write would show.

    Exits with 0 if the workspace can be used, even with warnings, and with 13 if something will not work. For a bundle,
    use runsync check or runsync inspect.
    """
    from runsync.transfer.doctor import doctor

    tell = _pass_over if as_json else _show
    report = doctor(where, purpose=purpose or "", access=options.access(ctx), tell=tell)
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
    told = ", ".join(many(count, state) for state, count in counts.items() if count) or _nothing_wrong(report)
    return f"{what}: {told} ({report.seconds:.1f} s)"


def _nothing_wrong(report: "DoctorReport") -> str:
    """No more than was looked at."""
    return "; ".join(("nothing wrong was found", *(f.told for f in report.findings if f.topic == RUNS)))
