"""An S3 protocol server on loopback, and buckets of a test's own on it."""

import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import requests

from runsync.s3 import S3, S3Options
from support.forks import clean_environment, may_start
from support.secrets import MARK, SEARCH
from support.servers import free_port

START_SECONDS = 120
SCRIPT = Path(__file__).with_name("s3_process.py")
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": f"a secret of the tests {MARK}",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class S3Server:
    """moto's server in a process of its own; `with` starts it, waits until it answers, and stops it."""

    def __init__(self) -> None:
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        may_start()
        command = [sys.executable, "-P", str(SCRIPT), "-H", "127.0.0.1", "-p", str(self._port)]
        none = subprocess.DEVNULL
        self._process = subprocess.Popen(command, env=clean_environment(), stdin=none, stdout=none, stderr=none)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "moto's server ended"
            assert time.monotonic() < deadline, f"moto's server did not answer in {START_SECONDS} s"
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        with suppress(requests.RequestException), requests.Session() as session:
            session.trust_env = False
            return session.get(f"{self.endpoint}/moto-api/", timeout=5).ok
        return False

    def bucket(self, name: str = "") -> "Bucket":
        """A new bucket. The environment must hold KEYS."""
        SEARCH.keep(KEYS["AWS_SECRET_ACCESS_KEY"], "the secret key of S3")
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
