"""runsync check"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import consent, options, say
from runsync.cli.finish import finish
from runsync.cli.pieces import missing_pieces
from runsync.cli.progress import shown
from runsync.cli.text import doubted, listed, many, size
from runsync.cli.transfer_text import LACKS
from runsync.kinds.left_behind import told, told_unsought, was_sought

if TYPE_CHECKING:
    from runsync.bundle.check import CheckReport
    from runsync.bundle.faults import Fault
    from runsync.transfer.repair import RepairReport


@click.command(epilog="Example: runsync check backup --quick")
@click.argument("bundle")
@click.option("--quick", is_flag=True, help="Skip the hashes of artifacts and metrics.")
@click.option(
    "--read-data-subset",
    default="",
    metavar="PART",
    help="Check only part of those hashes: 5% (at random), 2/7 (the second of seven groups), or week/7 (another group "
    "each week; "
    "or day/7).",
)
@click.option("--repair", is_flag=True, help="Set broken files aside and read them again from --from.")
@click.option("--from", "source", metavar="SOURCE", help="Workspace or bundle to repair from.")
@consent.yes
@options.dry_run
@options.retry_lock
@options.artifact_root
@options.s3
@options.workers
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    bundle: str,
    quick: bool,
    read_data_subset: str,
    repair: bool,
    source: str | None,
    yes: bool,
    dry_run: bool,
    retry_lock: float,
    workers: int,
    as_json: bool,
) -> int:
    """Check a bundle for damage, and repair it.

    Checks the structure, schemas, counts and file hashes of every snapshot, and that no snapshot is missing. Lists the
    faults it finds and exits with 12. A date in the future is reported, but is not a fault.

    With --repair, missing or broken artifact files and metrics are read again from SOURCE: the workspace that was
    backed up, one that has copies of its runs, or another bundle. Broken files, and manifests that can no longer be
    read, are moved to quarantine/ in the bundle; a new export from SOURCE then makes a new snapshot. A missing snapshot
    is copied from SOURCE if that is a bundle that has it; otherwise its loss is accepted. Nothing is deleted.
    """
    if not repair:
        if source or yes or dry_run:
            raise click.UsageError("--from, --yes and --dry-run go with --repair")
        return _check(ctx, bundle, quick, read_data_subset, retry_lock, workers, as_json)
    if quick or read_data_subset:
        raise click.UsageError("--repair looks at everything: leave out --quick and --read-data-subset")
    must_ask = not dry_run and consent.must_ask(yes, "--repair moves files")
    return _repair(ctx, bundle, source, must_ask, dry_run, retry_lock, workers, as_json)


def _check(
    ctx: click.Context, bundle: str, quick: bool, subset: str, retry_lock: float, workers: int, as_json: bool
) -> int:
    from runsync.bundle.check import check

    with shown("check", as_json) as progress:
        report = check(
            bundle,
            quick=quick,
            read_data_subset=subset,
            workers=workers,
            retry_lock=retry_lock,
            access=options.access(ctx),
            progress=progress,
        )
    return finish(report, as_json, _lines(report))


def _repair(
    ctx: click.Context,
    bundle: str,
    source: str | None,
    must_ask: bool,
    dry_run: bool,
    retry_lock: float,
    workers: int,
    as_json: bool,
) -> int:
    from runsync.transfer.repair import repair

    with shown("repair", as_json) as progress:
        report = repair(
            bundle,
            source,
            workers=workers,
            dry_run=dry_run,
            retry_lock=retry_lock,
            access=options.access(ctx),
            confirm=_asked if must_ask else None,
            progress=progress,
        )
    return finish(report, as_json, _repair_lines(report))


def _asked(report: "RepairReport") -> bool:
    say.all_err(listed("Faults", map(fault_line, report.faults)))
    files, snapshots = many(len(report.quarantined), "broken file"), many(len(report.set_aside), "snapshot")
    question = f"Set {files} aside, and up to {snapshots} that can then not be read?"
    return say.ask(question)


def _repair_lines(report: "RepairReport") -> Iterator[str]:
    tried = f" from {report.source}" if report.source else ""
    yield f"{report.bundle}: {many(len(report.faults), 'fault')}, repair{tried}, {report.seconds:.1f} s"
    yield from listed("Would be repaired" if report.dry_run else "Repaired", report.repaired)
    moved = "Would be moved to quarantine" if report.dry_run else f"Moved to {report.quarantine or 'quarantine'}"
    yield from listed(moved, report.quarantined)
    gone = "Snapshots that cannot be read, unless mended" if report.dry_run else "Snapshots that are listed no more"
    yield from listed(gone, report.set_aside)
    if report.snapshot:
        yield f"New snapshot: {report.snapshot}"
    elif report.set_aside and not report.dry_run:
        yield "Make a new snapshot with runsync export."
    yield from listed("Failed", (f"run {f['id']} “{f['name']}”: {f['error']}" for f in report.failed))
    yield from missing_pieces(report.problems)
    yield from listed("Faults" if report.dry_run else "Left", map(fault_line, report.left))
    yield _left(report) if report.left else "Sound."


def _left(report: "RepairReport") -> str:
    """How a repair ended that did not mend all, and the next step."""
    if not report.source:
        return damaged(report.bundle)
    if not report.dry_run:
        return f"Damaged: {report.source} does not have what is left as it was. Try another source with --from."
    files = {fault.file for fault in report.left}
    if not report.repaired:
        return f"Damaged, and {report.source} has none of it as it was. Without --dry-run it is set aside."
    some = "all" if files <= {*report.repaired} else f"{len(report.repaired):,} of {many(len(files), 'file')}"
    return f"Damaged, but {report.source} can mend {some}. Run it without --dry-run to do this."


def damaged(bundle: str) -> str:
    """How a command ends that met damage, with the next step."""
    return f"Damaged. To mend it: runsync check {bundle} --repair --from SOURCE"


def _lines(report: "CheckReport") -> Iterator[str]:
    how = "hashes left out" if report.quick else f"{size(report.bytes)} hashed"
    snapshots = many(report.snapshots, "snapshot")
    yield f"{report.bundle}: {snapshots}, {many(report.files, 'file')}, {how}, {report.seconds:.1f} s"
    yield from listed("Faults", map(fault_line, report.faults))
    if report.unused:
        yield f"{many(len(report.unused), 'file')} that no snapshot needs (the next export takes up what it can use)"
    yield from listed("Foreign files", report.foreign)
    if report.suspects:
        them = "it" if len(report.suspects) == 1 else "them"
        yield f"{many(len(report.suspects), 'broken file')} noted in the bundle: the next export reads {them} again"
    elif not report.is_noted:
        yield "This bundle cannot be written: run the next export with --verify-stored, or it may reuse broken files"
    yield from doubted(report.doubtful_dates)
    yield from listed(LACKS, map(told, filter(was_sought, report.lacks)))
    yield from told_unsought(report.lacks)
    yield damaged(report.bundle) if report.faults else _sound(report)


def _sound(report: "CheckReport") -> str:
    if report.quick:
        return "Sound, as far as it was read: no hashes of artifacts and metrics were compared."
    if report.subset:
        group, slash, groups = report.subset.partition("/")
        part = f"group {group} of {groups}" if slash else report.subset
        return f"Sound, as far as it was read: {part} of artifacts and metrics."
    return "Sound."


def fault_line(fault: "Fault") -> str:
    """A fault, and whom it hits."""
    hits = f"; hits snapshots {_few(fault.snapshots)}" if fault.snapshots else ""
    return f"{_named_once(fault)}{hits}" + (f", runs {_few(fault.runs)}" if fault.runs else "")


def _named_once(fault: "Fault") -> str:
    """The file and the error, which may begin with the whole path of it."""
    above, file, rest = fault.error.partition(f"/{fault.file}")
    if not file or " " in above:
        return f"{fault.file}: {fault.error}"
    return f"{fault.file}{rest}" if rest.startswith(":") else f"{fault.file}: {rest.lstrip()}"


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
