"""Runs from several snapshots of one bundle: an import for each snapshot, and one report of all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from runsync.errors import Interrupted, RunsyncError
from runsync.kinds.left_behind import NOT_OF_RUNS, PARENT_LINKS
from runsync.model.not_carried import NAMED, NotCarried
from runsync.transfer.report import Tally, TransferReport

Import = Callable[[str, Sequence[str]], TransferReport]
"""Imports runs, by their ids, from a snapshot."""


def import_from_each(
    runs: Mapping[str, Sequence[str]], import_: Import
) -> tuple[TransferReport | None, RunsyncError | None]:
    """Imports runs by their snapshots, in this order; gives one report of all that was done, and what stopped it.

    A run whose parent only a later snapshot brings is linked to it by a second import.
    """
    reports: dict[str, TransferReport] = {}
    stopped: RunsyncError | None = None
    try:
        for snapshot_id, ids in runs.items():
            reports[snapshot_id] = import_(snapshot_id, ids)
            _raise_if_stopped(reports[snapshot_id])
        for snapshot_id, report in reports.items() if len(reports) > 1 else ():
            if any(left.kind == PARENT_LINKS.name for left in report.not_carried):
                _link(report, import_(snapshot_id, runs[snapshot_id]))
    except KeyboardInterrupt:
        stopped = Interrupted("stopped from outside; run it again to go on")
    except RunsyncError as error:
        stopped = error
    return joined(list(reports.values())), stopped


def _raise_if_stopped(report: TransferReport) -> None:
    if report.stopped:
        error = RunsyncError(report.stopped)
        error.exit_code = report.stop_code
        raise error


def _link(report: TransferReport, again: TransferReport) -> None:
    """What the second import tells that the first does not. Both have the same runs: only links were missing."""
    report.not_carried = again.not_carried
    report.failed += again.failed
    report.problems += [one for one in again.problems if one not in report.problems]
    report.requests += again.requests
    report.seconds += again.seconds
    _raise_if_stopped(again)


def joined(reports: Sequence[TransferReport]) -> TransferReport | None:
    """The first report, with what the others tell added to it; None where there is none."""
    if not reports:
        return None
    first, *others = reports
    for other in others:
        first.snapshot += f", {other.snapshot}"
        again = first.id_map["experiments"].keys() & other.id_map["experiments"].keys()
        first.runs.add(other.runs)
        first.experiments.add(_without(other.experiments, len(again)))
        first.metric_points += other.metric_points
        first.artifacts += other.artifacts
        first.artifact_bytes += other.artifact_bytes
        first.requests += other.requests
        first.seconds = round(first.seconds + other.seconds, 3)
        first.failed += other.failed
        first.problems += other.problems
        first.warnings += [warning for warning in other.warnings if warning not in first.warnings]
        first.accept |= other.accept
        for noun, more in other.objects.items():
            first.objects.setdefault(noun, Tally()).add(more)
        first.notes += [note for note in other.notes if note not in first.notes]
        for name, ids in other.id_map.items():
            first.id_map.setdefault(name, {}).update(ids)
        if other.stopped:
            first.stopped, first.stop_code = other.stopped, other.stop_code
    first.not_carried = _merged([left for report in reports for left in report.not_carried])
    return first


def _without(tally: Tally, known: int) -> Tally:
    """Experiments are counted once: those that an import before found or made are unchanged by this one."""
    return replace(tally, unchanged=max(0, tally.unchanged - known))


def _merged(lefts: Sequence[NotCarried]) -> list[NotCarried]:
    """What of one kind and for one reason is told once: of runs their sum, of a workspace the most that was counted."""
    found: dict[tuple[str, ...], NotCarried] = {}
    for left in lefts:
        key = (left.kind, left.what, left.why, "" if left.kind else str(len(found)))
        before = found.setdefault(key, left)
        if before is not left:
            counts = [one.count for one in (before, left) if one.count is not None]
            count = (max if left.kind in NOT_OF_RUNS else sum)(counts) if len(counts) > 1 else None
            names = tuple(dict.fromkeys((*before.names, *left.names)))[:NAMED]
            found[key] = replace(before, count=count, names=names)
    return list(found.values())
