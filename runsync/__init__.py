"""runsync: moves, backs up and syncs MLflow workspaces, and proves that nothing was lost.

Everything the command line does is a call here; each is imported when it is first used.

    import runsync

    report = runsync.export("http://localhost:5000", "backup")
    runsync.import_("backup", "http://localhost:5001")
    assert runsync.verify("backup", "http://localhost:5001").exit_code == 0
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runsync.bundle.address import Access
    from runsync.bundle.bundle import open_bundle
    from runsync.bundle.check import CheckReport, check
    from runsync.bundle.copy import CopyReport, copy
    from runsync.bundle.forget import ForgetReport, forget
    from runsync.bundle.inspect import InspectReport, inspect
    from runsync.bundle.prune import PruneReport, prune
    from runsync.bundle.retention import Policy, Within
    from runsync.bundle.snapshots import SnapshotsReport, snapshots
    from runsync.bundle.unlock import UnlockReport, unlock
    from runsync.errors import RunsyncError
    from runsync.model.selection import Selection
    from runsync.runs.bulk import delete_runs, restore_runs
    from runsync.runs.change import ChangeReport, How
    from runsync.runs.delete import delete_selected_runs
    from runsync.runs.experiments import delete_experiments, restore_experiments
    from runsync.runs.label import (
        rename_experiment,
        rename_run,
        tag_experiments,
        tag_runs,
        untag_experiments,
        untag_runs,
    )
    from runsync.runs.restore import restore_selected_runs
    from runsync.transfer.diff import DiffReport, diff
    from runsync.transfer.export import export
    from runsync.transfer.import_ import import_
    from runsync.transfer.places import open_workspace
    from runsync.transfer.repair import RepairReport, repair
    from runsync.transfer.report import TransferReport
    from runsync.transfer.sync import sync
    from runsync.transfer.verify import VerifyReport, verify

logging.getLogger("runsync").addHandler(logging.NullHandler())

__all__ = [
    "Access",
    "ChangeReport",
    "CheckReport",
    "CopyReport",
    "DiffReport",
    "ForgetReport",
    "How",
    "InspectReport",
    "Policy",
    "PruneReport",
    "RepairReport",
    "RunsyncError",
    "Selection",
    "SnapshotsReport",
    "TransferReport",
    "UnlockReport",
    "VerifyReport",
    "Within",
    "check",
    "copy",
    "delete_experiments",
    "delete_runs",
    "delete_selected_runs",
    "diff",
    "export",
    "forget",
    "import_",
    "inspect",
    "open_bundle",
    "open_workspace",
    "prune",
    "rename_experiment",
    "rename_run",
    "repair",
    "restore_experiments",
    "restore_runs",
    "restore_selected_runs",
    "snapshots",
    "sync",
    "tag_experiments",
    "tag_runs",
    "unlock",
    "untag_experiments",
    "untag_runs",
    "verify",
]

_HOMES = {
    "Access": "runsync.bundle.address",
    "ChangeReport": "runsync.runs.change",
    "CheckReport": "runsync.bundle.check",
    "CopyReport": "runsync.bundle.copy",
    "DiffReport": "runsync.transfer.diff",
    "ForgetReport": "runsync.bundle.forget",
    "How": "runsync.runs.change",
    "InspectReport": "runsync.bundle.inspect",
    "Policy": "runsync.bundle.retention",
    "PruneReport": "runsync.bundle.prune",
    "RepairReport": "runsync.transfer.repair",
    "RunsyncError": "runsync.errors",
    "Selection": "runsync.model.selection",
    "SnapshotsReport": "runsync.bundle.snapshots",
    "TransferReport": "runsync.transfer.report",
    "UnlockReport": "runsync.bundle.unlock",
    "VerifyReport": "runsync.transfer.verify",
    "Within": "runsync.bundle.retention",
    "check": "runsync.bundle.check",
    "copy": "runsync.bundle.copy",
    "delete_experiments": "runsync.runs.experiments",
    "delete_runs": "runsync.runs.bulk",
    "delete_selected_runs": "runsync.runs.delete",
    "diff": "runsync.transfer.diff",
    "export": "runsync.transfer.export",
    "forget": "runsync.bundle.forget",
    "import_": "runsync.transfer.import_",
    "inspect": "runsync.bundle.inspect",
    "open_bundle": "runsync.bundle.bundle",
    "open_workspace": "runsync.transfer.places",
    "prune": "runsync.bundle.prune",
    "rename_experiment": "runsync.runs.label",
    "rename_run": "runsync.runs.label",
    "repair": "runsync.transfer.repair",
    "restore_experiments": "runsync.runs.experiments",
    "restore_runs": "runsync.runs.bulk",
    "restore_selected_runs": "runsync.runs.restore",
    "snapshots": "runsync.bundle.snapshots",
    "sync": "runsync.transfer.sync",
    "tag_experiments": "runsync.runs.label",
    "tag_runs": "runsync.runs.label",
    "unlock": "runsync.bundle.unlock",
    "untag_experiments": "runsync.runs.label",
    "untag_runs": "runsync.runs.label",
    "verify": "runsync.transfer.verify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module “runsync” has no attribute “{name}”")
    return getattr(import_module(_HOMES[name]), name)
