"""runsync verify"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import options
from runsync.cli.differences import differences_table
from runsync.cli.finish import finish
from runsync.cli.progress import shown
from runsync.cli.text import listed, many
from runsync.kinds import BY_NAME
from runsync.kinds.left_behind import how_to_accept, told, told_unsought
from runsync.transfer.options import VerifyOptions

if TYPE_CHECKING:
    from runsync.transfer.verify_report import VerifyReport


@click.command(epilog="Example: runsync verify backup http://localhost:5001 --verify-artifacts")
@click.argument("source")
@click.argument("target")
@options.selection
@options.expected
@options.kinds
@options.of(VerifyOptions, artifacts=options.artifact_root, workers=options.s3)
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, source: str, target: str, as_json: bool, **given: Any) -> int:
    """Compare a source with a target, field by field.

    Compares every field, metric point and file of the source's runs with the target's; what the target has in addition
    does not matter. SOURCE and TARGET are bundles or workspaces. Runs are matched by the id they were created with.

    Exits with 4, and lists the differences, if anything is missing or differs. Exits with 4 too if part of the source
    could not be compared, such as kinds that runsync does not copy or files that an export could not read, unless
    --accept names it.
    """
    from runsync.transfer.verify import verify

    with shown("verify", as_json) as progress:
        report = verify(
            source,
            target,
            **options.gathered(ctx, given),
            progress=progress,
        )
    return finish(report, as_json, _lines(report))


def _lines(report: "VerifyReport") -> Iterator[str]:
    how = "by bytes" if report.artifacts_by_hash else "by size"
    objects = "".join(f", {many(count, BY_NAME[kind].noun)}" for kind, count in report.objects.items())
    yield f"verify: {report.source.address} in {report.target.address}"
    yield (
        f"{many(report.experiments, 'experiment')}, {many(report.runs, 'run')}, "
        f"{many(report.metric_points, 'metric point')}, "
        f"{many(report.artifacts, 'artifact')} ({how}){objects} compared in {report.seconds:.1f} s"
    )
    if report.differences:
        yield from differences_table(report.differences)
    yield from listed("Not compared", map(told, report.left_out))
    yield from listed("Not compared, as accepted", map(told, report.accepted))
    yield from listed("Otherwise in the target", map(told, report.otherwise))
    yield from told_unsought(report.not_compared)
    yield from (f"Note: {note}" for note in report.notes)
    yield _ending(report)


def _ending(report: "VerifyReport") -> str:
    """What is proved, and no more."""
    if report.differences:
        return _differing(report)
    if report.left_out:
        accept = how_to_accept(left.kind for left in report.left_out)
        how = f" To accept that, add {accept}." if accept else ""
        return f"Everything that was compared is there, but not all was: see above.{how}"
    if not report.experiments and not report.runs:
        return "There was nothing to compare."
    if report.accepted or report.unsought or not report.is_all:
        return "Everything that was compared is there."
    by_size = report.artifacts and not report.artifacts_by_hash
    return "Everything is there (artifacts by size)." if by_size else "Everything is there."


def _differing(report: "VerifyReport") -> str:
    """Differences, and apart from them what could not be read, with the next step."""
    told = []
    if count := len(report.differences) - len(report.unread):
        told.append(f"{many(count, 'difference')}.")
    for side, place in (("source", report.source), ("target", report.target)):
        unread = [each for each in report.unread if each.unread == side]
        if not unread:
            continue
        lost = f"{len(unread):,} could not be compared"
        if place.kind == "bundle":
            told.append(f"{lost}: the bundle is damaged. Run runsync check {place.address}")
            continue
        accept = how_to_accept(each.accepted_by for each in unread)
        how = f" To accept that, add {accept}." if accept else ""
        told.append(f"{lost}: the {side} cannot be read, see above.{how}")
    return " ".join(told)
