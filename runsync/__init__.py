"""runsync: moves, backs up and syncs MLflow workspaces, and proves that nothing was lost.

Everything the command line does is a call here; each is imported when it is first used.

    import runsync

    report = runsync.export("http://localhost:5000", "backup")
    runsync.import_("backup", "http://localhost:5001")
    assert runsync.verify("backup", "http://localhost:5001").exit_code == 0
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runsync.bundle.address import Access
    from runsync.bundle.bundle import open_bundle
    from runsync.bundle.check import CheckReport, check
    from runsync.bundle.inspect import InspectReport, inspect
    from runsync.errors import RunsyncError
    from runsync.model.selection import Selection
    from runsync.transfer.diff import DiffReport, diff
    from runsync.transfer.export import export
    from runsync.transfer.import_ import import_
    from runsync.transfer.places import open_workspace
    from runsync.transfer.report import TransferReport
    from runsync.transfer.sync import sync
    from runsync.transfer.verify import VerifyReport, verify

__all__ = [
    "Access",
    "CheckReport",
    "DiffReport",
    "InspectReport",
    "RunsyncError",
    "Selection",
    "TransferReport",
    "VerifyReport",
    "check",
    "diff",
    "export",
    "import_",
    "inspect",
    "open_bundle",
    "open_workspace",
    "sync",
    "verify",
]

_HOMES = {
    "Access": "runsync.bundle.address",
    "DiffReport": "runsync.transfer.diff",
    "diff": "runsync.transfer.diff",
    "CheckReport": "runsync.bundle.check",
    "InspectReport": "runsync.bundle.inspect",
    "RunsyncError": "runsync.errors",
    "Selection": "runsync.model.selection",
    "TransferReport": "runsync.transfer.report",
    "VerifyReport": "runsync.transfer.verify",
    "check": "runsync.bundle.check",
    "export": "runsync.transfer.export",
    "import_": "runsync.transfer.import_",
    "inspect": "runsync.bundle.inspect",
    "open_bundle": "runsync.bundle.bundle",
    "open_workspace": "runsync.transfer.places",
    "sync": "runsync.transfer.sync",
    "verify": "runsync.transfer.verify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module “runsync” has no attribute “{name}”")
    return getattr(import_module(_HOMES[name]), name)
