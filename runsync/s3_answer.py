"""The answer of S3 to a request for an object."""

from collections.abc import Mapping
from typing import Any

from runsync.download import Broken, Progress
from runsync.s3_errors import boto_errors

CHUNK = 1 << 20


class Answer:
    """See `download.Answer`."""

    def __init__(self, place: str, answer: Mapping[str, Any]) -> None:
        self._place = place
        told = answer["ResponseMetadata"]
        self.status: int = told["HTTPStatusCode"]
        self.headers: Mapping[str, str] = told["HTTPHeaders"]
        self.has_ranges = True
        self._body = answer["Body"]
        self._progress = Progress()

    def read(self) -> bytes:
        """The next bytes. Raises Broken."""
        from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError
        from urllib3.exceptions import HTTPError

        with boto_errors(self._place):
            try:
                return self._progress.watch(lambda: bytes(self._body.read(CHUNK)), len)
            except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError, HTTPError, OSError) as error:
                raise Broken(type(error).__name__) from None

    def close(self) -> None:
        """Drops the connection where not all was read."""
        self._body.close()
