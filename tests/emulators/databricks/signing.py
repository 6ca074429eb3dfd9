"""What signed URLs of each cloud look like, and the headers that come with them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from emulators.databricks.options import Cloud

TYPES: Mapping[Cloud, str] = {
    "aws": "AWS_PRESIGNED_URL",
    "gcp": "GCP_SIGNED_URL",
    "azure": "AZURE_SAS_URI",
    "adls": "AZURE_ADLS_GEN2_SAS_URI",
}
ENCRYPTION = {"x-amz-server-side-encryption": "AES256"}
AZURE_VERSION = {"x-ms-version": "2021-12-02"}


def _stamp(expires: float, lifetime: float) -> str:
    return datetime.fromtimestamp(expires - lifetime, UTC).strftime("%Y%m%dT%H%M%SZ")


def _sign_aws(signature: str, expires: float, lifetime: float, writes: bool) -> tuple[dict[str, str], dict[str, str]]:
    headers = dict(ENCRYPTION) if writes else {}
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": "ASIAEMULATOR/20251009/us-west-2/s3/aws4_request",
        "X-Amz-Date": _stamp(expires, lifetime),
        "X-Amz-Expires": str(int(lifetime)),
        "X-Amz-SignedHeaders": ";".join(["host", *headers]),
        "X-Amz-Signature": signature,
    }
    return query, headers


def _sign_gcp(signature: str, expires: float, lifetime: float, writes: bool) -> tuple[dict[str, str], dict[str, str]]:
    headers = {"x-goog-meta-databricks": "mlflow"} if writes else {}
    query = {
        "X-Goog-Algorithm": "GOOG4-RSA-SHA256",
        "X-Goog-Credential": "emulator@example.iam.gserviceaccount.com/20251009/auto/storage/goog4_request",
        "X-Goog-Date": _stamp(expires, lifetime),
        "X-Goog-Expires": str(int(lifetime)),
        "X-Goog-SignedHeaders": ";".join(["host", *headers]),
        "X-Goog-Signature": signature,
    }
    return query, headers


def _sign_azure(signature: str, expires: float, lifetime: float, writes: bool) -> tuple[dict[str, str], dict[str, str]]:
    query = {
        "sig": signature,
        "se": datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "sv": "2021-12-02",
        "sr": "b",
        "sp": "rcw" if writes else "r",
    }
    return query, AZURE_VERSION | ({"x-ms-blob-type": "BlockBlob"} if writes else {})


def _sign_adls(signature: str, expires: float, lifetime: float, writes: bool) -> tuple[dict[str, str], dict[str, str]]:
    query, headers = _sign_azure(signature, expires, lifetime, writes)
    return query, headers


Signer = Callable[[str, float, float, bool], tuple[dict[str, str], dict[str, str]]]
SIGNERS: Mapping[Cloud, Signer] = {
    "aws": _sign_aws,
    "gcp": _sign_gcp,
    "azure": _sign_azure,
    "adls": _sign_adls,
}
