"""A SeaweedFS server: an S3 that keeps objects on disk, checks signatures and is fast enough to be measured against."""

import json
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from botocore.exceptions import BotoCoreError, ClientError
from support.forks import clean_environment
from support.s3 import KEYS
from support.servers import free_port

from runsync.errors import RunsyncError
from runsync.s3 import S3, S3Options, split

SECONDS = 60
VOLUME_MB = 1024


class Seaweed:
    """Master, volume, filer and S3 in one process, all on loopback; `with` starts and stops it."""

    def __init__(self, weed: Path, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True)
        # Each service listens for gRPC 10,000 ports above.
        self._ports = {name: _low_port() for name in ("master", "volume", "filer", "s3")}
        self._weed = weed
        self.endpoint = f"http://127.0.0.1:{self._ports['s3']}"
        self.environment = {**KEYS, "AWS_ENDPOINT_URL": self.endpoint}
        self._process: subprocess.Popen[bytes] | None = None

    def bucket(self, name: str) -> str:
        """Makes a bucket; its address."""
        S3(S3Options(self.endpoint)).client.create_bucket(Bucket=name)
        return f"s3://{name}"

    def __enter__(self) -> Self:
        keys = {"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}
        identity = {
            "name": "benchmark",
            "credentials": [keys],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self._folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        ports = [f"-{name}.port={port}" for name, port in self._ports.items()]
        command: list[str | Path] = [self._weed, "server", "-s3", f"-dir={self._folder}", *ports]
        command += [f"-s3.config={self._folder}/s3.json"]
        command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.volumeSizeLimitMB={VOLUME_MB}", "-volume.max=1000"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            time.sleep(0.5)
            with suppress(OSError, BotoCoreError, ClientError, RunsyncError):
                # Each is ready at its own time; S3 last, and able to store once a volume is there.
                for port in self._ports.values():
                    socket.create_connection(("127.0.0.1", port), 1).close()
                bucket, _ = split(self.bucket("is-it-there"))
                S3(S3Options(self.endpoint)).put(bucket, "x", b"x", 1)
                return
        raise SystemExit(f"SeaweedFS does not answer:\n{(self._folder / 'log').read_text()[-2000:]}")


def _low_port() -> int:
    while (port := free_port()) > 55_000:
        pass
    return port
