"""Artifacts in Databricks: in each cloud, by addresses that expire, in volumes and in plain DBFS."""

import io
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from emulators.databricks import Databricks, Fault, Limits, too_many
from emulators.databricks.faults import Kind
from support.databricks import DatabricksSeeder
from support.eventually import eventually
from support.rich import ARTIFACTS, big_content

import runsync
from runsync.errors import ChangedMeanwhile, Interrupted, RequestRefused
from runsync.limits import Limits as Pace
from runsync.model.run import ArtifactFile, Run
from runsync.transfer.model_files import logged_with_files
from runsync.transfer.places import open_workspace
from runsync.workspaces.clouds import uploads
from runsync.workspaces.clouds.credential import Credential, Pass
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.http import Patience, Readable
from runsync.workspaces.rest.workspace import RestWorkspace
from workspaces.databricks.conftest import Start

pytestmark = pytest.mark.long

CLOUDS = ["aws", "gcp", "azure", "adls"]
LARGE = 20 << 20
SIZES = {"empty": 0, "one byte": 1, "small": 70_000, "three parts": LARGE}
READ = "/api/2.0/mlflow/artifacts/credentials-for-read"
WRITE = "/api/2.0/mlflow/artifacts/credentials-for-write"
SHORT = Patience(seconds=60, tries=3, first_delay=0.01, longest_delay=0.05)


@pytest.fixture(autouse=True)
def _parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "LARGE", LARGE)


@pytest.fixture
def opened(start: Start) -> Iterator[Callable[..., tuple[Databricks, RestWorkspace]]]:
    """`opened(cloud="gcp")`: an emulated workspace, and runsync's view of it."""
    open_ones = []

    def begin(pace: Pace | None = None, **options: object) -> tuple[Databricks, RestWorkspace]:
        lake = start("lake", **options)
        workspace = open_workspace("databricks://lake", patience=SHORT, limits=pace or Pace())
        assert isinstance(workspace, RestWorkspace)
        open_ones.append(workspace)
        return lake, workspace

    yield begin
    for workspace in open_ones:
        workspace.close()


def run_in(lake: Databricks, location: str | None = None) -> Run:
    with DatabricksSeeder(lake) as seeder:
        experiment = seeder.create_experiment(f"{lake.home}/artifacts", artifact_location=location)
        info = seeder.get_run(seeder.create_run(experiment, "run"))["info"]
    return Run(info["run_id"], experiment, artifact_uri=info["artifact_uri"])


