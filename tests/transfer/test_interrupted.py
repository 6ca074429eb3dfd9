"""A signal at any moment: exit 130, no half snapshot, no lock left, and the next export finishes."""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Pair, Runner
from support.proxy import FaultProxy, Rule, delay
from support.s3 import Bucket
from support.seed import Seeder, points

from transfer.commands import NEWEST, export, report

Start = Callable[..., "subprocess.Popen[str]"]

# Requests to S3 amid which the signal comes: (path and query, method, how many such pass by before).
MOMENTS = {
    "taking the lock": ("/locks/shared-", "PUT", 0),
    "looking for other locks": ("prefix=.*locks", "GET", 0),
    "writing a blob": ("/blobs/", "PUT", 0),
    "writing the runs": (r"runs\.jsonl", "PUT", 0),
    "writing the manifest": ("/snapshots/", "PUT", 0),
    "looking at the lock to give it back": ("/locks/shared-", "GET", 2),
    "giving the lock back": ("/locks/shared-", "DELETE", 0),
}
QUICK = {"taking the lock"}


@pytest.fixture
def few(seeder: Seeder, prefix: str) -> str:
    """Three small runs; the pattern of their experiment."""
    home = seeder.create_experiment(prefix + "few")
    for label in "abc":
        run_id = seeder.create_run(home, label)
        points(seeder, run_id, "loss", 3)
        seeder.put_artifact(run_id, "file.txt", label.encode())
        seeder.finish(run_id)
    return prefix + "few"


@pytest.mark.parametrize("moment", [pytest.param(m, marks=[] if m in QUICK else pytest.mark.slow) for m in MOMENTS])
@NEWEST
def test_an_export_to_s3_that_is_interrupted_amid_a_request_leaves_no_lock(
    pair: Pair, few: str, bucket: Bucket, runsync: Runner, start_runsync: Start, moment: str
) -> None:
    path, method, after = MOMENTS[moment]
    places = (pair.source.url, f"{bucket.url}/b", "--experiment", few)
    # The body of a request was not sent when the signal comes: what S3 has whole it may do after all that follows.
    with FaultProxy(bucket.endpoint, Rule(delay(1.5), path, method, after=after), welcomes=False) as proxy:
        process = start_runsync("export", *places, env={**bucket.environment, "AWS_ENDPOINT_URL": proxy.url})
        while not any(request.fault for request in proxy.seen()):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)  # as some senders do
        stdout, stderr = process.communicate(timeout=300)
        time.sleep(1.5)  # for what the proxy still holds back
    assert process.returncode == 130, stdout + stderr
    assert "Traceback" not in stderr
    assert [key for key in bucket.files("b/") if "/locks/" in key] == []
    done = runsync("export", *places, "--json", env=bucket.environment)
    assert report(done)["runs"]["failed"] == 0
    assert runsync("check", f"{bucket.url}/b", env=bucket.environment).returncode == 0


@pytest.mark.parametrize("times", [1, pytest.param(4, marks=pytest.mark.slow)])
@NEWEST
def test_an_export_to_disk_that_is_interrupted_at_any_moment_leaves_no_lock(
    pair: Pair, few: str, bundle: Path, runsync: Runner, start_runsync: Start, times: int
) -> None:
    chance = random.Random(130)
    codes = []
    for number in [signal.SIGTERM, signal.SIGINT] * times:
        log = bundle.with_name("log")
        process = start_runsync("export", pair.source.url, bundle, "--experiment", few, "--thorough", "--log-file", log)
        begun = log.stat().st_size if log.exists() else 0
        while not log.exists() or log.stat().st_size == begun:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.8))
        process.send_signal(number)
        _, stderr = process.communicate(timeout=300)
        codes.append(process.returncode)
        assert "Traceback" not in stderr
        assert log.read_text().splitlines()[-1].partition("end: ")[2].startswith(f"exit code {process.returncode}")
        assert not [*bundle.glob("locks/*")]
        if [*bundle.glob("snapshots/*")]:
            assert runsync("check", bundle).returncode == 0
    assert set(codes) <= {0, 130}
    assert 130 in codes
    export(runsync, pair.source.url, bundle, few)
    assert runsync("check", bundle).returncode == 0


@pytest.mark.parametrize("verb", ["verify", pytest.param("check", marks=pytest.mark.slow)])
@NEWEST
def test_a_reading_command_stops_at_once(
    pair: Pair, few: str, bucket: Bucket, runsync: Runner, start_runsync: Start, verb: str
) -> None:
    where = f"{bucket.url}/b"
    assert runsync("export", pair.source.url, where, "--experiment", few, env=bucket.environment).returncode == 0
    with FaultProxy(bucket.endpoint, Rule(delay(60), "/blobs/|/parts/", "GET", after=3, count=None)) as proxy:
        others = (pair.source.url, "--verify-artifacts") if verb == "verify" else ()
        process = start_runsync(verb, where, *others, env={**bucket.environment, "AWS_ENDPOINT_URL": proxy.url})
        while not any(request.fault for request in proxy.seen()):
            assert process.poll() is None
            time.sleep(0.01)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=300)
        assert time.monotonic() - begun < 60, "it waited for what it had asked for"
    assert process.returncode == 130, stderr
    assert len(stderr.strip().splitlines()) == 1
