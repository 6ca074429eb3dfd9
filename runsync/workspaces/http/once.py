"""Posts that are not to be done twice: before each further try it is looked whether an earlier one was done."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from runsync.errors import RequestRefused, WorkspaceUnreachable
from runsync.workspaces.http.client import Client
from runsync.workspaces.http.patience import RETRIED

UNTOLD = frozenset({0, *RETRIED})
"""Statuses (0: no answer) after which it may have been done, or may be done the next time."""


def post_once(
    client: Client,
    path: str,
    body: Mapping[str, Any],
    found: Callable[[RequestRefused], Mapping[str, Any] | None],
    again: frozenset[int] = UNTOLD,
) -> Mapping[str, Any]:
    """The JSON object that a POST answers with, or what `found` tells of it after a refusal, where it was done.

    It is sent again only after a status that is in `again`, and without an answer as long as patience lasts. Raises
    RequestRefused, WorkspaceUnreachable.
    """
    failures = refusals = 0
    deadline = 0.0
    while True:
        try:
            return client.post(path, body, retry=False)
        except (RequestRefused, WorkspaceUnreachable) as error:
            refusal = error if isinstance(error, RequestRefused) else RequestRefused(str(error))
            failures += 1
            refusals += refusal is error
            deadline = deadline or time.monotonic() + client.patience.seconds
            done = found(refusal)
            if done is not None:
                return done
            is_over = time.monotonic() > deadline if refusal is not error else refusals >= client.patience.tries
            if is_over or refusal.status not in again:
                raise
        client.pause(client.patience.delay(failures))
