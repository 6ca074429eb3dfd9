"""sync: a workspace into another one, straight through."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from runsync.bundle.address import Access
from runsync.contract.backend import NO_INIT
from runsync.contract.source import Source
from runsync.errors import WrongUsage
from runsync.kinds import CARRIED
from runsync.model.deletions import Brake, DeletionPolicy
from runsync.model.import_options import ImportOptions
from runsync.model.naming import Naming
from runsync.model.option import takes
from runsync.model.progress import Silent
from runsync.model.selection import Selection
from runsync.transfer.engine import transfer
from runsync.transfer.find import resolved
from runsync.transfer.id_map import write_id_map
from runsync.transfer.model_names import with_models
from runsync.transfer.options import SyncOptions
from runsync.transfer.places import accepted, init_of, open_target, open_with
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted

_IN_EXPERIMENTS = {kind.name for kind in CARRIED if kind.goes_with_experiments}
"""The kinds that are nowhere without experiments, and these."""


@takes(SyncOptions)
def sync(source: str, target: str, options: SyncOptions) -> TransferReport:
    """Brings a workspace up to date with another; running it again reads and writes only what has changed.

    Runs whose copy was made with the same fingerprint are not looked at (`model.identity.fingerprint` tells what that
    does not see), unless they are still running; `thorough` looks at all. Runs deleted at the source (or no longer
    there) stay active in the target and are reported; with `delete` they are deleted there, if they came from this
    source and are no more than `max_delete` (a share such as "10%" of the active copies from there, or a number of
    runs). `rename`, `prefix`, `tags`, `verify_artifacts`, `restore_deleted`, `keep_mlmodel`, `init`, `id_map`, `accept`
    and the options of single kinds are as for `import_`. `access.artifacts` is where the target's artifacts really are,
    `source_artifacts` where the source's are.

    Raises TooManyDeletions, and other RunsyncErrors (see `errors`), for what fails before anything is written.
    """
    access, artifacts, dry_run = options.access or Access(), options.artifacts, options.dry_run
    how = _how(options)
    tables = init_of(target, access, with_artifacts=artifacts, dry_run=dry_run) if options.init else NO_INIT
    may_stay = accepted(options.accept, source, target, access)
    with ExitStack() as opened:
        one = open_with(source, replace(access, artifacts=options.source_artifacts), options.workers)
        opened.callback(one.close)
        selection = resolved(one, options.selection or Selection())
        wanted = Wanted(one, selection, artifacts)
        wanted.count()
        other = open_target(target, access, options.workers, tables)
        opened.callback(other.close)
        is_within = one.whereabouts == other.whereabouts
        how = replace(how, naming=with_models(one, selection, how.naming, is_within))
        if is_within and _has_models_only(selection):
            wanted = Wanted(one, selection, artifacts, is_renamed_only=True)
        elif is_within:
            _refuse_onto_itself(one, selection, how.naming)
        sink = other.target(how)
        report = TransferReport("sync", one.place, sink.place, dry_run, accept=may_stay)
        report.has_more_to_do = bool(tables.mlflow)
        transfer(report, wanted, sink, options.workers, options.progress or Silent(), how.asked, how.naming.models)
        report.notes += one.notes + other.notes
        report.requests = one.requests + other.requests
    if options.id_map is not None and not dry_run:
        write_id_map(Path(options.id_map), report)
    return report


def _how(options: SyncOptions) -> ImportOptions:
    brake = Brake.parse(options.max_delete)
    return ImportOptions(
        options.naming,
        options.artifacts,
        options.verify_artifacts,
        options.restore_deleted,
        options.thorough,
        _deletions(options.delete, brake, options.selection or Selection()),
        options.asked,
        options.tags,
        options.keep_mlmodel,
    )


def _deletions(delete: bool, brake: Brake, selection: Selection) -> DeletionPolicy:
    if delete and (selection.names_runs or selection.state != "all"):
        raise WrongUsage(
            "--delete needs all runs of the experiments, to tell what is gone: it goes with --experiment, but not with "
            "--run, --filter, --since, --until or --state"
        )
    return DeletionPolicy(replays=False, brake=brake if delete else None)


def _has_models_only(selection: Selection) -> bool:
    """Whether neither experiments nor what lies in them is meant: within one workspace that may have two registries."""
    return bool(selection.kinds) and not selection.models and _IN_EXPERIMENTS.isdisjoint(selection.kinds)


def _refuse_onto_itself(source: Source, selection: Selection, naming: Naming) -> None:
    """Within one workspace there can only be copies of another name."""
    experiments = source.experiments(selection)
    names = naming.among(experiments)
    kept = [e.name for e in experiments if names.of(e) == e.name]
    if kept:
        raise WrongUsage(
            f"source and target are the same workspace, and “{kept[0]}” would go onto itself: name another target, or "
            "give the copies other names with --prefix or --rename"
        )
