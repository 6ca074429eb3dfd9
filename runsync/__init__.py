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
    from runsync.runs.reproduce import ReproduceReport, reproduce
    from runsync.runs.snippet import SnippetReport, snippet
    from runsync.runs.source import SourceReport, source_of
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
    "CheckReport",
    "CopyReport",
    "DiffReport",
    "ForgetReport",
    "InspectReport",
    "Policy",
    "PruneReport",
    "RepairReport",
    "ReproduceReport",
    "RunsyncError",
    "Selection",
    "SnapshotsReport",
    "SnippetReport",
    "SourceReport",
    "TransferReport",
    "UnlockReport",
    "VerifyReport",
    "Within",
    "check",
    "copy",
    "diff",
    "export",
    "forget",
    "import_",
    "inspect",
    "open_bundle",
    "open_workspace",
    "prune",
    "repair",
    "reproduce",
    "snapshots",
    "snippet",
    "source_of",
    "sync",
    "unlock",
    "verify",
]

_HOMES = {
    "Access": "runsync.bundle.address",
    "CheckReport": "runsync.bundle.check",
    "CopyReport": "runsync.bundle.copy",
    "DiffReport": "runsync.transfer.diff",
    "ForgetReport": "runsync.bundle.forget",
    "InspectReport": "runsync.bundle.inspect",
    "Policy": "runsync.bundle.retention",
    "PruneReport": "runsync.bundle.prune",
    "RepairReport": "runsync.transfer.repair",
    "ReproduceReport": "runsync.runs.reproduce",
    "RunsyncError": "runsync.errors",
    "Selection": "runsync.model.selection",
    "SnapshotsReport": "runsync.bundle.snapshots",
    "SnippetReport": "runsync.runs.snippet",
    "SourceReport": "runsync.runs.source",
    "TransferReport": "runsync.transfer.report",
    "UnlockReport": "runsync.bundle.unlock",
    "VerifyReport": "runsync.transfer.verify",
    "Within": "runsync.bundle.retention",
    "check": "runsync.bundle.check",
    "copy": "runsync.bundle.copy",
    "diff": "runsync.transfer.diff",
    "export": "runsync.transfer.export",
    "forget": "runsync.bundle.forget",
    "import_": "runsync.transfer.import_",
    "inspect": "runsync.bundle.inspect",
    "open_bundle": "runsync.bundle.bundle",
    "open_workspace": "runsync.transfer.places",
    "prune": "runsync.bundle.prune",
    "repair": "runsync.transfer.repair",
    "reproduce": "runsync.runs.reproduce",
    "snapshots": "runsync.bundle.snapshots",
    "snippet": "runsync.runs.snippet",
    "source_of": "runsync.runs.source",
    "unlock": "runsync.bundle.unlock",
    "sync": "runsync.transfer.sync",
    "verify": "runsync.transfer.verify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module “runsync” has no attribute “{name}”")
    return getattr(import_module(_HOMES[name]), name)
