"""Opens Databricks workspaces: see `contract.backend`."""

from runsync.contract.backend import Backend, Opening
from runsync.contract.workspace import Workspace
from runsync.workspaces.databricks import address


def _open(where: str, opening: Opening) -> Workspace:
    from runsync.workspaces.databricks.opening import open_databricks

    found = address.resolve(where, opening.config)
    return open_databricks(found, opening.workers, opening.patience, opening.limits)


BACKEND = Backend(("databricks://PROFILE", "databricks-uc://PROFILE"), address.is_databricks, _open)
