"""Workspaces that a cloud runs: which one an address means, and opening it."""

from runsync.model.limits import UNLIMITED, Limits
from runsync.workspaces.azureml import address as azureml
from runsync.workspaces.databricks import address as databricks
from runsync.workspaces.http import Patience
from runsync.workspaces.rest.workspace import RestWorkspace
from runsync.workspaces.sagemaker import address as sagemaker


def is_hosted(where: str, config: str | None) -> bool:
    """Whether an address, or a name of `runsync.toml`, means one of them."""
    kinds = (databricks.is_databricks, sagemaker.is_sagemaker, azureml.is_azureml)
    return any(is_kind(where, config) for is_kind in kinds)


def open_hosted(
    where: str, config: str | None, workers: int, patience: Patience | None = None, limits: Limits = UNLIMITED
) -> RestWorkspace:
    """Opens it. Raises WrongUsage, WorkspaceUnreachable, AccessDenied."""
    if sagemaker.is_sagemaker(where, config):
        from runsync.workspaces.sagemaker.workspace import open_sagemaker

        return open_sagemaker(sagemaker.resolve(where, config), workers, patience, limits)
    if azureml.is_azureml(where, config):
        from runsync.workspaces.azureml.workspace import open_azureml

        return open_azureml(azureml.resolve(where, config), workers, patience, limits)
    from runsync.workspaces.databricks.workspace import open_databricks

    return open_databricks(databricks.resolve(where, config), workers, patience, limits)
