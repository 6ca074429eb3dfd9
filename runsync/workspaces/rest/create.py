"""Making a thing exactly once, over a wire that may lose the answer."""

import time
from collections.abc import Callable

from runsync.errors import RequestRefused, WorkspaceUnreachable
from runsync.workspaces.http import RETRIED, Client
from runsync.workspaces.rest.collisions import is_collision


def create_once(client: Client, create: Callable[[], str], find: Callable[[], str | None]) -> str:
    """The id that `create` answers with. When no answer comes, `find` looks whether it was made, before another try.

    `create` must not retry by itself. Raises what `create` raises when the server refuses for good or patience ends,
    and Interrupted.
    """
    patience, failures, since = client.patience, 0, 0.0
    while True:
        try:
            return create()
        except (RequestRefused, WorkspaceUnreachable) as error:
            failures += 1
            since = since or time.monotonic()
            client.pause(min(patience.delay(failures), patience.seconds))
            found = find()  # raises when the server is gone for good
            if found is not None:
                return found
            refused = isinstance(error, RequestRefused) and not _passes(error)
            if refused or failures >= patience.tries or time.monotonic() >= since + patience.seconds:
                raise


def _passes(error: RequestRefused) -> bool:
    return error.status in (0, *RETRIED) or is_collision(error)
