"""Limits hold on the wire: a transfer takes at least the time that its bytes and requests should take."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Runner
from support.proxy import FaultProxy
from support.s3 import Bucket
from support.seed import Seeder
from support.servers import MlflowServer

from runsync.limits import Limits
from runsync.s3 import S3, S3Options

SAVED_UP = 1.0
"""Seconds of a limit that may be used at once."""
FILE = bytes(range(256)) * 4_000  # 1 MB


@pytest.fixture
def experiment(mlflow3_a: MlflowServer, prefix: str) -> str:
    """Four runs with a file of 1 MB each."""
    with Seeder(mlflow3_a.url) as seeder:
        home = seeder.create_experiment(prefix + "files")
        for number in range(4):
            run_id = seeder.create_run(home, f"run {number}")
            seeder.put_artifact(run_id, "file.bin", FILE + bytes([number]))
            seeder.finish(run_id)
    return prefix + "files"


def test_an_export_and_an_import_keep_to_their_rate_whichever_way_the_bytes_go(
    experiment: str, mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, runsync: Runner
) -> None:
    least = 4 * len(FILE) / 2_000_000 - SAVED_UP
    for limit, arguments in [
        ("0:2M", ("export", mlflow3_a.url, "b", "--experiment", experiment)),
        ("2M:0", ("import", "b", mlflow3_b.url)),
    ]:
        begun = time.monotonic()
        done = runsync(*arguments, "--limit-rate", limit)
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - begun >= least, arguments
    assert runsync("verify", "b", mlflow3_b.url, "--verify-artifacts").returncode == 0


def test_no_more_requests_a_second_are_sent_than_allowed(
    experiment: str, mlflow3_a: MlflowServer, runsync: Runner
) -> None:
    with FaultProxy(mlflow3_a.url) as proxy:
        begun = time.monotonic()
        options = ("--experiment", experiment, "--max-requests-per-second", "5")
        done = runsync("export", proxy.url, "b", *options)
        seconds = time.monotonic() - begun
        assert done.returncode == 0, done.stderr
        assert proxy.count() >= 8
        assert proxy.count() <= 5 * (seconds + SAVED_UP) + 1


def _all_at_once(*calls: Callable[[], object]) -> float:
    begun = time.monotonic()
    with ThreadPoolExecutor(len(calls)) as pool:
        for future in [pool.submit(call) for call in calls]:
            future.result()
    return time.monotonic() - begun


def test_uploads_to_s3_share_one_rate(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = 5 << 20
    for limit in ("runsync.s3.PART", "runsync.s3.MULTIPART"):
        monkeypatch.setattr(limit, parts)
    s3 = S3(S3Options(endpoint=bucket.endpoint), limits=Limits(upload=4_000_000))
    large = tmp_path / "large"
    large.write_bytes(bytes(parts + 1))
    s3.client  # noqa: B018  (made before the threads ask for it)
    seconds = _all_at_once(*(lambda key=key: s3.upload(bucket.name, key, str(large)) for key in "ab"))
    assert seconds >= 2 * parts / 4_000_000 - SAVED_UP
    assert {found.size for found in s3.list(bucket.name, "")} == {parts + 1}


def test_small_objects_and_downloads_from_s3_share_one_rate(bucket: Bucket) -> None:
    limits = Limits(upload=1_000_000, download=1_000_000)
    s3 = S3(S3Options(endpoint=bucket.endpoint), limits=limits)
    s3.client  # noqa: B018
    up = _all_at_once(*(lambda key=key: s3.put(bucket.name, key, FILE, len(FILE)) for key in "abc"))
    down = _all_at_once(*(lambda key=key: s3.read(bucket.name, key) for key in "abc"))
    least = 3 * len(FILE) / 1_000_000 - SAVED_UP
    assert min(up, down) >= least


def test_no_more_requests_a_second_go_to_s3_than_allowed(bucket: Bucket) -> None:
    with FaultProxy(bucket.endpoint) as proxy:
        s3 = S3(S3Options(endpoint=proxy.url), limits=Limits(requests=10))
        s3.client  # noqa: B018
        seconds = _all_at_once(*(lambda: [s3.size(bucket.name, "none") for _ in range(10)] for _ in range(3)))
        assert proxy.count() == 30
        assert seconds >= 30 / 10 - SAVED_UP - 0.1
