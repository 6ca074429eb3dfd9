"""import: a snapshot of a bundle into a workspace."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from runsync.bundle.address import Access
from runsync.contract.backend import NO_INIT
from runsync.errors import WrongUsage
from runsync.kinds.asked import asked
from runsync.kinds.left_behind import ARTIFACTS
from runsync.model.import_options import ImportOptions
from runsync.model.naming import Naming
from runsync.model.progress import Progress, Silent
from runsync.model.redact import without_credentials
from runsync.model.selection import Selection
from runsync.transfer.engine import transfer
from runsync.transfer.find import resolved
from runsync.transfer.id_map import write_id_map
from runsync.transfer.places import WORKERS, accepted, init_of, is_workspace, open_held, open_target
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted


def import_(
    bundle: str | Path,
    target: str,
    *,
    selection: Selection | None = None,
    rename: Mapping[str, str] | None = None,
    prefix: str = "",
    artifacts: bool = True,
    tags: bool = True,
    verify_artifacts: bool = False,
    restore_deleted: bool = False,
    init: bool = False,
    workers: int = WORKERS,
    dry_run: bool = False,
    retry_lock: float = 0.0,
    id_map: str | Path | None = None,
    accept: Iterable[str] = (),
    access: Access | None = None,
    progress: Progress | None = None,
    **of_kinds: Any,
) -> TransferReport:
    """Replays a snapshot of a bundle (the newest, or `backup@2026-11-01`) into a workspace.

    Running it again writes only what is missing.

    `rename` maps experiment names, `prefix` goes before all others. With `verify_artifacts` every uploaded file is
    read back and compared by hash. `restore_deleted` brings back a deleted experiment of the same name. `of_kinds` are
    options of single kinds (see `kinds.kind.Option`). Without `tags`, copies that keep their ids (in databases and file
    stores) get no tags of runsync's: then they are compared in full each time. With `init` the tables of an empty
    database are made, by the mlflow that is installed. `id_map` names a file for the map from old to new ids, which is
    in the report too; `retry_lock` is how many seconds to wait for a bundle that is being pruned. `accept` is as
    for `export`.

    Raises RunsyncError (see `errors`) for what fails before anything is written.
    """
    access = access or Access()
    if is_workspace(str(bundle), access.config):
        named = without_credentials(str(bundle))
        raise WrongUsage(
            f"“{named}” is a workspace, and import takes a bundle: runsync sync brings a workspace over straight, and "
            "runsync export makes a bundle of it first"
        )
    may_stay = accepted(accept, str(bundle), target, access)
    options = ImportOptions(
        Naming(dict(rename or {}), prefix),
        artifacts,
        verify_artifacts,
        restore_deleted,
        asked=asked("import", of_kinds),
        tags=tags,
    )
    tables = init_of(target, access, with_artifacts=artifacts, dry_run=dry_run) if init else NO_INIT
    with open_held(bundle, "import", access, retry_lock) as snapshot:
        selection = resolved(snapshot, selection or Selection())
        wanted = Wanted(snapshot, selection, artifacts)
        wanted.count()
        workspace = open_target(target, access, workers, tables)
        sink = workspace.target(options)
        report = TransferReport("import", snapshot.place, sink.place, dry_run, snapshot.manifest.id, accept=may_stay)
        report.has_more_to_do = bool(tables.mlflow)
        if artifacts and not snapshot.manifest.with_artifacts and snapshot.manifest.counts.runs:
            report.not_carried.append(ARTIFACTS.left(None, "the snapshot was made with --no-artifacts"))
        try:
            transfer(report, wanted, sink, workers, progress or Silent(), options.asked)
        finally:
            workspace.close()
    report.notes += snapshot.notes + workspace.notes
    report.requests = workspace.requests
    if id_map is not None and not dry_run:
        write_id_map(Path(id_map), report)
    return report
