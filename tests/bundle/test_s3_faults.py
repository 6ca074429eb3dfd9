"""Bundles on an S3 that stumbles: what is there is whole, and what cannot be done is said in one line."""

import configparser
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from conftest import Runner
from support import proxy as faults
from support.command_line import Result
from support.memory import export_to
from support.proxy import FaultProxy, Rule, delay
from support.s3 import Bucket
from support.servers import free_port

from runsync import s3
from runsync.bundle import holder, locks, s3_store
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import create_bundle, existing_or_empty, open_bundle
from runsync.bundle.check import check
from runsync.bundle.s3_store import S3Store
from runsync.bundle.snapshot import open_snapshot
from runsync.bundle.store import Store
from runsync.errors import BucketNotFound, BundleNotFound, WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.selection import Selection
from runsync.model.stored_object import StoredObject
from runsync.s3 import S3Options
from runsync.s3_errors import Refused
from runsync.testing.memory import MemorySource, run_with_metrics

MIB = 1 << 20
IMPATIENT = {"AWS_MAX_ATTEMPTS": "2"}


def xml(code: str, message: str = "no") -> bytes:
    """An error as S3 words it."""
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()


SLOW_DOWN = faults.respond(503, body=xml("SlowDown", "Please reduce your request rate."))


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[FaultProxy]:
    """Between this process and the S3 server."""
    with FaultProxy(bucket.endpoint, keep_host=True) as proxy:
        yield proxy


