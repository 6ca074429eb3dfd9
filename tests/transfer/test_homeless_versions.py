"""Versions of registered models whose files hang off no run and no logged model that is there: those of purged ones,
and those that lie on S3."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from support import proxy as faults
from support.databases import Databases
from support.proxy import FaultProxy, Rule
from support.purge import purge_one
from support.s3 import Bucket
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from runsync.bundle.address import Access
from transfer.test_models import client, told

pytestmark = pytest.mark.server

Start = Callable[..., MlflowServer]
LOADED = ("churn@champion", "churn/2", "lost@old", "copied/1")


class Source(NamedTuple):
    """A server that has “churn” on S3 (1) and of a purged run (2), “lost” of a purged logged model or run (1) and of a
    run that is there (2), and “copied” of churn/2."""

    release: str
    server: MlflowServer
    bucket: Bucket
    files: dict[str, bytes]


@pytest.fixture(scope="module")
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Those of a model, as the client of a release saves it."""
    folder = tmp_path_factory.mktemp("model")
    client(request.param, folder, "save_model.py", str(folder / "model"))
    found = (path for path in (folder / "model").rglob("*") if path.is_file())
    return {path.relative_to(folder / "model").as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def source(request: pytest.FixtureRequest, files: dict[str, bytes], start_server: Start, bucket: Bucket) -> Source:
    release: str = request.node.callspec.params["files"]
    server = start_server(release).wait()
    for path, content in files.items():
        bucket.put(f"models/churn/{path}", content)
    with Seeder(server.url) as seeder:
        experiment_id = seeder.create_experiment("train")
        runs = [seeder.create_run(experiment_id, name) for name in ("gone", "there")]
        roots = [seeder.get_run(run_id)["info"]["artifact_uri"] for run_id in runs]
        lost, root, more = "", roots[0], {"run_id": runs[0]}
        if release == "3":
            info = seeder.post("logged-models", experiment_id=experiment_id, name="net")["model"]["info"]
            lost, root = info["model_id"], info["artifact_uri"]
            more = {"model_id": lost}
            for path, content in files.items():
                seeder.put_file(root, path, content)
            seeder.call("PATCH", f"logged-models/{lost}", {"model_id": lost, "status": 2})
        for run_id in runs:
            for path, content in files.items():
                seeder.put_artifact(run_id, f"net/{path}", content)
            seeder.finish(run_id)
        for name in ("churn", "lost", "copied"):
            seeder.post("registered-models/create", name=name)
        _version(seeder, "churn", f"{bucket.url}/models/churn")
        _version(seeder, "churn", f"{roots[0]}/net", run_id=runs[0])
        _version(seeder, "lost", f"models:/{lost}" if lost else f"{root}/net", **more)
        _version(seeder, "lost", f"{roots[1]}/net", run_id=runs[1])
        _version(seeder, "copied", "models:/churn/2")
        for name, alias, number in (("churn", "champion", "1"), ("lost", "old", "1")):
            seeder.post("registered-models/alias", name=name, alias=alias, version=number)
    purge_one(server.folder / "mlflow.db", "run_uuid", runs[0])
    if lost:
        purge_one(server.folder / "mlflow.db", "model_id", lost)
    return Source(release, server, bucket, files)


def _version(seeder: Seeder, name: str, source: str, **more: str) -> None:
    seeder.post("model-versions/create", name=name, source=source, **more)


@pytest.fixture(autouse=True)
def reachable(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", bucket.endpoint)


BOTH = pytest.mark.parametrize("files", ["3", pytest.param("2", marks=pytest.mark.slow)], indirect=True)
OF_3 = pytest.mark.parametrize("files", ["3"], indirect=True)


@BOTH
@pytest.mark.parametrize("by_bundle", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["sync", "bundle"])
def test_they_load_on_another_server_which_has_their_files(
    source: Source, start_server: Start, tmp_path: Path, by_bundle: bool
) -> None:
    target = start_server(source.release).wait()

    def bring() -> runsync.TransferReport:
        if not by_bundle:
            return runsync.sync(source.server.url, target.url)
        runsync.export(source.server.url, tmp_path / "bundle")
        return runsync.import_(tmp_path / "bundle", target.url)

    report = bring()
    assert (report.exit_code, report.problems, report.failed) == (0, [], [])
    assert report.objects["model-versions"].created == 5
    for key in source.bucket.files():
        source.bucket.remove(key)
    there = told(source.release, target, *LOADED)
    assert set(map(tuple, there["predicted"].values())) == {(3, 6, 9)}
    again = bring()
    assert again.objects["model-versions"].unchanged == 5
    assert (again.exit_code, again.artifacts, again.has_something_to_do) == (0, 0, False)


@OF_3
def test_they_are_in_a_bundle_and_in_a_database_and_are_fetched_from_everywhere(
    source: Source, databases: Databases, tmp_path: Path
) -> None:
    bundle, database = tmp_path / "bundle", databases.fresh("sqlite")
    report = runsync.export(source.server.url, bundle)
    assert (report.exit_code, report.problems, report.failed) == (0, [], [])
    again = runsync.export(source.server.url, bundle)
    assert (again.objects["model-versions"].unchanged, again.artifacts) == (5, 0)
    for verified in (runsync.verify(source.server.url, str(bundle)), runsync.verify(str(bundle), source.server.url)):
        assert (verified.exit_code, verified.differences) == (0, [])
    access = Access(artifacts=str(tmp_path / "artifacts"))
    Path(tmp_path / "artifacts").mkdir()
    report = runsync.sync(source.server.url, database.url, access=access)
    assert (report.exit_code, report.problems, report.failed) == (0, [], [])
    for where, given in ((source.server.url, None), (str(bundle), None), (database.url, access)):
        for name in LOADED:
            got = runsync.get_model(where, name, into=tmp_path / "got" / name, access=given, verify=True)
            assert (got.exit_code, len(got.files)) == (0, len(source.files))
    verified = runsync.verify(source.server.url, database.url, access=access)
    assert (verified.exit_code, verified.differences) == (0, [])


@OF_3
def test_what_lies_on_s3_and_is_no_model_stays_there(source: Source, start_server: Start, tmp_path: Path) -> None:
    """Our credentials open more than those of who registers a place."""
    source.bucket.remove("models/churn/MLmodel")
    source.bucket.put("models/churn/secret.txt", b"private")
    target = start_server("3").wait()
    report = runsync.sync(source.server.url, target.url)
    assert (report.exit_code, report.failed) == (0, [])
    runsync.export(source.server.url, tmp_path / "bundle")
    by_bundle = runsync.import_(tmp_path / "bundle", f"{tmp_path}/mlruns")
    assert by_bundle.exit_code == 0, by_bundle.not_carried
    (left,) = (left for left in report.not_carried if left.what == "files of model versions that stay where they lie")
    assert (left.names, "there is no MLmodel file" in left.why) == (("churn/1",), True)
    with Seeder(target.url) as seeder:
        found = seeder.call("GET", "model-versions/get", name="churn", version="1")["model_version"]
    assert found["source"] == f"{source.bucket.url}/models/churn"


@OF_3
def test_a_version_of_a_purged_run_that_nobody_can_load_keeps_its_number(source: Source, start_server: Start) -> None:
    gone = "a" * 32
    with Seeder(source.server.url) as seeder:
        _version(seeder, "churn", f"runs:/{gone}/net", run_id=gone)
        seeder.post("registered-models/alias", name="churn", alias="broken", version="3")
    target = start_server("3").wait()
    for _ in range(2):
        report = runsync.sync(source.server.url, target.url)
        assert report.failed == []
        assert {left.names for left in report.left_behind} == {("churn@broken",)}
    with Seeder(target.url) as seeder:
        found = seeder.call("GET", "model-versions/get", name="churn", version="3")["model_version"]
    assert (found["source"], found["run_id"]) == (f"runs:/{gone}/net", gone)


@OF_3
def test_a_run_that_is_not_shown_to_us_is_not_taken_for_a_purged_one(source: Source, tmp_path: Path) -> None:
    with FaultProxy(source.server.url, Rule(faults.respond(403), "runs/get", count=None)) as proxy:
        report = runsync.export(proxy.url, tmp_path / "bundle")
    assert (report.failed, report.objects["model-versions"].created) == ([], 5)
    shown = runsync.show_model(str(tmp_path / "bundle"), "churn")
    assert [version.home.kind for version in shown.versions if version.version == 2] == ["runs"]
