"""An MLflow server of Amazon SageMaker: all but the way to it is as on other servers."""

import dataclasses
from collections.abc import Iterator

from runsync.limits import UNLIMITED, Limits
from runsync.model.finding import Finding, ok
from runsync.model.place import Place
from runsync.workspaces.address import Address
from runsync.workspaces.http import Client, Patience
from runsync.workspaces.rest.artifacts import Artifacts, ArtifactStore
from runsync.workspaces.rest.server import Server, meet
from runsync.workspaces.rest.workspace import RestWorkspace
from runsync.workspaces.s3_artifacts import S3Artifacts, options_for
from runsync.workspaces.sagemaker.address import SageMakerAddress
from runsync.workspaces.sagemaker.artifacts import SignedUploads, uploads_are_signed
from runsync.workspaces.sagemaker.signature import Signature

KIND = "Amazon SageMaker"


class SageMakerWorkspace(RestWorkspace):
    """See `open_sagemaker`. `right` is what an IAM policy must allow for all of it."""

    def __init__(self, client: Client, server: Server, artifacts: Artifacts, place: Place, *, right: str) -> None:
        super().__init__(client, server, artifacts, place)
        self._right = right

    def examine(self) -> Iterator[Finding]:
        """See `rest.examine`. IAM is asked by nobody: what is not for us is seen where it is read."""
        yield from super().examine()
        yield ok(
            "rights",
            f"reading was let in; IAM does not tell what may be written: an import or a change takes {self._right} on "
            "the ARN, and rights to write in the bucket that artifacts lie in",
        )


def open_sagemaker(
    address: SageMakerAddress, workers: int, patience: Patience | None = None, limits: Limits = UNLIMITED
) -> SageMakerWorkspace:
    """The workspace of an ARN. Raises WorkspaceUnreachable, AccessDenied, WorkspaceError, WrongUsage."""
    connections = workers + 4
    identity = Signature(address.arn, address.s3.s3_profile, address.role)
    client = Client(address.url, address.tls, connections, patience, limits, identity=identity)
    client.set_header(address.arn.header, str(address.arn))
    server = meet(client, Address(address.url, address.workspace, address.tls))
    artifacts: Artifacts = ArtifactStore(
        client, server, S3Artifacts(options_for(address.s3), connections, limits, patience)
    )
    if uploads_are_signed():
        artifacts = SignedUploads(client, artifacts)
    printable = dataclasses.replace(address, workspace=server.workspace).printable
    place = Place(KIND, printable, server.version)
    return SageMakerWorkspace(client, server, artifacts, place, right=address.arn.right)
