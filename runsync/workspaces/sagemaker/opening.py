"""An MLflow server of Amazon SageMaker: all but the way to it is as on other servers."""

import dataclasses
from collections.abc import Callable, Iterator

from runsync.limits import UNLIMITED, Limits
from runsync.model.finding import Finding, ok
from runsync.model.place import Place
from runsync.workspaces.address import Address
from runsync.workspaces.http import Client, Patience
from runsync.workspaces.rest.artifacts import Artifacts, ArtifactStore
from runsync.workspaces.rest.habits import USUAL
from runsync.workspaces.rest.opening import ROLES, examine
from runsync.workspaces.rest.reached import Reached
from runsync.workspaces.rest.search import RunSearch
from runsync.workspaces.rest.server import meet
from runsync.workspaces.rest.workspace import RestWorkspace
from runsync.workspaces.s3_artifacts import S3Artifacts, options_for
from runsync.workspaces.sagemaker.address import SageMakerAddress
from runsync.workspaces.sagemaker.artifacts import SignedUploads, uploads_are_signed
from runsync.workspaces.sagemaker.signature import Signature

KIND = "Amazon SageMaker"


def _examine(right: str) -> Callable[[RestWorkspace], Iterator[Finding]]:
    """See `rest.examine`. IAM is asked by nobody: what is not for us is seen where it is read. `right` is what a policy
    must allow for all of it."""

    def found(workspace: RestWorkspace) -> Iterator[Finding]:
        yield from examine(workspace)
        yield ok(
            "rights",
            f"reading was let in; IAM does not tell what may be written: an import or a change takes {right} on "
            "the ARN, and rights to write in the bucket that artifacts lie in",
        )

    return found


def open_sagemaker(
    address: SageMakerAddress, workers: int, patience: Patience | None = None, limits: Limits = UNLIMITED
) -> RestWorkspace:
    """The workspace of an ARN. Raises WorkspaceUnreachable, AccessDenied, WorkspaceError, WrongUsage."""
    connections = workers + 4
    identity = Signature(address.arn, address.s3.s3_profile, address.role)
    client = Client(address.url, address.tls, connections, patience, limits, identity=identity)
    client.set_header(address.arn.header, str(address.arn))
    server = meet(client, Address(address.url, address.workspace, address.tls))
    store = ArtifactStore(client, server, S3Artifacts(options_for(address.s3), connections, limits, patience))
    artifacts: Artifacts = SignedUploads(client, store) if uploads_are_signed() else store
    printable = dataclasses.replace(address, workspace=server.workspace).printable
    place = Place(KIND, printable, server.version)
    roles = dataclasses.replace(ROLES, examine=_examine(address.arn.right))
    search = RunSearch(client, USUAL, server.dialect)
    return RestWorkspace(Reached(client, server, artifacts, place, by_address=store), roles, search, USUAL)
