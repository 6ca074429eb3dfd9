"""Downloads over HTTP: see `runsync.download`, which decides what may be resumed."""

from typing import Protocol

import requests

from runsync.download import Broken
from runsync.errors import Interrupted, RequestRefused
from runsync.limits import Limits
from runsync.log import LOG
from runsync.patience import Patience
from runsync.workspaces.http.body import CHUNK
from runsync.workspaces.http.trouble import BROKEN, cause


class HttpAnswer:
    """See `download.Answer`. With `unpacks` a Content-Encoding is undone; without, bytes come as they are stored."""

    def __init__(self, response: requests.Response, *, unpacks: bool) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.has_ranges = not unpacks or response.headers.get("Content-Encoding", "identity") == "identity"
        self._response = response
        self._unpacks = unpacks

    def read(self) -> bytes:
        """See `download.Answer`."""
        try:
            return bytes(self._response.raw.read1(CHUNK, decode_content=self._unpacks))
        except BROKEN as error:
            raise Broken(cause(error)) from None

    def close(self) -> None:
        """See `download.Answer`."""
        self._response.close()


class Going(Protocol):
    """What a download needs of a `Client`."""

    patience: Patience
    limits: Limits

    @property
    def is_closed(self) -> bool:
        """Whether all is to end."""

    def pause(self, seconds: float) -> None:
        """Waits. Raises Interrupted once all is to end."""


class HttpLine:
    """See `download.Line`: within the limits and the patience of a client."""

    def __init__(self, client: Going) -> None:
        self._client = client

    def received(self, size: int) -> None:
        """See `download.Line`."""
        if self._client.is_closed:
            raise Interrupted("stopped")
        self._client.limits.received(size)

    def again(self, failures: int, problem: str) -> None:
        """See `download.Line`."""
        if failures >= self._client.patience.tries:
            raise RequestRefused(problem)
        LOG.warning("%s", problem)
        self._client.pause(self._client.patience.delay(failures))
