"""A log that grows while it is read, on disk, on S3 and behind a server: it arrives but for its last lines."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT
from jsonschema import validate
from support.s3 import Bucket
from support.seed import Seeder
from support.servers import MlflowServer
from support.stores import Filler, empty_sqlite, opened, run_id

import runsync
from runsync.bundle.address import Access
from runsync.cli.journal import Journal
from runsync.cli.root import cli
from runsync.kinds.logged_models import PENDING, LoggedModel
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.workspaces import local_artifacts
from runsync.workspaces.direct.models import Write
from runsync.workspaces.files import open_store
from runsync.workspaces.http import Client
from runsync.workspaces.s3_artifacts import S3Artifacts

LINE = b"step done\n"
LIVE = run_id("live")
MODEL = "m-" + LIVE
NOTE = "1 file grew while being read: kept as far as read, and read again next time (train.log)"


def filled(address: str, artifacts: str = "") -> None:
    """A finished run with a log and another file."""
    with opened(address, artifacts) as workspace:
        filler = Filler(workspace)
        filler.default()
        run = Run(LIVE, "0", "live", status="FINISHED", start_time=2**40, end_time=2**40)
        filler.run(run, files={"train.log": LINE * 100, "a.txt": b"a"})


@pytest.fixture
def grows(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The log of a store on disk gets another line each time that it is opened."""
    before = local_artifacts._without_waiting

    def opener(path: str, flags: int) -> int:
        handle = before(path, flags)
        if path.endswith("train.log") and "/source/" in path and flags == os.O_RDONLY | os.O_CLOEXEC:
            with Path(path).open("ab") as file:
                file.write(LINE)
        return handle

    with monkeypatch.context() as patch:
        patch.setattr(local_artifacts, "_without_waiting", opener)
        yield patch


def log_in(bundle: Path) -> bytes:
    return b"".join(runsync.read_artifact(str(bundle), LIVE, "train.log"))


def test_a_log_on_disk_is_in_every_snapshot_and_read_again_until_it_grows_no_more(
    tmp_path: Path, grows: pytest.MonkeyPatch
) -> None:
    source, bundle = str(tmp_path / "source/mlruns"), tmp_path / "bundle"
    filled(source)
    sizes = []
    for _ in range(2):
        done = runsync.export(source, bundle)
        assert (done.exit_code, done.problems, done.notes) == (0, [], [NOTE])
        assert runsync.check(bundle).faults == []
        sizes.append(len(log_in(bundle)))
    assert len(LINE) * 100 < sizes[0] < sizes[1]
    runsync.copy(bundle, tmp_path / "copy")
    for place in (bundle, tmp_path / "copy"):
        assert "growing" in runsync.open_bundle(place).features, "a runsync that does not know it must not read it"
    grows.undo()
    whole = (tmp_path / f"source/mlruns/0/{LIVE}/artifacts/train.log").read_bytes()
    done = runsync.export(source, bundle)
    assert (done.exit_code, done.notes, log_in(bundle)) == (0, [], whole)
    assert runsync.export(source, bundle).runs.unchanged == 1


def test_a_log_on_disk_reaches_a_target_each_time_and_is_looked_at_again(
    tmp_path: Path, grows: pytest.MonkeyPatch
) -> None:
    source, target = str(tmp_path / "source/mlruns"), empty_sqlite(tmp_path / "target.db")
    given = Access(artifacts=str(tmp_path / "art"))
    filled(source)
    there = tmp_path / f"art/0/{LIVE}/artifacts/train.log"
    for _ in range(2):
        done = runsync.sync(source, target, access=given)
        assert (done.exit_code, done.problems, done.notes) == (0, [], [NOTE])
    assert len(LINE) * 100 < there.stat().st_size
    grows.undo()
    done = runsync.sync(source, target, access=given)
    assert (done.exit_code, done.notes) == (0, [])
    assert there.read_bytes() == (tmp_path / f"source/mlruns/0/{LIVE}/artifacts/train.log").read_bytes()
    done = runsync.sync(source, target, access=given)
    assert (done.runs.unchanged, done.artifacts) == (1, 0)


