"""What Amazon says when it refuses a request before MLflow hears of it, and what to do then.

Its texts are never passed on whole: that of a wrong signature repeats the headers that were signed, token and all.
"""

from dataclasses import dataclass

import requests

from runsync.secrecy import strike
from runsync.workspaces.sagemaker.address import Arn

EXPIRED = ("ExpiredToken", "RequestExpired")
UNKNOWN = ("UnrecognizedClient", "InvalidClientTokenId", "InvalidAccessKeyId")
UNSIGNED = ("MissingAuthenticationToken", "IncompleteSignature")
SIGNATURE = ("InvalidSignature", "SignatureDoesNotMatch", "RequestTimeTooSkewed")
CLOCK = 60.0
"""Seconds from which on a clock that is wrong is worth telling."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Amazon's own word for it (without “Exception” at its end; "" when it had none), and its text."""

    code: str
    message: str

    @classmethod
    def of(cls, response: requests.Response) -> "Refusal | None":
        """None for all that MLflow itself said."""
        if response.status_code not in (400, 401, 403):
            return None
        try:
            document = response.json()
        except ValueError:
            document = {}
        told = document if isinstance(document, dict) else {}
        if "error_code" in told:
            return None
        code = response.headers.get("x-amzn-ErrorType") or str(told.get("__type") or told.get("code") or "")
        code = code.partition(":")[0].rpartition("#")[2].removesuffix("Exception")
        if response.status_code == 400 and not code:
            return None
        return cls(code, str(told.get("message") or told.get("Message") or ""))

    @property
    def is_expired(self) -> bool:
        """Whether the credentials were good once."""
        return self.code in EXPIRED or "token included in the request is expired" in self.message

    def advice(self, arn: Arn, skew: float) -> str:
        """What it means and what to do. `skew`: seconds that this machine's clock is ahead of theirs."""
        if self.is_expired:
            return "the AWS credentials have expired: log in again (aws sso login), or renew what AWS_PROFILE names"
        if self.code in UNKNOWN or "token included in the request is invalid" in self.message:
            return "AWS does not know these credentials: check AWS_PROFILE (or s3_profile in runsync.toml)"
        if self.code in UNSIGNED:
            return "the signature did not arrive: a proxy on the way must leave the header Authorization alone"
        if self.code in SIGNATURE:
            return self._of_signature(arn, skew)
        who = strike(self.message.partition("\n")[0].partition("The Canonical")[0].strip())[:300]
        told = f": {who}" if who else ""
        return (
            f"access denied{told} (the IAM policy must allow {arn.right} on that ARN; check the ARN too: its account, "
            "region and name)"
        )

    def _of_signature(self, arn: Arn, skew: float) -> str:
        text = self.message.lower()
        if self.code == "RequestTimeTooSkewed" or "signature expired" in text or "not yet current" in text:
            off = f" by {abs(skew):.0f} s {'fast' if skew > 0 else 'slow'}" if abs(skew) >= CLOCK else ""
            return f"the clock of this machine is wrong{off}: set it (NTP), signatures hold for five minutes"
        if "scoped to" in text:
            return (
                f"signed for region {arn.region} and service {arn.service}, and another was expected: check the region "
                "in the ARN, and SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT where it is set"
            )
        return (
            "the signature does not match: the secret key is not that of the access key, or a proxy on the way changes "
            "requests"
        )
