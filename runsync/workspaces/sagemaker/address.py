"""What a user typed for MLflow on Amazon SageMaker: an ARN, or a name of `runsync.toml` whose uri is one.

`arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME` or `…:mlflow-app/NAME`, with `?workspace=NAME` behind it
where the server has workspaces. Hosts, services and headers are those of Amazon's plugin (sagemaker-mlflow 0.5.0).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from runsync import config
from runsync.errors import WrongUsage
from runsync.workspaces.address import Address, parse
from runsync.workspaces.credentials import Credentials

PREFIX = "arn:"
ENDPOINT = "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT"
ROLE = "SAGEMAKER_MLFLOW_ASSUME_ROLE_ARN"
KEYS = {"uri", "workspace", "insecure_tls", "server_cert_path", "client_cert_path", "s3_endpoint", "s3_profile"}
SERVER, APP = "mlflow-tracking-server", "mlflow-app"
KNOWN_PARTITIONS = ("aws", "aws-us-gov")
"""Those whose hosts are known: both end on `.aws`."""
_ARN = re.compile(rf"arn:(aws[a-z-]*):sagemaker:([a-z0-9-]+):(\d{{12}}):({SERVER}|{APP})/([A-Za-z0-9._-]+)")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/\S+")


@dataclass(frozen=True, slots=True)
class Arn:
    """A tracking server or an MLflow app."""

    partition: str
    region: str
    account: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account}:{self.kind}/{self.name}"

    @property
    def service(self) -> str:
        """The service that requests are signed for."""
        return "sagemaker-mlflow" if self.kind == SERVER else "sagemaker"

    @property
    def header(self) -> str:
        """The header that tells Amazon which server is meant."""
        return "x-mlflow-sm-tracking-server-arn" if self.kind == SERVER else "x-sm-mlflow-app-arn"

    @property
    def right(self) -> str:
        """What an IAM policy must allow."""
        return "sagemaker-mlflow:*" if self.kind == SERVER else "sagemaker:CallMlflowAppApi and sagemaker-mlflow:*"

    @property
    def endpoint(self) -> str:
        """Where it answers. Raises WrongUsage where that is not known."""
        if self.partition not in KNOWN_PARTITIONS:
            raise WrongUsage(
                f"{self}: the host of MLflow servers in the partition {self.partition} is not known: name it with "
                f"{ENDPOINT}"
            )
        if self.kind == SERVER:
            return f"https://{self.region}.experiments.sagemaker.aws"
        return f"https://mlflow.sagemaker.{self.region}.app.aws"


@dataclass(frozen=True, slots=True)
class SageMakerAddress:
    """Which one, at which `url`, and how TLS and the S3 of its artifacts are reached.

    `s3_profile` of `s3` is also who signs. `role`, where there is one, is assumed for that.
    """

    arn: Arn
    url: str
    workspace: str
    role: str
    tls: Credentials
    s3: Address

    @property
    def printable(self) -> str:
        """As it stands in reports and manifests."""
        return str(self.arn) + (f"?workspace={self.workspace}" if self.workspace else "")


def is_sagemaker(where: str, config_path: str | None = None) -> bool:
    """Whether an address, or a name of `runsync.toml`, is an ARN."""
    return str(config.named(where, config_path).get("uri", where)).startswith(PREFIX)


def resolve(where: str, config_path: str | None = None, environ: Mapping[str, str] = os.environ) -> SageMakerAddress:
    """Which one it means. Raises WrongUsage."""
    section = config.named(where, config_path)
    if unknown := sorted(set(section) - KEYS):
        raise WrongUsage(
            f"workspace “{where}”: {unknown[0]} is not for SageMaker, which takes AWS credentials: AWS_PROFILE or "
            "s3_profile name them"
        )
    arn, workspace = _split(str(section.get("uri", where)))
    role = environ.get(ROLE, "")
    if role and not _ROLE.fullmatch(role):
        raise WrongUsage(f"{ROLE} is no ARN of a role: write arn:aws:iam::ACCOUNT:role/NAME")
    tls = Credentials.from_config(section, where) or Credentials.from_environment(environ).tls_only()
    url = parse(environ.get(ENDPOINT) or arn.endpoint, tls).url
    s3 = Address(url, "", tls, str(section.get("s3_endpoint", "")), str(section.get("s3_profile", "")))
    return SageMakerAddress(arn, url, str(section.get("workspace", workspace)), role, tls, s3)


def _split(uri: str) -> tuple[Arn, str]:
    text, _, query = uri.partition("?")
    found = _ARN.fullmatch(text)
    key, _, workspace = query.partition("=")
    if found is None or key not in ("", "workspace"):
        raise WrongUsage(
            f"“{text[:120]}” is no ARN of MLflow on SageMaker: write "
            f"arn:aws:sagemaker:REGION:ACCOUNT:{SERVER}/NAME or …:{APP}/NAME, with nothing but ?workspace=NAME behind"
        )
    return Arn(*found.groups()), workspace
