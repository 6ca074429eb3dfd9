"""Bytes that lie in S3."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Bytes that lie in S3: a target in the same S3 can have them copied there, without fetching them.

    `endpoint` tells which S3; `sha256` (hex) is that of the whole object, `tag` (ETag) that of its present version,
    where they are known.
    """

    endpoint: str
    bucket: str
    key: str
    size: int
    sha256: str | None = None
    tag: str = ""
