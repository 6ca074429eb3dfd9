"""Failed requests to S3: how long to go on, what is told meanwhile, and that a stop ends the waiting."""

import time
from collections.abc import Mapping
from typing import Any

from runsync import threads
from runsync.log import LOG, WAITING
from runsync.patience import Patience

LONG = 5.0
"""Seconds of waiting that are told about."""
SINCE, TOLD = "runsync_since", "runsync_told"
"""What is kept with a request: when it first failed, and whether that was told."""
UNREACHED = ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError")
"""Errors of botocore after which nobody has heard of the request."""


class Retries:
    """Of the requests of one client. boto3 sleeps between tries whatever happens: here it sleeps no more once a
    transfer is stopped, gives up at once where nobody has answered yet and somebody watches, and goes on for as long as
    was asked for."""

    def __init__(self, client: Any, tries: int, patience: Patience) -> None:
        from botocore.retries import standard

        self.has_answered = False
        self._endpoint = str(client.meta.endpoint_url)
        self._patience = patience
        events, own = client.meta.events, "retry-config-s3"
        events.unregister("needs-retry.s3", unique_id=own)
        self._handler = standard.register_retry_handler(client, tries)
        events.unregister("needs-retry.s3", unique_id=own)
        events.register("needs-retry.s3", _log_failure)
        events.register("needs-retry.s3", self._decide)

    def _decide(
        self, caught_exception: Exception | None = None, request_dict: Any = None, **asked: Any
    ) -> float | None:
        """Seconds until the next try (0.0, for they are over); None for no other."""
        self.has_answered = self.has_answered or asked.get("response") is not None
        asked |= {"caught_exception": caught_exception, "request_dict": request_dict}
        delay: float | None = self._handler.needs_retry(**asked)
        name = type(caught_exception).__name__
        if name in UNREACHED:
            if self._patience.is_watched and not self.has_answered:
                return None
            delay = delay or self._further(request_dict["context"], asked.get("attempts", 1))
        if not delay:
            return delay
        why = name if caught_exception is not None else "it answered with an error"
        self._tell(request_dict["context"], why, delay)
        threads.pause(delay)
        return 0.0

    def _further(self, context: dict[str, Any], attempts: int) -> float | None:
        """After boto3's last try: for as long as a user asked to wait."""
        delay = self._patience.delay(attempts)
        since = context.setdefault(SINCE, time.monotonic())
        is_over = time.monotonic() + delay > since + self._patience.seconds
        return None if is_over or not self._patience.is_asked else delay

    def _tell(self, context: dict[str, Any], why: str, delay: float) -> None:
        since = context.setdefault(SINCE, time.monotonic())
        is_long = time.monotonic() + delay >= since + LONG
        if not context.get(TOLD) and (is_long or not self.has_answered):
            context[TOLD] = True
            WAITING.warning("waiting for S3 at %s (%s)", self._endpoint, why)


def _log_failure(
    operation: Any = None,
    attempts: int = 1,
    response: tuple[Any, Mapping[str, Any]] | None = None,
    caught_exception: Exception | None = None,
    **_: Any,
) -> None:
    """A request that failed in a way that boto3 tries again."""
    status = response[0].status_code if response else 0
    if caught_exception is not None or status in (429, 500, 502, 503, 504):
        error = response[1].get("Error", {}).get("Code", "") if response else type(caught_exception).__name__
        name = getattr(operation, "name", "request")
        LOG.warning("S3 %s: try %d failed: %s", name, attempts, f"{status or ''} {error}".strip())