@pytest.fixture
def access(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Access:
    """By way of the proxy; between tries there is next to no pause."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0.001)
    monkeypatch.setattr("runsync.s3.FIRST_PAUSE", 0.001)
    return Access(s3=S3Options(proxy.url))


def source(runs: int = 12) -> MemorySource:
    """Runs with a few points and files, one file of 3 MB."""
    points = {f"run{n}": {"loss": [(step, step, n / (step + 1)) for step in range(9)]} for n in range(runs)}
    files: dict[str, dict[str, bytes | None]] = {f"run{n}": {"a.txt": b"%d" % n, "b": b"same"} for n in range(runs)}
    files["run3"]["large.bin"] = large(3 * MIB)
    described = [run_with_metrics(run_id, p) for run_id, p in points.items()]
    return MemorySource([Experiment("1", "one")], described, points, files, batch_size=3)


def large(size: int) -> bytes:
    """Bytes that repeat at no power of two."""
    return bytes(range(251)) * (size // 251 + 1)


def read_all(where: str, access: Access) -> dict[str, dict[str, bytes]]:
    """All artifacts as an import reads them; the points are read to their end too."""
    snapshot = open_snapshot(where, access)
    found: dict[str, dict[str, bytes]] = {}
    for batch in snapshot.batches(snapshot.experiments(Selection()), Selection()):
        with snapshot.histories(batch, None) as histories:  # type: ignore[arg-type]
            for run in batch.runs:
                assert sum(len(piece) for piece in histories.of(run.run_id)) == 9
                files = batch.contents[run.run_id].artifacts or ()
                found[run.run_id] = {f.path: b"".join(snapshot.read_artifact(run, f)) for f in files}
    return found


def storm() -> list[Rule]:
    """One request in six meets a fault, whatever it asks for."""
    actions = [
        faults.respond(500, body=xml("InternalError")),
        SLOW_DOWN,
        faults.drop(),
        faults.drop_response(),
        faults.truncate(40),
    ]
    return [Rule(action, probability=0.035, count=None) for action in actions]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_in_a_storm_of_faults_an_export_a_check_and_a_read_are_right(
    bucket: Bucket, proxy: FaultProxy, access: Access, seed: int
) -> None:
    proxy._chance.seed(seed)
    proxy.add(*storm())
    where = f"{bucket.url}/stormy"
    wanted = source()
    report = export_to(create_bundle(where, access), wanted)
    assert (report.stopped, report.exit_code) == ("", 0)
    again = export_to(open_bundle(where, access), source())
    assert (again.stopped, again.runs.unchanged) == ("", 12)
    assert check(where, access=access).faults == []
    assert read_all(where, access) == wanted.files
    assert {r.fault for r in proxy.requests} > {"respond 500", "respond 503", "drop", "drop response", "truncate"}
    # And seen without the storm.
    assert check(where, access=Access(s3=S3Options(bucket.endpoint))).faults == []


def test_a_download_that_breaks_goes_on_where_it_broke(bucket: Bucket, proxy: FaultProxy, access: Access) -> None:
    where = f"{bucket.url}/broken"
    wanted = source()
    export_to(create_bundle(where, access), wanted)
    blob = hashlib.sha256(large(3 * MIB)).hexdigest()
    proxy.clear()
    for keep in (0, 3, 70_000, MIB + 5, MIB):
        proxy.add(Rule(faults.truncate(keep), blob, "GET"))
    proxy.add(Rule(faults.truncate(100), "runs.jsonl.gz", "GET", count=2))
    proxy.add(Rule(faults.truncate(100), "metrics.parquet", "GET", count=2))
    assert read_all(where, access) == wanted.files
    assert all(rule.fired for rule in proxy.rules)
    begun = [int(r.headers["Range"].strip("bytes=-")) for r in proxy.seen(blob) if "Range" in r.headers]
    assert begun == sorted(begun)
    assert begun[0] >= 3
    assert begun[-1] > 2 * MIB


def test_a_file_that_changes_while_it_is_read_is_refused(bucket: Bucket, proxy: FaultProxy, access: Access) -> None:
    bucket.put("changing", large(3 * MIB))
    proxy.add(Rule(faults.truncate(MIB), "changing", "GET"))
    store = locate(bucket.url, access).store
    chunks = store.chunks("changing")
    next(chunks)
    bucket.put("changing", large(2 * MIB))
    with pytest.raises(Refused, match="changing"):
        list(chunks)


@pytest.mark.parametrize(
    "name",
    [
        "snapshots/",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("locks/", "runsync.json", "parts/", "blobs/")),
    ],
)
def test_a_write_whose_answer_was_lost_counts_as_done(
    bucket: Bucket, proxy: FaultProxy, access: Access, name: str
) -> None:
    proxy.add(Rule(faults.drop_response(), f"/{name}", "PUT", count=1))
    where = f"{bucket.url}/lost"
    bundle = create_bundle(where, access)
    with locks.shared(bundle.store, "export"):
        assert export_to(bundle, source(3 + 1)).exit_code == 0
    assert proxy.rules[0].fired == 1
    assert check(where, access=access).faults == []
    assert len(open_bundle(where, access).snapshot_ids()) == 1
    assert list(bundle.store.list("locks/")) == []


def test_an_s3_without_conditional_writes_takes_a_bundle_too(
    bucket: Bucket, proxy: FaultProxy, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = proxy.admit

    def admit(request: faults.Request) -> faults.Action | None:
        action = real(request)
        conditional = request.method == "PUT" and "If-None-Match" in request.headers
        return faults.respond(501, body=xml("NotImplemented")) if conditional else action

    monkeypatch.setattr(proxy, "admit", admit)
    where = f"{bucket.url}/old"
    assert export_to(create_bundle(where, access), source()).exit_code == 0
    assert check(where, access=access).faults == []
    store = locate(where, access).store
    assert store.create("locks/x", b"ours")
    assert not store.create("locks/x", b"other")


def test_when_s3_fails_for_good_there_is_one_error_and_no_snapshot_and_the_next_export_goes_on(
    bucket: Bucket, proxy: FaultProxy, access: Access
) -> None:
    where = f"{bucket.url}/failing"
    bundle = create_bundle(where, access)
    rule = Rule(SLOW_DOWN, "/parts/", "PUT", after=4, count=None)
    proxy.add(rule)
    report = export_to(bundle, source())
    assert (report.exit_code, report.snapshot) == (13, "")
    assert report.stopped.startswith(f"s3://{bucket.name}/failing/parts/")
    assert "503 SlowDown: Please reduce your request rate." in report.stopped
    assert len(report.stopped.splitlines()) == 1
    assert open_bundle(where, access).snapshot_ids() == []
    proxy.clear()
    again = source()
    assert export_to(bundle, again).exit_code == 0
    assert 0 < len(again.asked) < 12
    assert check(where, access=access).faults == []


def one_line(done: Result, code: int) -> str:
    """The error of a command that failed as it should, after what it may have waited for."""
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert "a secret of the tests" not in done.stderr
    (error,) = [line for line in done.stderr.splitlines() if not line.startswith("runsync: waiting for S3 ")]
    assert error.startswith("runsync: ")
    return error


def test_every_way_not_to_reach_a_bundle_is_one_line_and_its_own_exit_code(
    bucket: Bucket, proxy: FaultProxy, runsync: Runner
) -> None:
    environment = bucket.environment | IMPATIENT
    assert "no runsync bundle" in one_line(runsync("check", f"{bucket.url}/nothing", env=environment), 10)
    assert "bucket" in one_line(runsync("check", "s3://no-such-bucket-here/x", env=environment), 10)
    down = environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    assert "Could not connect" in one_line(runsync("check", f"{bucket.url}/x", env=down), 13)
    without = {k: v for k, v in environment.items() if not k.startswith(("AWS_ACCESS", "AWS_SECRET"))}
    nowhere = without | {"AWS_SHARED_CREDENTIALS_FILE": "/none", "AWS_CONFIG_FILE": "/none"}
    assert "credentials" in one_line(runsync("check", f"{bucket.url}/x", env=nowhere), 13)
    done = runsync("check", f"{bucket.url}/x", "--s3-profile", "unheard-of", env=nowhere)
    assert "unheard-of" in one_line(done, 2)
    proxy.add(Rule(faults.respond(403, body=xml("InvalidAccessKeyId", "No such key.")), count=None))
    done = runsync("check", f"{bucket.url}/x", "--s3-endpoint", proxy.url, env=environment)
    assert "credentials" in one_line(done, 13)
    proxy.clear()
    proxy.add(Rule(SLOW_DOWN, count=None))
    done = runsync("check", f"{bucket.url}/x", "--s3-endpoint", proxy.url, env=environment)
    assert "503" in one_line(done, 13)


def test_a_bundle_cannot_be_made_in_a_bucket_that_is_not_there_or_where_other_things_lie(bucket: Bucket) -> None:
    access = Access(s3=S3Options(bucket.endpoint))
    for act in (create_bundle, open_bundle, existing_or_empty):
        with pytest.raises(BucketNotFound, match=r"there is no bucket “no-such-bucket-here” at .*: make") as told:
            act("s3://no-such-bucket-here/x", access)
        assert told.value.exit_code == 10
    with pytest.raises(BundleNotFound, match="is no runsync bundle"):
        open_bundle(f"{bucket.url}/nothing", access)
    bucket.put("else/other.txt", b"")
    with pytest.raises(WrongUsage, match="not empty"):
        create_bundle(f"{bucket.url}/else", access)


def test_of_two_who_make_a_bundle_at_once_one_writes_the_marker(bucket: Bucket, proxy: FaultProxy) -> None:
    begin = threading.Barrier(2)
    made: list[str] = []
    # The S3 of these tests takes two that come in the same instant.
    proxy.add(Rule(delay(1), r"both/runsync\.json", "PUT", after=1))

    def make() -> None:
        access = Access(s3=S3Options(proxy.url))
        store = locate(f"{bucket.url}/both", access).store
        assert store.size("runsync.json") is None
        begin.wait()
        made.append(create_bundle(f"{bucket.url}/both", access).address)

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [f"{bucket.url}/both"] * 2
    puts = [request.status for request in proxy.seen("both/runsync.json", "PUT")]
    assert puts.count(200) == 1
    assert set(puts) <= {200, 412}


KMS = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"


def test_encryption_and_storage_class_are_told_of_every_object_small_large_and_copied(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower_multipart(monkeypatch)
    options = S3Options(bucket.endpoint, sse="aws:kms", kms_key=KMS, storage_class="STANDARD_IA")
    store = locate(f"{bucket.url}/kept", Access(s3=options)).store
    store.create("small", b"small")
    keep(store, "memory", b"kept")
    keep(store, "large", large(12 * MIB))
    bucket.put("elsewhere/file", b"bytes")
    assert store.copy_in(StoredObject(store.locate("", 0, None).endpoint, bucket.name, "elsewhere/file", 5), "copied")  # type: ignore[union-attr]
    for name in ("small", "memory", "large", "copied"):
        told = bucket.s3.client.head_object(Bucket=bucket.name, Key=f"kept/{name}")
        assert (told["ServerSideEncryption"], told["SSEKMSKeyId"]) == ("aws:kms", KMS), name
        assert told["StorageClass"] == "STANDARD_IA", name


def test_a_large_file_goes_up_in_parts_and_comes_back(
    bucket: Bucket, proxy: FaultProxy, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower_multipart(monkeypatch)
    wanted = source(4)
    wanted.files["run1"]["large.bin"] = large(12 * MIB)
    proxy.add(Rule(faults.drop_response(), "partNumber=2", "PUT"), Rule(SLOW_DOWN, "partNumber=1", "PUT"))
    proxy.add(Rule(faults.truncate(0), "partNumber=3", "PUT"), Rule(faults.respond(500), r"\?uploads", "POST"))
    where = f"{bucket.url}/large"
    assert export_to(create_bundle(where, access), wanted).exit_code == 0
    assert [rule.fired for rule in proxy.rules] == [1, 1, 1, 1]
    assert read_all(where, access) == wanted.files
    assert check(where, access=access).faults == []
    tags = [bucket.s3.client.head_object(Bucket=bucket.name, Key=f)["ETag"] for f in bucket.files("large/blobs/")]
    assert [tag for tag in tags if tag.endswith('-3"')]


def test_an_upload_in_parts_that_was_never_finished_is_no_file_and_ended_after_a_day(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = locate(f"{bucket.url}/b", Access(s3=S3Options(bucket.endpoint))).store
    begun = bucket.s3.client.create_multipart_upload(Bucket=bucket.name, Key="b/blobs/x")
    part = {"Bucket": bucket.name, "Key": "b/blobs/x", "UploadId": begun["UploadId"], "PartNumber": 1}
    bucket.s3.client.upload_part(**part, Body=b"part")
    assert list(store.list()) == []
    # moto tells the same time of long ago of every upload.
    monkeypatch.setattr(s3_store, "ABANDONED", 1e9)
    store.clear_temporary()
    assert len(bucket.s3.client.list_multipart_uploads(Bucket=bucket.name)["Uploads"]) == 1
    monkeypatch.setattr(s3_store, "ABANDONED", 24 * 3600)
    store.clear_temporary()
    assert "Uploads" not in bucket.s3.client.list_multipart_uploads(Bucket=bucket.name)


def test_a_profile_is_who_we_are(bucket: Bucket, proxy: FaultProxy, runsync: Runner, tmp_path: Path) -> None:
    profiles = configparser.ConfigParser()
    profiles["backup"] = {"aws_access_key_id": "KEYOFTHEPROFILE", "aws_secret_access_key": "x"}
    with (tmp_path / "credentials").open("w") as file:
        profiles.write(file)
    environment = bucket.environment | {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    options = ("--s3-profile", "backup", "--s3-endpoint", proxy.url)
    one_line(runsync("check", f"{bucket.url}/nothing", *options, env=environment), 10)
    assert proxy.requests
    assert all("Credential=KEYOFTHEPROFILE/" in request.headers["Authorization"] for request in proxy.requests)


def lower_multipart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least that S3 allows a part to have."""
    monkeypatch.setattr(s3_store, "MULTIPART", 10 * MIB)
    monkeypatch.setattr(s3, "MULTIPART", 10 * MIB)
    monkeypatch.setattr(s3, "PART", 5 * MIB)


def keep(store: Store, name: str, content: bytes) -> None:
    incoming = store.incoming()
    incoming.write(content)
    incoming.keep(name)
    incoming.discard()


def test_an_object_that_is_written_again_while_it_is_read_is_never_mixed(
    bucket: Bucket, proxy: FaultProxy, access: Access
) -> None:
    bucket.put("model.ckpt", b"A" * 3 * MIB)
    proxy.add(Rule(faults.truncate(2 * MIB), "model.ckpt", "GET", count=3))
    client = s3.S3(access.s3)
    chunks = client.chunks(bucket.name, "model.ckpt")
    next(chunks)
    bucket.put("model.ckpt", b"B" * 3 * MIB)
    with pytest.raises(Refused, match=r"model\.ckpt changed while it was read") as caught:
        list(chunks)
    assert caught.value.code == s3.CHANGED
    assert client.read(bucket.name, "model.ckpt") == b"B" * 3 * MIB
    ranges = [request.headers.get("Range") for request in proxy.seen("model.ckpt", "GET")]
    assert ranges == [None, "bytes=2097152-", None, "bytes=2097152-"]


def test_an_upload_in_parts_of_whose_beginning_nothing_was_heard_leaves_none_behind(
    bucket: Bucket, proxy: FaultProxy, access: Access
) -> None:
    proxy.add(Rule(faults.drop_response(), r"\?uploads", "POST", count=1))
    s3.S3(access.s3).upload_parts(bucket.name, "big", [bytes(6 * MIB), b"end"])
    assert bucket.files()["big"] == bytes(6 * MIB) + b"end"
    assert "Uploads" not in bucket.s3.client.list_multipart_uploads(Bucket=bucket.name)


@pytest.fixture
def due(proxy: FaultProxy) -> Iterator[threading.Event]:
    """When requests that are late are carried out; at the end of the test at the latest."""
    due = threading.Event()
    yield due
    due.set()


def carry_out(proxy: FaultProxy, due: threading.Event) -> None:
    """Waits until S3 has done what was held up."""
    due.set()
    (late,) = [request for request in proxy.requests if request.fault == "late"]
    while not late.forwarded:
        threading.Event().wait(0.01)


@pytest.mark.parametrize("take", [locks.shared, locks.exclusive])
def test_a_lock_that_s3_writes_after_it_was_removed_is_that_of_a_process_that_has_done(
    bucket: Bucket,
    proxy: FaultProxy,
    access: Access,
    due: threading.Event,
    take: Callable[..., AbstractContextManager[object]],
) -> None:
    store = locate(f"{bucket.url}/late", access).store
    proxy.add(Rule(faults.late(due), "/late/locks/", "PUT"))
    with take(store, "prune"):
        assert len(list(store.list("locks/"))) == 1  # the second try made it
    assert list(store.list("locks/")) == []
    carry_out(proxy, due)
    (left,) = holder.standing(store)
    assert left.holder.is_done
    with locks.exclusive(store, "prune") as lock:
        lock.confirm()
    assert list(store.list("locks/")) == []


def test_a_lock_that_is_refreshed_late_neither_comes_back_nor_takes_the_place_of_another(
    bucket: Bucket, proxy: FaultProxy, access: Access, due: threading.Event
) -> None:
    store = locate(f"{bucket.url}/late", access).store
    with locks.exclusive(store, "prune") as lock:
        proxy.add(Rule(faults.late(due), "/late/locks/", "PUT"))
        lock.refresh()
        lock.confirm()
    with locks.exclusive(store, "another prune") as another:
        carry_out(proxy, due)
        another.confirm()
    assert list(store.list("locks/")) == []


def test_a_late_refresh_brings_no_lock_back(
    bucket: Bucket, proxy: FaultProxy, access: Access, due: threading.Event
) -> None:
    store = locate(f"{bucket.url}/late", access).store
    with locks.exclusive(store, "prune") as lock:
        proxy.add(Rule(faults.late(due), "/late/locks/", "PUT"))
        lock.refresh()
    carry_out(proxy, due)
    assert list(store.list("locks/")) == []


def test_what_a_marker_was_made_to_name_is_not_taken_back_by_a_late_write_of_it(
    bucket: Bucket, proxy: FaultProxy, access: Access, due: threading.Event
) -> None:
    bundle = create_bundle(f"{bucket.url}/late", access)
    proxy.add(Rule(faults.late(due), r"/late/runsync\.json", "PUT"))
    bundle.require(["notebooks"])
    bundle.require(["permissions"])
    carry_out(proxy, due)
    assert bundle.features == ["history", "notebooks", "permissions"]


def test_of_two_who_have_the_marker_name_a_feature_neither_takes_back_that_of_the_other(
    bucket: Bucket, proxy: FaultProxy, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, other = create_bundle(f"{bucket.url}/both", access), open_bundle(f"{bucket.url}/both", access)
    replace = S3Store.replace

    def too_late(store: S3Store, name: str, content: bytes, version: str) -> bool:
        monkeypatch.setattr(S3Store, "replace", replace)
        other.require(["notebooks"])
        return replace(store, name, content, version)

    monkeypatch.setattr(S3Store, "replace", too_late)
    bundle.require(["permissions"])
    assert bundle.features == ["history", "notebooks", "permissions"]


def test_an_s3_without_conditional_writes_is_asked_what_is_there_before_it_is_written_over(
    bucket: Bucket, proxy: FaultProxy, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = proxy.admit

    def admit(request: faults.Request) -> faults.Action | None:
        action = real(request)
        return faults.respond(501, body=xml("NotImplemented")) if "If-Match" in request.headers else action

    monkeypatch.setattr(proxy, "admit", admit)
    store = locate(f"{bucket.url}/old", access).store
    keep(store, "name", b"first")
    first = store.version("name")
    assert store.replace("name", b"other", first)
    assert not store.replace("name", b"third", first)
    assert store.read("name") == b"other"
