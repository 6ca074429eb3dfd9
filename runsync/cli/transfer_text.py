"""The report of export, import and sync as a person reads it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runsync.cli.text import listed, many, size, table

if TYPE_CHECKING:
    from runsync.transfer.report import Tally, TransferReport


def lines(report: "TransferReport") -> Iterator[str]:
    """Counts, then what did not arrive, then how it ended."""
    verb = f"{report.verb} (dry run: nothing was written)" if report.dry_run else report.verb
    yield f"{verb}: {report.source.address} → {report.target.address}"
    heads = ("", "new", "updated", "unchanged", "failed")
    rows = [heads, _row("experiments", report.experiments), _row("runs", report.runs)]
    rows += [_row(kind, tally) for kind, tally in report.objects.items()]
    yield from table(rows)
    if not report.dry_run:
        requests = f", {many(report.requests, 'request')}" if report.requests else ""
        yield (
            f"{many(report.metric_points, 'metric point')}, {many(report.artifacts, 'artifact')} "
            f"({size(report.artifact_bytes)}) in {report.seconds:.1f} s{requests}"
        )
    yield from listed("Failed", (f"{f['kind']} {f['id']} “{f['name']}”: {f['error']}" for f in report.failed))
    missing = (f"run {p['run_id']}: {p['kind']} {p['name']}: {p['reason']}" for p in report.problems)
    yield from listed("Missing pieces", missing)
    yield from listed("Not carried", (_not_carried(n.what, n.count, n.why, n.names) for n in report.not_carried))
    yield from report.notes
    yield _ending(report)


def _row(name: str, tally: "Tally") -> tuple[str, str, str, str, str]:
    return (name, f"{tally.created:,}", f"{tally.updated:,}", f"{tally.unchanged:,}", f"{tally.failed:,}")


def _not_carried(what: str, count: int | None, why: str, names: tuple[str, ...]) -> str:
    some = f" [{', '.join(names[:3])}{', …' if len(names) > 3 else ''}]" if names else ""
    return f"{'some' if count is None else f'{count:,}'} {what}{some}: {why}"


def _ending(report: "TransferReport") -> str:
    if report.stopped:
        return "Stopped before the end. What is done stays done: run the same command again to go on."
    if report.exit_code:
        return "Partly done: what is listed above did not arrive. Run it again to try those again."
    if report.dry_run:
        return "Run it without --dry-run to do this."
    return f"Done: snapshot {report.snapshot}" if report.snapshot and report.verb == "export" else "Done."
