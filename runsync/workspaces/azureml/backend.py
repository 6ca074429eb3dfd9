"""Opens Azure ML workspaces: see `contract.backend`."""

from runsync.contract.backend import Backend, Opening
from runsync.contract.workspace import Workspace
from runsync.workspaces.azureml import address


def _open(where: str, opening: Opening) -> Workspace:
    from runsync.workspaces.azureml.opening import open_azureml

    found = address.resolve(where, opening.config)
    return open_azureml(found, opening.workers, opening.patience, opening.limits)


BACKEND = Backend(("azureml://…",), address.is_azureml, _open)
