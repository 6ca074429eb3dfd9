"""Large proxied artifacts, by addresses that a real server signs for the S3 behind it."""

import io
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import executable
from support.proxy import Action, FaultProxy, Request, Rule, drop, respond, truncate
from support.s3 import KEYS, Bucket, S3Server
from support.secrets import MARK
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from runsync.errors import Interrupted
from runsync.model.run import Run
from runsync.transfer.places import open_workspace
from runsync.transfer.report import TransferReport
from runsync.workspaces.rest.workspace import RestWorkspace

SIZE = 20 << 20
CONTENT = bytes(range(251)) * (SIZE // 251) + b"end"
NAME = "model/the weights.bin.gz"
TOKEN = f"t0ken{MARK}"
SIGNED = "[?&](Signature|X-Amz-Signature)="


@dataclass(frozen=True)
class Home:
    """A server that proxies artifacts on S3, which it (and whoever it sends there) reaches through `s3`."""

    server: MlflowServer
    bucket: Bucket
    s3: FaultProxy

    def files(self) -> list[bytes]:
        """All that the bucket holds, large files only."""
        return [content for key, content in self.bucket.files().items() if key.endswith(NAME)]


@pytest.fixture(scope="module")
def running(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in KEYS.items():
            environment.setenv(name, value)
        bucket = s3_server.bucket()
        assert bucket.s3.client
        with (
            FaultProxy(bucket.endpoint) as s3,
            MlflowServer(
                executable("3"),
                folder=tmp_path_factory.mktemp("s3-behind"),
                gunicorn=True,
                extra=["--artifacts-destination", f"{bucket.url}/root"],
                environment={**KEYS, "MLFLOW_S3_ENDPOINT_URL": s3.url},
            ) as server,
        ):
            yield Home(server, bucket, s3)


@pytest.fixture
def home(running: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Signed addresses are used from 6 MiB on; no credentials for S3 are here."""
    monkeypatch.setattr("runsync.workspaces.rest.signed.LARGE", 6 << 20)
    monkeypatch.setenv("RUNSYNC_PATIENCE", "20")
    for key in running.bucket.files():
        running.bucket.remove(key)
    running.s3.clear()
    return running


@pytest.fixture
def server(home: Home) -> Iterator[FaultProxy]:
    """The way to the server that runsync takes, behind a login."""
    with FaultProxy(home.server.url, token=TOKEN) as proxy:
        yield proxy


@pytest.fixture
def bundle(home: Home, prefix: str, tmp_path: Path) -> Path:
    """With one large file, exported without signed addresses."""
    with Seeder(home.server.url) as seeder:
        run_id = seeder.create_run(seeder.create_experiment(prefix + "run"), "run")
        seeder.put_artifact(run_id, NAME, CONTENT)
        seeder.finish(run_id)
    assert export(home.server.url, tmp_path / "bundle", prefix).problems == []
    for key in home.bucket.files():
        home.bucket.remove(key)
    home.s3.clear()
    return tmp_path / "bundle"


def export(url: str, bundle: Path, prefix: str) -> TransferReport:
    return runsync.export(url, bundle, selection=runsync.Selection(experiments=(prefix + "run",)))


def import_(server: FaultProxy, bundle: Path, prefix: str, monkeypatch: pytest.MonkeyPatch) -> TransferReport:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    return runsync.import_(bundle, server.url, rename={prefix + "run": prefix + "copy"})


def uploads(home: Home) -> list[str]:
    """Begun and never ended."""
    return [u["Key"] for u in home.bucket.s3.client.list_multipart_uploads(Bucket=home.bucket.name).get("Uploads", [])]


def signed(home: Home, method: str) -> list[Request]:
    return home.s3.seen(SIGNED, method)


def test_a_large_file_goes_up_in_parts_and_comes_back_without_passing_through_the_server(
    home: Home, server: FaultProxy, bundle: Path, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = import_(server, bundle, prefix, monkeypatch)
    assert (told.problems, told.notes, told.artifacts) == ([], [], 1)
    assert home.files() == [CONTENT]
    assert not server.count("mlflow-artifacts/artifacts", "PUT")
    parts = sorted((int(request.headers["Content-Length"]) for request in signed(home, "PUT")), reverse=True)
    assert parts == [8 << 20, 8 << 20, len(CONTENT) - (16 << 20)], "side by side, in whatever order they arrive"
    assert uploads(home) == []

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    back = runsync.export(server.url, tmp_path / "back", selection=runsync.Selection(experiments=(prefix + "copy",)))
    assert (back.problems, back.notes, back.artifacts, back.artifact_bytes) == ([], [], 1, len(CONTENT))
    assert not server.count("mlflow-artifacts/artifacts/")
    assert len(signed(home, "GET")) == 1
    assert runsync.check(tmp_path / "back").exit_code == 0
    for request in signed(home, "PUT") + signed(home, "GET"):
        assert not [name for name in request.headers if name.lower() in ("authorization", "x-mlflow-workspace")]


def test_a_part_that_fails_is_sent_again(
    home: Home, server: FaultProxy, bundle: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.s3.add(Rule(respond(500), "partNumber=2", "PUT"), Rule(drop(), "partNumber=3", "PUT"))
    told = import_(server, bundle, prefix, monkeypatch)
    assert (told.problems, told.notes) == ([], [])
    assert home.files() == [CONTENT]
    assert len(signed(home, "PUT")) == 5
    assert not server.count("mlflow-artifacts/artifacts", "PUT")


def test_addresses_that_have_expired_are_asked_for_anew_once(
    home: Home, server: FaultProxy, bundle: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.s3.add(Rule(respond(403), "partNumber=3", "PUT"))
    told = import_(server, bundle, prefix, monkeypatch)
    assert (told.problems, told.notes) == ([], [])
    assert home.files() == [CONTENT]
    assert (server.count("mpu/create"), server.count("mpu/abort"), server.count("mpu/complete")) == (2, 1, 1)
    assert uploads(home) == []


@pytest.mark.parametrize(
    "trouble",
    [pytest.param(respond(403), id="refused"), pytest.param(drop(), id="unreachable", marks=pytest.mark.slow)],
)
def test_where_signed_addresses_do_not_work_the_server_carries_the_file(
    home: Home,
    server: FaultProxy,
    bundle: Path,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Action,
) -> None:
    home.s3.add(Rule(trouble, rf"partNumber=.*{SIGNED}|{SIGNED}.*partNumber=", "PUT", count=None))
    told = import_(server, bundle, prefix, monkeypatch)
    assert told.problems == []
    assert [re.sub(r"\(.*\)", "", note) for note in told.notes] == [
        "uploads in parts, which the server offers, do not work : large artifacts go through the server"
    ]
    assert "Signature" not in told.notes[0]
    assert home.files() == [CONTENT]
    assert uploads(home) == []
    assert server.count("mlflow-artifacts/artifacts", "PUT") == 1

    home.s3.add(Rule(trouble, SIGNED, "GET", count=None))
    back = runsync.export(server.url, tmp_path / "back", selection=runsync.Selection(experiments=(prefix + "copy",)))
    assert (back.problems, back.artifact_bytes) == ([], len(CONTENT))
    assert server.count("mlflow-artifacts/artifacts/", "GET") == 1
    assert runsync.check(tmp_path / "back").exit_code == 0


def test_a_download_that_breaks_is_taken_up_where_it_broke(
    home: Home, bundle: Path, prefix: str, tmp_path: Path
) -> None:
    with Seeder(home.server.url) as seeder:
        run_id = seeder.create_run(seeder.create_experiment(prefix + "again"), "run")
        seeder.put_artifact(run_id, NAME, CONTENT)
        seeder.finish(run_id)
    home.s3.clear()
    home.s3.add(Rule(truncate(5 << 20), SIGNED, "GET", count=2))
    selection = runsync.Selection(experiments=(prefix + "again",))
    told = runsync.export(home.server.url, tmp_path / "back", selection=selection)
    assert (told.problems, told.artifact_bytes) == ([], len(CONTENT))
    ranges = [r.headers.get("Range", "") for r in signed(home, "GET")]
    assert len(ranges) == 3
    assert ranges[0] == ""
    assert all(re.fullmatch(r"bytes=\d+-", asked) for asked in ranges[1:])
    assert runsync.check(tmp_path / "back").exit_code == 0


def test_a_source_that_breaks_ends_the_upload(
    home: Home, server: FaultProxy, bundle: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (blob,) = bundle.glob("blobs/*/*")
    damaged = bytearray(CONTENT)
    damaged[-1] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(damaged)
    told = import_(server, bundle, prefix, monkeypatch)
    assert [p["name"] for p in told.problems] == [NAME]
    assert home.files() == []
    assert uploads(home) == []
    assert server.count("mpu/abort") == 1


def test_an_upload_that_is_interrupted_ends_at_once_and_leaves_no_parts_behind(
    home: Home, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runsync.multipart.PART", 1 << 20)
    with Seeder(home.server.url) as seeder:
        info = seeder.get_run(seeder.create_run(seeder.create_experiment(prefix + "run"), "run"))["info"]
    workspace = open_workspace(home.server.url)
    assert isinstance(workspace, RestWorkspace)
    client = workspace.client

    class Stream(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() and not client.is_closed:
                threading.Thread(target=workspace.close).start()
                while not client.is_closed:
                    time.sleep(0.01)
            return super().read(size)

    run = Run(info["run_id"], info["experiment_id"], artifact_uri=info["artifact_uri"])
    home.s3.clear()
    with pytest.raises(Interrupted):
        workspace.artifact_store.write(run, NAME, len(CONTENT), lambda: Stream(CONTENT))
    assert len(signed(home, "PUT")) <= 1, "of 21 parts"
    assert uploads(home) == []
    assert home.files() == []
