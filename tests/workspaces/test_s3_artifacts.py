"""Workspaces whose artifact root is on S3, reached straight from here; against a real server and a real S3 protocol."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import Runner, executable
from support.proxy import FaultProxy, Rule, respond
from support.s3 import KEYS, Bucket, S3Server
from support.seed import Seeder
from support.servers import MlflowServer
from transfer.commands import report

import runsync as library
import runsync.s3
from runsync.model.stored_object import StoredObject
from runsync.s3_errors import Refused

FILES = {
    "model/weights.bin": bytes(range(256)) * 64,
    "model/MLmodel": b"run_id: unknown\n",
    "folder #1/deep er/ü.txt": "ü\n".encode(),
    "a#b.txt": b"hash\n",
    "100%20.txt": b"an escape that is none\n",
    "100%.txt": b"percent\n",
    "what?&+=.txt": b"question\n",
    "empty.bin": b"",
}


@dataclass(frozen=True)
class Home:
    """A server whose runs keep their artifacts in a bucket."""

    server: MlflowServer
    bucket: Bucket

    def run(self, name: str, files: Mapping[str, bytes], **extra: str) -> tuple[str, str]:
        """A finished run with these files, in an experiment of that name; its id, and the key its files lie below."""
        with Seeder(self.server.url) as seeder:
            run_id = seeder.create_run(seeder.create_experiment(name), "run")
            folder = seeder.get_run(run_id)["info"]["artifact_uri"].removeprefix(f"{self.bucket.url}/")
            for path, content in files.items():
                self.bucket.put(f"{folder}/{path}", content, **extra)
            seeder.finish(run_id)
        return run_id, folder

    def files(self, run_id: str) -> dict[str, bytes]:
        """What the bucket holds of a run."""
        with Seeder(self.server.url) as seeder:
            folder = seeder.get_run(run_id)["info"]["artifact_uri"].removeprefix(f"{self.bucket.url}/")
        return {key.removeprefix(f"{folder}/"): content for key, content in self.bucket.files(f"{folder}/").items()}


@pytest.fixture(scope="module")
def home(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in KEYS.items():
            environment.setenv(name, value)
        bucket = s3_server.bucket()
        assert bucket.s3.client
        with MlflowServer(
            executable("3"),
            folder=tmp_path_factory.mktemp("s3-root"),
            gunicorn=True,
            serve_artifacts=False,
            extra=["--default-artifact-root", f"{bucket.url}/the root"],
            environment={**KEYS, "MLFLOW_S3_ENDPOINT_URL": bucket.endpoint},
        ) as server:
            yield Home(server, bucket)


@pytest.fixture
def s3(home: Home) -> Iterator[FaultProxy]:
    """The way to S3 that commands take, where requests are counted."""
    with FaultProxy(home.bucket.endpoint) as proxy:
        yield proxy


@pytest.fixture
def env(s3: FaultProxy) -> dict[str, str]:
    """With MLflow's variable for the artifacts, and boto3's for bundles."""
    return {**KEYS, "MLFLOW_S3_ENDPOINT_URL": s3.url, "AWS_ENDPOINT_URL": s3.url}


def fetched(s3: FaultProxy, part: str) -> list[str]:
    """Keys with that part in them that were read through here."""
    return [unquote(r.path) for r in s3.seen(method="GET") if part in unquote(r.path) and "list-type" not in r.query]


def test_artifacts_on_s3_go_to_disk_and_back_whatever_their_names(
    home: Home, s3: FaultProxy, env: dict[str, str], prefix: str, tmp_path: Path, runsync: Runner
) -> None:
    run_id, _ = home.run(prefix + "files", FILES)
    with FaultProxy(home.server.url) as server:
        told = report(runsync("export", server.url, tmp_path / "b", "--experiment", prefix + "*", "--json", env=env))
        assert (told["artifacts"], told["problems"], told["notes"]) == (len(FILES), [], [])
        naming = ("--rename", f"{prefix}files={prefix}copy", "--json")
        made = report(runsync("import", tmp_path / "b", server.url, *naming, "--verify-artifacts", env=env))
        report(runsync("verify", tmp_path / "b", server.url, *naming, "--verify-artifacts", env=env))
        again = report(runsync("import", tmp_path / "b", server.url, *naming, env=env))
        assert not server.count("artifact")
    assert home.files(made["id_map"]["runs"][run_id]) == FILES
    assert (again["runs"]["unchanged"], again["artifacts"]) == (1, 0)


@pytest.mark.parametrize(
    "checksum",
    [pytest.param(True, id="S3 has the hash"), pytest.param(False, id="S3 has no hash", marks=pytest.mark.slow)],
)
def test_into_a_bundle_on_s3_artifacts_are_copied_there(
    home: Home, s3: FaultProxy, env: dict[str, str], prefix: str, runsync: Runner, checksum: bool
) -> None:
    files = {path: content + prefix.encode() for path, content in FILES.items()}
    run_id, folder = home.run(prefix + "files", files, **({"ChecksumAlgorithm": "SHA256"} if checksum else {}))
    bundle = f"{home.bucket.url}/bundle of {prefix}"
    told = report(runsync("export", home.server.url, bundle, "--experiment", prefix + "*", "--json", env=env))
    assert (told["artifacts"], told["problems"], told["notes"]) == (len(FILES), [], [])
    assert len(fetched(s3, folder)) == (0 if checksum else len(FILES))
    blobs = s3.seen("/blobs/", "PUT")
    assert len(blobs) == len(FILES)
    assert all("x-amz-copy-source" in {name.lower() for name in r.headers} for r in blobs)
    report(runsync("check", bundle, "--json", env=env))

    s3.clear()
    naming = ("--rename", f"{prefix}files={prefix}copy", "--json")
    made = report(runsync("import", bundle, home.server.url, *naming, env=env))
    assert not fetched(s3, "/blobs/") or fetched(s3, "/blobs/") == fetched(s3, _blob(files["model/MLmodel"]))
    copy = made["id_map"]["runs"][run_id]
    sent = s3.seen(copy, "PUT")
    assert len(sent) == len(FILES)
    assert sum("x-amz-copy-source" in {name.lower() for name in r.headers} for r in sent) == len(FILES) - 1
    assert home.files(copy) == files
    report(runsync("verify", bundle, home.server.url, *naming, "--verify-artifacts", env=env))


def _blob(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_where_s3_refuses_to_copy_the_bytes_are_fetched_and_sent(
    home: Home, s3: FaultProxy, env: dict[str, str], prefix: str, runsync: Runner
) -> None:
    files = {f"{number}.txt": f"{number} of {prefix}".encode() for number in range(3)}
    _, folder = home.run(prefix + "files", files, ChecksumAlgorithm="SHA256")
    bundle = f"{home.bucket.url}/bundle of {prefix}"
    refusal = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    s3.add(Rule(respond(403, body=refusal), "/blobs/", "PUT", count=1))
    told = report(runsync("export", home.server.url, bundle, "--experiment", prefix + "*", "--json", env=env))
    assert (told["artifacts"], told["problems"]) == (3, [])
    assert len(fetched(s3, folder)) == 1
    report(runsync("check", bundle, "--json", env=env))


def test_a_bundle_at_another_endpoint_gets_the_bytes_through_here(
    home: Home, s3: FaultProxy, env: dict[str, str], prefix: str, runsync: Runner
) -> None:
    _, folder = home.run(prefix + "files", FILES, ChecksumAlgorithm="SHA256")
    bundle = f"{home.bucket.url}/bundle of {prefix}"
    there = (bundle, "--s3-endpoint", home.bucket.endpoint, "--json")
    report(runsync("export", home.server.url, *there, "--experiment", prefix + "*", env=env))
    assert len(fetched(s3, folder)) == len(FILES)
    report(runsync("check", *there, env=env))


def test_an_artifact_that_is_gone_is_named_and_the_rest_goes_on(
    home: Home, s3: FaultProxy, env: dict[str, str], prefix: str, tmp_path: Path, runsync: Runner
) -> None:
    hit, folder = home.run(prefix + "hit", {"a.txt": b"a", "b.txt": b"b"})
    home.run(prefix + "other", {"c.txt": b"c"})
    s3.add(Rule(respond(404, body=b"<Error><Code>NoSuchKey</Code></Error>"), f"{folder}/a.txt".replace(" ", "%20")))
    told = report(
        runsync("export", home.server.url, tmp_path / "b", "--experiment", prefix + "*", "--json", env=env), 3
    )
    assert told["artifacts"] == 2
    assert [(p["run_id"], p["kind"], p["name"]) for p in told["problems"]] == [(hit, "artifact", "a.txt")]
    assert "missing" in told["problems"][0]["reason"]


@pytest.mark.parametrize("path", ["../out.txt", "/etc/passwd", "a/../../b"])
def test_a_key_that_leads_out_of_its_run_is_refused_by_name_and_fails_alone(
    home: Home, env: dict[str, str], prefix: str, tmp_path: Path, runsync: Runner, path: str
) -> None:
    hit, folder = home.run(prefix + "hit", {"fine.txt": b"x", path: b"y"})
    home.run(prefix + "other", {"c.txt": b"c"})
    try:
        told = report(
            runsync("export", home.server.url, tmp_path / "b", "--experiment", prefix + "*", "--json", env=env), 3
        )
    finally:
        home.bucket.remove(f"{folder}/{path}")
    assert [(p["run_id"], p["kind"], p["name"]) for p in told["problems"]] == [(hit, "artifact", path)]
    assert told["artifacts"] == 2


MANY = {f"folder/{number:04d}": b"" if number % 7 else b"%d" % number for number in range(1050)}


@pytest.mark.usefixtures("short_pages")
def test_a_run_with_more_files_than_one_listing_tells(
    home: Home, env: dict[str, str], prefix: str, tmp_path: Path, runsync: Runner
) -> None:
    many = dict(list(MANY.items())[:45])
    home.run(prefix + "many", {**many, "folder/": b""})  # as consoles show a folder
    told = report(runsync("export", home.server.url, tmp_path / "b", "--experiment", prefix + "*", "--json", env=env))
    assert (told["artifacts"], told["problems"]) == (45, [])


@pytest.mark.slow
def test_a_run_with_more_files_than_one_listing_tells_comes_back(
    home: Home, env: dict[str, str], prefix: str, tmp_path: Path, runsync: Runner
) -> None:
    run_id, _ = home.run(prefix + "many", MANY)
    report(runsync("export", home.server.url, tmp_path / "b", "--experiment", prefix + "*", "--json", env=env))
    naming = ("--rename", f"{prefix}many={prefix}copy", "--json")
    made = report(runsync("import", tmp_path / "b", home.server.url, *naming, env=env))
    assert (made["artifacts"], made["problems"]) == (1050, [])
    assert home.files(made["id_map"]["runs"][run_id]) == MANY


def test_without_credentials_the_server_is_asked_and_the_report_says_so(
    home: Home, s3: FaultProxy, prefix: str, tmp_path: Path, runsync: Runner
) -> None:
    files = {"small.txt": b"small", "folder/middling.bin": bytes(3 << 20), "folder/large.bin": bytes(11 << 20)}
    home.run(prefix + "files", files)
    env = {"MLFLOW_S3_ENDPOINT_URL": s3.url, "AWS_EC2_METADATA_DISABLED": "true"}
    selected = ("--experiment", prefix + "*", "--json")
    told = report(runsync("export", home.server.url, tmp_path / "b", *selected, env=env))
    assert (told["artifacts"], told["problems"]) == (3, [])
    assert len(told["notes"]) == 2
    assert all("credentials" in note and "the server" in note for note in told["notes"])
    naming = ("--rename", f"{prefix}files={prefix}copy", "--json")
    made = report(runsync("import", tmp_path / "b", home.server.url, *naming, env=env), 3)
    assert [(p["kind"], p["name"]) for p in made["problems"]] == [("artifact", "folder/large.bin")]
    assert "AWS_PROFILE" in made["problems"][0]["reason"]
    assert made["artifacts"] == 2
    assert not s3.count()
    mended = report(runsync("import", tmp_path / "b", home.server.url, *naming, env={**env, **KEYS}))
    assert mended["problems"] == []
    report(runsync("verify", tmp_path / "b", home.server.url, *naming, "--verify-artifacts", env={**env, **KEYS}))


def test_runsync_toml_says_where_the_artifacts_of_a_workspace_are_reached(
    home: Home, s3: FaultProxy, prefix: str, tmp_path: Path, runsync: Runner
) -> None:
    home.run(prefix + "files", {"a.txt": b"a"})
    credentials = tmp_path / "credentials"
    credentials.write_text("[of-prod]\naws_access_key_id = test\naws_secret_access_key = a secret of the tests\n")
    (tmp_path / "runsync.toml").write_text(
        f'[workspaces.prod]\nuri = "{home.server.url}"\ns3_endpoint = "{s3.url}"\ns3_profile = "of-prod"\n'
    )
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(credentials), "MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:9"}
    told = report(runsync("export", "prod", tmp_path / "b", "--experiment", prefix + "*", "--json", env=env))
    assert (told["artifacts"], told["notes"]) == (1, [])
    assert s3.count(method="GET")


@pytest.mark.slow
def test_a_large_artifact_is_written_in_parts_and_copied_in_parts(
    home: Home, s3: FaultProxy, env: dict[str, str], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(runsync.s3, "LARGEST_COPY", 8 << 20)
    monkeypatch.setattr(runsync.s3, "COPY_PART", 8 << 20)
    content = bytes(range(251)) * (20 << 12)
    run_id, folder = home.run(prefix + "large", {"large.bin": content}, ChecksumAlgorithm="SHA256")
    bundle = f"{home.bucket.url}/bundle of {prefix}"
    selection = library.Selection(experiments=(prefix + "*",))
    assert library.export(home.server.url, bundle, selection=selection).exit_code == 0
    assert not fetched(s3, folder)
    assert s3.count(r"/blobs/.*partNumber=3", "PUT") == 1
    made = library.import_(bundle, home.server.url, rename={prefix + "large": prefix + "copy"})
    assert home.files(made.id_map["runs"][run_id]) == {"large.bin": content}
    assert not fetched(s3, "/blobs/")

    monkeypatch.setattr(runsync.s3.S3, "copy", _refuse)
    s3.clear()
    made = library.import_(bundle, home.server.url, rename={prefix + "large": prefix + "sent"})
    copy = made.id_map["runs"][run_id]
    assert s3.count(rf"{copy}.*partNumber=3", "PUT") == 1
    assert home.files(copy) == {"large.bin": content}


def _refuse(self: runsync.s3.S3, from_: StoredObject, bucket: str, key: str) -> None:
    raise Refused("no", "AccessDenied")


def test_a_large_artifact_that_cannot_be_sent_leaves_no_upload_behind(
    home: Home, s3: FaultProxy, env: dict[str, str], prefix: str, tmp_path: Path, runsync: Runner
) -> None:
    run_id, _ = home.run(prefix + "large", {"large.bin": bytes(20 << 20)})
    export_env = {**env, "AWS_ENDPOINT_URL": home.bucket.endpoint}
    report(runsync("export", home.server.url, tmp_path / "b", "--experiment", prefix + "*", "--json", env=export_env))
    refusal = b"<Error><Code>InvalidRequest</Code><Message>no</Message></Error>"
    s3.add(Rule(respond(400, body=refusal), "partNumber=2", "PUT", count=None))
    naming = ("--rename", f"{prefix}large={prefix}copy", "--json")
    made = report(runsync("import", tmp_path / "b", home.server.url, *naming, env=env), 3)
    assert [p["name"] for p in made["problems"]] == ["large.bin"]
    assert home.files(made["id_map"]["runs"][run_id]) == {}
    left = home.bucket.s3.client.list_multipart_uploads(Bucket=home.bucket.name).get("Uploads", [])
    assert left == []


def test_boto3_is_not_loaded_where_no_artifact_is_on_s3() -> None:
    code = "import sys, runsync.cli, runsync.workspaces.rest.target; print('boto3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("region", "variable"), [("eu-central-1", ""), ("us-east-1", ""), ("eu-west-3", "true")], ids=str
)
def test_all_regions_of_amazon_are_one_s3(
    monkeypatch: pytest.MonkeyPatch, bucket: Bucket, region: str, variable: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", variable or "false")
    assert runsync.s3.S3().endpoint == "https://s3.amazonaws.com"
    assert runsync.s3.S3(runsync.s3.S3Options("https://s3.example.org/")).endpoint == "https://s3.example.org"


def test_models_on_s3_go_to_disk_and_back_and_the_server_is_not_asked_for_a_file(
    home: Home, env: dict[str, str], prefix: str, tmp_path: Path, runsync: Runner
) -> None:
    files = FILES | {"MLmodel": b"flavors: {}\n"}
    run_id, folder = home.run(prefix + "files", {f"net/{path}": content for path, content in files.items()})
    with Seeder(home.server.url) as seeder:
        experiment_id = seeder.get_run(run_id)["info"]["experiment_id"]
        made = seeder.post("logged-models", experiment_id=experiment_id, name="net", source_run_id=run_id)
        info = made["model"]["info"]
        below = info["artifact_uri"].removeprefix(f"{home.bucket.url}/")
        for path, content in files.items():
            home.bucket.put(f"{below}/{path}", content)
        seeder.call("PATCH", f"logged-models/{info['model_id']}", {"model_id": info["model_id"], "status": 2})
        seeder.post("registered-models/create", name=prefix + "churn")
        of_run = {"source": f"{home.bucket.url}/{folder}/net", "run_id": run_id}
        of_model = {"source": f"models:/{info['model_id']}", "model_id": info["model_id"]}
        for told in (of_run, of_model):
            seeder.post("model-versions/create", name=prefix + "churn", **told)
    naming = ("--rename", f"{prefix}files={prefix}copy", "--rename", f"{prefix}churn={prefix}copied", "--json")
    with FaultProxy(home.server.url) as server:
        chosen = ("--experiment", prefix + "files")
        exported = report(runsync("export", server.url, tmp_path / "b", *chosen, "--json", env=env))
        assert {kind: tally["created"] for kind, tally in exported["objects"].items() if tally["created"]} == {
            "logged-models": 1,
            "registered-models": 1,
            "model-versions": 2,
        }
        report(runsync("import", tmp_path / "b", server.url, *naming, "--verify-artifacts", env=env))
        report(runsync("verify", tmp_path / "b", server.url, *naming, "--verify-artifacts", env=env))
        again = report(runsync("import", tmp_path / "b", server.url, *naming, env=env))
        assert (again["objects"]["logged-models"]["unchanged"], again["artifacts"]) == (1, 0)
        assert not server.count("artifact")
    for number in (1, 2):
        got = tmp_path / str(number)
        report(runsync("models", "get", home.server.url, f"{prefix}copied/{number}", "--into", got, "--json", env=env))
        assert {path.relative_to(got).as_posix() for path in got.rglob("*") if path.is_file()} == set(files)
        assert all((got / path).read_bytes() == content for path, content in files.items())
