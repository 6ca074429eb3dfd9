"""Streams to S3, part by part.

boto3's `upload_fileobj` does not do: it holds up to ten parts of each stream in memory (93 MiB where this takes 36),
sends them in threads of its own, which hear of no interruption, and leaves an upload behind, unseen and paid for, where
the answer to its beginning was lost.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from threading import BoundedSemaphore
from typing import Any

from runsync import threads
from runsync.limits import Limits
from runsync.multipart import send_parts
from runsync.s3_errors import Missing, Refused, boto_errors

UPLOADS = 2
"""Streams on their way in parts at a time: each holds some parts in memory."""
SLOW_CLOCK = 2.0
"""Seconds by which the times of S3's own answers may differ: they are cut to whole seconds."""


class Uploads:
    """Those of one client, which `client` gives; `extra` is what each says of the object that it makes."""

    def __init__(self, client: Callable[[], Any], extra: Mapping[str, str], limits: Limits) -> None:
        self._client = client
        self._extra = extra
        self._limits = limits
        self._free = BoundedSemaphore(UPLOADS)

    def write(self, bucket: str, key: str, parts: Iterable[bytes]) -> None:
        """Writes an object from a stream of parts, some side by side; nothing of it stays when one fails.

        Each part but the last has 5 MiB or more. Raises Refused, and what `parts` raises.
        """
        place = {"Bucket": bucket, "Key": key}
        upload = {**place, "UploadId": self._begin(bucket, key)}

        def send(number: int, part: bytes) -> dict[str, Any]:
            with boto_errors(f"s3://{bucket}/{key}"):
                tag = self._client().upload_part(**upload, PartNumber=number, Body=part)["ETag"]
            self._limits.sent(len(part))
            return {"PartNumber": number, "ETag": tag}

        try:
            with self._free:
                sent = send_parts(parts, send)
            with boto_errors(f"s3://{bucket}/{key}"):
                self._client().complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
        except BaseException:
            with threads.last_words(), suppress(Missing, Refused), boto_errors(f"s3://{bucket}/{key}"):
                self._client().abort_multipart_upload(**upload)
            raise

    def _begin(self, bucket: str, key: str) -> str:
        """The id of an upload in parts. Those of tries whose answer was lost are ended: S3 keeps them, unseen."""
        begun = time.monotonic()
        try:
            with boto_errors(f"s3://{bucket}/{key}"):
                made = self._client().create_multipart_upload(Bucket=bucket, Key=key, **self._extra)
        except BaseException:
            self._end_lost(bucket, key, "", time.monotonic() - begun)
            raise
        if made["ResponseMetadata"].get("RetryAttempts", 0):
            self._end_lost(bucket, key, made["UploadId"], time.monotonic() - begun)
        return str(made["UploadId"])

    def _end_lost(self, bucket: str, key: str, ours: str, seconds: float) -> None:
        """Ends uploads to this very key that began in the last `seconds`. What is refused is passed over."""
        with threads.last_words(), suppress(Missing, Refused), boto_errors(f"s3://{bucket}/{key}"):
            answer = self._client().list_multipart_uploads(Bucket=bucket, Prefix=key)
            begun = {left["UploadId"]: left["Initiated"] for left in answer.get("Uploads", ()) if left["Key"] == key}
            since = (begun.pop(ours).timestamp() if ours in begun else _asked_at(answer)) - seconds - SLOW_CLOCK
            for upload_id, at in begun.items():
                if at.timestamp() >= since:
                    self._client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)

    def abandon(self, bucket: str, prefix: str, age: float) -> None:
        """Ends uploads in parts that were begun so many seconds ago, by the clock of S3, and never finished."""
        with boto_errors(f"s3://{bucket}/{prefix}"):
            for page in self._client().get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
                for left in page.get("Uploads", ()):
                    if _asked_at(page) - left["Initiated"].timestamp() > age:
                        self._client().abort_multipart_upload(Bucket=bucket, Key=left["Key"], UploadId=left["UploadId"])


def _asked_at(answer: Mapping[str, Any]) -> float:
    """When S3 answered, by its own clock (epoch seconds); 0 where it does not say."""
    told = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        return parsedate_to_datetime(told).timestamp()
    except ValueError:
        return 0.0
