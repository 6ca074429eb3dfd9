"""An S3 protocol server on loopback, and buckets of a test's own on it."""

import uuid
from dataclasses import dataclass
from typing import Any, Self

from moto.server import ThreadedMotoServer

from runsync.s3 import S3, S3Options

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "a secret of the tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class S3Server:
    """moto's server in a thread of this process; `with` starts and stops it."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        self.endpoint = ""

    def __enter__(self) -> Self:
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def bucket(self, name: str = "") -> "Bucket":
        """A new bucket. The environment must hold KEYS."""
        name = name or f"test-{uuid.uuid4().hex[:12]}"
        s3 = S3(S3Options(endpoint=self.endpoint))
        s3.client.create_bucket(Bucket=name)
        return Bucket(name, self.endpoint, s3)


@dataclass(frozen=True)
class Bucket:
    """A bucket, a client for it, and what a command needs in its environment to reach it."""

    name: str
    endpoint: str
    s3: S3

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        return {**KEYS, "AWS_ENDPOINT_URL": self.endpoint}

    def files(self, prefix: str = "") -> dict[str, bytes]:
        """Every object below a prefix, by key."""
        return {found.key: self.s3.read(self.name, found.key) for found in self.s3.list(self.name, prefix)}

    def put(self, key: str, content: bytes, **extra: Any) -> None:
        """Writes an object as somebody else would."""
        self.s3.client.put_object(Bucket=self.name, Key=key, Body=content, **extra)

    def remove(self, key: str) -> None:
        """Deletes an object as somebody else would."""
        self.s3.client.delete_object(Bucket=self.name, Key=key)
