"""Opens MLflow servers on Amazon SageMaker: see `contract.backend`."""

from runsync.contract.backend import Backend, Opening
from runsync.contract.workspace import Workspace
from runsync.workspaces.sagemaker import address


def _open(where: str, opening: Opening) -> Workspace:
    from runsync.workspaces.sagemaker.opening import open_sagemaker

    found = address.resolve(where, opening.config)
    return open_sagemaker(found, opening.workers, opening.patience, opening.limits)


BACKEND = Backend(("the ARN of an MLflow server of SageMaker",), address.is_sagemaker, _open)
