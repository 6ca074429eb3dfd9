"""import: a snapshot of a bundle into a workspace."""

from dataclasses import replace
from pathlib import Path

from runsync.bundle.address import Access
from runsync.contract.backend import NO_INIT
from runsync.errors import WrongUsage
from runsync.kinds.left_behind import ARTIFACTS
from runsync.model.import_options import ImportOptions
from runsync.model.option import takes
from runsync.model.progress import Silent
from runsync.model.redact import without_credentials
from runsync.model.selection import Selection
from runsync.transfer.engine import transfer
from runsync.transfer.find import resolved
from runsync.transfer.id_map import write_id_map
from runsync.transfer.model_names import with_models
from runsync.transfer.options import BundleImportOptions
from runsync.transfer.places import accepted, init_of, is_workspace, open_held, open_target
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted


@takes(BundleImportOptions)
def import_(bundle: str | Path, target: str, options: BundleImportOptions) -> TransferReport:
    """Replays a snapshot of a bundle (the newest, or `backup@2026-11-01`) into a workspace.

    Running it again writes only what is missing.

    `rename` maps experiment names, `prefix` goes before all others. With `verify_artifacts` every uploaded file is
    read back and compared by hash. `restore_deleted` brings back a deleted experiment of the same name. With
    `keep_mlmodel` MLmodel files keep their bytes where runs and models get new ids. Without `tags`, copies that keep
    their ids (in databases and file stores) get no tags of runsync's: then they are compared in full each time. With
    `init` the tables of an empty database are made, by the mlflow that is installed. `id_map` names a file for the map
    from old to new ids, which is in the report too; `retry_lock` is how many seconds to wait for a bundle that is being
    pruned. `accept` is as for `export`.

    Raises RunsyncError (see `errors`) for what fails before anything is written.
    """
    access, artifacts, dry_run = options.access or Access(), options.artifacts, options.dry_run
    _refuse_workspace(str(bundle), access)
    may_stay = accepted(options.accept, str(bundle), target, access)
    how = _how(options)
    tables = init_of(target, access, with_artifacts=artifacts, dry_run=dry_run) if options.init else NO_INIT
    with open_held(bundle, "import", access, options.retry_lock) as snapshot:
        wanted = Wanted(snapshot, resolved(snapshot, options.selection or Selection()), artifacts)
        wanted.count()
        how = replace(how, naming=with_models(snapshot, wanted.selection, how.naming))
        workspace = open_target(target, access, options.workers, tables)
        sink = workspace.target(how)
        report = TransferReport("import", snapshot.place, sink.place, dry_run, snapshot.manifest.id, accept=may_stay)
        report.has_more_to_do = bool(tables.mlflow)
        if artifacts and not snapshot.manifest.with_artifacts and snapshot.manifest.counts.runs:
            report.not_carried.append(ARTIFACTS.left(None, "the snapshot was made with --no-artifacts"))
        try:
            transfer(report, wanted, sink, options.workers, options.progress or Silent(), how.asked, how.naming.models)
        finally:
            workspace.close()
    report.notes += snapshot.notes + workspace.notes
    report.requests = workspace.requests
    if options.id_map is not None and not dry_run:
        write_id_map(Path(options.id_map), report)
    return report


def _refuse_workspace(bundle: str, access: Access) -> None:
    if is_workspace(bundle, access.config):
        named = without_credentials(bundle)
        raise WrongUsage(
            f"“{named}” is a workspace, and import takes a bundle: runsync sync brings a workspace over straight, and "
            "runsync export makes a bundle of it first"
        )


def _how(options: BundleImportOptions) -> ImportOptions:
    return ImportOptions(
        options.naming,
        options.artifacts,
        options.verify_artifacts,
        options.restore_deleted,
        asked=options.asked,
        tags=options.tags,
        keep_mlmodel=options.keep_mlmodel,
    )
