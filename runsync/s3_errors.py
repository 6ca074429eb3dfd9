"""Errors of boto3 as ours, with what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager

from runsync.errors import RunsyncError, WorkspaceError
from runsync.s3_retries import UNREACHED
from runsync.secrecy import strike

_MISSING = {"NoSuchKey", "404", "NotFound"}
_ADVICE = {
    "NoSuchBucket": "make the bucket first, or check its name and the endpoint",
    **dict.fromkeys(
        ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"),
        "check the credentials (--s3-profile) and what they may do in the bucket",
    ),
}
_UNREACHED = "check the endpoint (--s3-endpoint, AWS_ENDPOINT_URL) and that it runs; --wait 5m waits for it"


class Missing(RunsyncError):
    """There is no such object."""


class Refused(RunsyncError):
    """S3 does not answer, or answers with an error: `code` is its own word for it ("AccessDenied", …)."""

    exit_code = WorkspaceError.exit_code

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def _complaint(place: str, status: int, code: str, message: str) -> str:
    """An error of S3, and what to do. An answer to HEAD has no words of its own: its status is all there is."""
    if code in ("403", "AccessDenied"):
        text = f"{place}: S3 refused access (HTTP {status})"
    elif code == str(status):
        text = f"{place}: S3 answered {status}"
    else:
        text = f"{place}: S3 answered {status} {code}"
    text += f": {message}" if message and message not in ("Forbidden", code) else ""
    return text[:400] + (f"; {_ADVICE[code]}" if code in _ADVICE else "")


@contextmanager
def boto_errors(place: str) -> Iterator[None]:
    """Errors of boto3 as ours."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        code, status = told.get("Code", ""), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _MISSING:
            raise Missing(f"{place} is missing") from None
        raise Refused(_complaint(place, status, code, strike(told.get("Message", ""))), code) from None
    except (BotoCoreError, Boto3Error) as error:
        cause, name = strike(" ".join(str(error).split())), type(error).__name__
        advice = f"; {_UNREACHED}" if name in UNREACHED else ""
        raise Refused(f"{place}: {cause}"[:400] + advice, name) from None
    except (HTTPError, ConnectionError) as error:
        raise Refused(f"{place}: the connection broke ({type(error).__name__})", "Broken") from None