def opener(content: bytes, before_each: Callable[[], None] = lambda: None) -> Callable[[], Readable]:
    class Stream(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            before_each()
            return super().read(size)

    return lambda: Stream(content)


def put(workspace: RestWorkspace, run: Run, path: str, content: bytes) -> None:
    workspace.artifact_store.write(run, path, len(content), opener(content))


def close_elsewhere(workspace: RestWorkspace) -> None:
    """As who was told to stop does it, while others are at work."""
    threading.Thread(target=workspace.close).start()
    while not workspace.client.is_closed:
        time.sleep(0.01)


def got(workspace: RestWorkspace, run: Run) -> dict[str, bytes]:
    return {file.path: b"".join(workspace.read_artifact(run, file)) for file in workspace.artifacts(run)}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_files_of_every_size_go_to_each_cloud_and_come_back(opened: Callable[..., Any], cloud: str) -> None:
    lake, workspace = opened(cloud=cloud)
    run = run_in(lake)
    wanted = {f"deep/{name}.bin": big_content(size) for name, size in SIZES.items()} | ARTIFACTS
    for path, content in wanted.items():
        put(workspace, run, path, content)
    assert got(workspace, run) == wanted
    put(workspace, run, "top.txt", b"replaced")
    assert got(workspace, run)["top.txt"] == b"replaced"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_address_that_expires_amid_an_upload_is_asked_for_again(opened: Callable[..., Any], cloud: str) -> None:
    lake, workspace = opened(cloud=cloud)
    run = run_in(lake)
    content = big_content(LARGE)
    reads = itertools.count()

    def now_and_then() -> None:
        if next(reads) in (1, 4):
            lake.storage.expire()

    workspace.artifact_store.write(run, "large.bin", len(content), opener(content, now_and_then))
    assert got(workspace, run)["large.bin"] == content


@pytest.mark.parametrize("cloud", CLOUDS)
def test_addresses_that_were_given_out_too_early_are_asked_for_again(opened: Callable[..., Any], cloud: str) -> None:
    lake, workspace = opened(cloud=cloud)
    run = run_in(lake)
    for number in range(5):
        put(workspace, run, f"{number}.txt", b"%d" % number)
    files = workspace.artifacts(run)
    assert b"".join(workspace.read_artifact(run, files[0])) == b"0"
    lake.clock.advance(3600)
    assert [b"".join(workspace.read_artifact(run, file)) for file in files[1:]] == [b"1", b"2", b"3", b"4"]
    assert lake.count(READ) == 2


def test_credentials_are_asked_for_many_files_at_a_time(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    run = run_in(lake)
    names = [f"{number:03}.txt" for number in range(120)]
    workspace.artifact_store.expect(run, names)
    for name in names:
        put(workspace, run, name, name.encode())
    assert lake.count(WRITE) == 3
    assert got(workspace, run) == {name: name.encode() for name in names}
    assert lake.count(READ) == 3


def test_a_run_with_very_many_files_is_listed_in_pages(opened: Callable[..., Any]) -> None:
    lake, workspace = opened(limits=Limits(artifacts_page=7, credentials_page=5))
    run = run_in(lake)
    for number in range(23):
        put(workspace, run, f"folder/{number:02}.txt", b"x")
    assert len(got(workspace, run)) == 23


@pytest.mark.parametrize("kind", ["cut", "drop"])
def test_a_download_that_breaks_is_taken_up_where_it_broke(opened: Callable[..., Any], kind: Kind) -> None:
    lake, workspace = opened()
    run = run_in(lake)
    content = big_content(6 << 20)
    put(workspace, run, "file.bin", content)
    lake.faults.add(Fault(kind, "GET /container-*", times=2))
    assert got(workspace, run)["file.bin"] == content


def test_a_download_ends_when_it_is_stopped(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    run = run_in(lake)
    put(workspace, run, "file.bin", big_content(6 << 20))
    (file,) = workspace.artifacts(run)
    chunks = workspace.read_artifact(run, file)
    next(chunks)
    close_elsewhere(workspace)
    with pytest.raises(Interrupted):
        list(chunks)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_storage_that_is_busy_is_waited_for(opened: Callable[..., Any], cloud: str) -> None:
    lake, workspace = opened(cloud=cloud)
    run = run_in(lake)
    lake.faults.add(Fault("status", "P* /container-*", 503, "SlowDown", times=2))
    lake.faults.add(too_many("GET /container-*", times=1))
    put(workspace, run, "file.bin", b"content")
    assert got(workspace, run) == {"file.bin": b"content"}


def test_an_upload_that_cannot_end_leaves_no_parts_behind(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    run = run_in(lake)
    content = big_content(LARGE)
    with pytest.raises(RequestRefused, match="gave"):
        workspace.artifact_store.write(run, "short.bin", LARGE, opener(content[:-1]))
    assert lake.storage.uploads == {}
    assert workspace.artifacts(run) == ()


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("size", [1000, LARGE])
def test_an_upload_whose_source_fails_leaves_no_file_behind(opened: Callable[..., Any], cloud: str, size: int) -> None:
    lake, workspace = opened(cloud=cloud)
    run = run_in(lake)
    reads = itertools.count()

    def fail() -> None:
        if next(reads) == size // LARGE * 2:
            raise RequestRefused("the source gave up")

    with pytest.raises(RequestRefused, match="the source gave up"):
        workspace.artifact_store.write(run, "short.bin", size, opener(big_content(size), fail))
    assert workspace.artifacts(run) == ()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_upload_that_the_cloud_refuses_leaves_no_file_behind(opened: Callable[..., Any], cloud: str) -> None:
    lake, workspace = opened(cloud=cloud)
    run = run_in(lake)
    lake.faults.add(Fault("status", "PATCH /container-*" if cloud == "adls" else "PUT /container-*", 400, "Nope"))
    content = big_content(1000)
    with pytest.raises(RequestRefused, match="answered 400"):
        workspace.artifact_store.write(run, "refused.bin", 1000, opener(content))
    assert workspace.artifacts(run) == ()


def test_an_upload_that_is_interrupted_leaves_no_parts_behind(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    run = run_in(lake)
    content = big_content(LARGE)
    reads = itertools.count()

    def stop() -> None:
        if next(reads) == 1:
            close_elsewhere(workspace)

    with pytest.raises(Interrupted):
        workspace.artifact_store.write(run, "large.bin", len(content), opener(content, stop))
    assert lake.storage.uploads == {}


def test_ctrl_c_leaves_no_parts_behind(start: Start, start_runsync: Callable[..., Any], tmp_path: Path) -> None:
    dev, prod = start("dev"), start("prod")
    run = run_in(dev)
    dev.storage.objects[f"{run.artifact_uri.removeprefix('dbfs:')}/large.bin"] = big_content(64 << 20)
    slow = prod.faults.add(Fault("slow", "PUT /container-*", seconds=1, skip=2, times=None))
    environment = {"DATABRICKS_CONFIG_FILE": str(tmp_path / "databrickscfg")}
    process = start_runsync("sync", "databricks://dev", "databricks://prod", env=environment)
    while not slow.met:
        assert process.poll() is None
        time.sleep(0.02)
    assert prod.storage.uploads
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 130
    assert eventually(lambda: not prod.storage.uploads)  # the storage may still be at the request that takes them back


def test_an_upload_whose_end_is_not_heard_of_is_whole(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    run = run_in(lake)
    content = big_content(LARGE)
    lake.faults.add(Fault("lose", "*/complete-multipart-upload"))
    put(workspace, run, "large.bin", content)
    assert got(workspace, run)["large.bin"] == content
    assert lake.storage.uploads == {}


def test_an_upload_that_is_refused_at_its_end_is_not_taken_for_whole(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    run = run_in(lake)
    content = big_content(LARGE)
    put(workspace, run, "large.bin", content)
    lake.faults.add(Fault("status", "*/complete-multipart-upload", 500, times=None))
    with pytest.raises(RequestRefused, match="500"):
        put(workspace, run, "large.bin", bytes(LARGE))
    assert lake.storage.uploads == {}
    assert got(workspace, run)["large.bin"] == content


def test_where_parts_are_not_offered_a_large_file_goes_at_once(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    run = run_in(lake)
    lake.faults.add(Fault("status", "*/create-multipart-upload", 501, "NOT_IMPLEMENTED"))
    content = big_content(LARGE)
    put(workspace, run, "large.bin", content)
    assert got(workspace, run)["large.bin"] == content


def test_uploads_keep_to_a_limit(opened: Callable[..., Any]) -> None:
    lake, workspace = opened(pace=Pace(upload=10_000_000))
    run = run_in(lake)
    content = big_content(3 << 20)
    put(workspace, run, "file.bin", content)
    assert got(workspace, run)["file.bin"] == content


def test_artifacts_in_a_volume_go_by_the_files_api(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    lake.volumes.add("/Volumes/main/ml/runs")
    run = run_in(lake, "dbfs:/Volumes/main/ml/runs/of-mine")
    assert workspace.artifacts(run) == ()
    wanted = ARTIFACTS | {"deep/large.bin": big_content(5 << 20)}
    for path, content in wanted.items():
        put(workspace, run, path, content)
    assert got(workspace, run) == wanted
    assert not lake.count(READ)


def test_artifacts_in_plain_dbfs_go_a_megabyte_at_a_time(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    run = run_in(lake, "dbfs:/mnt/ours")
    assert workspace.artifacts(run) == ()
    wanted = ARTIFACTS | {"deep/large.bin": big_content((2 << 20) + 5)}
    for path, content in wanted.items():
        put(workspace, run, path, content)
    assert got(workspace, run) == wanted


def test_a_file_in_dbfs_that_is_written_again_while_it_is_read_is_never_mixed(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    run = run_in(lake, "dbfs:/mnt/ours")
    put(workspace, run, "model.ckpt", b"A" * (5 << 19))
    (file,) = workspace.artifacts(run)
    chunks = workspace.read_artifact(run, file)
    next(chunks)
    put(workspace, run, "model.ckpt", b"B" * (5 << 19))
    with pytest.raises(ChangedMeanwhile, match=r"model\.ckpt” changed while it was read"):
        list(chunks)
    assert b"".join(workspace.read_artifact(run, file)) == b"B" * (5 << 19)


@pytest.mark.parametrize("where", ["add-block", "close"])
def test_a_write_to_dbfs_that_fails_leaves_neither_a_handle_nor_half_a_file(
    opened: Callable[..., Any], where: str
) -> None:
    lake, workspace = opened()
    run = run_in(lake, "dbfs:/mnt/ours")
    content = big_content((2 << 20) + 5)
    times = 1 if where == "add-block" else SHORT.tries
    lake.faults.add(Fault("status", f"POST /api/2.0/dbfs/{where}", 500, skip=where == "add-block", times=times))
    with pytest.raises(RequestRefused, match="500"):
        put(workspace, run, "file.bin", content)
    assert lake.dbfs.open == {}
    assert workspace.artifacts(run) == ()


def test_a_write_to_dbfs_that_is_interrupted_leaves_neither_a_handle_nor_half_a_file(
    opened: Callable[..., Any],
) -> None:
    lake, workspace = opened()
    run = run_in(lake, "dbfs:/mnt/ours")
    content = big_content((2 << 20) + 5)
    reads = itertools.count()
    stop = opener(content, lambda: close_elsewhere(workspace) if next(reads) == 1 else None)
    with pytest.raises(Interrupted):
        workspace.artifact_store.write(run, "file.bin", len(content), stop)
    assert lake.dbfs.open == {}
    assert not [path for path in lake.storage.objects if path.endswith("file.bin")]


def test_a_file_in_dbfs_whose_closing_is_not_heard_of_is_whole(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    run = run_in(lake, "dbfs:/mnt/ours")
    lake.faults.add(Fault("lose", "POST /api/2.0/dbfs/close"))
    put(workspace, run, "file.bin", b"content")
    assert got(workspace, run) == {"file.bin": b"content"}
    assert lake.count("/api/2.0/dbfs/close") == 1


def test_artifacts_in_storage_of_ones_own_that_cannot_be_reached_are_told_of(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    run = run_in(lake, "abfss://c@account.dfs.core.windows.net/x")
    with pytest.raises(RequestRefused, match="abfss: storage of your own"):
        workspace.artifacts(run)


def test_a_signed_address_is_never_shown(opened: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    lake, workspace = opened()
    run = run_in(lake)
    put(workspace, run, "file.bin", b"content")
    lake.faults.add(Fault("status", "GET /container-*", 418, "Teapot", times=None))
    with pytest.raises(RequestRefused) as caught:
        b"".join(workspace.read_artifact(run, ArtifactFile("file.bin", 7)))
    assert not any(secret in str(caught.value) + caplog.text for secret in lake.secrets)


def test_the_files_of_a_logged_model_are_read(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    run = run_in(lake)
    with DatabricksSeeder(lake) as seeder:
        told = seeder.post("logged-models", experiment_id=run.experiment_id, name="m", source_run_id=run.run_id)
        info = told["model"]["info"]
    root = info["artifact_uri"].removeprefix("dbfs:")
    lake.storage.objects[f"{root}/deep/MLmodel"] = b"artifact_path: model\n"
    _, files = logged_with_files(workspace, info["model_id"])
    assert [b"".join(files.read(file)) for file in files.list()] == [b"artifact_path: model\n"]


def test_an_address_that_is_none_is_refused_and_not_shown(opened: Callable[..., Any]) -> None:
    _, workspace = opened()
    bad = Credential("AWS_PRESIGNED_URL", "gopher://bucket/file?X-Amz-Signature=dose-secret")
    with pytest.raises(RequestRefused, match=r"refused to ask bucket .*: it is not an http") as caught:
        Storage(workspace.client).send(Pass(bad, lambda: bad), "GET")
    assert "dose-secret" not in str(caught.value)


@pytest.mark.parametrize("status", [403, 404])
def test_a_volume_that_may_not_be_seen_is_told_with_the_rights_it_takes_and_is_no_run_without_files(
    opened: Callable[..., Any], tmp_path: Path, status: int
) -> None:
    lake, workspace = opened()
    lake.volumes.add("/Volumes/main/ml/runs")
    run = run_in(lake, "dbfs:/Volumes/main/ml/runs/of-mine")
    put(workspace, run, "file.txt", b"content")
    code = {403: "PERMISSION_DENIED", 404: "NOT_FOUND"}[status]
    lake.faults.add(Fault("status", "* /api/2.0/fs/directories/Volumes/main/ml/runs*", status, code, times=None))
    report = runsync.export("databricks://lake", tmp_path / "bundle")
    (problem,) = report.problems
    assert report.exit_code == 3
    assert (problem["run_id"], str(status) in problem["reason"]) == (run.run_id, True)
    found = {each.topic: each for each in runsync.doctor("databricks://lake").findings}["artifacts"]
    assert found.state == "failure"
    if status == 404:
        assert "the volume /Volumes/main/ml/runs is not there, or may not be seen" in problem["reason"]
        assert "READ VOLUME" in found.told


def test_a_volume_that_is_there_is_looked_for_once(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    lake.volumes.add("/Volumes/main/ml/runs")
    run = run_in(lake, "dbfs:/Volumes/main/ml/runs/of-mine")
    assert [workspace.artifacts(run) for _ in range(3)] == [()] * 3
    assert [seen.endpoint.partition(" ")[0] for seen in lake.requests if "/fs/" in seen.endpoint].count("HEAD") == 1


def test_a_folder_of_a_volume_that_cannot_be_listed_is_no_empty_one(opened: Callable[..., Any]) -> None:
    lake, workspace = opened()
    lake.volumes.add("/Volumes/main/ml/runs")
    run = run_in(lake, "dbfs:/Volumes/main/ml/runs/of-mine")
    put(workspace, run, "deep/file.txt", b"content")
    lake.faults.add(Fault("status", "GET /api/2.0/fs/directories/*/deep", 404, "NOT_FOUND", times=None))
    with pytest.raises(RequestRefused, match="404"):
        workspace.artifacts(run)
