"""What doctor tells of a file store itself."""

import getpass
from collections.abc import Iterator
from pathlib import Path

from runsync.model.finding import Finding, ok


def examine(root: Path) -> Iterator[Finding]:
    """See `DirectStore.examine`."""
    yield ok("store", "a file store; MLflow 3.13 and newer open it only with MLFLOW_ALLOW_FILE_STORE=true")
    try:
        owner = f"; the folder is of user “{root.owner()}”"
    except (KeyError, OSError):  # an owner without a name, as in containers and on network shares
        owner = ""
    try:
        user = f"user “{getpass.getuser()}” of this machine"
    except (KeyError, OSError):
        user = "a user of this machine without a name"
    yield ok("identity", user + owner)
