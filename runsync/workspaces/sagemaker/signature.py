"""Requests to MLflow on SageMaker: signed, and told apart when Amazon refuses them before MLflow hears of them."""

import email.utils
import time

import requests

from runsync.errors import AccessDenied
from runsync.workspaces.clouds.aws_signature import AwsSignature
from runsync.workspaces.sagemaker.address import Arn
from runsync.workspaces.sagemaker.refusal import Refusal


class Signature(AwsSignature):
    """See `http.Identity`."""

    def __init__(self, arn: Arn, profile: str = "", role: str = "") -> None:
        super().__init__(str(arn), arn.service, arn.region, profile, role)
        self._arn = arn

    def renew(self, response: requests.Response) -> bool:
        """Whether there are other credentials by now than those that had expired.

        Raises AccessDenied for what Amazon refuses before MLflow hears of it, with what to do about it.
        """
        refusal = Refusal.of(response)
        if refusal is None:
            return False
        if refusal.is_expired and self._has_others_than(response.request):
            return True
        skew = _seconds_ahead(response)
        raise AccessDenied(f"{self._arn}: {refusal.advice(self._arn, skew)}", response.status_code, refusal.code)

    def _has_others_than(self, refused: requests.PreparedRequest) -> bool:
        """Others may have logged in again: files of credentials are read once more."""
        with self._lock:
            self._source = None
        now = self._frozen()
        used = refused.headers.get("Authorization", "")
        return f"Credential={now.access_key}/" not in used or now.token != refused.headers.get("X-Amz-Security-Token")


def _seconds_ahead(response: requests.Response) -> float:
    """How much this machine's clock is ahead of the server's, as far as an answer tells."""
    try:
        return time.time() - email.utils.parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return 0.0