def test_a_model_whose_log_grows_arrives_as_far_as_that_went_and_is_looked_at_again(
    tmp_path: Path, grows: pytest.MonkeyPatch
) -> None:
    source, bundle = str(tmp_path / "source/mlruns"), tmp_path / "bundle"
    filled(source)
    place = tmp_path / f"source/mlruns/0/models/{MODEL}/artifacts"
    model = LoggedModel(MODEL, "0", "net", status=PENDING, created_at=5, updated_at=6)
    models = open_store(Path(source), create=False).models
    models.write_logged_models([Write(model, str(place))])
    (place / "train.log").write_bytes(LINE * 100)
    target, given = empty_sqlite(tmp_path / "target.db"), Access(artifacts=str(tmp_path / "art"))
    there = tmp_path / f"art/0/models/{MODEL}/artifacts/train.log"
    for _ in range(2):
        for done in (runsync.export(source, bundle), runsync.sync(source, target, access=given)):
            assert (done.exit_code, done.problems) == (0, [])
    assert len(LINE) * 100 < there.stat().st_size
    grows.undo()
    for done in (runsync.export(source, bundle), runsync.sync(source, target, access=given)):
        assert (done.exit_code, done.objects["logged-models"].updated) == (0, 1)
    assert there.read_bytes() == (place / "train.log").read_bytes()


def test_a_log_that_is_fetched_while_it_grows_is_told_and_fetched_again(
    tmp_path: Path, grows: pytest.MonkeyPatch
) -> None:
    source, into = str(tmp_path / "source/mlruns"), tmp_path / "into"
    filled(source)
    for _ in range(2):
        words = ["artifacts", "get", source, LIVE, "--into", str(into)]
        done = CliRunner().invoke(cli, words, obj={"journal": Journal(words)}, standalone_mode=False)
        assert NOTE in done.stdout
    report = runsync.get_artifacts(source, LIVE, into=into)
    told = {file.path: (file.action, file.growing) for file in report.files}
    assert told == {"a.txt": ("kept", False), "train.log": ("fetched", True)}
    schema = json.loads((ROOT / "schemas/v1/artifacts-get-report.schema.json").read_text())
    validate(json.loads(json.dumps(report.to_document())), schema)
    grows.undo()
    for action in ("fetched", "kept"):
        again = {file.path: file.action for file in runsync.get_artifacts(source, LIVE, into=into).files}
        assert again["train.log"] == action


def test_a_log_that_grows_while_it_goes_to_stdout_is_given_as_far_as_it_was_listed(
    tmp_path: Path, grows: pytest.MonkeyPatch
) -> None:
    source = str(tmp_path / "source/mlruns")
    filled(source)
    words = ["artifacts", "get", source, LIVE, "train.log", "--into", "-"]
    done = CliRunner().invoke(cli, words, obj={"journal": Journal(words)}, standalone_mode=False)
    assert done.exception is None
    assert done.stdout_bytes == LINE * 100
    assert done.stderr == "Note: train.log grew while it was read: these are its first 1,000 bytes\n"


def test_a_log_on_s3_is_kept(tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    source, given = empty_sqlite(tmp_path / "source.db"), f"{bucket.url}/art"
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", bucket.endpoint)
    filled(source, given)
    before = S3Artifacts.read

    def read(self: S3Artifacts, root: str, path: str) -> Iterator[bytes]:
        if path == "train.log":
            ((key, content),) = (found for found in bucket.files().items() if found[0].endswith("train.log"))
            bucket.put(key, content + LINE)
        return before(self, root, path)

    monkeypatch.setattr(S3Artifacts, "read", read)
    done = runsync.export(source, tmp_path / "bundle", access=Access(artifacts=given))
    assert (done.exit_code, done.problems, done.notes) == (0, [], [NOTE])
    assert log_in(tmp_path / "bundle") == LINE * 101


def test_a_log_behind_a_server_is_kept(
    mlflow3_a: MlflowServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Seeder(mlflow3_a.url) as seeder:
        made = seeder.create_run(seeder.create_experiment(prefix + "live"), "live")
        seeder.put_artifact(made, "train.log", LINE * 100)
        seeder.finish(made)
    (log,) = mlflow3_a.artifact_root.glob(f"*/{made}/artifacts/train.log")
    before = Client.download

    def download(self: Client, *asked: Any) -> Iterator[bytes]:
        with log.open("ab") as file:
            file.write(LINE)
        return before(self, *asked)

    monkeypatch.setattr(Client, "download", download)
    done = runsync.export(mlflow3_a.url, tmp_path / "bundle", selection=Selection((prefix + "live",)))
    assert (done.exit_code, done.problems, done.notes) == (0, [], [NOTE])
    assert b"".join(runsync.read_artifact(str(tmp_path / "bundle"), made, "train.log")) == LINE * 101
