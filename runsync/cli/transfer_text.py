"""The report of export, import and sync as a person reads it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runsync.cli.pieces import missing_pieces
from runsync.cli.text import listed, many, size, table
from runsync.kinds.left_behind import counted, how_to_accept, is_known, told, told_unsought

if TYPE_CHECKING:
    from runsync.transfer.report import Tally, TransferReport

LACKS = "The newest snapshot lacks"
"""The title of what its source had, and it has not."""

ANOTHER_TRY = "The reasons tell what is needed: another try alone may not help."


def lines(report: "TransferReport") -> Iterator[str]:
    """Counts, then what did not arrive, then how it ended."""
    verb = f"{report.verb} (dry run: nothing was written)" if report.dry_run else report.verb
    yield f"{verb}: {report.source.address} → {report.target.address}"
    heads = ("", "new", "updated", "unchanged", "failed")
    yield from table([heads, *(_row(kind, tally) for kind, tally in report.tallies.items())])
    if not report.dry_run:
        requests = f", {many(report.requests, 'request')}" if report.requests else ""
        yield (
            f"{many(report.metric_points, 'metric point')}, {many(report.artifacts, 'artifact')} "
            f"({size(report.artifact_bytes)}) in {report.seconds:.1f} s{requests}"
        )
    yield from losses(report)
    yield from listed("Otherwise in the target", map(told, report.otherwise))
    yield from told_unsought(report.not_carried)
    yield from report.notes
    yield _ending(report)


def stopped(may_go_on: bool) -> str:
    """How a command ends that was stopped."""
    way = (
        "run the same command again to go on."
        if may_go_on
        else "another try alone ends here again; the error says why."
    )
    return f"Stopped before the end. What is done stays done: {way}"


def losses(report: "TransferReport") -> Iterator[str]:
    """What did not arrive."""
    yield from listed("Failed", (f"{f['kind']} {f['id']} “{f['name']}”: {f['error']}" for f in report.failed))
    yield from missing_pieces(report.problems)
    yield from listed("Not carried", map(told, report.left_behind))
    yield from listed("Not carried, as accepted", map(told, report.accepted))


def _row(name: str, tally: "Tally") -> tuple[str, str, str, str, str]:
    return (name, f"{tally.created:,}", f"{tally.updated:,}", f"{tally.unchanged:,}", f"{tally.failed:,}")


def _ending(report: "TransferReport") -> str:
    if report.stopped:
        return stopped(report.may_go_on)
    if report.undone:
        return _partly(report)
    if report.dry_run and not report.has_something_to_do:
        title = "Left behind: " if any(map(is_known, report.left_behind)) else ""
        return f"There is nothing to do. {title}{_left(report)}" if report.left_behind else "There is nothing to do."
    if report.left_behind:
        is_sure = any(map(is_known, report.left_behind))
        but = ", but for what stays behind: " if is_sure else f"{_full_stop(report) or '.'} "
        return f"{_done(report)}{but}{_left(report)}{_unseen(report)}"
    if report.dry_run:
        return f"Run it without --dry-run to do this.{_unseen(report)}"
    return f"{_done(report)}{_full_stop(report)}"


def _unseen(report: "TransferReport") -> str:
    """What a dry run cannot promise."""
    is_asked = report.dry_run and report.has_something_to_do
    return " What only reading and writing all of it shows is not in this plan." if is_asked else ""


def _done(report: "TransferReport") -> str:
    if report.dry_run:
        return "It would be done"
    return f"Done: snapshot {report.snapshot}" if report.snapshot and report.verb == "export" else "Done"


def _full_stop(report: "TransferReport") -> str:
    """None behind an id that is to be copied."""
    return "" if report.snapshot and report.verb == "export" else "."


def _left(report: "TransferReport") -> str:
    """What surely stays behind, then what may."""
    accept = how_to_accept(left.kind for left in report.left_behind)
    known = ", ".join(counted(left) for left in report.left_behind if is_known(left))
    unknown = ", ".join(counted(left) for left in report.left_behind if not is_known(left))
    told = [f"{known}."] if known else []
    told += [f"Whether there are {unknown} is not known."] if unknown else []
    return " ".join([*told, *([f"To accept that, add {accept}."] if accept else [])])


def _partly(report: "TransferReport") -> str:
    """What did not arrive, and what can be done about it."""
    counts = {
        "failed": len([one for one in report.undone if "error" in one]),
        "missing": len([one for one in report.undone if "error" not in one]),
    }
    failed, missing = ("would fail", "would be") if report.dry_run else ("failed", _are(counts["missing"]))
    told = [f"{many(counts['failed'], 'item')} {failed}"] if counts["failed"] else []
    if counts["missing"]:
        told.append(f"{many(counts['missing'], 'piece')} {missing} missing")
    snapshot = f": snapshot {report.snapshot}" if report.snapshot and report.verb == "export" else ""
    done = "It would be partly done" if report.dry_run else f"Partly done{snapshot}"
    if report.dry_run and not report.has_something_to_do:
        done = "There is nothing to do"
    ending = f"{done}, but {' and '.join(told)}, as listed above. {_again(report)}"
    return ending + (f" {_also(report)}{_left(report)}" if report.left_behind else "") + _unseen(report)


def _also(report: "TransferReport") -> str:
    return "Also left behind: " if any(map(is_known, report.left_behind)) else ""


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _again(report: "TransferReport") -> str:
    passing = sum(one["retry"] for one in report.undone)
    if report.dry_run:
        return "Nothing was written."
    if passing == len(report.undone):
        return "Run it again to try those again."
    if passing:
        return f"Run it again to try {passing:,} of them again; the reasons tell what the others need."
    return ANOTHER_TRY
