"""What commands print: reports for people, reports for programs, nothing else, and never a secret."""

import contextlib
import fcntl
import gzip
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from conftest import ROOT, Runner
from support.command_line import command
from support.damage import flip, one_of
from support.forks import clean_environment
from support.memory import export_into
from support.proxy import FaultProxy
from support.secrets import MARK
from support.seed import Seeder, points
from support.servers import MlflowServer

from runsync.testing.memory import small_source

SCHEMAS = {f.name: json.loads(f.read_text(encoding="utf-8")) for f in (ROOT / "schemas/v1").glob("*.json")}
REGISTRY: Any = referencing.Registry().with_resources(
    (schema["$id"], referencing.Resource.from_contents(schema)) for schema in SCHEMAS.values()
)


def _valid(text: str, kind: str) -> dict[str, Any]:
    """The one JSON document that a text is, valid."""
    document: dict[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator(SCHEMAS[f"{kind}.schema.json"], registry=REGISTRY).validate(document)
    return document


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    export_into(folder, small_source())
    return folder


@pytest.fixture
def experiment(mlflow3_a: MlflowServer, prefix: str) -> str:
    """An experiment of three runs on the source server; its name."""
    with Seeder(mlflow3_a.url) as seeder:
        experiment_id = seeder.create_experiment(prefix + "churn")
        for number in range(3):
            run_id = seeder.create_run(experiment_id, f"run {number}")
            seeder.log_batch(run_id, params={"lr": str(number)})
            points(seeder, run_id, "loss", 20)
            seeder.put_artifact(run_id, "model/weights.bin", bytes(range(256)))
            seeder.finish(run_id)
    return prefix + "churn"


def test_every_json_report_is_one_valid_document_and_stderr_stays_empty(
    experiment: str, mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    def report(kind: str, code: int, *arguments: object) -> dict[str, Any]:
        done = runsync(*arguments, "--json")
        assert (done.returncode, done.stderr) == (code, "")
        document = _valid(done.stdout, kind)
        assert document["exit_code"] == code
        return document

    only = ("--experiment", experiment)
    planned = report("transfer-report", 0, "export", mlflow3_a.url, "b", *only, "--dry-run")
    assert planned["dry_run"]
    assert not (tmp_path / "b").exists()
    made = report("transfer-report", 0, "export", mlflow3_a.url, "b", *only)
    assert (made["runs"]["created"], made["metric_points"], made["artifacts"]) == (3, 60, 3)
    again = report("transfer-report", 0, "export", mlflow3_a.url, "b", *only)
    assert again["runs"]["unchanged"] == 3
    shown = report("inspect-report", 0, "inspect", "b")
    assert shown["snapshot"]["id"] == again["snapshot"]
    report("check-report", 0, "check", "b")
    report("check-report", 0, "check", "b", "--quick")
    report("verify-report", 4, "verify", "b", mlflow3_b.url)
    report("transfer-report", 0, "import", "b", mlflow3_b.url, "--dry-run", "--id-map", "not.json")
    assert not (tmp_path / "not.json").exists()
    done = report("transfer-report", 0, "import", "b", mlflow3_b.url, "--id-map", "map.json")
    ids = _valid((tmp_path / "map.json").read_text(), "id-map")
    assert ids["runs"] == done["id_map"]["runs"]
    assert len(ids["runs"]) == 3
    report("transfer-report", 0, "import", "b", mlflow3_b.url)
    report("verify-report", 0, "verify", "b", mlflow3_b.url, "--verify-artifacts")
    report("verify-report", 0, "verify", mlflow3_a.url, "b", *only)
    synced = report("transfer-report", 0, "sync", mlflow3_a.url, mlflow3_b.url, *only)
    assert (synced["verb"], synced["runs"]["unchanged"]) == ("sync", 3)


def test_reports_of_what_went_wrong_are_valid_documents_too(
    bundle: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner
) -> None:
    flip(one_of(bundle, "blob"), 5)
    checked = runsync("check", bundle, "--json")
    assert (checked.returncode, checked.stderr) == (12, "")
    assert len(_valid(checked.stdout, "check-report")["faults"]) == 1
    imported = runsync("import", bundle, mlflow3_b.url, "--prefix", prefix, "--json")
    assert (imported.returncode, imported.stderr) == (3, "")
    assert len(_valid(imported.stdout, "transfer-report")["problems"]) == 1
    mlflow3_b.kill()
    try:
        stopped = runsync("import", bundle, mlflow3_b.url, "--json", env={"RUNSYNC_PATIENCE": "0"})
    finally:
        mlflow3_b.restart()
    assert stopped.returncode == 13
    assert len(stopped.stderr.splitlines()) == 1
    assert _valid(stopped.stdout, "error-report")["exit_code"] == 13


def test_reports_for_people_are_on_stdout_and_a_pipe_gets_no_progress_bar(
    experiment: str, mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, runsync: Runner
) -> None:
    for arguments, expected in [
        (("export", mlflow3_a.url, "b", "--experiment", experiment), "Done: snapshot"),
        (("inspect", "b"), "3 runs"),
        (("check", "b"), "Sound."),
        (("import", "b", mlflow3_b.url), "Done."),
        (("verify", "b", mlflow3_b.url), "Everything that was compared is there."),
    ]:
        done = runsync(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
        assert expected in done.stdout
        assert "\r" not in done.stdout
        assert "\x1b" not in done.stdout


def test_a_terminal_gets_a_progress_bar_and_stdout_stays_clean(
    experiment: str, mlflow3_a: MlflowServer, tmp_path: Path
) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    shown = bytearray()

    def watch() -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(leader, 65536):
                shown.extend(chunk)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with subprocess.Popen(
        command("export", mlflow3_a.url, tmp_path / "b", "--experiment", experiment),
        env=clean_environment() | {"TERM": "xterm", "TQDM_MININTERVAL": "0", "TQDM_MINITERS": "1"},
        stdout=subprocess.PIPE,
        stderr=follower,
        encoding="utf-8",
    ) as process:
        stdout, _ = process.communicate(timeout=300)
    os.close(follower)
    watcher.join(timeout=300)
    os.close(leader)
    assert process.returncode == 0
    assert b"export" in shown
    assert b"points" in shown
    assert "\r" not in stdout
    assert "Done: snapshot" in stdout


def test_a_reader_that_stops_reading_gets_no_traceback(bundle: Path) -> None:
    with subprocess.Popen(
        command("inspect", bundle, "--json"),
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        error = process.stderr.read()
        process.wait(timeout=300)
    assert "Traceback" not in error
    assert "Exception ignored" not in error


def test_stdout_in_a_narrow_encoding_still_gets_the_report(bundle: Path, runsync: Runner) -> None:
    done = runsync("inspect", bundle, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"})
    assert "unexpected" not in done.stderr
    assert done.returncode == 0


def test_an_interrupted_export_says_so_and_ends_with_130(
    experiment: str, mlflow3_a: MlflowServer, start_runsync: Callable[..., Any], tmp_path: Path
) -> None:
    import signal

    from support import proxy as faults
    from support.proxy import Rule

    for number in (signal.SIGINT, signal.SIGTERM):
        with FaultProxy(mlflow3_a.url, Rule(faults.respond(429, retry_after=120), "artifacts/list")) as proxy:
            process = start_runsync("export", proxy.url, tmp_path / number.name, "--experiment", experiment)
            while not proxy.count("artifacts/list"):
                assert process.poll() is None
            process.send_signal(number)
            _, stderr = process.communicate(timeout=300)
        assert process.returncode == 130
        assert "Traceback" not in stderr
        assert len(stderr.splitlines()) == 1
        assert not list((tmp_path / number.name).glob("snapshots/*.json"))


def test_debug_shows_a_traceback_and_the_one_line_after_it(tmp_path: Path, runsync: Runner) -> None:
    done = runsync("--debug", "check", tmp_path / "nothing")
    assert done.returncode == 10
    assert done.stderr.startswith("Traceback")
    assert done.stderr.splitlines()[-1].startswith("runsync: ")


# Secrets.

USER, PASSWORD = "ada-lovelace", f"hunter2-sécret{MARK}"
TOKEN = f"dapi-{MARK}"


def _written(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            yield file.name, gzip.decompress(content) if file.suffix == ".gz" else content


def test_user_and_password_in_an_address_are_in_no_output_bundle_or_report(
    experiment: str, mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, prefix: str, runsync: Runner, tmp_path: Path
) -> None:
    from urllib.parse import quote

    said = ""
    with (
        FaultProxy(mlflow3_a.url, basic=(USER, PASSWORD)) as source,
        FaultProxy(mlflow3_b.url, basic=(USER, PASSWORD)) as target,
    ):

        def secret(url: str) -> str:
            return url.replace("http://", f"http://{USER}:{quote(PASSWORD)}@")

        only = ("--experiment", experiment)
        for arguments in [
            ("export", secret(source.url), "b", *only),
            ("export", secret(source.url), "b", *only, "--json"),
            ("--debug", "import", "b", secret(target.url), "--prefix", prefix, "--id-map", "map.json"),
            ("import", "b", secret(target.url), "--prefix", prefix, "--json"),
            ("verify", secret(source.url), secret(target.url), *only, "--prefix", prefix, "--json"),
            ("inspect", "b"),
            ("inspect", "b", "--json"),
        ]:
            done = runsync(*arguments)
            assert (done.returncode, done.stderr) == (0, ""), arguments
            said += done.stdout
        wrong = [
            ("export", secret(source.url).replace("hunter2", "hunter3"), "c"),
            ("--debug", "export", secret(source.url).replace("hunter2", "hunter3"), "c"),
            ("--debug", "export", secret("http://127.0.0.1:9"), "c"),
            ("--debug", "export", secret("http://no-such-host.invalid"), "c"),
            ("--debug", "export", secret(source.url), "b", "--experiment", "no such"),
        ]
        for arguments in wrong:
            done = runsync(*arguments, env={"RUNSYNC_PATIENCE": "0.2"})
            assert done.returncode in (1, 13)
            said += done.stdout + done.stderr
    for text in (USER, "hunter2", "hunter3", quote(PASSWORD)):
        assert text not in said
        for name, content in _written(tmp_path):
            assert text.encode() not in content, f"{text} in {name}"


def test_a_token_is_in_no_output_bundle_or_report(
    experiment: str, mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    config = tmp_path / "config" / "runsync.toml"
    config.parent.mkdir()
    with FaultProxy(mlflow3_a.url, token=TOKEN) as proxy:
        config.write_text(f'[workspaces.prod]\nuri = "{proxy.url}"\ntoken_env = "PROD_TOKEN"\n')
        options = ("--debug", "--config", config)
        done = runsync(*options, "export", "prod", "b", "--experiment", experiment, env={"PROD_TOKEN": TOKEN})
        assert (done.returncode, done.stderr) == (0, "")
        refused = runsync(*options, "export", "prod", "c", env={"PROD_TOKEN": TOKEN + "x"})
        assert refused.returncode == 13
    assert TOKEN not in done.stdout + refused.stdout + refused.stderr
    for name, content in _written(tmp_path / "b"):
        assert TOKEN.encode() not in content, name


def test_nothing_of_the_environment_is_written_into_a_bundle(
    experiment: str, mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    env = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": "hunter2", "AWS_SECRET_ACCESS_KEY": "hunter3"}
    done = runsync("export", mlflow3_a.url, "b", "--experiment", experiment, env=env)
    assert done.returncode == 0
    for name, content in _written(tmp_path / "b"):
        assert not re.search(rb"hunter|lovelace", content), name


def test_a_bundle_that_is_read_is_not_written_to(bundle: Path, runsync: Runner, tmp_path: Path) -> None:
    """A long reader holds a lock while it reads, and leaves no file behind."""
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    before = {p: p.stat().st_mtime_ns for p in [copy, *copy.rglob("*")]}
    assert runsync("inspect", copy).returncode == 0
    assert {p: p.stat().st_mtime_ns for p in [copy, *copy.rglob("*")]} == before
    assert runsync("check", copy).returncode == 0
    after = {p: p.stat().st_mtime_ns for p in copy.rglob("*") if p != copy / "locks"}
    assert after == {p: time for p, time in before.items() if p != copy}
